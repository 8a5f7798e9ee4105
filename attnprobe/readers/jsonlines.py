"""Reads JSON Lines: one object per line, or one string."""

from __future__ import annotations

from collections.abc import Iterator

from attnprobe.readers.lines import lines
from attnprobe.readers.objects import to_records
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped


def read_jsonl(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the objects of a JSON Lines file; blank lines are no records. Without columns, a bare string is a text.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: as :func:`attnprobe.readers.objects.to_records`.
    """
    found = (
        (line.number, line.content, line.fault)
        for line in lines(source, encoding, returns=None)
        if line.fault or line.text.strip()
    )
    return to_records(found, columns, source.name)
