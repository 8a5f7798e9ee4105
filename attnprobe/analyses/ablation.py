"""Measures what changes when heads are switched off, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from attnprobe.analyses.curve import Curve
from attnprobe.analyses.effects import ON_LOGITS, ON_STATES, effects
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.objectives import Objective, Part, Sensitivity, objective_of
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.models.batches import neighbours
from attnprobe.models.encoder import Encoder
from attnprobe.models.from_layer import OneOff, tokens_at_once
from attnprobe.models.layers import find_layers
from attnprobe.models.outlets import check_edit
from attnprobe.models.passing import Layers
from attnprobe.models.running import Output
from attnprobe.models.switching import edit_of
from attnprobe.models.tasks import WORD, Task
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Tokens

Outputs = Sequence[Output]


@dataclass(frozen=True)
class Ablation(NoRows):
    """Switches heads off, for ``importance --method zero``, ``mean`` or ``uniform``.

    Attributes:
        chosen: the numbers of the layers, ascending.
        n_heads: how many heads a layer has.
        method: how heads are switched off, see :mod:`attnprobe.models.switching`.
        name, objective: what the importance is the change of; of a vector, 1 − cosine.
        answer: what the logits mean, see :class:`attnprobe.models.tasks.Task`; None if their change is not measured.
        found: the modules to go on from.
        curve: the measurement that follows, of many heads off.
    """

    chosen: tuple[int, ...]
    n_heads: int
    method: str
    name: str
    objective: Objective
    answer: str | None
    found: Layers
    curve: Curve

    layers = ()  # no weights are observed: the listener runs the model
    alone = False

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        method: str,
        layers: Sequence[int],
        objective: str,
        label_column: str | None,
        curve_texts: int = 128,
        seed: int = 0,
    ) -> Ablation:
        """Chooses how heads are switched off, and what is measured of it.

        Raises:
            ModelError: the model's heads cannot be changed so, or it lacks what the objective needs.
        """
        made = objective_of(objective, encoder, reading, label_column)
        if method == "uniform":
            check_edit(encoder, edit_of(Off(uniform=frozenset([(0, 0)]))))
        task = None if encoder.task is None else Task.of(encoder.task)
        answer = None if task is None or task.kind == WORD else task.answer
        found = find_layers(encoder)
        curve = Curve(method, made, answer, reading, found.outlets, curve_texts, seed)
        return cls(tuple(layers), encoder.heads, method, objective, made, answer, found, curve)

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as the objective needs it."""
        return self.objective.read(record, encoder, reading)

    @property
    def effects(self) -> tuple[str, ...]:
        """The names of what is measured besides the importance."""
        return ON_STATES if self.answer is None else (*ON_STATES, *ON_LOGITS)

    @property
    def size(self) -> int:
        """The number of effects of all heads."""
        return len(self.chosen) * self.n_heads * (1 + len(self.effects))

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        column = getattr(self.objective, "label_column", None)
        return {"layers": self.chosen, "label_column": column, "curve": [self.curve.texts, self.curve.seed]}

    def signed(self) -> dict[str, object]:
        """How heads are switched off, and what the importance is the change of."""
        return {"method": self.method, "objective": "pooled" if isinstance(self.objective, Sensitivity) else self.name}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> AblationListener:
        """Makes a listener that runs the model on the texts, without one head at a time."""
        task = encoder.task if self.objective.needs_head or self.answer else None
        return AblationListener(self, texts, replace(encoder, outlets=self.found.outlets, task=task))

    def empty(self, signature: str) -> Importances:
        """The summary of no text."""
        remarks = (f"every run is whole: {self.found.reason}",) if self.found.reason else ()
        empty = Importances.empty(self.chosen, range(self.n_heads), signature, self.effects)
        return replace(empty.with_curve(self.curve), remarks=remarks)


@dataclass(frozen=True)
class AblationListener:
    """Runs the model on some texts of one length without one head at a time."""

    measurement: Ablation
    texts: Sequence[Tokens]
    encoder: Encoder

    starts = None

    def start_layer(self, layer: int) -> None:
        """Observes no weights."""

    def finish(self) -> Found:
        """Returns the importance and the effects, (layer, head, effect), of each text."""
        size = max(1, tokens_at_once(self.encoder) // (len(self.texts[0]) * self.encoder.heads))
        some = (self.texts[start : start + size] for start in range(0, len(self.texts), size))
        return Found([of_text for texts in some for of_text in self._measured(texts)])

    def _measured(self, texts: Sequence[Tokens]) -> Float[np.ndarray, "text layer head effect"]:
        """Measures the importance of heads for some texts, then all effects."""
        this, alike = self.measurement, list[Part]()
        found = np.zeros((len(texts), len(this.chosen), this.n_heads, 1 + len(this.effects)))
        of_vector = isinstance(this.objective, Sensitivity)
        for part in () if of_vector else this.objective.parts(texts, self.encoder):
            if part.reads is texts:
                alike.append(part)
                continue
            for at, copies, before in self._without(part.reads):
                np.add.at(found[:, *at, 0], list(part.numbered), _differences(part, copies, before))
        for at, copies, before in self._without(texts):
            found[:, *at, 1:] = effects(copies, before, texts, this.answer).transpose(0, 1).cpu().numpy()
            for part in alike:
                found[:, *at, 0] = _differences(part, copies, before)
        if of_vector:
            found[..., 0] = found[..., 1 + ON_STATES.index("pooled_change")]
        return found

    def _without(self, reads: Sequence[Tokens]) -> Iterator[tuple[tuple[int, slice], Sequence[Outputs], Outputs]]:
        """Runs texts of any lengths without some heads at a time.

        Yields:
            the index of the layer and the slice of heads; by head, the outputs of all texts without it; and those with
            all heads.
        """
        this = self.measurement
        order = sorted(range(len(reads)), key=lambda index: len(reads[index]))
        by_length = [reads[index] for index in order]
        runs = [OneOff(self.encoder, by_length[group], this.method, this.found) for group in neighbours(by_length)]
        before = _in_order(order, [run.outputs for run in runs])
        at_once = max(1, tokens_at_once(self.encoder) // sum(map(len, reads)))
        for place, layer in enumerate(this.chosen):
            for first in range(0, this.n_heads, at_once):
                heads = range(first, min(first + at_once, this.n_heads))
                copies = zip(*(run.without(layer, heads) for run in runs), strict=True)
                yield (place, slice(first, heads.stop)), [_in_order(order, copy) for copy in copies], before


def _in_order(order: Sequence[int], outputs: Sequence[Outputs]) -> list[Output]:
    """Puts the outputs of groups of texts, which were sorted, into the order of the texts."""
    sorted_outputs = [output for of_group in outputs for output in of_group]
    return [output for _, output in sorted(zip(order, sorted_outputs, strict=True), key=lambda pair: pair[0])]


def _differences(part: Part, copies: Sequence[Outputs], before: Outputs) -> Float[np.ndarray, "number head"]:
    """Computes by how much the numbers of a part change without each head."""
    numbers = part.of(before)
    changes: np.ndarray = torch.stack([part.of(copy) - numbers for copy in copies], 1).double().cpu().numpy()
    return changes
