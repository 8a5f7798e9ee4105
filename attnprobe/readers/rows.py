"""Lines -> rows of cells, by the csv module; where quotes enclose cells, they must be as RFC 4180 has them."""

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
        line, end: where it starts and ends, counted from 1; here a lone carriage return ends a line, too.
        cells: its values; none if it is a blank line.
        fault: why it cannot be used; empty if it can.
        widths: of each of its lines, how many cells it would have if quotes were text.
    """

    line: int
    end: int
    cells: list[str]
    fault: str
    widths: frozenset[int]


def rows(whole_lines: Iterable[Line], delimiter: str, quoted: bool = True) -> Iterator[Row]:
    """The rows that such lines make up, and after one that is broken those that begin on the next line.

    Args:
        whole_lines: with their ends; a lone carriage return is one.
        delimiter: what separates cells.
        quoted: whether quotes may enclose a cell; else they are text.
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
    """The row at hand is longer than MAX_LINE."""


class _Feed:
    """Hands lines to the csv module and remembers what the row at hand is made of.

    Attributes:
        number: of the last line handed over.
        start: the first line of the row at hand.
        fault: the first thing that is wrong with that row; empty if nothing is.
        blank: whether it is nothing but white space.
        widths: as in :class:`Row`.
    """

    def __init__(self, whole_lines: Iterable[Line], delimiter: str, quoted: bool) -> None:
        self._lines = iter(whole_lines)
        self._delimiter, self._quoted = delimiter, quoted
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.start = self.number + 1
        self.fault = ""
        self.blank = True
        self.widths: set[int] = set()
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
        self.widths.add(line.text.count(self._delimiter) + 1)
        self._size += len(line.text)
        if line.too_long or self._size > limits.MAX_LINE:
            self._pass_over(line)
            raise TooLongError
        if line.fault:
            self.blame(line.fault if self.number == self.start else f"line {self.number}: {line.fault}")
        return line.text

    def _pass_over(self, line: Line) -> None:
        """Reads to the end of a row that is too long: to the line that brings its quotes to an even number."""
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
