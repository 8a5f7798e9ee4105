"""Keeps the sentences that a probe of head words is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attnprobe.analyses.gathering import Gathering
from attnprobe.analyses.kept import Kept
from attnprobe.analyses.probed import PENALTY, Probed
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.sentences import ReadsSentences
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.selection import Indices, as_ranges, select
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Probing(ReadsSentences, NoRows):
    """Keeps sentences, to which a probe is fitted once all have come; for ``probe``.

    Attributes:
        gathering: measures those that are kept.
        train: how many sentences, the first, train the probe; None: of each five the first four.
        kept: none yet.
    """

    gathering: Gathering
    train: int | None
    kept: Kept
    layers = ()  # no weights are observed: the sentences are measured later
    alone = False
    size = 1

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices = "all",
        heads: Indices = "all",
        train: int | None = None,
        sentences: int = 2000,
        seed: int = 0,
        align: str = "words",
    ) -> Probing:
        """Chooses the heads to probe.

        Raises:
            UsageError: a layer or head is out of range.
        """
        chosen = tuple(select(layers, encoder.layers, "layer")), tuple(select(heads, encoder.heads, "head"))
        return cls(Gathering(*chosen, reading, align=align), train, Kept(sentences, seed), align=align)

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {**super().described(), "layers": self.gathering.layers, "heads": self.gathering.heads}

    def signed(self) -> dict[str, object]:
        """The heads, the split, the sample and the penalty."""
        return {
            **super().signed(),
            "layers": as_ranges(self.gathering.layers),
            "heads": as_ranges(self.gathering.heads),
            "train": "4/5" if self.train is None else self.train,
            "sentences": self.kept.most,
            "seed": self.kept.seed,
            "penalty": PENALTY,
        }

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Nothing:
        """Makes a listener that measures nothing."""
        return Nothing(len(texts))

    def empty(self, signature: str) -> Probed:
        """The probe of no sentence."""
        return Probed(signature, self.gathering, self.train, self.kept)


@dataclass(frozen=True)
class Nothing:
    """Listens to no layer, and finds nothing."""

    n_texts: int
    starts = None

    def start_layer(self, layer: int) -> None:
        """Observes no weights."""

    def finish(self) -> Found:
        """Returns nothing of each text."""
        return Found([None] * self.n_texts)
