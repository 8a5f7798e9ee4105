"""Counts the tokens of a text, in pieces of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

PIECE = 2**14  # characters
WINDOW = 200  # characters on either side of a seam
LONE_SPACE = re.compile(r"(?<=\S) (?=\S)")


def count_tokens(tokenizer: Any, text: str) -> int:
    """Counts the tokens of a text without those that the tokenizer adds.

    The count may be off by one for each 16,384 characters without a space, since a cut may then be within a token.
    """
    return sum(len(_strings(tokenizer, piece)) for piece in pieces(tokenizer, text))


def pieces(tokenizer: Any, text: str) -> Iterator[str]:
    """Cuts a text where the cut changes no token; a piece grows until such a seam is found."""
    start, size = 0, PIECE
    while len(text) - start > size:
        seam = next(_seams(tokenizer, text, start, start + size), None)
        if seam is None:
            size *= 2
            continue
        yield text[start:seam]
        start, size = seam, PIECE
    yield text[start:]


def _seams(tokenizer: Any, text: str, start: int, end: int) -> Iterator[int]:
    """Finds positions shortly before ``end`` where the tokenizer reads two halves as it reads both at once."""
    spaces = [match.start() for match in LONE_SPACE.finditer(text, max(start + 1, end - WINDOW), end)]
    for seam in (*reversed(spaces[-8:]), *range(end, max(start, end - 8), -1)):
        left, right = text[max(start, seam - WINDOW) : seam], text[seam : seam + WINDOW]
        if _strings(tokenizer, left) + _strings(tokenizer, right) == _strings(tokenizer, left + right):
            yield seam


def _strings(tokenizer: Any, text: str) -> list[str]:
    strings: list[str] = tokenizer.tokenize(text, **({"verbose": False} if tokenizer.is_fast else {}))
    return strings
