"""Sentences with labelled relations between their words, such as a treebank has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from attnprobe.errors import UsageError
from attnprobe.values.options import INPUT, Options, choice, option
from attnprobe.values.words import Words


class Relation(NamedTuple):
    """A labelled relation between two words, or two groups of words, by their numbers.

    Attributes:
        dependent, head: ascending; in a treebank one word each.
        label: such as ``nsubj``.
    """

    dependent: tuple[int, ...]
    head: tuple[int, ...]
    label: str


@dataclass(frozen=True)
class Sentence:
    """A text as it was annotated.

    Attributes:
        words: of the text.
        relations: those to be found; a root has none.
        tags: the part of speech of each word (UPOS); empty if unknown.
    """

    words: Words
    relations: tuple[Relation, ...] = ()
    tags: tuple[str, ...] = ()


LABELS = ("words", "text", "relations", "upos", "ranges")
"""The labels that a sentence is read from; a record may lack some."""


@dataclass(frozen=True)
class Wording(Options):
    """How annotated words, such as those of a treebank, become tokens.

    Attributes:
        align: "words": the model reads the words one by one; "text": it reads the text as it stands, and a word has the
            tokens that its characters touch.
        subtypes: whether labels keep what follows the first colon.
    """

    panel: ClassVar[str] = INPUT

    align: str = choice("words", "text", help="What the model reads: the words one by one, or the text as it stands.")
    subtypes: bool = option(False, silent=False, help="Keep subtypes of relations, such as nsubj:pass.")


@dataclass(frozen=True)
class PairColumns(Options):
    """The columns that name two words of each text, whose relation is asked for.

    Attributes:
        query_column, key_column: hold the characters of the two words; None: the text has relations.
        relation_column: holds the name of the relation; None: it is ``query->key``.

    Raises:
        UsageError: only one of query and key is named.
    """

    panel: ClassVar[str] = INPUT

    query_column: str | None = option(
        None, column=True, signed=False, metavar="NAME", help="The column with the word that asks, as the text has it."
    )
    key_column: str | None = option(
        None, column=True, signed=False, metavar="NAME", help="The column with the word that it should find."
    )
    relation_column: str | None = option(
        None, column=True, signed=False, metavar="NAME", help="The column that names their relation."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.query_column is None) != (self.key_column is None):
            raise UsageError("one of the two columns is missing", "--query-column NAME and --key-column NAME")
        if self.relation_column is not None and self.query_column is None:
            raise UsageError("the relation of which words?", "--query-column NAME and --key-column NAME")
