"""Reads CSV and TSV: cells in rows, usually below a header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from attnprobe.errors import InputError, UsageError
from attnprobe.readers.fields import choose, to_record
from attnprobe.readers.lines import lines
from attnprobe.readers.rows import Row, rows
from attnprobe.readers.sniffing import Written, looks_like_data, sniff
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped


def read_csv(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the rows of a CSV file below its header; blank lines are no records.

    A quote that is not closed makes everything up to the next quote, or to the file's end, one row, which is skipped;
    the reason names its last line. Never more than MAX_LINE characters of a row are held in memory.

    Raises:
        InputError: the source cannot be read to its end, or its header is broken.
        UsageError: a column is missing, or it is unclear which column holds the text or how the file is written.
    """
    return _read(source, columns, encoding, ",")


def read_tsv(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads a TSV file as :func:`read_csv` does, with tabs in place of commas."""
    return _read(source, columns, encoding, "\t")


def _read(source: Source, columns: Columns, encoding: str, usual: str) -> Iterator[Record | Skipped]:
    written, below = _rows(source, encoding, usual, alone=not columns.names)
    first = next(below, None)
    if first is None:
        return
    if first.fault:
        raise InputError(f"{source.name}, line {first.line}: no header: {first.fault}")
    names = first.cells if written.header else [str(number) for number in range(1, len(first.cells) + 1)]
    columns = _choose(columns, names, source)
    if not written.header:
        yield to_record(dict(zip(names, first.cells, strict=True)), columns, source.name, first.line)
    for row in below:
        yield _record(row, names, columns, source.name)
        if row.end > row.line and row.widths == {len(names)} and not written.quotes_are_sure:
            source.tell(
                f"{source.name}: lines {row.line} to {row.end} are read as one row, as quotes enclose them; "
                "--quoting none reads quotes as text"
            )
            written = replace(written, quotes_are_sure=True)


def count_rows(source: Source, encoding: str) -> int:
    """Counts the rows of a CSV or TSV file, its header left out.

    Raises:
        InputError, UsageError: see :func:`read_csv`.
    """
    source = replace(source, tell=lambda message: None)  # reading tells
    written, found = _rows(source, encoding, "," if source.format == "csv" else "\t", alone=False)
    return max(0, sum(1 for _ in found) - written.header)


def _rows(source: Source, encoding: str, usual: str, *, alone: bool) -> tuple[Written, Iterator[Row]]:
    """Finds out how a file is written, and reads its rows that are not blank."""
    written, whole = sniff(source, lines(source, encoding, returns=True), usual, alone=alone)
    return written, (row for row in rows(whole, written.delimiter, written.quoted) if row.cells or row.fault)


def _record(row: Row, names: list[str], columns: Columns, file: str) -> Record | Skipped:
    if row.fault or len(row.cells) != len(names):
        count = f"{len(row.cells)} cell{'s' if len(row.cells) > 1 else ''}"
        return Skipped(file, row.line, row.fault or f"{count} where the header has {len(names)}")
    return to_record(dict(zip(names, row.cells, strict=True)), columns, file, row.line)


def _choose(columns: Columns, names: list[str], source: Source) -> Columns:
    """Chooses the column of the text; if the names look like data, the error says what to do."""
    try:
        return choose(columns, names, source.name)
    except UsageError as error:
        if source.dialect.header is None and any(map(looks_like_data, names)):
            raise UsageError(str(error), f"{error.hint}; --no-header if these are no names") from error
        raise
