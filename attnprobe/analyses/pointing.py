"""Measures which words heads point at, from and to the dependents of labelled relations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from attnprobe.analyses.link_weights import LinkWeights
from attnprobe.analyses.related import DIRECTIONS, OFFSETS, Relations, keys_of
from attnprobe.analyses.word_shares import ShareSums
from attnprobe.attention.pointing import Pointing, Questions
from attnprobe.attention.word_shares import WordShares
from attnprobe.measure.by_word import WordListener, WordRows, refuse_pooled
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.sentences import ReadsSentences
from attnprobe.measure.several import ByMember
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.outcomes import Outcomes
from attnprobe.values.relations import Relation, Sentence
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens
from attnprobe.values.words import Words


@dataclass(frozen=True)
class Pointers(ReadsSentences, NoRows):
    """Measures which heads point from a dependent to its head, or back, for ``relations``.

    Attributes:
        layers, heads: the numbers of those measured, ascending.
        seed: of the bootstrap.
        shares: whether the summary also gets the shares of the weight between words.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    seed: int
    shares: bool = False
    alone = False

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices,
        heads: Indices,
        seed: int,
        shares: bool,
        **read: Any,
    ) -> Pointers:
        """Chooses the heads to compare; ``read`` is what :class:`attnprobe.measure.sentences.ReadsSentences` takes.

        Raises:
            UsageError: a layer or head is out of range.
            ModelError: a layer pools tokens.
        """
        chosen = tuple(select(layers, encoder.layers, "layer")), tuple(select(heads, encoder.heads, "head"))
        refuse_pooled(encoder, chosen[0])
        return cls(*chosen, seed, shares, **read)

    @property
    def size(self) -> int:
        """The outcomes of a sentence with 20 relations, as bits."""
        return 20 * (len(self.layers) * len(self.heads) * len(DIRECTIONS) + len(OFFSETS)) // 32

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads, "shares": self.shares, **super().described()}

    def signed(self) -> dict[str, object]:
        """How words are read, and the seed of the bootstrap."""
        return {**super().signed(), "seed": self.seed}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> PointingListener:
        """Makes a listener that finds the largest weights as blocks come, and keeps none of these."""
        return PointingListener(self, texts, encoder)

    def empty(self, signature: str) -> Relations:
        """The summary of no text."""
        return Relations.empty(self.layers, self.heads, self.seed, signature)


class PointingListener(WordListener):
    """Finds what the heads point at in some texts of one length.

    Raises:
        ModelError: a layer attends to pools of tokens.
        TextError: rows are not probabilities.
    """

    def __init__(self, measurement: Pointers, texts: Sequence[Tokens], encoder: Encoder) -> None:
        self.sentences: list[Sentence] = [text.labels["sentence"] for text in texts]
        super().__init__([sentence.words for sentence in self.sentences], encoder, measurement.layers)
        self.chosen = list(measurement.heads)
        questions = Questions.of(self.sentences, encoder.device)
        self.pointing = Pointing(questions, len(self.layers), encoder.heads, encoder.device)
        sizes = len(self.layers), encoder.heads
        self.shares = WordShares(self.sentences, *sizes, encoder.device) if measurement.shares else None

    @property
    def starts(self) -> list[int]:
        """The rows where a word begins, but none between words that ask together."""
        asking = [(text.words, one.dependent) for text in self.sentences for one in text.relations]
        groups = [(words, dependent) for words, dependent in asking if len(dependent) > 1]
        return [row for row in super().starts if not any(_cuts(row, *group) for group in groups)]

    def receive(self, rows: WordRows) -> None:
        """Finds the largest weights of the dependents' rows and columns."""
        where = self.layers.index(rows.layer), rows.texts, rows.heads, rows.rows
        self.pointing.add(*where, rows.weights)
        if self.shares is not None:
            self.shares.add(*where, rows.weights)

    def finish(self) -> Found:
        """Returns of each text which candidates are right, and of all together the weights of links, and shares."""
        relations = list(chain.from_iterable(sentence.relations for sentence in self.sentences))
        asked_for = _asked_for(relations, max(map(len, self.words)))
        answers = _by_candidate(self.pointing.answers[..., self.chosen])
        right = np.concatenate([np.take_along_axis(asked_for, answers, 1), _by_offset(relations, asked_for)], 1)
        counts = [len(sentence.relations) for sentence in self.sentences]
        labels, texts = [one.label for one in relations], []
        for stop, count in zip(accumulate(counts), counts, strict=True):
            some = slice(stop - count, stop)
            texts.append(Outcomes.of([0] * count, labels[some], right[some]))
        weights = self._weights(labels, np.repeat(np.arange(len(counts)), counts))
        return Found(texts, ByMember([weights, self._shares()]))

    def _weights(self, labels: Sequence[str], texts: Int[np.ndarray, " relation"]) -> LinkWeights:
        """Sums up the weights of links, each in all rows of the table that it counts in."""
        keys = [keys_of(label) for label in labels]
        counted = np.repeat(np.arange(len(keys)), [*map(len, keys)])
        weights = _by_candidate(self.pointing.weights[..., self.chosen])
        return LinkWeights.of([*chain.from_iterable(keys)], texts[counted], weights[counted])

    def _shares(self) -> ShareSums:
        """Sums up the shares of the chosen heads; of no text if they are not measured."""
        if self.shares is None:
            return ShareSums.empty(len(self.layers), len(self.chosen))
        found = self.shares.found[:, :, self.chosen].cpu().numpy()
        return ShareSums.of(self.sentences, self.shares.tags, found)


def _cuts(row: int, words: Words, group: Sequence[int]) -> bool:
    """Tests whether a block that starts at this row comes between words of a group."""
    return group[0] <= max(words.owner[:row], default=-1) < group[-1]


def _by_candidate(found: Tensor) -> np.ndarray:
    """Lists what was found of each question by direction, layer and head: (question, candidate)."""
    flat: np.ndarray = found.permute(2, 1, 0, 3).flatten(1).cpu().numpy()
    return flat


def _asked_for(relations: Sequence[Relation], words: int) -> Bool[np.ndarray, "question word"]:
    """Marks the words that are right answers."""
    marked = np.zeros((len(relations), words), bool)
    for number, relation in enumerate(relations):
        marked[number, list(relation.head)] = True
    return marked


def _by_offset(
    relations: Sequence[Relation], asked_for: Bool[np.ndarray, "question word"]
) -> Bool[np.ndarray, "question offset"]:
    """Marks which offsets from the dependent lead to a right answer: from its first word back, from its last on."""
    offsets = np.array(OFFSETS)
    edges = np.array([[one.dependent[0], one.dependent[-1]] for one in relations], int).reshape(-1, 2)
    answers = np.where(offsets < 0, edges[:, :1], edges[:, 1:]) + offsets
    inside = (answers >= 0) & (answers < asked_for.shape[1])
    right: np.ndarray = inside & np.take_along_axis(asked_for, np.where(inside, answers, 0), 1)
    return right
