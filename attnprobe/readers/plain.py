"""Reads plain text, one record per line."""

from __future__ import annotations

from collections.abc import Iterator

from attnprobe.errors import UsageError
from attnprobe.readers.fields import to_record
from attnprobe.readers.lines import lines
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped

WHOLE_LINE = Columns(text="text")


def read_txt(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the lines of a plain-text file; blank lines are no records.

    In a file without newlines, carriage returns end lines.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: a column is asked for.
    """
    if columns.names:
        raise UsageError(f"{source.name} is read as plain text, which has no columns", "--input-format csv or jsonl?")
    is_reported = False
    for line in lines(source, encoding, returns=None):
        if not is_reported and "\r" in line.content.strip():
            is_reported = True
            source.tell(f"{source.name}: carriage returns within lines, as in line {line.number}, end no line")
        if line.fault:
            yield Skipped(source.name, line.number, line.fault)
        elif line.text.strip():
            yield to_record({"text": line.content}, WHOLE_LINE, source.name, line.number)
