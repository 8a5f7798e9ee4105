"""Measures how much a small change of each head would change a number, or the vector, of each text.

A head's context is multiplied by a factor ξ = 1, one for each text, head and layer. Texts of a batch do not depend on
each other, so one backward pass through the sum of their numbers gives the gradient of each by its own factors.

Of a vector o, one backward pass gives uᵀ∂o/∂ξ for any u. This is linear in u, so that one more pass back to u gives
the derivative ∂o/∂ξ of one head, in all texts at once, and meets only the layers from the head's own on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.ablation import Ablation
from attnprobe.analyses.curve import Curve
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.objectives import Objective, Part, objective_of
from attnprobe.measure.kinds import Found, Measurement
from attnprobe.measure.nothing import NoRows
from attnprobe.models.batches import neighbours
from attnprobe.models.editable import editable
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.models.outlets import Outlet
from attnprobe.models.running import Output
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens

TOKENS_AT_ONCE = 2**9  # of the heads whose derivatives are computed together


@dataclass(frozen=True)
class Gradients(NoRows):
    """Measures the gradient by a factor of each head, for ``importance``.

    Attributes:
        chosen: the numbers of the layers, ascending.
        n_heads: how many heads a layer has.
        objective: what the gradient is of, and under which name.
        per_token: whether magnitudes are taken token by token.
        outlets: the maps where contexts are changed, of a model whose weights are hooked.
        curve: the measurement that follows, of many heads off.
    """

    chosen: tuple[int, ...]
    n_heads: int
    name: str
    objective: Objective
    per_token: bool
    outlets: tuple[Outlet, ...]
    curve: Curve

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
        curve_texts: int = 128,
        seed: int = 0,
    ) -> Measurement:
        """Chooses what heads are important for; or an Ablation, where heads are switched off.

        Raises:
            UsageError: a layer is out of range.
            ModelError: the model lacks what the objective needs, or its heads cannot be changed.
        """
        chosen = tuple(select(layers, encoder.layers, "layer"))
        if method != "gradient":
            how: dict[str, Any] = {"layers": chosen, "objective": objective, "label_column": label_column}
            how |= {"curve_texts": curve_texts, "seed": seed}
            return Ablation.choose(encoder, reading, method=method, **how)
        made = objective_of(objective, encoder, reading, label_column)
        outlets = editable(encoder).outlets
        curve = Curve("zero", made, None, reading, outlets, curve_texts, seed)
        return cls(chosen, encoder.heads, objective, made, per_token, outlets, curve)

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as the objective needs it."""
        return self.objective.read(record, encoder, reading)

    @property
    def size(self) -> int:
        """The number of heads."""
        return len(self.chosen) * self.n_heads

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        column = getattr(self.objective, "label_column", None)
        return {"layers": self.chosen, "label_column": column, "curve": [self.curve.texts, self.curve.seed]}

    def signed(self) -> dict[str, object]:
        """Gradients, of what, and how they are summed up."""
        how: dict[str, object] = {"method": "gradient", "objective": self.name}
        return how | ({"magnitudes": "per_token"} if self.per_token else {})

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> GradientListener:
        """Makes a listener that runs the model on the texts."""
        return GradientListener(self, texts, replace(encoder, outlets=self.outlets))

    def empty(self, signature: str) -> Importances:
        """The summary of no text."""
        return Importances.empty(self.chosen, range(self.n_heads), signature).with_curve(self.curve)


@dataclass(frozen=True)
class GradientListener:
    """Runs the model on some texts of one length with a factor on each head, and finds the gradient by these."""

    measurement: Gradients
    texts: Sequence[Tokens]
    encoder: Encoder

    starts = None

    def start_layer(self, layer: int) -> None:
        """Observes no weights."""

    def finish(self) -> Found:
        """Returns the importance, (layer, head, 1), of each text."""
        found = np.zeros((len(self.texts), len(self.measurement.chosen), self.encoder.heads))
        for part in self.measurement.objective.parts(self.texts, self.encoder):
            np.add.at(found, list(part.owners), self._of_reads(part))
        return Found(list(np.abs(found)[..., np.newaxis]))

    def _of_reads(self, part: Part) -> Float[np.ndarray, "read layer head"]:
        """Computes the gradient by each factor of each text that the model reads, or the length of the derivative."""
        order = sorted(range(len(part.reads)), key=lambda index: len(part.reads[index]))
        groups = neighbours([part.reads[index] for index in order])
        runs = [self._run([part.reads[index] for index in order[group]]) for group in groups]
        outputs = dict(zip(order, (output for run in runs for output in run.outputs), strict=True))
        numbers = part.of([outputs[index] for index in range(len(order))])
        factors = [factor for run in runs for factor in run.factors]
        at_once = max(1, TOKENS_AT_ONCE // sum(map(len, part.reads)))
        found = _gradients(numbers, factors) if numbers.ndim == 1 else _lengths(numbers, factors, at_once)
        layers = len(self.measurement.chosen)
        by_run = [torch.stack(found[start : start + layers], 1) for start in range(0, len(found), layers)]
        ranked: np.ndarray = torch.cat(by_run).cpu().double().numpy()
        return ranked[np.argsort(order)]

    def _run(self, reads: Sequence[Tokens]) -> Run:
        """Runs the model on texts of one length, with factors."""
        encoder, chosen = self.encoder, self.measurement.chosen
        shape = (len(reads), len(reads[0]) if self.measurement.per_token else 1, encoder.heads, 1)
        like: Any = {"dtype": encoder.dtype, "device": encoder.device}
        factors = {layer: torch.ones(shape, **like, requires_grad=True) for layer in chosen}

        def scaled(layer: int, texts: slice, context: Tensor) -> Tensor:
            return context * factors[layer][texts] if layer in factors else context

        run = encoder.run if self.measurement.objective.needs_head else replace(encoder, task=None).run
        outputs = run(reads, lambda *_: None, encoder.groups(reads), edit=Edit(context=scaled), gradients=True)
        return Run(outputs, list(factors.values()))


@dataclass(frozen=True)
class Run:
    """What the model makes of some texts of one length, and by layer the factors (text, token or 1, head, 1)."""

    outputs: Sequence[Output]
    factors: Sequence[Tensor]


def _gradients(
    numbers: Float[Tensor, " text"], factors: Sequence[Float[Tensor, "read token head 1"]]
) -> list[Float[Tensor, "read head"]]:
    """Computes the gradient of a sum by each factor; of factors of tokens, the sum of magnitudes."""
    gradients = torch.autograd.grad(numbers.sum(), list(factors))
    return [(one.abs() if one.shape[1] > 1 else one).sum((1, 3)) for one in gradients]


def _lengths(
    vectors: Float[Tensor, "text d"], factors: Sequence[Float[Tensor, "text 1 head 1"]], at_once: int
) -> list[Float[Tensor, "text head"]]:
    """Computes the length of each vector's derivative by each factor, for so many heads at once."""
    probe = torch.zeros_like(vectors, requires_grad=True)
    along = torch.autograd.grad((vectors * probe).sum(), list(factors), create_graph=True)
    return [_lengths_in_layer(of_layer, probe, at_once) for of_layer in along]


def _lengths_in_layer(
    along: Float[Tensor, "text 1 head 1"], probe: Float[Tensor, "text d"], at_once: int
) -> Float[Tensor, "text head"]:
    """Computes the length of each derivative of ``along``, which is linear in ``probe``, for some heads at once."""
    heads = along.shape[2]
    one_head = torch.eye(heads, dtype=along.dtype, device=along.device)[:, None, None, :, None]
    lengths = []
    for start in range(0, heads, at_once):
        some = one_head[start : start + at_once].expand(-1, *along.shape)
        [found] = torch.autograd.grad(along, probe, some, retain_graph=True, is_grads_batched=True)
        lengths.append(found.norm(dim=-1))
    return torch.cat(lengths).T
