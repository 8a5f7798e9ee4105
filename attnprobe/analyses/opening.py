"""Chooses what a page opens on: what was asked for, else a telling head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprobe.errors import UsageError
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import Numbers
from attnprobe.values.display import Showing
from attnprobe.values.finding import find_matches, find_tokens
from attnprobe.values.text import is_punctuation
from attnprobe.values.tokens import Role, Tokens

LEAST_APART = 2  # words: neither a word itself nor its neighbours


@dataclass(frozen=True)
class Opening:
    """What a page opens on.

    Attributes:
        layer, head: their places among the page's.
        query, key: the positions of pieces that are chosen.
    """

    layer: int = 0
    head: int = 0
    query: tuple[int, ...] = ()
    key: tuple[int, ...] = ()


FIRST = Opening()


@dataclass(frozen=True)
class Asked:
    """What a page was asked to open on.

    Attributes:
        place: the places of layer and head among the page's; None: any.
        query, key: the positions of pieces that are chosen.
    """

    place: tuple[int, int] | None
    query: tuple[int, ...]
    key: tuple[int, ...]


def asked(showing: Showing, pieces: Tokens, layers: Numbers, heads: Numbers) -> Asked:
    """Finds the head and the tokens that a page was asked to open on.

    Args:
        layers, heads: the numbers of those in the page; None alone for a mean.

    Raises:
        UsageError: the page lacks the layer or head, or the text the token.
    """
    place = showing.place and (_place(showing.place[0], layers, "layer"), _place(showing.place[1], heads, "head"))
    query = () if showing.query is None else tuple(find_matches(pieces, str(showing.query))[0])
    key = sorted({at for name in showing.keys for at in find_tokens(pieces, name)})
    return Asked(place, query, tuple(key))


def _place(number: int, numbers: Numbers, what: str) -> int:
    """Finds the place of a layer or head among those in the page."""
    if None in numbers:
        raise UsageError(f"no {what} {number} in the page to open on: it has the mean of {what}s", "leave --show out")
    if number not in numbers:
        raise UsageError(f"no {what} {number} in the page to open on", f"it holds {', '.join(map(str, numbers))}")
    return list(numbers).index(number)


def open_on(asked: Asked, attention: Attention, unknown: str | None = None) -> Opening:
    """Chooses the head that a page opens on, unless one is asked for.

    A query and keys choose the head with the most weight between them. Otherwise the page opens on the head and query
    with the most telling weight: of all weights that a word gives to another word beyond its neighbours, the one that
    stands out most from what this head gives to that word on average, and at that distance on average. Words are no
    punctuation, not unknown to the vocabulary, and the one looked at is no shorter than half of them; a token that is
    asked for counts whatever it is. Where a text has no such words, the page opens on its first head.

    Args:
        unknown: the piece that the vocabulary has for what it lacks.
    """
    if asked.place:
        return Opening(*asked.place, asked.query, asked.key)
    if asked.query and asked.key:
        between = attention.weights[:, :, list(asked.query)].mean(2)[:, :, list(asked.key)].sum(2)
        layer, head = np.unravel_index(between.argmax(), between.shape)
        return Opening(int(layer), int(head), asked.query, asked.key)
    best, opening = 0.0, Opening(0, 0, asked.query, asked.key)
    among = _pairs_of_words(attention.pieces, asked, unknown)
    for layer, of_layer in enumerate(attention.weights):
        for head, weights in enumerate(of_layer):
            usual = np.maximum(weights.mean(0), _means_by_offset(weights))
            telling = np.where(among, weights - usual, 0)
            query, key = np.unravel_index(telling.argmax(), telling.shape)
            if telling[query, key] > best:
                best = telling[query, key]
                opening = Opening(layer, head, asked.query or (int(query),), asked.key)
    return opening


def _pairs_of_words(pieces: Tokens, asked: Asked, unknown: str | None) -> np.ndarray:
    """Finds the queries and keys among which a telling weight is looked for, as (query, key) of truth values."""
    places = range(len(pieces))
    number = np.array(places if pieces.words is None else pieces.words)
    texts = np.array([text.casefold() for text in pieces.texts])
    length = np.char.str_len(texts)
    is_word = np.array([_is_word(pieces, at) and pieces.strings[at] != unknown for at in places])
    is_long = length >= (np.median(length[is_word]) if is_word.any() else 0)
    is_query = np.isin(places, asked.query) if asked.query else is_word
    is_key = np.isin(places, asked.key) if asked.key else is_word & is_long
    is_apart = (abs(number[:, None] - number) >= LEAST_APART) & (texts[:, None] != texts)
    pairs: np.ndarray = is_query[:, None] & is_key & is_apart
    return pairs


def _is_word(pieces: Tokens, at: int) -> bool:
    text = pieces.texts[at]
    return pieces.roles[at] == Role.CONTENT and text.strip() != "" and not is_punctuation(text)


def _means_by_offset(weights: np.ndarray) -> np.ndarray:
    """Replaces each weight by the mean of those at its distance, (query, key)."""
    size = len(weights)
    offset = np.arange(size) - np.arange(size)[:, None] + size - 1
    sums = np.bincount(offset.ravel(), weights.ravel())
    means: np.ndarray = (sums / np.bincount(offset.ravel()))[offset]
    return means
