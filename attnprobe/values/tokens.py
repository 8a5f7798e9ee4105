"""The tokens of one encoded text: their roles, and the words they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

from attnprobe.values.notebook import one_line
from attnprobe.values.records import Given
from attnprobe.values.text import shorten

SHOWN = 60  # characters of the text


class Role(IntEnum):
    """The role of a token. Tokens of any role but CONTENT were added by the tokenizer, never typed in the text."""

    CONTENT = 0
    CLS = 1
    SEP = 2
    OTHER = 3


@dataclass(frozen=True, repr=False)
class Tokens:
    """One text (or pair, or window of a long text) as the encoder reads it, without padding.

    Attributes:
        strings: the vocabulary's pieces, e.g. ``##ing``; data, to be shown through :func:`visible`.
        texts: the characters of the text that each piece stands for, stripped of white space; empty for added tokens.
        roles: the role of each position.
        segments: 0 for added tokens, 1 for the first text, 2 for the second.
        words: the unit each position belongs to, counted from 0 in order of position: a word of the text, an added
            token, or a lone piece outside any word. None if tokens cannot be found again in the text. Words as given
            are one unit each, in the order given.
        word_texts: the characters of each unit.
        read_as: what the model reads at each position: the piece, of a word all of its pieces; None where the
            vocabulary lacks one of them. Empty if unknown.
        inputs: the model's inputs, one number per position, by argument name.
        n_cut: how many tokens of the text did not fit and were left out.
        labels: the record's labels, see :class:`attnprobe.Record`; a window has those of the whole text.
        given: the text and the second of a pair as they were given, so that another model can read them; only the
            first window of a text of many has them.
    """

    strings: Sequence[str]
    texts: Sequence[str]
    roles: Sequence[Role]
    segments: Sequence[int]
    words: Sequence[int] | None = None
    word_texts: Sequence[str] = ()
    read_as: Sequence[Hashable | None] = ()
    inputs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    n_cut: int = 0
    labels: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[Given, Given | None] | None = None

    def __repr__(self) -> str:
        return one_line("Tokens", "", f"{len(self)}", shorten(" ".join(self.strings[:SHOWN]), SHOWN))

    def __len__(self) -> int:
        return len(self.strings)

    def positions(self, role: Role) -> list[int]:
        """The positions that have this role."""
        return self._positions.get(role, [])

    @cached_property
    def _positions(self) -> dict[Role, list[int]]:
        found: dict[Role, list[int]] = {}
        for position, role in enumerate(self.roles):
            found.setdefault(role, []).append(position)
        return found

    def take(self, positions: Sequence[int]) -> Tokens:
        """Keeps only these positions, in this order; words are counted anew."""
        words, word_texts = None, self.word_texts
        if self.words is not None:
            kept = sorted({self.words[at] for at in positions})
            number = {word: index for index, word in enumerate(kept)}
            words, word_texts = [number[self.words[at]] for at in positions], [self.word_texts[word] for word in kept]
        return Tokens(
            strings=[self.strings[at] for at in positions],
            texts=[self.texts[at] for at in positions],
            roles=[self.roles[at] for at in positions],
            segments=[self.segments[at] for at in positions],
            words=words,
            word_texts=word_texts,
            read_as=[self.read_as[at] for at in positions] if self.read_as else (),
            inputs={name: [values[at] for at in positions] for name, values in self.inputs.items()},
            n_cut=self.n_cut,
            labels=self.labels,
            given=self.given,
        )

    def by_word(self) -> Tokens:
        """Makes a position of each word (see ``words``)."""
        if self.words is None:
            raise ValueError("the tokens cannot be found again in the text, so there are no words")
        first_of = {word: at for at, word in reversed(list(enumerate(self.words)))}
        first = self.take([first_of[word] for word in range(len(self.word_texts))])
        return replace(
            first,
            strings=[text or string for text, string in zip(self.word_texts, first.strings, strict=True)],
            texts=[text.strip() for text in self.word_texts],
            read_as=self._words_read(),
            inputs={},
        )

    def _words_read(self) -> list[Hashable | None]:
        """Joins what the model reads of each word; None where the vocabulary lacks a piece."""
        pieces: list[list[Hashable | None]] = [[] for _ in self.word_texts]
        for word, piece in zip(self.words or (), self.read_as, strict=False):
            pieces[word].append(piece)
        return [None if None in of_word else tuple(of_word) for of_word in pieces if of_word]
