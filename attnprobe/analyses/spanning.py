"""Measures maximum spanning trees: how many edges each head's tree shares with the annotated one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnprobe.analyses.tree_scores import APART, TreeScores
from attnprobe.attention.trees import spanning_trees
from attnprobe.measure.by_word import MapListener, refuse_pooled
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.sentences import ReadsSentences
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.relations import Sentence
from attnprobe.values.selection import Indices, as_ranges, select
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class TreeCounts:
    """What the trees of one sentence have of the annotated edges.

    Attributes:
        right: (layer, head) how many; the last head is the mean of all.
        apart: (distance,) how many are between words 1, 2, ... apart, punctuation not counted.
        edges: how many there are.
        tagged: whether punctuation is known.
    """

    right: np.ndarray
    apart: np.ndarray
    edges: int
    tagged: bool


@dataclass(frozen=True, kw_only=True)
class SpanningTrees(ReadsSentences, NoRows):
    """Measures the maximum spanning trees of weights between words, for ``trees``.

    Attributes:
        layers, heads: the numbers of those measured, ascending.
        symmetric: see :class:`attnprobe.analyses.trees.Edges`.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    symmetric: str
    alone = False

    @classmethod
    def choose(
        cls, encoder: Encoder, reading: Reading, *, layers: Indices, heads: Indices, symmetric: str, align: str
    ) -> SpanningTrees:
        """Chooses the heads.

        Raises:
            UsageError: a layer or head is out of range.
            ModelError: a layer pools tokens.
        """
        chosen = tuple(select(layers, encoder.layers, "layer"))
        refuse_pooled(encoder, chosen)
        found = tuple(select(heads, encoder.heads, "head"))
        return cls(layers=chosen, heads=found, symmetric=symmetric, align=align)

    @property
    def size(self) -> int:
        """The number of counts of a sentence."""
        return len(self.layers) * (len(self.heads) + 1)

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {**super().described(), "layers": self.layers}

    def signed(self) -> dict[str, object]:
        """How words are read, what edges weigh, and the heads of the mean."""
        return {**super().signed(), "edges": self.symmetric, "heads": as_ranges(self.heads)}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> TreeListener:
        """Makes a listener that draws the trees of some sentences, and keeps only how many edges are right."""
        return TreeListener(self, [text.labels["sentence"] for text in texts], encoder)

    def empty(self, signature: str) -> TreeScores:
        """The scores of no sentence."""
        return TreeScores.empty(self.layers, self.heads, signature)


class TreeListener(MapListener):
    """Draws the trees of some sentences of one length, layer by layer."""

    def __init__(self, measurement: SpanningTrees, sentences: Sequence[Sentence], encoder: Encoder) -> None:
        super().__init__([sentence.words for sentence in sentences], encoder, measurement.layers)
        self.measurement, self.sentences = measurement, sentences
        self.kept = np.zeros((len(sentences), self.count), dtype=bool)
        self.edges = np.zeros((len(sentences), self.count, self.count), dtype=bool)
        for kept, edges, sentence in zip(self.kept, self.edges, sentences, strict=True):
            kept[: len(sentence.words)] = np.array(sentence.tags) != "PUNCT" if sentence.tags else True
            for dependent, head, _ in sentence.relations:
                edges[np.ix_(dependent, head)] = edges[np.ix_(head, dependent)] = True
            edges &= kept & kept[:, None]
        self.right = np.zeros((len(sentences), len(self.layers), len(measurement.heads) + 1), dtype=int)

    def receive_maps(self, layer: int, texts: slice, maps: Tensor) -> None:
        """Counts the right edges of all trees of a layer."""
        chosen = maps[:, list(self.measurement.heads)]
        chosen = torch.cat([chosen, chosen.mean(1, keepdim=True)], 1)
        weights = chosen + chosen.mT if self.measurement.symmetric == "sum" else chosen.maximum(chosen.mT)
        joined = spanning_trees(weights.cpu().numpy(), self.kept[texts])
        right = np.take_along_axis(self.edges[texts, None], joined[..., None], -1)
        self.right[texts, self.layers.index(layer)] = right.sum((-2, -1))

    def finish(self) -> Found:
        """Returns the counts of each sentence."""
        return Found([self._counts(text) for text in range(len(self.sentences))])

    def _counts(self, text: int) -> TreeCounts:
        place = self.kept[text].cumsum()
        one, other = np.nonzero(np.triu(self.edges[text]))
        apart = np.bincount(place[other] - place[one], minlength=APART + 1)[1 : APART + 1]
        return TreeCounts(self.right[text], apart, len(one), bool(self.sentences[text].tags))
