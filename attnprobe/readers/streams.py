"""Reads a source's bytes in pieces, decompressed as the first bytes require."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, TypeVar

from attnprobe.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from attnprobe.readers.source import Source

T = TypeVar("T")
CHUNK = 256 * 1024
HEAD = 64 * 1024  # bytes or characters that a reader looks at to find out how a file is written
ZSTD_INPUT = 256  # bytes decompressed at once; they may become 32,768 times as many
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"


class BrokenError(Exception):
    """The compressed data are broken."""


def chunks(source: Source) -> Iterator[bytes]:
    """Reads the source's bytes, decompressed, in pieces that are not empty.

    Raises:
        InputError: the source cannot be opened, or read to its end.
        MissingExtraError: zstandard is not installed.
    """
    try:
        with _opened(source) as stream:
            yield from _decompressed(_pieces(stream))
    except (BrokenError, OSError) as error:
        raise _input_error(source, error) from error


@contextmanager
def seekable(source: Source) -> Iterator[IO[bytes]]:
    """Opens the source for readers that must seek: the file itself, or a temporary copy on disk.

    Raises:
        InputError: the source cannot be opened or copied.
        MissingExtraError: zstandard is not installed.
    """
    try:
        stream = _seekable(source)
    except OSError as error:
        raise _input_error(source, error) from error
    with stream:
        yield stream


def _seekable(source: Source) -> IO[bytes]:
    if source.path and not source.once and not compression(source.path):
        return source.path.open("rb")
    with ExitStack() as on_failure:
        copy = on_failure.enter_context(TemporaryFile())
        copy.writelines(chunks(source))
        copy.seek(0)
        on_failure.pop_all()
    return copy


def compression(path: Path) -> str:
    """Finds how a file is compressed: `gzip`, `zstd` or not at all (empty).

    Raises:
        OSError: the file cannot be read.
        MissingExtraError: zstandard is needed and not installed.
    """
    with path.open("rb") as stream:
        return _compression(stream.read(4))


def _compression(head: bytes) -> str:
    if head.startswith(ZSTD) and find_spec("zstandard") is None:
        raise MissingExtraError("zstandard", "zstd")
    return "zstd" if head.startswith(ZSTD) else "gzip" if head.startswith(GZIP) else ""


def _input_error(source: Source, error: BrokenError | OSError) -> InputError:
    why = f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
    return InputError(f"{source.name}: {why}")


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    if source.path:
        return source.path.open("rb")
    if sys.stdin is None or sys.stdin.closed:
        raise BrokenError("it is closed")
    return nullcontext(sys.stdin.buffer)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    read = getattr(stream, "read1", stream.read)  # read1 takes from a pipe what is available
    while piece := read(CHUNK):
        yield piece


def _decompressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for piece in pieces:  # a pipe may hand over single bytes
        head += piece
        if len(head) >= len(ZSTD):
            break
    whole = chain([head] if head else [], pieces)
    kind = _compression(head)
    return _unzstd(whole) if kind == "zstd" else _gunzip(whole) if kind == "gzip" else whole


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses one gzip member after the other, as gzip -d does."""
    member = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            rest = piece
            while rest := rest.lstrip(b"\0") if member.eof else rest:  # padding between members, as tapes have it
                member = zlib.decompressobj(wbits=31) if member.eof else member
                if data := member.decompress(rest, CHUNK):
                    yield data
                rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise BrokenError(f"the gzip data are broken ({error})") from error
    if not member.eof:
        raise BrokenError("the gzip data end too early")


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses one zstd frame after the other; zstandard's stream_reader would not notice that the last is cut."""
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        for piece in chain.from_iterable(map(_small, pieces)):
            rest = piece
            while rest:
                frame = zstandard.ZstdDecompressor().decompressobj() if frame.eof else frame
                if data := frame.decompress(rest):
                    yield data
                rest = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise BrokenError(f"the zstd data are broken ({error})") from error
    if not frame.eof:
        raise BrokenError("the zstd data end too early")


def peek(items: Iterable[T], enough: Callable[[T], bool]) -> tuple[list[T], Iterator[T], bool]:
    """Looks ahead without taking anything away, as streams cannot be rewound.

    Args:
        enough: called with each item; returns whether it is the last to look at.

    Returns:
        the first items; all items, with an error raised where it came; whether an error came among the first items.
    """
    seen: list[T] = []
    rest = iter(items)
    try:
        for item in rest:
            seen.append(item)
            if enough(item):
                break
    except InputError as error:
        return seen, chain(seen, _raising(error)), True
    return seen, chain(seen, rest), False


def _raising(error: InputError) -> Iterator[T]:
    raise error
    yield


def _small(piece: bytes) -> Iterator[bytes]:
    return (piece[start : start + ZSTD_INPUT] for start in range(0, len(piece), ZSTD_INPUT))
