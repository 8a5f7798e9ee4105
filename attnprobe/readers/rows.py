"""Lines -> rows of cells, by the csv module; quotes that enclose cells must follow RFC 4180."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from attnprobe.readers import lines as limits
from attnprobe.readers.lines import Line


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        line, end: its first and last line, counted from 1; here a lone carriage return also ends a line.
        cells: its values; none if it is a blank line.
        fault: why it cannot be used; empty if it can.
        widths: how many cells each of its lines would have if quotes were text.
    """

    line: int
    end: int
    cells: list[str]
    fault: str
    widths: frozenset[int]


def rows(whole_lines: Iterable[Line], delimiter: str, quoted: bool = True) -> Iterator[Row]:
    """Reads the rows that lines make up; after a broken row, the next one begins on the next line.

    Args:
        whole_lines: lines with their endings, also lone carriage returns.
        delimiter: the character that separates cells.
        quoted: whether quotes may enclose a cell; if not, they are text.
    """
    csv.field_size_limit(max(csv.field_size_limit(), limits.MAX_LINE))
    feed = _Feed(whole_lines, delimiter, quoted)
    reader = csv.reader(feed, delimiter=delimiter, quotechar='"' if quoted else None, strict=True)
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
        yield Row(feed.start, feed.number, [] if feed.blank else cells, feed.fault, frozenset(feed.widths))


class TooLongError(Exception):
    """The current row is longer than MAX_LINE."""


class _Feed:
    """Hands lines to the csv module and remembers what the current row is made of.

    Attributes:
        number: of the last line handed over.
        start: the first line of the row.
        fault: the first fault of the row; empty if it has none.
        blank: whether the row is nothing but white space.
        widths: as in :class:`Row`.
    """

    def __init__(self, whole_lines: Iterable[Line], delimiter: str, quoted: bool) -> None:
        self._lines = iter(whole_lines)
        self._delimiter, self._quoted = delimiter, quoted
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """Begins a row with the next line."""
        self.start = self.number + 1
        self.fault = ""
        self.blank = True
        self.widths: set[int] = set()
        self._size = 0

    def blame(self, fault: str) -> None:
        """Notes a fault of the row, unless it has one already."""
        self.fault = self.fault or fault

    def reach(self) -> str:
        """Names the last line of the row so far, if it has more than one."""
        return f", up to line {self.number}" if self.number > self.start else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        self.blank &= not line.text.strip() and self._delimiter not in line.text
        self.widths.add(line.text.count(self._delimiter) + 1)
        self._size += len(line.text)
        if line.too_long or self._size > limits.MAX_LINE:
            self._pass_over(line)
            raise TooLongError
        if line.fault:
            self.blame(line.fault if self.number == self.start else f"line {self.number}: {line.fault}")
        return line.text

    def _pass_over(self, line: Line) -> None:
        """Reads to the end of a row that is too long: to the line that makes the number of its quotes even."""
        inside = self._quoted and (self.number > self.start) ^ _odd_quotes(line)
        while inside and (following := next(self._lines, None)):
            self.number = following.number
            inside ^= _odd_quotes(following)


def _odd_quotes(line: Line) -> bool:
    return (line.quotes + line.text.count('"')) % 2 == 1


def _explained(error: csv.Error, feed: _Feed) -> str:
    if "unexpected end" in str(error):
        return f"a quote is not closed by the end of the file, line {feed.number}"
    return f"{error}{feed.reach()}"
