"""Which heads follow which relations, over many texts: chosen on one half of them, reported on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from attnprobe.analyses.link_weights import LinkWeights
from attnprobe.analyses.word_shares import COLUMNS as SHARE_COLUMNS
from attnprobe.analyses.word_shares import ShareSums
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.outcomes import CHOOSING, REPORTING, Gain, Outcomes, gain_intervals
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike
from attnprobe.values.table import Cell, Table, Tabled

COLUMNS = (
    *("relation", "n", "layer", "head", "direction", "accuracy", "baseline_offset", "baseline"),
    *("gain", "gain_low", "gain_high"),
)
ALL_COLUMNS = ("relation", "layer", "head", "direction", "accuracy", "n", "weight", "weight_low", "weight_high")
DIRECTIONS = ("dep->head", "head->dep")
OFFSETS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5)  # of equals, the nearest is chosen
PUNCT, ALL, ALL_AND_PUNCT = "punct", "all", "all+punct"


class Choice(NamedTuple):
    """A row of the table: what the choosing half chose, and what the reporting half says of it.

    Attributes:
        relation: its name.
        n: how many of it the reporting half has.
        head: the index of the head and direction, None if the choosing half has none of it.
        offset: the index of the best offset, likewise.
        accuracy, baseline: of both, in the reporting half, from 0 to 1; None if there is none of it.
        low, high: the interval of the gain; None for fewer than two texts.
    """

    relation: str
    n: int
    head: int | None = None
    offset: int | None = None
    accuracy: float | None = None
    baseline: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def gain(self) -> float | None:
        """By how much the head is more often right than the offset."""
        return None if self.accuracy is None or self.baseline is None else self.accuracy - self.baseline


@dataclass(frozen=True, repr=False)
class Relations(Tabled):
    """Which head finds which relation, over many texts; ``a + b`` is the summary of the texts of both.

    Candidates are counted by direction, layer and head, then come the offsets of the baseline.

    Attributes:
        layers, heads: the numbers of those compared.
        seed: of the bootstrap.
        signature: what the numbers depend on; summaries with unequal signatures do not add up.
        outcomes: of each relation in each text, which candidates find it.
        weights: of the links, by relation and candidate.
        sums: of the shares of the weight between words; of no text if they are not measured.
        n_texts: how many texts.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    seed: int
    signature: str
    outcomes: Outcomes
    weights: LinkWeights
    sums: ShareSums
    n_texts: int = 0

    @classmethod
    def empty(cls, layers: tuple[int, ...], heads: tuple[int, ...], seed: int, signature: str) -> Relations:
        """The summary of no text."""
        count = len(layers) * len(heads) * len(DIRECTIONS)
        sums = LinkWeights.empty(count), ShareSums.empty(len(layers), len(heads))
        return cls(layers, heads, seed, signature, Outcomes.empty(count + len(OFFSETS)), *sums)

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads", f"{len(self.outcomes):,} relations"
        return one_line("Relations", model_of(self.signature), *sizes, f"{self.n_texts:,} texts")

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    def of_texts(self, texts: Sequence[Any], together: tuple[LinkWeights, ShareSums] | None) -> Relations:
        """Summarizes measured texts, whose ``found`` are :class:`attnprobe.values.outcomes.Outcomes`."""
        found = (text.found.numbered(text.number) for text in texts)
        outcomes = Outcomes.joined(self.outcomes.candidates, found)
        weights, sums = together or (self.weights, self.sums)
        return replace(self, outcomes=outcomes, weights=weights, sums=sums, n_texts=len(texts))

    def __add__(self, other: Relations) -> Relations:
        """Summarizes the texts of both.

        Raises:
            UsageError: the layers, heads or signatures differ.
        """
        check_alike(self, other, ("layers", "heads", "signature"))
        added = {
            name: getattr(self, name) + getattr(other, name) for name in ("outcomes", "weights", "sums", "n_texts")
        }
        return replace(self, **added)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        parts = self.outcomes, self.weights, self.sums
        return {"n_texts": np.array(self.n_texts), **{name: of for part in parts for name, of in part.arrays().items()}}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Relations:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these heads has such arrays.
        """
        if set(arrays) != set(self.arrays()):
            raise ValueError("wrong names")
        outcomes = self.outcomes.restored({name: arrays[name] for name in self.outcomes.arrays()})
        weights, sums = self.weights.restored(arrays), self.sums.restored(arrays)
        return replace(self, outcomes=outcomes, weights=weights, sums=sums, n_texts=int(arrays["n_texts"]))

    @cached_property
    def labels(self) -> list[tuple[int, int, str]]:
        """The layer, head and direction of each candidate that is no offset."""
        return [(layer, head, way) for way in DIRECTIONS for layer in self.layers for head in self.heads]

    @cached_property
    def rows(self) -> list[tuple[str, str, list[str]]]:
        """The rows of the tables: each name, its key in the weights, and the relations that it counts.

        First ``all+punct``, if there is punctuation, and ``all``, without it; then each relation, by how many the
        reporting half has.
        """
        both = self.outcomes.labels_in()
        counts = self.outcomes.where(both, REPORTING).labels_in()
        order = sorted(both, key=lambda name: (-counts[name], -both[name], name))
        without = [name for name in order if not is_punct(name)]
        totals = [(ALL_AND_PUNCT, ALL_AND_PUNCT, order)] if len(without) < len(order) else []
        return [*totals, (ALL, ALL, without), *((name, key_of(name), [name]) for name in order)]

    @cached_property
    def choices(self) -> list[Choice]:
        """What is chosen and reported of each row."""
        made = [self._choice(name, labels) for name, _, labels in self.rows]
        gains = [gain for _, gain in made]
        intervals = gain_intervals(gains, self.seed)
        return [choice._replace(low=low, high=high) for (choice, _), (low, high) in zip(made, intervals, strict=True)]

    def _choice(self, name: str, labels: Sequence[str]) -> tuple[Choice, Gain]:
        """Chooses the first of the best heads and offsets on one half, and compares the two on the other."""
        choosing, reporting = (self.outcomes.where(labels, half) for half in (CHOOSING, REPORTING))
        n = len(reporting)
        if not len(choosing):
            return Choice(name, n), Gain.none()
        counts, heads = choosing.count_right(), len(self.labels)
        head, offset = int(counts[:heads].argmax()), int(counts[heads:].argmax())
        right, other = reporting.is_right(head), reporting.is_right(heads + offset)
        rates = (float(right.mean()), float(other.mean())) if n else (None, None)
        return Choice(name, n, head, offset, *rates), Gain.of(right, other, reporting.numbers)

    def table(self) -> Table:
        """Makes the table of what was chosen, one row per relation; empty cells where a half has none of it."""
        rows: list[Sequence[Cell]] = []
        for row in self.choices:
            where = (None, None, None) if row.head is None else self.labels[row.head]
            offset = None if row.offset is None else OFFSETS[row.offset]
            numbers = (row.accuracy, offset, row.baseline, row.gain, row.low, row.high)
            rows.append((row.relation, row.n, *where, *numbers))
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def all_heads(self) -> Table:
        """Makes the table of every candidate and relation, by all texts; the layer of an offset is empty."""
        rows = [row for name, key, labels in self.rows for row in self._of_all_heads(name, key, labels)]
        return Table(ALL_COLUMNS, rows, sign=lambda: self.signature)

    def _of_all_heads(self, name: str, key: str, labels: Sequence[str]) -> Iterator[Sequence[Cell]]:
        outcomes = self.outcomes.where(labels)
        n = len(outcomes)
        rates: list[float | None] = (outcomes.count_right() / n).tolist() if n else [None] * outcomes.candidates
        weights = [[None if np.isnan(end) else float(end) for end in ends] for ends in self.weights.means(key)]
        for label, rate, ends in zip(self.labels, rates[: len(self.labels)], weights, strict=True):
            yield (name, *label, rate, n, *ends)
        for offset, rate in zip(OFFSETS, rates[len(self.labels) :], strict=True):
            yield (name, None, f"offset{offset:+d}", None, rate, n, None, None, None)

    def shares(self) -> Table:
        """Makes the table of the shares of the weight between words; without rows if they are not measured."""
        rows = list(self.sums.rows(self.layers, self.heads)) if self.sums.even.any() else []
        return Table(SHARE_COLUMNS, rows, sign=lambda: self.signature)

    def counts(self) -> list[tuple[str, int]]:
        """The name of each row, and how many relations it counts in all texts."""
        counts = self.outcomes.labels_in()
        return [(name, sum(counts[label] for label in labels)) for name, _, labels in self.rows]

    def gains(self) -> np.ndarray:
        """(row, head) how much more often each head is right than the best offset, in all texts.

        Heads are counted layer by layer, each in its better direction; NaN in a row that counts no relation.
        """
        heads = len(self.labels)
        right = np.array([self.outcomes.where(labels).count_right() for _, _, labels in self.rows])
        better = right[:, :heads].reshape(len(right), len(DIRECTIONS), -1).max(1)
        counts = np.array([float(count) or np.nan for _, count in self.counts()])
        gains: np.ndarray = (better - right[:, heads:].max(1, keepdims=True)) / counts[:, None]
        return gains

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables by name."""
        return {"summary": self.table, "all_heads": self.all_heads, "shares": self.shares}


def is_punct(label: str) -> bool:
    """Tests whether a relation is punctuation, which ``all`` leaves out."""
    return label.partition(":")[0] == PUNCT


def key_of(label: str) -> str:
    """The name that the weights of a relation have, unlike those of all relations."""
    return f"={label}"


def keys_of(label: str) -> list[str]:
    """The names of all weights that a relation counts in."""
    return [key_of(label), ALL_AND_PUNCT, *([] if is_punct(label) else [ALL])]
