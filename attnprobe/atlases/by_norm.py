"""Measures contributions of keys from blocks that show weights and carry the norms of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attnprobe.attention.blocks import Observer
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.kinds import Found, Listener
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.reading import weighing
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.summary import Summary
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class ByNorm(NoRows):
    """Measures head means of contributions in a run that shows weights, with the numbers of ``--of norms``.

    Attributes:
        means: the statistics that are measured of contributions.
    """

    means: HeadMeans
    reads_values = True

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading) -> ByNorm:
        """Chooses all statistics of all heads.

        Raises:
            UsageError: with global attention, which has values of its own.
            ModelError: the model's contributions cannot be measured.
        """
        weighing(encoder, replace(reading, of="norms"))
        return cls(HeadMeans.choose(encoder, reading))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are measured."""
        return self.means.layers

    @property
    def alone(self) -> bool:
        """Whether each text comes by itself."""
        return self.means.alone

    @property
    def size(self) -> int:
        """How many numbers a text has."""
        return self.means.size

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return self.means.described()

    def signed(self) -> dict[str, object]:
        """The options that the means depend on."""
        return self.means.signed()

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> ContributionListener:
        """Makes a listener that turns each block into contributions, and keeps none of them."""
        return ContributionListener(self.means.begin(texts, encoder))

    def empty(self, signature: str) -> Summary:
        """The summary of no text."""
        return self.means.empty(signature)


@dataclass(frozen=True)
class ContributionListener:
    """Shows the contributions of some texts of one length to the listener of their means."""

    listener: Listener

    @property
    def starts(self) -> Sequence[int] | None:
        """The rows where a block may start."""
        return self.listener.starts

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the observer of the layer's blocks, which carry the norms of values."""
        observe = self.listener.start_layer(layer)
        return None if observe is None else lambda block: observe(block.as_contributions())

    def finish(self) -> Found:
        """Returns the sums of each text."""
        return self.listener.finish()
