"""What readers give: records, and lines that could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    """One text, or pair of texts, of a corpus.

    Attributes:
        id: the id column's value, else the line's number (`file:line` where there are several files).
        file, line: where it stands, as in :class:`Skipped`.
    """

    id: str
    text: str
    pair: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Skipped:
    """A record that cannot be used.

    Attributes:
        file: where it stands; `-` for stdin.
        line: counted from 1; the row's number in Parquet, Arrow and datasets; None where there is no telling.
        reason: why, in words for people.
        id: the record's id where one could be read.
    """

    file: str
    line: int | None
    reason: str
    id: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns or keys hold what; None leaves the choice to the reader (for text) or means that there is none."""

    text: str | None = None
    id: str | None = None
    pair: str | None = None


@dataclass(frozen=True)
class Dialect:
    """How the cells of CSV and TSV files are written; None leaves it to the reader, who looks at the first 64 KiB.

    Attributes:
        delimiter: what separates cells, one character.
        quoting: "minimal" if quotes may enclose a cell, "none" if they are text.
        header: whether the first row names the columns; else their names are 1, 2, 3 ...
    """

    delimiter: str | None = None
    quoting: str | None = None
    header: bool | None = None
