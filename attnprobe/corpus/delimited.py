"""CSV and TSV with a header, by the csv module; quotes must be as RFC 4180 has them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnprobe.corpus import lines as limits
from attnprobe.corpus.fields import choose, to_record
from attnprobe.corpus.lines import Line, lines
from attnprobe.corpus.records import Columns, InputError, Record, Skipped

if TYPE_CHECKING:
    from attnprobe.corpus.sources import Source


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        line: where it starts, counted from 1; here a lone carriage return ends a line, too.
        cells: its values; none if it is a blank line.
        fault: why it cannot be used; empty if it can.
    """

    line: int
    cells: list[str]
    fault: str = ""


def read_csv(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """The rows of a CSV file below its header; blank lines are no records.

    A quote that is not closed makes everything up to the next quote, or to the file's end, one row, which is skipped;
    the reason says how far it reached. Never more than MAX_LINE characters of a row are held in memory.

    Raises:
        InputError: the source cannot be read to its end, or its header not at all.
        UsageError: a column that is not there, or no telling which holds the text.
    """
    return _read(source, columns, encoding, ",")


def read_tsv(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """The same with tabs in place of commas."""
    return _read(source, columns, encoding, "\t")


def _read(source: Source, columns: Columns, encoding: str, delimiter: str) -> Iterator[Record | Skipped]:
    below = (row for row in rows(lines(source, encoding, returns=True), delimiter) if row.cells or row.fault)
    header = next(below, None)
    if header is None:
        return
    if header.fault:
        raise InputError(f"{source.name}, line {header.line}: no header: {header.fault}")
    names = header.cells
    columns = choose(columns, names, source.name)
    for row in below:
        if row.fault or len(row.cells) != len(names):
            count = f"{len(row.cells)} cell{'s' if len(row.cells) > 1 else ''}"
            reason = row.fault or f"{count} where the header has {len(names)}"
            yield Skipped(source.name, row.line, reason)
        else:
            yield to_record(dict(zip(names, row.cells, strict=True)), columns, source.name, row.line)


def rows(whole_lines: Iterable[Line], delimiter: str) -> Iterator[Row]:
    """The rows that such lines make up, and after one that is broken those that begin on the next line."""
    csv.field_size_limit(max(csv.field_size_limit(), limits.MAX_LINE))
    feed = _Feed(whole_lines, delimiter)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin()
        cells: list[str] = []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            feed.blame(_explained(error, feed))
        except TooLongError:
            feed.blame(f"longer than {limits.MAX_LINE:,} bytes{feed.reach()}")
        yield Row(feed.start, [] if feed.blank else cells, feed.fault)


class TooLongError(Exception):
    """The row at hand is longer than MAX_LINE."""


class _Feed:
    """Hands lines to the csv module and remembers what the row at hand is made of.

    Attributes:
        number: of the last line handed over.
        start: the first line of the row at hand.
        fault: the first thing that is wrong with that row; empty if nothing is.
        blank: whether it is nothing but white space.
    """

    def __init__(self, whole_lines: Iterable[Line], delimiter: str) -> None:
        self._lines = iter(whole_lines)
        self._delimiter = delimiter
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.start = self.number + 1
        self.fault = ""
        self.blank = True
        self._size = 0

    def blame(self, fault: str) -> None:
        """Notes what is wrong with the row at hand, unless something was before."""
        self.fault = self.fault or fault

    def reach(self) -> str:
        """How far the row at hand goes, if over more than one line."""
        return f", up to line {self.number}" if self.number > self.start else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        self.blank &= not line.text.strip() and self._delimiter not in line.text
        self._size += len(line.text)
        if line.too_long or self._size > limits.MAX_LINE:
            self._pass_over(line)
            raise TooLongError
        if line.fault:
            self.blame(line.fault if self.number == self.start else f"line {self.number}: {line.fault}")
        return line.text

    def _pass_over(self, line: Line) -> None:
        """Reads to the end of a row that is too long: to the line that brings its quotes to an even number."""
        inside = (self.number > self.start) ^ _odd_quotes(line)
        while inside and (following := next(self._lines, None)):
            self.number = following.number
            inside ^= _odd_quotes(following)


def _odd_quotes(line: Line) -> bool:
    return (line.quotes + line.text.count('"')) % 2 == 1


def _explained(error: csv.Error, feed: _Feed) -> str:
    if "unexpected end" in str(error):
        return f"a quote is not closed by the end of the file, line {feed.number}"
    return f"{error}{feed.reach()}"
