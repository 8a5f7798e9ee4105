"""Fits a probe that finds the head word of each dependent by attention, and tests it on other sentences.

After Clark et al. 2019, §5, but without ROOT, and fitted to the one optimum of a convex function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from attnprobe.analyses.gathering import Gathered, Gathering
from attnprobe.analyses.kept import Kept
from attnprobe.analyses.pictures import StatMap
from attnprobe.attention.fitting import Fitted, fit
from attnprobe.attention.threads import pool_of
from attnprobe.attention.word_pairs import Choices
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.records import Record
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike
from attnprobe.values.table import Cell, Table, Tabled

PENALTY = 1e-3
OFFSETS = [offset for offset in range(-5, 6) if offset]
DIRECTIONS = ("dep->head", "head->dep")
COLUMNS = ("part", "uas", "n", "nll", "baseline_offset", "baseline")
WEIGHT_COLUMNS = ("layer", "head", "direction", "weight")
CYCLE = 5  # of so many sentences the last one tests


@dataclass(frozen=True)
class Scores:
    """How well head words are found in some sentences.

    Attributes:
        n: how many dependents.
        uas: the share whose head word the probe finds.
        nll: the mean negative log-likelihood of the head words in nats.
        baseline: the share whose head word stands at the offset that is best in training.
        chance, chance_nll: the same two of a choice by chance.
    """

    n: int
    uas: float
    nll: float
    baseline: float
    chance: float
    chance_nll: float


@dataclass(frozen=True)
class Fit:
    """A fitted probe.

    Attributes:
        weights: (direction, head) by DIRECTIONS; of no head if no dependent trains the probe.
        offset: the best fixed distance from a dependent to its head word in training; None if there is no dependent.
        train, test: the scores; None if there is no dependent, or none trains the probe.
        slope: the largest size of a component of the gradient, see :class:`attnprobe.attention.fitting.Fitted`.
        converged: whether the search reached the optimum.
        n_left_out, n_texts: as in :class:`attnprobe.analyses.gathering.Gathered`.
    """

    weights: Float[np.ndarray, "direction head"]
    offset: int | None
    train: Scores | None
    test: Scores | None
    slope: float
    converged: bool
    n_left_out: int
    n_texts: int

    @classmethod
    def to(cls, gathered: Gathered, heads: int) -> Fit:
        """Fits a probe of so many attention heads to sentences; without a dependent to train it, all is empty."""
        with pool_of(torch.get_num_threads()) as pool:
            train, test = (Choices(part, heads, pool) for part in (gathered.train, gathered.test))
            found = Fitted(np.zeros(0), 0.0, 0.0, 0)
            if len(train):
                found = fit(lambda weights: penalized(train, weights), 2 * heads)
            offset = best_offset(train.distances)
            of_train, of_test = (_scores(part, found.weights, offset) for part in (train, test))
        return cls(
            weights=found.weights.reshape(2, -1),
            offset=offset,
            train=of_train,
            test=of_test,
            slope=found.slope,
            converged=found.converged,
            n_left_out=gathered.n_left_out,
            n_texts=gathered.n_texts,
        )


def penalized(choices: Choices, weights: Float[np.ndarray, " weight"]) -> tuple[float, Float[np.ndarray, " weight"]]:
    """Computes what the probe minimizes, the mean negative log-likelihood + ½ · PENALTY · ‖w‖², and its gradient."""
    loss, gradient = choices.loss(weights)
    return loss + PENALTY / 2 * float(weights @ weights), gradient + PENALTY * weights


def best_offset(distances: Int[np.ndarray, " dependent"]) -> int | None:
    """Finds the distance of -5 to 5 at which most head words stand, the first of equals; None if there are none."""
    counts = [int((distances == offset).sum()) for offset in OFFSETS]
    return OFFSETS[int(np.argmax(counts))] if len(distances) else None


def _scores(choices: Choices, weights: Float[np.ndarray, " weight"], offset: int | None) -> Scores | None:
    """Tests a probe and the baselines; None if there is no dependent, or none trained it."""
    if not len(choices) or offset is None:
        return None
    chances = 1 / choices.candidates
    return Scores(
        n=len(choices),
        uas=float(choices.right(weights).mean()),
        nll=choices.loss(weights)[0],
        baseline=float((choices.distances == offset).mean()),
        chance=float(chances.mean()),
        chance_nll=float(-np.log(chances).mean()),
    )


@dataclass(frozen=True, repr=False)
class Probed(Tabled):
    """A probe of many sentences; ``a + b`` has the sentences of both, and is fitted to them when all have come.

    Attributes:
        signature: what the numbers depend on.
        gathering: measures the sentences that are kept.
        train: how many sentences, the first, train the probe; None: of each five the first four.
        kept: sentences at random, or all.
        n_texts: how many sentences there are.
        fit: the probe; None until the kept sentences have been measured.
    """

    signature: str
    gathering: Gathering
    train: int | None
    kept: Kept
    n_texts: int = 0
    fit: Fit | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads", f"{self.n_texts:,} sentences"
        return one_line("Probed", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are probed."""
        return self.gathering.layers

    @property
    def heads(self) -> tuple[int, ...]:
        """The heads that are probed."""
        return self.gathering.heads

    def trains(self, number: int) -> bool:
        """Tests whether the sentence of that number trains the probe."""
        return number % CYCLE < CYCLE - 1 if self.train is None else number < self.train

    @property
    def again_at_most(self) -> int:
        """How many sentences are measured once all have come, at most."""
        return self.kept.most

    @property
    def asks(self) -> dict[str, Callable[[], tuple[Gathering, list[Record]]]]:
        """Returns what is to be measured before the table can be made."""
        return {} if self.fit else {"summary": self._asked}

    def _asked(self) -> tuple[Gathering, list[Record]]:
        records = sorted(self.kept.records(), key=lambda record: record.number)
        return replace(self.gathering, trains=tuple(self.trains(record.number) for record in records)), records

    def answered(self, name: str, summary: Gathered) -> Probed:
        """Returns the probe, fitted to the sentences that were measured."""
        return replace(self, fit=Fit.to(summary, len(self.layers) * len(self.heads)))

    def of_texts(self, texts: Sequence[Any], together: Any) -> Probed:
        """Keeps some of these sentences."""
        return replace(self, kept=self.kept.of_texts(texts), n_texts=len(texts), fit=None)

    def __add__(self, other: Probed) -> Probed:
        """Keeps some of the sentences of both.

        Raises:
            UsageError: the signatures differ.
        """
        check_alike(self, other, ["signature"])
        return replace(self, kept=self.kept + other.kept, n_texts=self.n_texts + other.n_texts, fit=None)

    def arrays(self) -> dict[str, np.ndarray]:
        """The sentences by name, from which :meth:`restored` makes an equal summary."""
        return {"kept": self.kept.array(), "n_texts": np.array(self.n_texts)}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Probed:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary has such arrays.
        """
        if arrays.keys() != {"kept", "n_texts"}:
            raise ValueError("wrong names")
        return replace(self, kept=self.kept.restored(arrays["kept"]), n_texts=int(arrays["n_texts"]))

    @property
    def remarks(self) -> list[str]:
        """Says what a reader of the numbers should know."""
        return list(self._remarks())

    def _remarks(self) -> Iterator[str]:
        if self.n_texts > self.kept.most:
            yield f"fitted and tested on {self.kept.most:,} of {self.n_texts:,} sentences, at random (--sentences)"
        if self.fit is None:
            return
        if missing := len(self.kept.texts) - self.fit.n_texts:
            yield f"sentences that could not be measured: {missing:,}"
        if self.fit.n_left_out:
            yield f"relations between several words, which are left out: {self.fit.n_left_out:,}"
        if not self.fit.train:
            yield "no sentence trains the probe"
        elif not self.fit.test:
            yield "no sentence is left to test the probe on"
        if not self.fit.converged:
            yield f"the search ended before the optimum, where the gradient is {self.fit.slope:.1g}"

    def table(self) -> Table:
        """Makes a table with a row for training and one for testing; empty cells where there is no dependent."""
        rows: list[Sequence[Cell]] = []
        for part in ("train", "test"):
            scores: Scores | None = getattr(self.fit, part, None)
            found: Sequence[Cell] = (None, 0, None, None, None)
            if self.fit and scores:
                found = (scores.uas, scores.n, scores.nll, self.fit.offset, scores.baseline)
            rows.append((part, *found))
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def weights(self) -> Table:
        """Makes a table with the weight of each head in both directions."""
        rows: list[Sequence[Cell]] = []
        if self.fit and self.fit.train:
            pairs = [(layer, head) for layer in self.layers for head in self.heads]
            for pair, both in zip(pairs, self.fit.weights.T.tolist(), strict=True):
                rows += [(*pair, direction, weight) for direction, weight in zip(DIRECTIONS, both, strict=True)]
        return Table(WEIGHT_COLUMNS, rows, sign=lambda: self.signature)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary`` and ``weights_out``."""
        return {"summary": self.table, "weights_out": self.weights}

    def pictures(self) -> list[StatMap]:
        """Makes the map of the weights by layer and head of each direction; none before the probe is fitted."""
        shape = len(self.layers), len(self.heads)
        notes = {"model": model_of(self.signature)}
        weights = self.fit.weights if self.fit and self.fit.train else ()
        return [
            StatMap(name, of.reshape(shape), self.layers, self.heads, notes, lambda: self.signature, centred=True)
            for name, of in zip(DIRECTIONS, weights, strict=False)
        ]
