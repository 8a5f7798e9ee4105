"""Sums up how often heads find antecedents, beside rules of thumb: on all documents, and chosen on half of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from attnprobe.analyses.pictures import StatMap
from attnprobe.analyses.sieves import BASELINES, GROUPS
from attnprobe.errors import InputError
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.outcomes import CHOOSING, REPORTING, Gain, Outcomes, gain_intervals
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike
from attnprobe.values.table import Cell, Table, Tabled

ANSWERS = ("mentions", "words", "back")
GROUPED: Mapping[str, tuple[str, ...]] = {"all": ("", *GROUPS)} | {name: (name,) for name in GROUPS}
COLUMNS = ("layer", "head", "answer", "group", "accuracy", "n")
HALVES = (
    *("group", "answer", "n", "layer", "head", "accuracy"),
    *("baseline_name", "baseline", "gain", "gain_low", "gain_high"),
)
LEFT_OUT = "left_out"  # the label of a document's first window: how many sentences are longer than a window


@dataclass(frozen=True)
class Chosen:
    """What a half of the documents chose, and how that does on the other half; None where there is nothing.

    Attributes:
        group, answer: which questions, and how heads answer them.
        n: how many questions the other half has.
        layer, head: the head that does best on the half with even numbers.
        accuracy: its share of right answers on the other half.
        baseline_name, baseline: the rule that does best there, and its share on the other half.
        gain, gain_low, gain_high: accuracy − baseline, and its 95 % interval over documents.
    """

    group: str
    answer: str
    n: int
    layer: int | None = None
    head: int | None = None
    accuracy: float | None = None
    baseline_name: str | None = None
    baseline: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None


@dataclass(frozen=True, repr=False)
class Coreferences(Tabled):
    """How often each head finds the antecedents of mentions; ``a + b`` is the summary of the documents of both.

    Attributes:
        layers, heads: the numbers of those measured.
        signature: what the numbers depend on.
        seed: of the bootstrap.
        outcomes: who is right in which question: each answer of each head, then each baseline.
        counts: how many documents, windows and sentences that were left out.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    signature: str
    seed: int
    outcomes: Outcomes
    counts: Int[np.ndarray, " thing"]

    @classmethod
    def empty(cls, layers: tuple[int, ...], heads: tuple[int, ...], signature: str, seed: int) -> Coreferences:
        """The summary of no document."""
        candidates = len(ANSWERS) * len(layers) * len(heads) + len(BASELINES)
        return cls(layers, heads, signature, seed, Outcomes.empty(candidates), np.zeros(3, np.int64))

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads", f"{len(self.outcomes):,} mentions"
        return one_line("Coreferences", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    def of_texts(self, texts: Sequence[Any], together: Any) -> Coreferences:
        """Summarizes measured documents, whose ``found`` are :class:`attnprobe.values.outcomes.Outcomes`."""
        outcomes = Outcomes.joined(self.outcomes.candidates, (text.found.numbered(text.number) for text in texts))
        windows = sum(len(text.windows) for text in texts)
        left_out = sum(text.labels[LEFT_OUT] for text in texts)
        return replace(self, outcomes=outcomes, counts=np.array([len(texts), windows, left_out], np.int64))

    def __add__(self, other: Coreferences) -> Coreferences:
        """Summarizes the documents of both.

        Raises:
            UsageError: the layers, heads or signatures differ.
        """
        check_alike(self, other, ("layers", "heads", "signature"))
        return replace(self, outcomes=self.outcomes + other.outcomes, counts=self.counts + other.counts)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        return {**self.outcomes.arrays(), "counts": self.counts}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Coreferences:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these heads has such arrays.
        """
        outcomes = {name: array for name, array in arrays.items() if name != "counts"}
        counts = arrays.get("counts", np.zeros(0))
        if (counts.shape, counts.dtype) != (self.counts.shape, self.counts.dtype):
            raise ValueError("wrong counts")
        return replace(self, outcomes=self.outcomes.restored(outcomes), counts=counts)

    @property
    def remarks(self) -> list[str]:
        """A sentence if sentences were left out."""
        left_out = int(self.counts[2])
        return [f"sentences longer than a window, left out with their mentions: {left_out:,}"] if left_out else []

    @property
    def n_heads(self) -> int:
        """How many heads answer."""
        return len(self.layers) * len(self.heads)

    def head_at(self, candidate: int) -> tuple[int, int]:
        """Returns the layer and head of a candidate."""
        layer, head = divmod(candidate % self.n_heads, len(self.heads))
        return self.layers[layer], self.heads[head]

    def candidates(self, answer: str) -> range:
        """Returns the candidates that are heads with this answer."""
        start = ANSWERS.index(answer) * self.n_heads
        return range(start, start + self.n_heads)

    @property
    def baselines(self) -> range:
        """The candidates that are baselines."""
        return range(len(ANSWERS) * self.n_heads, self.outcomes.candidates)

    def counts_right(self, group: str) -> tuple[Int[np.ndarray, " candidate"], int]:
        """Counts the questions of a group that each candidate is right in, and how many there are."""
        some = self.outcomes.where(GROUPED[group])
        return some.count_right(), len(some)

    def table(self) -> Table:
        """Makes a row for each group, and within it for each baseline, then each head and answer, on all documents."""
        rows = [row for group in GROUPED for row in self._rows(group)]
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def _rows(self, group: str) -> Iterator[Sequence[Cell]]:
        counts, n = self.counts_right(group)
        shares = [count / n if n else None for count in counts.tolist()]
        for name, candidate in zip(BASELINES, self.baselines, strict=True):
            yield None, name, None, group, shares[candidate], n
        for index in range(self.n_heads):
            for answer in ANSWERS:
                candidate = self.candidates(answer)[index]
                yield *self.head_at(candidate), answer, group, shares[candidate], n

    @cached_property
    def chosen(self) -> list[Chosen]:
        """What the documents with even numbers choose, and how it does on the others, by group and answer."""
        found = [self._chosen(group, answer) for group in GROUPED for answer in ANSWERS]
        intervals = gain_intervals([gain for _, gain in found], self.seed)
        return [
            replace(row, gain_low=low, gain_high=high) for (row, _), (low, high) in zip(found, intervals, strict=True)
        ]

    def _chosen(self, group: str, answer: str) -> tuple[Chosen, Gain]:
        """Chooses the first of the best heads and baselines on one half, and compares the two on the other."""
        choosing, reporting = (self.outcomes.where(GROUPED[group], half) for half in (CHOOSING, REPORTING))
        if not len(choosing):
            return Chosen(group, answer, len(reporting)), Gain.none()
        counts = choosing.count_right()
        head, baseline = (max(some, key=counts.__getitem__) for some in (self.candidates(answer), self.baselines))
        row = Chosen(group, answer, len(reporting), *self.head_at(head), baseline_name=self.name_of(baseline))
        right, other = reporting.is_right(head), reporting.is_right(baseline)
        if len(reporting):
            accuracy, share = float(right.mean()), float(other.mean())
            row = replace(row, accuracy=accuracy, baseline=share, gain=accuracy - share)
        return row, Gain.of(right, other, reporting.numbers)

    def name_of(self, baseline: int) -> str:
        """Names a candidate that is a baseline."""
        return list(BASELINES)[baseline - self.baselines.start]

    def best(self, group: str, answer: str) -> tuple[int, int, float] | None:
        """Finds the head that is right most often on all documents: layer, head, accuracy; None without a question."""
        counts, n = self.counts_right(group)
        candidate = max(self.candidates(answer), key=counts.__getitem__)
        return (*self.head_at(candidate), counts[candidate] / n) if n else None

    def n_documents(self, half: int) -> int:
        """Counts the documents of a half that have a question."""
        return len(np.unique(self.outcomes.where(GROUPED["all"], half).numbers))

    def picture(self) -> StatMap:
        """Makes the map of heads: accuracy on pronouns, or on all if there are none, minus that of the best baseline.

        Raises:
            InputError: no mention has an antecedent in its window.
        """
        groups = [group for group in ("pronoun", "all") if self.counts_right(group)[1]]
        if not groups:
            raise InputError("no mention has an antecedent in its window, so there is nothing to draw")
        counts, n = self.counts_right(groups[0])
        best = max(self.baselines, key=counts.__getitem__)
        gains = (counts[self.candidates("mentions")] - counts[best]) / n
        name = (
            f"accuracy on {'pronouns' if groups[0] == 'pronoun' else 'all mentions'} minus that of {self.name_of(best)}"
        )
        notes = {"model": model_of(self.signature), "of": f"{n:,} mention{'' if n == 1 else 's'}"}
        shape = (len(self.layers), len(self.heads))
        how: dict[str, Any] = {"centred": True, "label_given": name}
        return StatMap(name, gains.reshape(shape), self.layers, self.heads, notes, lambda: self.signature, **how)

    def halves(self) -> Table:
        """Makes a row for each group and answer: see :class:`Chosen`."""
        return Table(HALVES, [tuple(vars(row).values()) for row in self.chosen], sign=lambda: self.signature)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns the functions that make the tables, by name."""
        return {"summary": self.table, "halves": self.halves}
