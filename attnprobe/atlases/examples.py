"""Chooses for each head the text in which it does its role most clearly, and one at random beside it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int

from attnprobe.analyses.kept import digest_of, written
from attnprobe.analyses.rules import ROLE_NAMES, ROLES, Rule
from attnprobe.analyses.shares import SHARES
from attnprobe.atlases.schemas import most_of
from attnprobe.measure.kinds import Measured
from attnprobe.measure.stretches import Head, KeptTexts, Stretch, Stretches, Text
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.text import label
from attnprobe.values.tokens import Role

LEAST, MOST = 8, most_of("tokens", "text")  # tokens of a text that is shown whole
LONGER = (MOST, 8 * MOST, 64 * MOST)  # of longer texts, those of fewer tokens come first
LAST = len(LONGER) + 1
RANDOM = 2  # texts, of which a head is shown the first that is not its clearest
TOLD_BY = [SHARES.index(rule.reads[0]) for rule in ROLES]
CELLS = ("chosen", "scores", "shares")  # arrays by layer, head and role
DECIMALS = 4  # of weights
Roles = Sequence[Sequence[str | None]]


def clearness(shares: Float[np.ndarray, "*any share"]) -> Float[np.ndarray, "*any role"]:
    """Scores how clearly heads have each role in some texts; NaN where a role has no meaning.

    The score is the share that the role's rule reads, less that of even attention where the rule reads this, too. A
    head of no role shows most where it is focused, and least of its weight rests on added tokens.
    """
    share = dict(zip(SHARES, np.moveaxis(shares, -1, 0), strict=True))
    scores = [_beyond_even(rule, share) for rule in ROLES]
    return np.stack([*scores, -share["vertical"] - share["relative_entropy"]], -1)


def _beyond_even(rule: Rule, share: Mapping[str, np.ndarray]) -> np.ndarray:
    even = [share[name] for name in rule.reads if name.endswith("_even")]
    score: np.ndarray = np.subtract.reduce([share[rule.reads[0]], *even])
    return score


def told_by(shares: Float[np.ndarray, "*any share"]) -> Float[np.ndarray, "*any role"]:
    """Picks the share by which each role is told; NaN for that of no rule."""
    return np.concatenate([shares[..., TOLD_BY], np.full((*shares.shape[:-1], 1), np.nan)], -1)


@dataclass(frozen=True)
class Pick:
    """A text that is shown of a head.

    Attributes:
        text: its index in :attr:`Examples.texts`.
        why: "clearest" or "random".
        share: by which the head's role is told, of this text; None: it has no meaning.
    """

    layer: int
    head: int
    role: str
    text: int
    why: str
    share: float | None


@dataclass(frozen=True)
class Examples:
    """The texts that would show each head in each role most clearly, and texts at random; ``a + b`` chooses from both.

    Texts of LEAST to MOST tokens come first, then longer ones, at last shorter ones; of these the one with the highest
    score, and of equal ones the one with the smallest digest of seed and text. So the choice depends on the texts
    alone, and what is kept does not grow with their number.

    Attributes:
        layers, heads: the numbers of the axes below.
        seed: of the digests.
        texts: those that are kept, in order: its rank by length with the digest, and JSON of its record.
        chosen: the index of each head's clearest text by role; −1: no text has a score.
        scores: of the chosen text, see :func:`clearness`; −∞ where there is none.
        shares: of the chosen text, see :func:`told_by`; NaN where there is none.
        typical: the same of the first RANDOM texts, which are those at random.
        kept: the weights of the texts that are shown; None until they have been measured.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    seed: int
    texts: tuple[tuple[str, str], ...]
    chosen: Int[np.ndarray, "layer head role"]
    scores: Float[np.ndarray, "layer head role"]
    shares: Float[np.ndarray, "layer head role"]
    typical: Float[np.ndarray, "text layer head role"]
    kept: KeptTexts | None = None

    @classmethod
    def none(cls, layers: Sequence[int], heads: Sequence[int], seed: int) -> Examples:
        """The examples of no text."""
        shape = len(layers), len(heads), len(ROLE_NAMES)
        empty = np.full(shape, -np.inf), np.full(shape, np.nan), np.zeros((0, *shape))
        return cls(tuple(layers), tuple(heads), seed, (), np.full(shape, -1), *empty)

    def of_texts(self, texts: Sequence[Measured], shares: Float[np.ndarray, "text layer head share"]) -> Examples:
        """Chooses from these texts, of which the shares are known, see :meth:`Patterns.shares_of`."""
        keys = [(f"{_rank(text)}{digest_of(text.record, self.seed)}", written(text.record)) for text in texts]
        order = sorted(range(len(texts)), key=keys.__getitem__)
        found = Examples.none(self.layers, self.heads, self.seed)
        for _, alike in groupby(order, key=lambda index: keys[index][0][0]):
            indices = list(alike)
            found += self._of_alike([keys[index] for index in indices], shares[indices])
        return found

    def _of_alike(self, texts: Sequence[tuple[str, str]], shares: np.ndarray) -> Examples:
        """Chooses from texts of one rank, which are in order."""
        scores, told = clearness(shares), told_by(shares)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        best = scores.argmax(0)[np.newaxis]
        top, share = (np.take_along_axis(values, best, 0)[0] for values in (scores, told))
        chosen = np.where(top > -np.inf, best[0], -1)
        return replace(
            self, texts=tuple(texts), chosen=chosen, scores=top, shares=share, typical=told[:RANDOM], kept=None
        )._without_others()

    def __add__(self, other: Examples) -> Examples:
        texts = tuple(sorted({*self.texts, *other.texts}))
        place = {text: index for index, text in enumerate(texts)}
        rank = np.array([*(int(key[0]) for key, _ in texts), LAST + 1])  # the last is that of no text, −1
        first, second = self._moved(place), other._moved(place)
        is_alike, is_equal = rank[first] == rank[second], self.scores == other.scores
        is_better = rank[second] < rank[first]
        is_better |= is_alike & (other.scores > self.scores)
        is_better |= is_alike & is_equal & (second < first)
        typical = {**self._typical(), **other._typical()}
        return replace(
            self,
            texts=texts,
            chosen=np.where(is_better, second, first),
            scores=np.where(is_better, other.scores, self.scores),
            shares=np.where(is_better, other.shares, self.shares),
            typical=np.array([typical[text] for text in texts[:RANDOM]]).reshape(-1, *self.chosen.shape),
            kept=None,
        )._without_others()

    def _typical(self) -> dict[tuple[str, str], np.ndarray]:
        """The shares of the texts at random, by text."""
        return dict(zip(self.texts, self.typical, strict=False))

    def _moved(self, place: Mapping[tuple[str, str], int]) -> Int[np.ndarray, "layer head role"]:
        """Returns ``chosen`` by other places of the texts."""
        places = np.array([*(place[text] for text in self.texts), -1])
        moved: np.ndarray = places[self.chosen]
        return moved

    def _without_others(self) -> Examples:
        """Drops the texts that are neither chosen nor among the first."""
        used = np.union1d(self.chosen[self.chosen >= 0], np.arange(min(RANDOM, len(self.texts))))
        texts = tuple(self.texts[index] for index in used)
        chosen = np.where(self.chosen >= 0, np.searchsorted(used, self.chosen), -1)
        return replace(self, texts=texts, chosen=chosen)

    def arrays(self) -> dict[str, np.ndarray]:
        """The choice by name, from which :meth:`restored` makes an equal one."""
        texts = np.frombuffer(json.dumps(self.texts).encode(), np.uint8)
        numbers = {name: getattr(self, name) for name in (*CELLS, "typical")}
        return {"texts": texts, **numbers}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Examples:
        """Makes the examples whose :meth:`arrays` these are.

        Raises:
            ValueError: no examples of these heads have such arrays.
        """
        numbers = dict(arrays)
        texts = json.loads(numbers.pop("texts", np.zeros(0)).astype(np.uint8).tobytes())
        if numbers.keys() != {*CELLS, "typical"} or any(numbers[name].shape != self.chosen.shape for name in CELLS):
            raise ValueError("wrong names or shapes")
        found = replace(self, texts=tuple((key, content) for key, content in texts), **cast(Any, numbers))
        if found.typical.shape != (min(RANDOM, len(texts)), *self.chosen.shape):
            raise ValueError("wrong texts at random")
        if not all(-1 <= index < len(texts) for index in found.chosen.flat):
            raise ValueError("wrong texts")
        return found

    @property
    def again_at_most(self) -> int:
        """How many texts are measured once all have come, at most."""
        return len(self.layers) * len(self.heads) + RANDOM

    def picks(self, roles: Roles) -> list[Pick]:
        """Lists the texts that are shown of heads whose roles are known, by layer; none of a head without."""
        return [
            pick
            for layer, of_layer in enumerate(roles)
            for head, role in enumerate(of_layer)
            if role is not None
            for pick in self._picks(layer, head, role)
        ]

    def _picks(self, layer: int, head: int, role: str) -> Iterator[Pick]:
        """Picks the clearest text of a head, and the first at random that is another."""
        at = layer, head, ROLE_NAMES.index(role)
        named = self.layers[layer], self.heads[head], role
        chosen = int(self.chosen[at])
        if chosen >= 0:
            yield Pick(*named, chosen, "clearest", _known(self.shares[at]))
        other = next((index for index in range(len(self.typical)) if index != chosen), None)
        if other is not None:
            yield Pick(*named, other, "random", _known(self.typical[other][at]))

    def asked(self, roles: Roles, reading: Reading) -> tuple[Stretches, list[Record]]:
        """Returns what measures the texts that are shown, and these."""
        picks = self.picks(roles)
        texts = asked_of(picks)
        wanted = [[(pick.layer, pick.head) for pick in picks if pick.text == text] for text in texts]
        return Stretches.of(wanted, reading, MOST), [Record(**json.loads(self.texts[text][1])) for text in texts]

    def answered(self, kept: KeptTexts) -> Examples:
        """Returns the examples with the weights of the texts that are shown."""
        return replace(self, kept=kept)


def asked_of(picks: Sequence[Pick]) -> list[int]:
    """The texts that are measured to be shown, each once."""
    return sorted({pick.text for pick in picks})


def examples_of(examples: Examples, roles: Roles) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """Makes the data of the texts that are shown, and of the examples of each head, layer by layer.

    A long text is there once for each stretch that is shown of it.

    Args:
        roles: by layer and head, those for which the texts were measured.
    """
    picks = examples.picks(roles)
    kept = examples.kept.texts if examples.kept else {}
    measured = {index: kept[number] for number, index in enumerate(asked_of(picks)) if number in kept}
    places: dict[tuple[int, int], int] = {}
    texts: list[dict[str, Any]] = []
    by_head: dict[Head, list[dict[str, Any]]] = {head: [] for head in product(examples.layers, examples.heads)}
    for pick in picks:
        if text := measured.get(pick.text):
            stretch = text.stretches[pick.layer, pick.head]
            if (place := (pick.text, stretch.start)) not in places:
                places[place] = len(texts)
                texts.append(_text(text, stretch))
            by_head[pick.layer, pick.head].append(_example(pick, places[place], stretch))
    return texts, list(by_head.values())


def _text(text: Text, stretch: Stretch) -> dict[str, Any]:
    tokens = text.tokens.take(range(stretch.start, stretch.start + len(stretch.weights)))
    return {
        "id": text.id,
        "tokens": [label(string) for string in tokens.strings],
        "special": [role != Role.CONTENT for role in tokens.roles],
        "n_tokens": len(text.tokens) + text.tokens.n_cut,
    }


def _example(pick: Pick, text: int, stretch: Stretch) -> dict[str, Any]:
    weights = [[weight or 0 for weight in row] for row in stretch.weights.round(DECIMALS).tolist()]  # 0 is short
    return {"text": text, "why": pick.why, "role": pick.role, "share": pick.share, "weights": weights}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _rank(text: Measured) -> int:
    """Ranks a text by its length: 0 if it is shown whole, then the longer the later, at last if it says little.

    So does one that is tiny, or unknown to the vocabulary.
    """
    length = text.n_tokens + text.windows[0].n_cut
    if length < LEAST or text.unknown:
        return LAST
    return bisect_left(LONGER, length)
