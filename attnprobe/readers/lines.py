r"""Bytes -> numbered lines of text, whatever the encoding. \n ends a line, \r alone only where it is asked for."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from attnprobe.errors import InputError, UsageError
from attnprobe.readers import streams
from attnprobe.readers.source import Source
from attnprobe.readers.streams import chunks, peek

MAX_LINE = 64 * 1024 * 1024  # bytes, the newline among them; longer lines are not held in memory
# In these a byte's meaning depends on other lines, or they are no encodings of files.
NOT_BY_LINE = frozenset({"iso2022_kr", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"})
BYTE_ORDER_MARKS = {
    "utf-16": ((codecs.BOM_UTF16_BE, "utf-16-be"), (b"", "utf-16-le")),
    "utf-32": ((codecs.BOM_UTF32_BE, "utf-32-be"), (b"", "utf-32-le")),
    "utf-8-sig": ((b"", "utf-8"),),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file.

    Attributes:
        number: counted from 1.
        text: with its newline; undecodable bytes replaced; empty if the line is too long.
        fault: why the line cannot be used; empty if it can.
        too_long: whether it is longer than MAX_LINE.
        quotes: how many quote characters a line that is too long had.
    """

    number: int
    text: str
    fault: str = ""
    too_long: bool = False
    quotes: int = 0

    @property
    def content(self) -> str:
        """The text without the newline."""
        return self.text.removesuffix("\n").removesuffix("\r")


def check_encoding(encoding: str) -> None:
    """Checks that files in an encoding can be read line by line.

    Raises:
        UsageError: the encoding is unknown, or its files cannot be read line by line.
    """
    try:
        by_line = codecs.lookup(encoding).name not in NOT_BY_LINE
        "\n".encode(encoding)  # not every codec is one for text
    except (LookupError, ValueError) as error:
        raise UsageError(f"no encoding {encoding!r}", "write utf-8, latin-1, cp1252, gb18030, utf-16 ...") from error
    if not by_line:
        raise UsageError(f"files in {encoding!r} cannot be read line by line", "convert them with iconv")


def lines(source: Source, encoding: str, returns: bool | None = False, commas: bool = False) -> Iterator[Line]:
    """Reads the lines of a source; a byte order mark at the start is left out.

    Args:
        source: read as text, whatever its format.
        encoding: one that check_encoding accepts.
        returns: whether a lone carriage return also ends a line, as with open(newline=""); None: if no newline is
            among the first 64 KiB, which is reported by ``source.tell``.
        commas: whether to yield, in place of lines, pieces of any length that end in a newline or a comma; a piece
            with a fault is as small as possible.

    Raises:
        InputError: the source cannot be read to its end; the message names the last line.
        MissingExtraError: zstandard is not installed.
    """
    number = 0
    try:
        pieces = chunks(source)
        head = _head(pieces)
        codec = _codec(encoding, head)
        whole: Iterator[bytes] = chain([head], pieces)
        if returns is None:
            returns, whole = _returns_alone(whole, codec)
            if returns:
                source.tell(f"{source.name}: carriage returns end its lines, as it has no newlines")
        for number, raw in enumerate(_split(whole, codec, returns, commas), 1):
            line = _line(number, raw, codec, encoding, with_position=not commas)
            if commas and line.fault and isinstance(raw, bytes):
                small = _cut(raw, _ending(codec, returns, commas), len("\n".encode(codec)))
                yield from (_line(number, piece, codec, encoding, with_position=False) for piece in small)
            else:
                yield line
    except InputError as error:
        raise InputError(f"{error}, after line {number}" if number and not commas else str(error)) from error


def _returns_alone(pieces: Iterator[bytes], codec: str) -> tuple[bool, Iterator[bytes]]:
    """Looks ahead for carriage returns without any newline; returns whether they end lines, and all pieces."""
    newline = "\n".encode(codec).strip(b"\0")
    seen = bytearray()

    def enough(piece: bytes) -> bool:
        seen.extend(piece)
        return len(seen) >= streams.HEAD or (newline in piece and "\n" in seen.decode(codec, "replace"))

    _, whole, _ = peek(pieces, enough)
    text = seen.decode(codec, "replace")
    return "\n" not in text and "\r" in text.rstrip("\r"), whole


def _head(pieces: Iterator[bytes]) -> bytes:
    """Reads the first pieces, long enough for any byte order mark."""
    head = b""
    while len(head) < 4 and (piece := next(pieces, b"")):
        head += piece
    return head


def _codec(encoding: str, head: bytes) -> str:
    """Names the codec of an encoding, with the mark's byte order if it needs one, else little-endian as Python does."""
    name = codecs.lookup(encoding).name
    orders = BYTE_ORDER_MARKS.get(name, ((b"", name),))
    return next(ordered for mark, ordered in orders if head.startswith(mark))


@dataclass
class _LineBuffer:
    """Collects the line that is being read; of a line that is too long, it only counts the quotes."""

    codec: str
    pieces: list[bytes]
    size: int = 0
    quotes: int = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self.pieces.append(piece)
        if self.size > MAX_LINE:
            self.quotes += sum(piece.decode(self.codec, "replace").count('"') for piece in self.pieces)
            self.pieces.clear()

    def take(self) -> bytes | int:
        """Returns the line, or the number of its quotes if it is too long, and begins the next one."""
        taken = self.quotes if self.size > MAX_LINE else b"".join(self.pieces)
        self.pieces, self.size, self.quotes = [], 0, 0
        return taken


def _split(pieces: Iterable[bytes], codec: str, returns: bool, commas: bool) -> Iterator[bytes | int]:
    """Yields lines with their newlines; for a line that is too long, the number of its quotes."""
    unit, carriage = len("\n".encode(codec)), "\r".encode(codec)
    ending = _ending(codec, returns, commas)
    held = _LineBuffer(codec, [])
    for piece in _aligned(pieces, unit, carriage if returns else None):
        *ended, rest = _cut(piece, ending, unit)
        joined = commas and ended and held.size + len(piece) <= MAX_LINE
        for line in [b"".join(ended)] if joined else ended:
            held.add(line)
            yield held.take()
        held.add(rest)
    if held.size:
        yield held.take()


def _ending(codec: str, returns: bool, commas: bool) -> re.Pattern[bytes]:
    newline, carriage, comma = (re.escape(character.encode(codec)) for character in "\n\r,")
    lone = b"%b(?:%b)?|" % (carriage, newline) if returns else b""
    return re.compile(lone + newline + (b"|" + comma if commas else b""))


def _aligned(pieces: Iterable[bytes], unit: int, carriage: bytes | None) -> Iterator[bytes]:
    """Cuts the bytes anew: every piece but the last ends on a whole unit and not in a carriage return."""
    rest = b""
    for piece in pieces:
        whole = rest + piece
        end = len(whole) - len(whole) % unit
        end -= unit if carriage and whole.endswith(carriage, 0, end) else 0
        rest = whole[end:]
        yield whole[:end]
    yield rest


def _cut(piece: bytes, ending: re.Pattern[bytes], unit: int) -> list[bytes]:
    """Cuts a piece after each line's ending; the rest after the last ending comes last, and may be empty."""
    cuts = [found.end() for found in ending.finditer(piece) if found.start() % unit == 0]
    return [piece[start:end] for start, end in pairwise([0, *cuts, len(piece)])]


def _line(number: int, raw: bytes | int, codec: str, encoding: str, with_position: bool) -> Line:
    if isinstance(raw, int):
        return Line(number, "", f"longer than {MAX_LINE:,} bytes", too_long=True, quotes=raw)
    try:
        text, fault = raw.decode(codec), ""
    except UnicodeDecodeError as error:
        text, fault = raw.decode(codec, "replace"), _undecodable(raw, error.start, number, encoding, with_position)
    return Line(number, text.removeprefix("\ufeff") if number == 1 else text, fault)


def _undecodable(raw: bytes, start: int, number: int, encoding: str, with_position: bool) -> str:
    marked = number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    hint = "utf-16?" if marked else "NAME if it is in another"
    where = f" at position {start + 1}" if with_position else ""
    return f"byte 0x{raw[start]:02x}{where} is not {encoding} (--encoding {hint})"
