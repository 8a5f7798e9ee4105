"""Finds which word each head points at, from some words by their rows, or to them by their columns, as blocks come.

A question is asked by one word, or by several, whose rows are averaged over their pieces and whose columns are added
up. The answer is the word with the largest weight among all others, the first of equals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.values.relations import Sentence

BY_ROW, BY_COLUMN = 0, 1  # what the dependent attends to, and what attends to it
Cell = tuple[int, int, int, int, float]


@dataclass(frozen=True)
class Cells:
    """Weights between two words that belong to questions, each with its share of what a question adds up.

    Attributes:
        question, text: (cell,) the question, ascending, and its text.
        row, key: (cell,) the two words.
        share: (cell,) what the weight counts.
    """

    question: Int[Tensor, " cell"]
    text: Int[Tensor, " cell"]
    row: Int[Tensor, " cell"]
    key: Int[Tensor, " cell"]
    share: Float[Tensor, " cell"]

    @classmethod
    def of(cls, cells: Iterable[Cell], device: torch.device) -> Cells:
        """Makes cells of question, text, row, key and share."""
        table = torch.tensor(list(cells), dtype=torch.float64).view(-1, 5).to(device)
        question, text, row, key = table[:, :4].long().T
        return cls(question, text, row, key, table[:, 4])

    def of_texts(self, texts: slice) -> Cells:
        """Keeps the cells of these texts, which are then counted from the first."""
        kept = self._where((self.text >= texts.start) & (self.text < texts.stop))
        return replace(kept, text=kept.text - texts.start)

    def of_rows(self, rows: slice) -> Cells:
        """Keeps the cells of these rows, which are then counted from the first."""
        kept = self._where((self.row >= rows.start) & (self.row < rows.stop))
        return replace(kept, row=kept.row - rows.start)

    def _where(self, some: Bool[Tensor, " cell"]) -> Cells:
        columns = self.question, self.text, self.row, self.key, self.share
        return Cells(*(column[some] for column in columns))

    @cached_property
    def questions(self) -> Int[Tensor, " asked"]:
        """The questions that have cells."""
        some: Tensor = torch.unique_consecutive(self.question)
        return some

    @cached_property
    def index(self) -> Int[Tensor, " cell"]:
        """The index of each cell's question in ``questions``."""
        return torch.searchsorted(self.questions, self.question)

    def added(self, weights: Float[Tensor, "cell head word"]) -> Float[Tensor, "asked head word"]:
        """Adds up the shares of each question."""
        if len(self.questions) == len(self.question):
            return weights
        shares = weights * self.share.to(weights.dtype)[:, None, None]
        return weights.new_zeros(len(self.questions), *weights.shape[1:]).index_add_(0, self.index, shares)


@dataclass(frozen=True)
class Questions:
    """The questions of some texts, one for each relation: from its dependent to its head.

    Attributes:
        count: how many.
        averaged: a cell for each word that asks, with its share of the pieces.
        whole: the same, with a share of 1.
        links: by direction, a cell for each word that asks and each that is asked for.
    """

    count: int
    averaged: Cells
    whole: Cells
    links: tuple[Cells, Cells]

    @classmethod
    def of(cls, sentences: Sequence[Sentence], device: torch.device) -> Questions:
        """Makes a question of each relation."""
        cells: tuple[list[Cell], ...] = ([], [], [], [])
        count = 0
        for text, sentence in enumerate(sentences):
            pieces = Counter(sentence.words.owner)
            for dependent, head, _ in sentence.relations:
                asking, asked = (_shares(words, pieces) for words in (dependent, head))
                cells[0].extend((count, text, word, word, share) for word, share in asking)
                cells[1].extend((count, text, word, word, 1.0) for word in dependent)
                cells[2].extend((count, text, row, key, share) for row, share in asking for key in head)
                cells[3].extend((count, text, row, key, share) for row, share in asked for key in dependent)
                count += 1
        averaged, whole, by_row, by_column = (Cells.of(some, device) for some in cells)
        return cls(count, averaged, whole, (by_row, by_column))

    def within(self, texts: slice, rows: slice) -> Questions:
        """Keeps the cells that are met in these texts and rows, which are then counted from the first."""
        by_row, by_column = (cells.of_texts(texts).of_rows(rows) for cells in self.links)
        averaged = self.averaged.of_texts(texts).of_rows(rows)
        return Questions(self.count, averaged, self.whole.of_texts(texts), (by_row, by_column))


def _shares(words: Sequence[int], pieces: Counter[int]) -> list[tuple[int, float]]:
    """Returns each word with its share of the pieces of all."""
    total = sum(pieces[word] for word in words)
    return [(word, pieces[word] / max(total, 1)) for word in words]


class Pointing:
    """Collects what the heads of some layers point at, and the weights of the links.

    Attributes:
        answers: (layer, direction, question, head) the word that is pointed at.
        weights: (layer, direction, question, head) the weight of the link.
    """

    def __init__(self, questions: Questions, layers: int, heads: int, device: torch.device) -> None:
        self.questions, shape = questions, (layers, 2, questions.count, heads)
        self.answers = torch.zeros(shape, dtype=torch.int64, device=device)
        self.weights = torch.zeros(shape, dtype=torch.float64, device=device)
        self.largest = torch.full((layers, questions.count, heads), -1.0, dtype=torch.float64, device=device)
        self.met: dict[tuple[int, ...], Questions] = {}

    def add(
        self, layer: int, texts: slice, heads: slice, rows: slice, weights: Float[Tensor, "text head row key"]
    ) -> None:
        """Adds some rows of the layer with this index: those of a text in order, and all that ask together."""
        where = texts.start, texts.stop, rows.start, rows.stop
        met = self.met[where] = self.met.get(where) or self.questions.within(texts, rows)
        self._answer_by_row(met, weights, self.answers[layer, BY_ROW, :, heads])
        known = self.answers[layer, BY_COLUMN, :, heads], self.largest[layer, :, heads]
        self._answer_by_column(met, weights, rows.start, *known)
        for direction, cells in enumerate(met.links):
            found = weights[cells.text, :, cells.row, cells.key].double() * cells.share[:, None]
            self.weights[layer, direction, :, heads].index_add_(0, cells.question, found)

    def _answer_by_row(
        self, met: Questions, weights: Float[Tensor, "text head row key"], answers: Int[Tensor, "question head"]
    ) -> None:
        asking = met.averaged
        rows = asking.added(weights[asking.text, :, asking.row])
        rows[asking.index, :, asking.key] = -1
        answers[asking.questions] = rows.argmax(-1)

    def _answer_by_column(
        self,
        met: Questions,
        weights: Float[Tensor, "text head row key"],
        first: int,
        answers: Int[Tensor, "question head"],
        largest: Float[Tensor, "question head"],
    ) -> None:
        """Takes the rows into account that are here; of all before, the largest weight and its row are known."""
        asking, here = met.whole, met.averaged
        columns = asking.added(weights[asking.text, :, :, asking.key])
        columns[torch.searchsorted(asking.questions, here.question), :, here.row] = -1
        found = columns.argmax(-1)
        values = columns.gather(-1, found[..., None])[..., 0].double()
        before = largest[asking.questions]
        answers[asking.questions] = torch.where(values > before, found + first, answers[asking.questions])
        largest[asking.questions] = torch.maximum(values, before)
