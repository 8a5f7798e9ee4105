"""Gathers the weights between the words of sentences whose dependents and head words are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from attnprobe.attention.blocks import exact
from attnprobe.attention.word_pairs import WordPairs
from attnprobe.measure.by_word import WordListener, WordRows
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.sentences import ReadsSentences
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.relations import Relation, Sentence
from attnprobe.values.tokens import Tokens

WORDS = 20  # of a sentence, about
PUNCTUATION = "punct"


@dataclass(frozen=True)
class Gathering(ReadsSentences, NoRows):
    """Gathers the weights between the words of sentences.

    Attributes:
        layers, heads: the numbers of those probed, ascending.
        reading: how texts are read.
        trains: by the number of a sentence whether the probe is fitted to it, or else tested on it.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    reading: Reading
    trains: tuple[bool, ...] = ()
    alone = False

    @property
    def size(self) -> int:
        """The weights of a word, not of a sentence: chunks of few sentences make small batches, which cost time."""
        return len(self.layers) * len(self.heads) * WORDS

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> PairListener:
        """Makes a listener that keeps the weights between words."""
        return PairListener(self, [text.labels["sentence"] for text in texts], encoder)

    def empty(self, signature: str) -> Gathered:
        """The weights of no sentence."""
        return Gathered(signature, self.trains)


class PairListener(WordListener):
    """Keeps the weights between the words of some sentences of one length."""

    def __init__(self, gathering: Gathering, sentences: Sequence[Sentence], encoder: Encoder) -> None:
        super().__init__([sentence.words for sentence in sentences], encoder, gathering.layers)
        self.gathering, self.sentences = gathering, sentences
        count = max(map(len, self.words))
        shape = len(sentences), len(gathering.layers), len(gathering.heads), count, count
        self.maps = torch.zeros(shape, dtype=exact(encoder.dtype), device=encoder.device)

    def receive(self, rows: WordRows) -> None:
        """Keeps some rows of the heads that are probed."""
        layer = self.gathering.layers.index(rows.layer)
        heads = [head for head in self.gathering.heads if rows.heads.start <= head < rows.heads.stop]
        places = [self.gathering.heads.index(head) for head in heads]
        picked = rows.weights[:, [head - rows.heads.start for head in heads]]
        for place, of_head in zip(places, picked.unbind(1), strict=True):
            self.maps[rows.texts, layer, place, rows.rows] = of_head

    def finish(self) -> Found:
        """Returns the pairs of words of each sentence."""
        pairs = []
        for sentence, maps in zip(self.sentences, self.maps, strict=True):
            count = len(sentence.words)
            pairs.append(WordPairs.of_sentence(maps[..., :count, :count].flatten(0, 1), arcs(sentence.relations)))
        return Found(pairs)


def arcs(relations: Iterable[Relation]) -> list[tuple[int, int]]:
    """Lists each dependent that is no punctuation with its head word, of relations between single words."""
    return [
        (one.dependent[0], one.head[0])
        for one in relations
        if len(one.dependent) == len(one.head) == 1 and one.label.partition(":")[0] != PUNCTUATION
    ]


@dataclass(frozen=True)
class Gathered:
    """The pairs of words of many sentences.

    Attributes:
        signature: what the numbers depend on.
        trains: as in :class:`Gathering`.
        train, test: the sentences that have a dependent, of each chunk of a run.
        n_left_out: how many relations are between several words, and so count nowhere.
        n_texts: how many sentences, also those without dependents.
    """

    signature: str
    trains: tuple[bool, ...] = ()
    train: tuple[WordPairs, ...] = ()
    test: tuple[WordPairs, ...] = ()
    n_left_out: int = 0
    n_texts: int = 0

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Gathered:
        """Gathers these sentences."""
        train, test = (
            [text.found for text in texts if self.trains[text.number] is trains and text.found.gold]
            for trains in (True, False)
        )
        return replace(
            self,
            train=(WordPairs.joined(train),) if train else (),
            test=(WordPairs.joined(test),) if test else (),
            n_left_out=sum(_between_several(text.labels["sentence"]) for text in texts),
            n_texts=len(texts),
        )

    def __add__(self, other: Gathered) -> Gathered:
        return replace(
            self,
            train=self.train + other.train,
            test=self.test + other.test,
            n_left_out=self.n_left_out + other.n_left_out,
            n_texts=self.n_texts + other.n_texts,
        )


def _between_several(sentence: Sentence) -> int:
    """Counts the relations of which a side has several words."""
    return sum(max(len(one.dependent), len(one.head)) > 1 for one in sentence.relations)
