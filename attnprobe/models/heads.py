"""The numbers that the heads of a layer compute with, checked against the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnprobe.attention.rounding import rounding_of_weights
from attnprobe.attention.textbook import attention_scores, mask_scores, softmax
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.origins import Vectors, check_map


@dataclass(frozen=True)
class HeadParts:
    """The numbers that one head computes its attention from, for one text.

    Attributes:
        scale: the factor of q·k.
        weights: (query, key), as captured.
        softcap: c of c·tanh(score / c); None if scores are not capped.
        terms: the terms added to the scaled scores, by name, each (query, key).
        allowed: True where a query may see a key; None: everywhere.
        sink: one more score in each row; None if there is none.
        output_weight: (d_v, d_out), the rows of W_O that read this head; None if they were not found.
    """

    q: Vectors
    k: Vectors
    v: Vectors
    scale: float
    weights: Float[Tensor, "query key"]
    softcap: float | None = None
    terms: Mapping[str, Float[Tensor, "query key"]] = field(default_factory=dict)
    allowed: Bool[Tensor, "query key"] | None = None
    sink: float | None = None
    output_weight: Float[Tensor, "d_v d_out"] | None = None

    def recomputed(self) -> Float[Tensor, "query key"]:
        """Computes the weights from q, k and the terms added to their products."""
        scores = attention_scores(self.q.final, self.k.final, self.scale)
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        scores = scores + sum(self.terms.values())
        if self.allowed is not None:
            scores = mask_scores(scores, self.allowed)
        sinks = scores.new_tensor([] if self.sink is None else [self.sink]).expand(len(scores), -1)
        return softmax(torch.cat([scores, sinks], 1))[:, : scores.shape[1]]

    def difference(self) -> float:
        """Finds the largest difference between these and the captured weights."""
        return float((self.recomputed() - self.weights).abs().max())


@dataclass(frozen=True)
class OutputMap:
    """The linear map that reads the heads' outputs side by side.

    Attributes:
        x: (token, d_in), the input: the heads' outputs, and in some models more after them.
        weight: (d_in, d_out) W_O.
        bias: (d_out,) b_O; None if there is none.
        made: (token, d_out), the output as the model computed it.
        module: the module of the model.
    """

    x: Float[Tensor, "token d_in"]
    weight: Float[Tensor, "d_in d_out"]
    bias: Float[Tensor, " d_out"] | None
    made: Float[Tensor, "token d_out"]
    module: nn.Module

    def beside(self, width: int) -> Float[Tensor, "token d_out"]:
        """Computes what the map adds from the input after the heads of this width, without b_O."""
        return self.x[:, width:] @ self.weight[width:]


@dataclass(frozen=True)
class LayerParts:
    """The numbers that the heads of one layer compute attention from, for one text, in float64.

    Attributes:
        layer: counted from 0.
        heads: each head's q, k, v, scores, weights and rows of W_O.
        output: the map that reads the heads' outputs; None if it does not read them directly.
    """

    layer: int
    heads: tuple[HeadParts, ...]
    output: OutputMap | None

    @property
    def weights(self) -> Float[Tensor, "head query key"]:
        """The weights as captured."""
        return torch.stack([head.weights for head in self.heads])

    @property
    def values(self) -> Float[Tensor, "head key d_v"]:
        """The values as they are summed up, b_V included."""
        return torch.stack([head.v.final for head in self.heads])

    @property
    def output_weights(self) -> Float[Tensor, "head d_v d_out"]:
        """The rows of W_O that read each head."""
        return torch.stack([head.output_weight for head in self.heads if head.output_weight is not None])

    @property
    def x(self) -> Float[Tensor, "token d_in"] | None:
        """The input of the map that makes v, after any norm; None if the map was not found."""
        return self.heads[0].v.x


def check_parts(parts: LayerParts, encoder: Encoder, tolerance: float) -> None:
    """Compares the numbers found with the model's.

    Args:
        tolerance: what rounding explains of a sum, relative to the size of the terms.

    Raises:
        ModelError: the numbers differ by more than rounding explains.
    """
    for head in parts.heads:
        for name, vectors in {"q": head.q, "k": head.k, "v": head.v}.items():
            check_map(vectors, name, tolerance)
        difference = head.difference()
        if not difference <= rounding_of_weights(encoder.dtype, head.q.final, head.k.final, head.scale):
            raise ModelError(
                f"layer {parts.layer}: the weights recomputed from q and k differ from those the model used by"
                f" {difference:.1e}",
                "--dtype float64 computes more exactly",
            )
    if parts.output and len(parts.heads) == encoder.heads:
        check_output(parts.layer, parts.weights, parts.values, parts.output_weights, parts.output, tolerance)


def check_output(
    layer: int,
    weights: Float[Tensor, "head query key"],
    values: Float[Tensor, "head key d_v"],
    rows: Float[Tensor, "head d_v d_out"],
    output: OutputMap,
    tolerance: float,
) -> None:
    """Compares Σ over heads of a·v·W_O, with the rest of the input and b_O, with the output of the map.

    Raises:
        ModelError: the numbers differ.
    """
    width = len(values) * values.shape[2]
    total = torch.einsum("hqd,hdo->qo", weights @ values, rows) + output.beside(width)
    size = torch.einsum("hqd,hdo->qo", weights @ values.abs(), rows.abs())
    size += output.x[:, width:].abs() @ output.weight[width:].abs()
    if output.bias is not None:
        total, size = total + output.bias, size + output.bias.abs()
    difference = (total - output.made).abs()
    if bool((difference > tolerance * size).any()):
        raise ModelError(
            f"layer {layer}: the heads' outputs times W_O differ from the attention's output by {difference.max():.1e}",
            "--dtype float64 computes more exactly",
        )
