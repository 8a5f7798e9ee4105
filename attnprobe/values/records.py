"""The values that readers yield: records, and records that were skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attnprobe.errors import UsageError

TEXTS = "texts"  # the section of FILES

Given = str | Sequence[str]
"""A text, or the list of its words as given."""


@dataclass(frozen=True)
class Record:
    """One text, or pair of texts, of a corpus.

    >>> Record("1", words=["I", "ca", "n't"], labels={"head": [2, 0, 2]}).text
    "I ca n't"

    Attributes:
        id: the id column's value, else the line's number (`file:line` if there are several files).
        text, pair: the texts as people read them; by default the words joined by spaces.
        file, line: where the record is, as in :class:`Skipped`.
        words, pair_words: the words as given, which the tokenizer then reads one by one; None: the text is read.
        labels: what the record says about its text, by name: values of JSON, such as relations or a class.
        number: how many good records of its section come before this one; even numbers are one half, odd ones the
            other.
        section: which of a run's inputs the record comes from, where an analysis reads further ones than texts.
    """

    id: str
    text: str = ""
    pair: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)
    words: Sequence[str] | None = None
    pair_words: Sequence[str] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict, hash=False)
    number: int = field(default=0, compare=False)
    section: str = field(default=TEXTS, compare=False)

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
        """The text and pair that the tokenizer reads: the words if they are given."""
        text = self.text if self.words is None else self.words
        return text, self.pair if self.pair_words is None else self.pair_words


@dataclass(frozen=True)
class Skipped:
    """A record that cannot be used.

    Attributes:
        file: the name of the file; `-` for stdin.
        line: counted from 1; the row's number in Parquet, Arrow and datasets; None if unknown.
        reason: why it cannot be used, in words for people.
        id: the record's id if it could be read.
    """

    file: str
    line: int | None
    reason: str
    id: str | None = None


@dataclass(frozen=True)
class Columns:
    """The names of the columns or keys that a record is made of; None: the reader chooses (text), or none is read.

    Attributes:
        text, pair: columns of strings, or of lists of strings, which are words as given.
        labels: columns kept as they are, in :attr:`Record.labels`.
        also: likewise, from each record that has them; ``words`` and ``text`` are kept beside each other.
    """

    text: str | None = None
    id: str | None = None
    pair: str | None = None
    labels: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns that must be there, each once."""
        named = (self.text, self.id, self.pair, *self.labels)
        return list(dict.fromkeys(name for name in named if name is not None))

    @property
    def read(self) -> list[str]:
        """The columns that are read if they are there, each once."""
        return list(dict.fromkeys([*self.names, *self.also]))


@dataclass(frozen=True)
class Dialect:
    """How the cells of CSV and TSV files are written; None: the reader decides by the first 64 KiB.

    Attributes:
        delimiter: the character that separates cells.
        quoting: "minimal" if quotes may enclose a cell, "none" if they are text.
        header: whether the first row names the columns; if not, their names are 1, 2, 3 ...
    """

    delimiter: str | None = None
    quoting: str | None = None
    header: bool | None = None
