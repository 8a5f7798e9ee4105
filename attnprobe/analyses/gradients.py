"""Measures how much a small change of each head would change a number of each text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnprobe.analyses.ablation import Ablation
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.objectives import OBJECTIVES
from attnprobe.measure.kinds import Found, Measurement
from attnprobe.measure.nothing import NoRows
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Gradients(NoRows):
    """Measures the gradient by a factor of each head, for ``importance``.

    Attributes:
        chosen: the numbers of the layers, ascending.
        n_heads: how many heads a layer has.
    """

    chosen: tuple[int, ...]
    n_heads: int
    objective: str
    per_token: bool
    label_column: str | None

    layers = ()  # no weights are observed: the listener runs the model
    alone = False

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices,
        method: str,
        objective: str,
        per_token: bool,
        label_column: str | None,
    ) -> Measurement:
        """Chooses what heads are important for; or an Ablation, where heads are switched off.

        Raises:
            UsageError: a layer is out of range.
            ModelError: the model lacks what the objective needs.
        """
        chosen = tuple(select(layers, encoder.layers, "layer"))
        if method != "gradient":
            return Ablation.choose(
                encoder, reading, method=method, layers=chosen, objective=objective, label_column=label_column
            )
        OBJECTIVES[objective].check(encoder)
        return cls(chosen, encoder.heads, objective, per_token, label_column)

    @property
    def size(self) -> int:
        """The number of heads."""
        return len(self.chosen) * self.n_heads

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.chosen, "label_column": self.label_column}

    def signed(self) -> dict[str, object]:
        """Gradients, of what, and how summed up."""
        return {
            "method": "gradient",
            "objective": self.objective,
            "magnitudes": "per token" if self.per_token else None,
        }

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> GradientListener:
        """Makes a listener that runs the model on the texts."""
        return GradientListener(self, texts, encoder)

    def empty(self, signature: str) -> Importances:
        """The summary of no text."""
        return Importances.empty(self.chosen, range(self.n_heads), signature)


@dataclass(frozen=True)
class State:
    """The last hidden states of a text, of a model without a head."""

    hidden: Tensor
    logits: None = None


@dataclass(frozen=True)
class GradientListener:
    """Runs the model on some texts with a factor of 1 on each head, and finds the gradient by these factors."""

    measurement: Gradients
    texts: Sequence[Tokens]
    encoder: Encoder

    starts = None

    def start_layer(self, layer: int) -> None:
        """Observes no weights."""

    def finish(self) -> Found:
        """Returns the importance (layer, head, 1) of each text."""
        texts, encoder, objective = self.texts, self.encoder, OBJECTIVES[self.measurement.objective]
        shape = (len(texts), encoder.heads)
        factors = [torch.ones(shape, device=encoder.device, requires_grad=True) for _ in range(encoder.layers)]

        def scaled(layer: int, some: slice, context: Tensor) -> Tensor:
            return context * factors[layer][some, None, :, None]

        states = encoder.observe(
            texts, lambda *_: None, [slice(0, len(texts))], edit=Edit(context=scaled), gradients=True
        )
        total = objective.of([State(state) for state in states], texts).sum()
        found = torch.stack(torch.autograd.grad(total, factors), 1).abs().double().cpu().numpy()
        return Found(list(found[:, list(self.measurement.chosen), :, np.newaxis]))
