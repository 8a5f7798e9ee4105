"""Measures the distances between all pairs of heads, by some queries of each text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnprobe.analyses.likeness import Similarity
from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.divergence import divergences, mixture_sums, padded
from attnprobe.attention.rounding import rounding
from attnprobe.attention.rows import check_distance, merge_pieces, refuse_pools, word_starts
from attnprobe.measure.by_word import refuse_pooled
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens

MOST_KEPT = 2**25  # weights kept at once: 128 MiB in float32; more queries take another run of the model


@dataclass(frozen=True)
class Distances(NoRows):
    """Measures the distances between heads, for ``similarity``.

    Attributes:
        layers, heads: the numbers of those compared, ascending.
        queries: how many queries of a text are compared at most; None: all.
        seed: of the sample of queries.
        clusters: see :class:`attnprobe.analyses.similarity.Clustering`.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    queries: int | None
    seed: int
    clusters: int
    level: str

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices,
        heads: Indices,
        queries_per_text: int,
        all_queries: bool,
        seed: int,
        clusters: int,
    ) -> Distances:
        """Chooses the heads and queries to compare.

        Raises:
            UsageError: a layer or head is out of range.
            ModelError: a layer pools tokens.
        """
        chosen = tuple(select(layers, encoder.layers, "layer")), tuple(select(heads, encoder.heads, "head"))
        refuse_pooled(encoder, chosen[0])
        return cls(*chosen, None if all_queries else queries_per_text, seed, clusters, reading.level)

    @property
    def alone(self) -> bool:
        """Whether each text comes by itself: at level "word", since words differ between texts of one length."""
        return self.level == "word"

    @property
    def size(self) -> int:
        """The number of pairs of heads."""
        count = len(self.layers) * len(self.heads)
        return count * (count - 1) // 2

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """The sample and the clusters."""
        sample = {"queries": "all"} if self.queries is None else {"queries": self.queries, "seed": self.seed}
        return {**sample, "clusters": self.clusters}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> RowsListener:
        """Makes a listener that keeps the rows of the sampled queries."""
        return RowsListener(self, texts, encoder)

    def empty(self, signature: str) -> Similarity:
        """The summary of no text."""
        return Similarity(self.layers, self.heads, self.clusters, signature, np.zeros(()), np.zeros(self.size))


@dataclass(frozen=True)
class Divergences:
    """The divergences of all pairs of heads, summed over queries of a text, and how many queries these are."""

    total: Float[np.ndarray, " pair"]
    n_queries: int

    def __add__(self, other: Divergences) -> Divergences:
        return Divergences(self.total + other.total, self.n_queries + other.n_queries)


def sampled(text: Tokens, most: int | None, seed: int) -> Int[np.ndarray, " query"]:
    """Chooses queries of a text, ascending: all, or ``most`` at random, by the seed and the text's tokens alone."""
    if most is None or len(text) <= most:
        return np.arange(len(text))
    chance = Random("\0".join([str(seed), *text.strings]))
    return np.array(sorted(chance.sample(range(len(text)), most)))


class RowsListener:
    """Keeps the rows of the sampled queries of some texts of one length, over all layers, then pairs heads.

    If these are too many to be kept at once, further runs of the model show the rest.

    Raises:
        ModelError: a layer pools tokens.
        TextError: rows are not probabilities.
    """

    def __init__(self, measurement: Distances, texts: Sequence[Tokens], encoder: Encoder) -> None:
        self.measurement, self.texts, self.encoder = measurement, texts, encoder
        by_word = measurement.level == "word"
        self.words = torch.tensor(texts[0].words, device=encoder.device) if by_word else None
        units = [text.by_word() for text in texts] if by_word else texts
        self.length, self.heads = len(units[0]), torch.tensor(measurement.heads)
        self.sample = np.array([sampled(unit, measurement.queries, measurement.seed) for unit in units])
        shape = len(measurement.layers), len(measurement.heads), padded(self.length)
        self.at_once = max(1, MOST_KEPT // (len(texts) * int(np.prod(shape))))
        self.shape = (len(texts), min(self.at_once, self.sample.shape[1]), *shape)
        self._keep_from(0)

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return None if self.words is None else word_starts(self.words)

    def _keep_from(self, first: int) -> None:
        """Makes room for the rows of the sample from this index on."""
        self.open = self.sample[:, first : first + self.at_once]
        texts, _, *others = self.shape
        options: Any = {"dtype": exact(self.encoder.dtype), "device": self.encoder.device}
        self.rows = torch.zeros(texts, self.open.shape[1], *others, **options)
        self.outside: Tensor | None = None  # what falls on no token, of rows that are not complete

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the observer of the layer's blocks."""
        if layer not in self.measurement.layers:
            return None
        return lambda block: self._keep(layer, block)

    def _keep(self, layer: int, block: Block) -> None:
        """Keeps the rows of a block that were sampled."""
        refuse_pools(block, layer)
        if self.words is not None:
            block = merge_pieces(block, self.words)
        open_here = self.open[block.texts]
        text, index = np.nonzero((open_here >= block.rows.start) & (open_here < block.rows.stop))
        present = range(*(block.heads or slice(None)).indices(self.encoder.heads))
        heads = [head for head in self.measurement.heads if head in present]
        if not len(text) or not heads:
            return
        picked = block.weights.transpose(1, 2)[text, open_here[text, index] - block.rows.start]
        if len(heads) < len(present):
            picked = picked[:, [head - present.start for head in heads]]
        place = self.measurement.layers.index(layer), [self.measurement.heads.index(head) for head in heads]
        at = (text[:, None] + block.texts.start, index[:, None], *place)
        self.rows[(*at, block.keys)] = picked
        if not block.complete:
            if self.outside is None:
                self.outside = self.rows.new_zeros(self.rows.shape[:-1])
            self.outside[at] = (1 - picked.sum(-1)).clamp_(min=0)

    def finish(self) -> Found:
        """Returns the divergences of each text."""
        count = self.sample.shape[1]
        total = self._paired()
        for first in range(self.at_once, count, self.at_once):
            self._keep_from(first)
            whole = [slice(0, len(self.texts))]
            self.encoder.observe(self.texts, lambda layer, _: self.start_layer(layer), whole, [self.starts])
            total += self._paired()
        return Found([Divergences(of_text, count) for of_text in total])

    def _paired(self) -> Float[np.ndarray, "text pair"]:
        """Sums the divergences over the kept rows, and drops these."""
        rows = self.rows if self.outside is None else torch.cat([self.rows, self.outside[..., None]], -1)
        self._check(rows)
        del self.rows
        fast = self.encoder.compiled
        return np.array([divergences(mixture_sums(of_text.flatten(1, 2), fast=fast)) for of_text in rows])

    def _check(self, rows: Float[Tensor, "text query layer head key"]) -> None:
        """Checks that all rows came and are probabilities."""
        distance = (rows.sum(-1) - 1).abs_().amax((0, 1, 3)).tolist()
        for layer, of_layer in zip(self.measurement.layers, distance, strict=True):
            check_distance(of_layer, rounding(self.encoder.dtype, self.length), layer)
