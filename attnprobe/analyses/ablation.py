"""Measures what changes when heads are switched off, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.effects import ON_LOGITS, ON_STATES, effects
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.objectives import OBJECTIVES
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.models.encoder import Encoder
from attnprobe.models.from_layer import OneOff, texts_at_once
from attnprobe.models.layers import find_layers
from attnprobe.models.passing import Layers
from attnprobe.models.running import Output
from attnprobe.models.tasks import Task
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Tokens

CHANGE = "sensitivity"  # the objective that is no number of a text, but the change itself


@dataclass(frozen=True)
class Ablation(NoRows):
    """Switches heads off, for ``importance --method zero``, ``mean`` or ``uniform``.

    Attributes:
        chosen: the numbers of the layers, ascending.
        n_heads: how many heads a layer has.
        method: how heads are switched off, see :mod:`attnprobe.models.switching`.
        answer: what the logits mean, see :class:`attnprobe.models.tasks.Task`; None: there are none.
        found: the modules to go on from.
    """

    chosen: tuple[int, ...]
    n_heads: int
    method: str
    objective: str
    label_column: str | None
    answer: str | None
    found: Layers

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
    ) -> Ablation:
        """Chooses how heads are switched off, and what is measured of it.

        Raises:
            ModelError: the model's heads cannot be changed so, or it lacks what the objective needs.
        """
        if objective != CHANGE:
            OBJECTIVES[objective].check(encoder)
        answer = None if encoder.task is None else Task.of(encoder.task).answer
        found = find_layers(encoder)
        return cls(tuple(layers), encoder.heads, method, objective, label_column, answer, found)

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
        return {"layers": self.chosen, "label_column": self.label_column}

    def signed(self) -> dict[str, object]:
        """How heads are switched off, and what the importance is the change of."""
        return {"method": self.method, "objective": "pooled" if self.objective == CHANGE else self.objective}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> AblationListener:
        """Makes a listener that runs the model on the texts, without one head at a time."""
        return AblationListener(self, texts, replace(encoder, outlets=self.found.outlets))

    def empty(self, signature: str) -> Importances:
        """The summary of no text."""
        return Importances.empty(self.chosen, range(self.n_heads), signature, self.effects)


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
        size, texts = texts_at_once(self.encoder, len(self.texts[0])), self.texts
        return Found([found for at in range(0, len(texts), size) for found in self._measured(texts[at : at + size])])

    def _measured(self, texts: Sequence[Tokens]) -> Float[np.ndarray, "text layer head effect"]:
        chosen, heads = self.measurement.chosen, range(self.measurement.n_heads)
        runs = OneOff(self.encoder, texts, self.measurement.method, self.measurement.found)
        found = [
            self._changes(without.outputs, runs.outputs, texts)
            for layer in chosen
            for without in runs.without(layer, heads)
        ]
        by_head: np.ndarray = torch.cat(found).cpu().numpy()
        return by_head.reshape(len(chosen), len(heads), *by_head.shape[1:]).transpose(2, 0, 1, 3)

    def _changes(
        self, copies: Sequence[Sequence[Output]], before: Sequence[Output], texts: Sequence[Tokens]
    ) -> Float[Tensor, "copy text effect"]:
        """Computes the importance, then all effects."""
        found = effects(copies, before, texts, self.measurement.answer)
        if self.measurement.objective == CHANGE:
            importance = found[..., ON_STATES.index("pooled_change")]
        else:
            number = OBJECTIVES[self.measurement.objective].of
            importance = torch.stack([number(copy, texts) - number(before, texts) for copy in copies]).double()
        return torch.cat([importance[..., None], found], -1)
