"""Finds out from the first 64 KiB of a CSV or TSV file how it is written.

The suffix decides as long as it fits: its delimiter splits the header, and half of the rows into as many cells; quotes
enclose cells; the first row is a header. What does not fit is decided otherwise, which is reported; what fits in two
ways is refused with a hint to the flag that decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from attnprobe.errors import UsageError
from attnprobe.readers import streams
from attnprobe.readers.fields import PREFERRED
from attnprobe.readers.lines import Line
from attnprobe.readers.rows import Row, rows
from attnprobe.readers.source import Source
from attnprobe.readers.streams import peek
from attnprobe.values.arguments import shown

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
ANNOUNCED = re.compile(r"sep=([^\"\r\n])[\r\n]+")  # the first line of files that are meant for Excel
SENTENCE_ENDS = tuple(".!?…。！？")
SENTENCE = 5  # words; a cell with more is a sentence


@dataclass(frozen=True)
class Written:
    """How a file is written.

    Attributes:
        quoted: whether quotes may enclose cells.
        quotes_are_sure: whether ``quoted`` is beyond doubt.
    """

    delimiter: str
    quoted: bool = True
    header: bool = True
    quotes_are_sure: bool = True


@dataclass(frozen=True)
class Head:
    """The first lines of a file; ``whole`` if they are all, otherwise the last row may be incomplete."""

    lines: Sequence[Line]
    whole: bool

    def rows(self, delimiter: str, quoted: bool) -> list[Row]:
        """Reads the rows that are not blank and surely complete."""
        found = list(rows(self.lines, delimiter, quoted))
        return [row for row in (found if self.whole else found[:-1]) if row.cells or row.fault]

    def text(self, row: Row) -> str:
        """Returns the text of a row as it is in the file."""
        return "".join(line.text for line in self.lines[row.line - 1 : row.end])


def sniff(source: Source, whole_lines: Iterator[Line], usual: str, alone: bool) -> tuple[Written, Iterator[Line]]:
    """Finds out how a file is written, and returns all lines; if the first cannot be read, the suffix decides.

    Args:
        usual: the delimiter that the suffix stands for.
        alone: whether no column is asked for.

    Raises:
        UsageError: it is unclear how the file is written.
    """
    asked, size = source.dialect, 0

    def enough(line: Line) -> bool:
        nonlocal size
        size += streams.HEAD if line.too_long else len(line.text)
        return size >= streams.HEAD

    seen, whole, broken = peek(whole_lines, enough)
    announced = ANNOUNCED.fullmatch(seen[0].text) if seen else None
    if announced:
        seen[0] = replace(seen[0], text="\n")
        whole = chain(seen[:1], islice(whole, 1, None))
    head = Head([] if broken else seen, size < streams.HEAD)
    delimiter = asked.delimiter or (announced[1] if announced else _delimiter(source, head, usual))
    quoted, sure = _quotes(source, head, delimiter)
    header = asked.header
    if header is None:
        header = not alone or _has_header(source, head.rows(delimiter, quoted))
    return Written(delimiter, quoted, header, sure), whole


def _count_fitting(found: Sequence[Row]) -> int:
    """Counts the rows that have as many cells as the first."""
    return sum(len(row.cells) == len(found[0].cells) and not row.fault for row in found[1:])


def _delimiter(source: Source, head: Head, usual: str) -> str:
    """Chooses the usual delimiter if it splits the header and half of the rows alike, or no other does."""
    quoted = source.dialect.quoting != "none"
    splits = {usual: head.rows(usual, quoted)}
    if _splits(splits[usual]):
        return usual
    splits |= {other: head.rows(other, quoted) for other in DELIMITERS if other != usual}
    fitting = [other for other, found in splits.items() if _splits(found)]
    if len(fitting) == 1:
        names = f"{DELIMITERS[fitting[0]]}, not {DELIMITERS[usual]}"
        source.tell(f"{source.name}: its cells are separated by {names} (--delimiter says otherwise)")
        return fitting[0]
    headers = [other for other, found in splits.items() if found and len(found[0].cells) > 1]
    doubtful = fitting or (usual not in headers and [other for other in headers if _used(splits[other])])
    if doubtful:
        names = " or ".join(DELIMITERS[other] for other in doubtful)
        raise UsageError(f"{source.name}: do {DELIMITERS[usual]} separate its cells, or {names}?", "--delimiter TEXT")
    return usual


def _splits(found: Sequence[Row]) -> bool:
    """Tests whether the header has several cells, and half of the rows have as many."""
    return bool(found) and len(found[0].cells) > 1 and 2 * _count_fitting(found) >= len(found) - 1


def _used(found: Sequence[Row]) -> bool:
    return any(len(row.cells) > 1 for row in found[1:])


def _quotes(source: Source, head: Head, delimiter: str) -> tuple[bool, bool]:
    """Decides whether quotes enclose cells, and whether that is sure.

    They do if they follow RFC 4180, except with tabs if every line fits by itself, which is unclear. If they do not,
    and more rows fit without them, they are text with tabs; with other delimiters it is unclear if they join lines.
    """
    asked = source.dialect.quoting
    enclosed = [] if asked else head.rows(delimiter, True)
    if not enclosed:
        return asked != "none", True
    tabs = delimiter == "\t" and not head.text(enclosed[0]).startswith('"')
    regular = all(_is_regular(head.text(row), delimiter) for row in enclosed)
    if regular and not tabs:
        return True, True
    joined, end = _joined(head, delimiter)
    bare = [row for row in head.rows(delimiter, False) if row.line < end]
    more = _count_fitting(bare) > _count_fitting(enclosed)
    if more and tabs and not regular:
        source.tell(f"{source.name}: quotes are read as text (--quoting minimal lets them enclose cells)")
        return False, True
    joined = [row for row in joined if tabs or not row.fault]
    if more and joined and (not regular or _count_fitting(bare) == len(bare) - 1):
        lines = f"lines {joined[0].line} to {joined[0].end}"
        raise UsageError(
            f"{source.name}: are {lines} one row, as quotes enclose them, or one each?",
            "--quoting minimal, or --quoting none if quotes are text",
        )
    return True, False


def _joined(head: Head, delimiter: str) -> tuple[list[Row], int]:
    """Finds rows of several lines that would all fit alone, and the line from which the head cannot be judged."""
    enclosed = list(rows(head.lines, delimiter, True))
    width = next(len(row.cells) for row in enclosed if row.cells or row.fault)
    joined = [row for row in enclosed if row.end > row.line and row.widths == {width}]
    judged = head.whole or enclosed[-1] in joined
    return joined, enclosed[-1].end + judged if judged else enclosed[-1].line


def _is_regular(text: str, delimiter: str) -> bool:
    """Tests whether quotes in a row follow RFC 4180."""
    cell = f'(?:"(?:[^"]++|"")*+"|[^"{re.escape(delimiter)}\r\n]*+)'
    return '"' not in text or re.fullmatch(f"{cell}(?:{re.escape(delimiter)}{cell})*+[\r\n]*", text) is not None


def _has_header(source: Source, found: Sequence[Row]) -> bool:
    """Decides whether the only cell of the first row is a header.

    One word above longer texts is a header. A few words, or a word above single words, are taken as one, which is
    reported. A sentence may be either.

    Raises:
        UsageError: the cell is a sentence.
    """
    if not found or len(found[0].cells) != 1:
        return True
    name = found[0].cells[0].strip()
    longer = any(len(" ".join(row.cells).split()) > 1 for row in found[1:])
    if name in PREFERRED:
        return True
    if _is_sentence(name):
        raise UsageError(
            f"{source.name}: is its first row a header, or a text? {shown(name)}", "--header or --no-header"
        )
    if len(name.split()) == 1 and (longer or len(found) == 1):
        return True
    source.tell(f"{source.name}: the first row, {shown(name)}, is read as the header (--no-header reads it as a text)")
    return True


def _is_sentence(cell: str) -> bool:
    return len(cell.split()) > SENTENCE or cell.strip().endswith(SENTENCE_ENDS)


def looks_like_data(name: str) -> bool:
    """Tests whether the name of a column looks like a number or a sentence."""
    return _is_sentence(name) or re.fullmatch(r"\s*[-+]?\d+([.,]\d+)?\s*", name) is not None or len(name.split()) > 2
