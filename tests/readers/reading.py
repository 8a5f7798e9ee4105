"""Reads bytes as if they came through stdin, and packs them."""

import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import zstandard

from attnprobe.errors import InputError
from attnprobe.readers import lines, streams
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Columns, Record, Skipped

PACK = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}
NOTHING: Mapping[str, Any] = {}
BOUNDS = {"chunk": (streams, "CHUNK"), "max_line": (lines, "MAX_LINE"), "head": (streams, "HEAD")}


@contextmanager
def stdin(stream: Any) -> Iterator[None]:
    with mock.patch("sys.stdin", SimpleNamespace(buffer=stream, closed=False)):
        yield


@contextmanager
def bounds(**numbers: int) -> Iterator[None]:
    """Small chunks, a small MAX_LINE or a small HEAD."""
    (name, number), *others = numbers.items()
    with mock.patch.object(*BOUNDS[name], number):
        if others:
            with bounds(**dict(others)):
                yield
        else:
            yield


def read(
    data: bytes,
    format: str = "txt",
    text: str | None = None,
    id: str | None = None,
    pair: str | None = None,
    notes: list[str] | None = None,
    dialect: Mapping[str, Any] = NOTHING,
    labels: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    **options: Any,
) -> list[Record | Skipped]:
    """Everything in these bytes; what is told on the way is added to the notes."""
    tell = (notes if notes is not None else []).append
    with stdin(io.BytesIO(data)):
        sources = find_sources(["-"], format, tell=tell, **dialect)
        return list(read_records(sources, Columns(text, id, pair, labels, also), **options))


def texts(found: list[Record | Skipped]) -> list[str]:
    """The texts; fails if anything was skipped."""
    assert not [record for record in found if isinstance(record, Skipped)]
    return [record.text for record in found if isinstance(record, Record)]


def reasons(found: list[Record | Skipped]) -> list[tuple[int | None, str]]:
    """Line and reason of what was skipped."""
    return [(skipped.line, skipped.reason) for skipped in found if isinstance(skipped, Skipped)]


def everything(items: Iterable[Record | Skipped]) -> tuple[list[Record | Skipped], str]:
    """What comes before the error, and the error; fails if there is none."""
    found = []
    try:
        for item in items:
            found.append(item)
    except InputError as error:
        return found, str(error)
    raise AssertionError("no error")
