"""Sentences with labelled relations between their words, such as a treebank has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
