"""Measures head statistics of two models on the same texts, for ``compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from attnprobe.analyses.comparison import Comparison, bootstrap_parts
from attnprobe.analyses.second import Second
from attnprobe.measure.heads import HeadListener, HeadMeans
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.running import measure
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class TwoModels(NoRows):
    """Measures head means of a model and of a second one, text by text.

    Attributes:
        means: what is measured of both.
        second: the second model.
        reading: how both read a text.
        seed: of the bootstrap.
        signs: what the second model adds to the signature.
        said: remarks on how both read.
    """

    means: HeadMeans
    second: Second = field(compare=False)
    reading: Reading
    seed: int
    signs: Mapping[str, object]
    said: tuple[str, ...] = ()

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        second: Second,
        seed: int = 0,
        said: tuple[str, ...] = (),
        **options: Any,
    ) -> TwoModels:
        """Chooses what to compare.

        Args:
            second: the second model.
            seed: of the bootstrap.
            said: remarks on how both read.
            options: those of :meth:`attnprobe.measure.heads.HeadMeans.choose`.

        Raises:
            UsageError: an option is invalid, or the models have unlike numbers of layers or heads.
        """
        second.check_sizes(encoder)
        means = HeadMeans.choose(encoder, reading, **options)
        return cls(means, second, reading, seed, second.signed(encoder), said)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are compared."""
        return self.means.layers

    @property
    def reads_values(self) -> bool:
        """Whether blocks must carry the norms of values."""
        return self.means.reads_values

    @property
    def alone(self) -> bool:
        """Whether each text comes by itself."""
        return self.means.alone

    @property
    def size(self) -> int:
        """How many numbers are kept of a text."""
        return 2 * self.means.size

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return self.means.described()

    def signed(self) -> dict[str, object]:
        """The second model, the options of the means, and how the bootstrap draws."""
        return {**self.means.signed(), **self.signs, **bootstrap_parts(self.seed, paired=True)}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> TwoListener:
        """Makes a listener to the first model, which then lets the second read the texts."""
        return TwoListener(self, self.means.begin(texts, encoder), texts)

    def empty(self, signature: str) -> Comparison:
        """The comparison of no text."""
        chosen = self.means.layers, self.means.heads, self.means.metrics
        return Comparison.empty(*chosen, signature, seed=self.seed, said=self.said)


@dataclass(frozen=True)
class Both:
    """The sums of a text, or of a window of it, in both models."""

    a: Sums
    b: Sums

    def __add__(self, other: Both) -> Both:
        return Both(self.a + other.a, self.b + other.b)


@dataclass(frozen=True)
class TwoListener:
    """Measures texts of one length in the first model, and then in the second."""

    measurement: TwoModels
    first: HeadListener
    texts: Sequence[Tokens]

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return self.first.starts

    def start_layer(self, layer: int) -> Any:
        """Returns the observer of the layer's blocks in the first model."""
        return self.first.start_layer(layer)

    def finish(self) -> Found:
        """Returns the sums of each text in both models.

        Raises:
            TextError: the second model cannot read one of the texts.
        """
        found = self.first.finish().texts
        others = [Sums(np.zeros_like(sums.total), np.zeros_like(sums.count)) for sums in found]
        for owner, sums in self._of_second():
            others[owner] = others[owner] + sums
        return Found([Both(a, b) for a, b in zip(found, others, strict=True)])

    def _of_second(self) -> Iterator[tuple[int, Sums]]:
        """Measures the windows of the texts in the second model, those of one length together."""
        second, reading = self.measurement.second, self.measurement.reading
        windows = [(owner, one) for owner, text in enumerate(self.texts) for one in second.windows(text, reading)]
        encoder = second.replica(reading, self.measurement)
        for _, alike in groupby(sorted(windows, key=_length), key=_length):
            owners, some = zip(*alike, strict=True)
            yield from zip(owners, measure(some, encoder, self.measurement.means).texts, strict=True)


def _length(window: tuple[int, Tokens]) -> int:
    return len(window[1])
