"""Shares of the weight between words that fall on a part of speech, or follow dependencies: sums that add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnprobe.attention.word_shares import ANY, RELATED, TAGGED, both_ways
from attnprobe.values.relations import Sentence
from attnprobe.values.table import Cell

COLUMNS = ("layer", "head", "property", "share", "base_rate", "weights_over", "share_over")
DEPENDENCY = "dependency"
FIRST_TAG = 3  # among properties
FEWEST = 100  # large weights that a share is made of


@dataclass(frozen=True)
class ShareSums:
    """Sums over texts for each property, see :class:`attnprobe.attention.word_shares.WordShares`; they add up (+).

    Attributes:
        tags: the parts of speech, ascending.
        even: (property,) the weight if each word attended evenly to all words of its text.
        found: (weight or count of large weights, layer, head, property).
    """

    tags: tuple[str, ...]
    even: Float[np.ndarray, " property"]
    found: Float[np.ndarray, "2 layer head property"]

    @classmethod
    def empty(cls, layers: int, heads: int) -> ShareSums:
        """The sums of no text."""
        return cls((), np.zeros(FIRST_TAG), np.zeros((2, layers, heads, FIRST_TAG)))

    @classmethod
    def of(
        cls, sentences: Sequence[Sentence], tags: Sequence[str], found: Float[np.ndarray, "2 layer head property"]
    ) -> ShareSums:
        """Joins what was found with what even attention would give."""
        counts = Counter(tag for sentence in sentences for tag in sentence.tags)
        words = [len(sentence.words) for sentence in sentences]
        related = sum(len(both_ways(one)) / max(1, count) for one, count in zip(sentences, words, strict=True))
        even = [related, sum(words), counts.total(), *(counts[tag] for tag in tags)]
        return cls(tuple(tags), np.array(even, float), found)

    def __add__(self, other: ShareSums) -> ShareSums:
        tags = tuple(sorted({*self.tags, *other.tags}))
        even, found = np.zeros(FIRST_TAG + len(tags)), np.zeros((*self.found.shape[:3], FIRST_TAG + len(tags)))
        for part in (self, other):
            places = [*range(FIRST_TAG), *(FIRST_TAG + tags.index(tag) for tag in part.tags)]
            even[places] += part.even
            found[..., places] += part.found
        return ShareSums(tags, even, found)

    def rows(self, layers: Sequence[int], heads: Sequence[int]) -> Iterator[Sequence[Cell]]:
        """Makes a row per property, layer and head, in the order of COLUMNS; None where nothing was summed up."""
        properties = [(DEPENDENCY, RELATED, ANY), *((tag, FIRST_TAG + at, TAGGED) for at, tag in enumerate(self.tags))]
        for name, part, whole in properties:
            base = _share(self.even[part], self.even[whole])
            for layer, of_layer in zip(layers, np.moveaxis(self.found, 0, 2), strict=True):
                for head, (weight, over) in zip(heads, of_layer, strict=True):
                    of_large = _share(over[part], over[whole]) if over[whole] >= FEWEST else None
                    yield layer, head, name, _share(weight[part], weight[whole]), base, int(over[whole]), of_large

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the numbers by name, from which :meth:`restored` makes equal sums."""
        tags = np.frombuffer(json.dumps(self.tags).encode(), np.uint8)
        return {"share_tags": tags, "share_even": self.even, "share_found": self.found}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> ShareSums:
        """Makes the sums whose :meth:`arrays` these are.

        Raises:
            ValueError: no sums of these heads have such arrays.
        """
        tags = json.loads(arrays["share_tags"].tobytes())
        even, found = arrays["share_even"], arrays["share_found"]
        count = FIRST_TAG + len(tags)
        wanted = (count,), (*self.found.shape[:3], count)
        if tags != sorted(map(str, tags)) or (even.shape, found.shape) != wanted:
            raise ValueError("wrong shares")
        return ShareSums(tuple(tags), even, found)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
