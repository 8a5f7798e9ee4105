"""Joins tokens as the text reads, so that it can be shown with a number for each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from attnprobe.values.text import visible
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Run:
    """Some characters of a text.

    Attributes:
        text: the characters, safe to print, or a line's end; of a token without characters, such as ``[CLS]``, the
            piece.
        tokens: the positions of the tokens that stand for them: one, several if each is a part of one character, or
            none between tokens.
    """

    text: str
    tokens: tuple[int, ...] = ()


def join_tokens(tokens: Tokens, texts: Sequence[str]) -> list[Run]:
    """Joins tokens with what stands between them in the text, or in the two of a pair.

    Tokens that cannot be found again in the text are parted by spaces, as are added ones.

    >>> cat = Tokens(["[CLS]", "cat", "##s", "!"], ["", "Cat", "s", "!"], [1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 2])
    >>> [run.text for run in join_tokens(cat, ["Cats !"])]
    ['[CLS]', ' ', 'Cat', 's', ' ', '!']
    """
    if tokens.words is None:
        pieces = [Run(visible(string), (at,)) for at, string in enumerate(tokens.strings)]
        return [run for piece in pieces for run in (Run(" "), piece)][1:]
    joining = _Joining(tokens, texts)
    for at in range(len(tokens)):
        joining.add(at)
    joining.end()
    return joining.runs


class _Joining:
    """Joins tokens one after the other.

    Attributes:
        ends: of each text, where the characters end that have come.
        before: the segment of the token that came last; None: none came.
    """

    def __init__(self, tokens: Tokens, texts: Sequence[str]) -> None:
        self.tokens, self.texts, self.ends = tokens, texts, [0] * len(texts)
        self.runs: list[Run] = []
        self.before: int | None = None

    def add(self, at: int) -> None:
        """Adds a token, and what stands before it."""
        segment, characters = self.tokens.segments[at], self.tokens.texts[at]
        if self.before is not None and (segment == 0 or segment != self.before):
            self.runs.append(Run(" / " if 0 < self.before < segment else " "))
        self.before = segment
        if not segment or not characters:
            self.runs.append(Run(visible(self.tokens.strings[at]), (at,)))
        else:
            self._add_characters(at, segment - 1, characters)

    def _add_characters(self, at: int, number: int, characters: str) -> None:
        text, end = self.texts[number], self.ends[number]
        start = text.find(characters, end)
        is_next = start >= 0 and not text[end:start].strip()
        if not is_next and self.runs and text[:end].endswith(characters):  # a part of the character before
            last = self.runs.pop()
            self.runs.append(Run(last.text, (*last.tokens, at)))
            return
        if start >= 0:
            between = _between(text[end:start]) if end else ""
            self.runs += [Run(between)] if between else []
            self.ends[number] = start + len(characters)
        self.runs.append(Run(visible(characters), (at,)))

    def end(self) -> None:
        """Marks that a text goes on, if some of it was cut."""
        if self.tokens.n_cut:
            self.runs.append(Run(" …"))


def _between(text: str) -> str:
    """Writes what stands between two tokens: a line's end, a space, or characters that the tokenizer left out."""
    lines = (" ".join(visible(part) for part in re.split(r"[^\S\n]+", line)) for line in re.split(r"\s*\n\s*", text))
    return "\n".join(lines)
