"""Measures what is left of a model as its heads are switched off, one after another, the least important first.

Michel et al. 2019, figures 1 and 2. Beside it stands the curve of the same heads in a random order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from jaxtyping import Float

from attnprobe.analyses.effects import ON_STATES, effects
from attnprobe.analyses.losses import is_right
from attnprobe.analyses.objectives import Loss, Objective, PseudoLoss, Similarity
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoRows
from attnprobe.models.batches import neighbours
from attnprobe.models.encoder import Encoder
from attnprobe.models.outlets import Outlet
from attnprobe.models.running import Output
from attnprobe.models.switching import added
from attnprobe.models.tasks import SEQUENCE
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.summary import Summary
from attnprobe.values.switches import Head, Off
from attnprobe.values.table import Table, Tabled
from attnprobe.values.tokens import Tokens

ORDERS = ("importance", "random")
STEPS = 10
COLUMNS = ("n_off", "share_off", "order", "value", "ci_low", "ci_high", "n_texts")


@dataclass(frozen=True)
class Curve(NoRows):
    """Switches more and more heads off, for ``importance --curve``.

    Attributes:
        how: "zero", "mean" or "uniform".
        objective: what the importance is for, on which the value depends that is measured.
        answer: what the logits mean; None if there are none, or nothing is said of them.
        reading: how texts are read.
        outlets: the maps where contexts are changed, of a model whose weights are hooked.
        texts: how many texts are run.
        seed: of the sample of texts, and of the random order.
        orders: by ORDERS, the heads, the first to be switched off first.
    """

    how: str
    objective: Objective
    answer: str | None
    reading: Reading
    outlets: tuple[Outlet, ...]
    texts: int
    seed: int
    orders: tuple[tuple[Head, ...], ...] = ()

    layers = ()  # no weights are observed: the listener runs the model
    alone = False

    def ordered(self, layers: Iterable[Any], heads: Sequence[Any], importance: np.ndarray) -> Curve:
        """Returns the curve of heads whose importance (layer, head) is known; of equal ones, the first is first.

        A head that makes a loss larger is less important than one that does nothing; of other numbers the size counts.
        """
        if self.value not in ("accuracy", "loss", "mlm"):
            importance = np.abs(importance)
        every: list[Head] = [(layer, head) for layer in layers for head in heads]
        by_importance = [every[index] for index in np.argsort(importance, axis=None, kind="stable")]
        by_chance = Random(self.seed).sample(every, len(every))
        return replace(self, orders=(tuple(by_importance), tuple(by_chance)))

    @property
    def n_off(self) -> list[int]:
        """How many heads are off at each step: none, a tenth, … all."""
        count = len(self.orders[0])
        return sorted({round(step * count / STEPS) for step in range(STEPS + 1)})

    @property
    def value(self) -> str:
        """The name of what is measured."""
        if isinstance(self.objective, Loss):
            task = self.objective.task
            return "accuracy" if task.kind == SEQUENCE and task.answer == "single" else "loss"
        if isinstance(self.objective, PseudoLoss | Similarity):
            return "mlm" if isinstance(self.objective, PseudoLoss) else "similarity"
        return "cosine" if self.answer in (None, "number") else "agreement"

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as the objective needs it."""
        return self.objective.read(record, encoder, reading)

    @property
    def size(self) -> int:
        """The number of values of a text."""
        return len(ORDERS) * len(self.n_off)

    def described(self) -> dict[str, Any]:
        """The heads in their orders."""
        return {"orders": self.orders}

    def signed(self) -> dict[str, object]:
        """What is measured, and how heads are switched off."""
        return {"curve": self.value, "off_how": self.how, "seed": self.seed}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> CurveListener:
        """Makes a listener that runs the model on the texts."""
        return CurveListener(self, texts, replace(encoder, outlets=self.outlets))

    def empty(self, signature: str) -> Left:
        """The curve of no text."""
        return Left(Summary.empty(range(len(ORDERS)), self.n_off, [self.value], signature))


@dataclass(frozen=True)
class CurveListener:
    """Runs the model on some texts of one length, with more and more heads off."""

    measurement: Curve
    texts: Sequence[Tokens]
    encoder: Encoder

    starts = None

    def start_layer(self, layer: int) -> None:
        """Observes no weights."""

    def finish(self) -> Found:
        """Returns the values, (order, step), of each text."""
        whole = _outputs(self.encoder, self.texts)
        steps = [[self._value(order[:n], whole) for n in self.measurement.n_off] for order in self.measurement.orders]
        return Found(list(np.moveaxis(np.array(steps), 2, 0)))

    def _value(self, heads: Sequence[Head], whole: Sequence[Output]) -> Float[np.ndarray, " text"]:
        """Measures what is left without these heads."""
        this, off = self.measurement, Off(**{self.measurement.how: frozenset(heads)})
        encoder = replace(self.encoder, off=added(self.encoder.off, off))
        if this.value in ("loss", "mlm", "similarity"):
            return self._number(encoder)
        outputs = _outputs(encoder, self.texts)
        if isinstance(this.objective, Loss):
            label, task = this.objective.label_column, this.objective.task
            pairs = zip(outputs, self.texts, strict=True)
            return np.array([is_right(output.logits, text.labels[label], task) for output, text in pairs], float)
        place = ON_STATES.index("pooled_change") if this.value == "cosine" else -1
        changes: np.ndarray = effects([outputs], whole, self.texts, this.answer)[0, :, place].cpu().numpy()
        return 1 - changes

    def _number(self, encoder: Encoder) -> Float[np.ndarray, " text"]:
        """Computes the objective of each text."""
        numbers = np.zeros(len(self.texts))
        for part in self.measurement.objective.parts(self.texts, encoder):
            found = part.of(_outputs(encoder, part.reads)).double().cpu().numpy()
            np.add.at(numbers, list(part.numbered), found)
        return numbers


def _outputs(encoder: Encoder, reads: Sequence[Tokens]) -> list[Output]:
    """Runs texts, those of one length together, and returns the outputs in the order of the texts."""
    order = sorted(range(len(reads)), key=lambda index: len(reads[index]))
    by_length = [reads[index] for index in order]
    found = [
        output
        for group in neighbours(by_length)
        for output in encoder.run(by_length[group], lambda *_: None, encoder.groups(by_length[group]))
    ]
    return [output for _, output in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


@dataclass(frozen=True)
class Left(Tabled):
    """What is left of a model over many texts, with more and more heads off.

    Attributes:
        sums: means and deviations over texts, by order, as a layer, and number of heads that are off, as a head.
    """

    sums: Summary

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return self.sums.signature

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Left:
        """Summarizes these texts."""
        if not texts:
            return self
        values = np.array([text.found for text in texts])[..., np.newaxis]
        return replace(self, sums=self.sums.of(values, np.ones((len(texts), len(ORDERS), 1))))

    def __add__(self, other: Left) -> Left:
        return replace(self, sums=self.sums + other.sums)

    def table(self) -> Table:
        """Makes a row for each order and number of heads that are off."""
        found: list[Any] = list(self.sums.table().rows)
        count = found[-1][1]
        rows = [
            (n, n / count, ORDERS[order], mean, low, high, n_texts)
            for order, n, _, mean, _, low, high, _, n_texts, _ in found
        ]
        return Table(COLUMNS, rows, {"value": self.sums.metrics[0]}, sign=lambda: self.signature)
