"""What readers give: records, and lines that could not be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attnprobe.errors import UsageError

Given = str | Sequence[str]
"""A text, or the list of its words as given."""


@dataclass(frozen=True)
class Record:
    """One text, or pair of texts, of a corpus.

    >>> Record("1", words=["I", "ca", "n't"], labels={"head": [2, 0, 2]}).text
    "I ca n't"

    Attributes:
        id: the id column's value, else the line's number (`file:line` where there are several files).
        text, pair: as people read them; of words as given, these joined by spaces where nothing else is said.
        file, line: where it stands, as in :class:`Skipped`.
        words, pair_words: the words as given, which the tokenizer then reads one by one; None: the text is read.
        labels: what the record says of its text, by name: values of JSON, such as relations or a class.
    """

    id: str
    text: str = ""
    pair: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)
    words: Sequence[str] | None = None
    pair_words: Sequence[str] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, shown in (("words", "text"), ("pair_words", "pair")):
            words = getattr(self, name)
            if isinstance(words, str):
                raise UsageError(f"the {name} of a record are a list; got {words[:40]!r}")
            if words is not None:
                object.__setattr__(self, name, tuple(words))
            if words and not getattr(self, shown):
                object.__setattr__(self, shown, " ".join(map(str, words)))

    @property
    def given(self) -> tuple[Given, Given | None]:
        """What the tokenizer reads of text and pair: words as given where there are any."""
        text = self.text if self.words is None else self.words
        return text, self.pair if self.pair_words is None else self.pair_words


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
    """Which columns or keys hold what; None leaves the choice to the reader (for text) or means that there is none.

    Attributes:
        text, pair: strings, or lists of strings, which are words as given.
        labels: kept as they are, in :attr:`Record.labels`.
    """

    text: str | None = None
    id: str | None = None
    pair: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Every column that is named, once."""
        named = (self.text, self.id, self.pair, *self.labels)
        return list(dict.fromkeys(name for name in named if name is not None))


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
