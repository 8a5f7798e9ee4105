"""The numbers that the heads of a layer compute with, checked against the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnprobe.attention.blocks import BLOCK_ELEMENTS, exact
from attnprobe.attention.rounding import rounding_of_weights
from attnprobe.attention.textbook import attention_scores, mask_scores, softmax
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.origins import Vectors, check_map, sample
from attnprobe.models.switching import evenly
from attnprobe.values.switches import Off


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
        return recomputed([self])[0]

    def of_queries(self, queries: slice) -> HeadParts:
        """Keeps what some queries need."""
        return replace(
            self,
            q=Vectors(self.q.final[queries]),
            weights=self.weights[queries],
            terms={name: term[queries] for name, term in self.terms.items()},
            allowed=None if self.allowed is None else self.allowed[queries],
        )

    def difference(self) -> float:
        """Finds the largest difference between these and the captured weights."""
        return float((self.recomputed() - self.weights).abs().max())


def recomputed(heads: Sequence[HeadParts], dtype: torch.dtype = torch.float64) -> Float[Tensor, "head query key"]:
    """Computes the weights of heads of one layer from q, k and the terms added to their products."""
    first = heads[0]
    queries, keys = (torch.stack([getattr(head, name).final for head in heads]).to(dtype) for name in "qk")
    scores = attention_scores(queries, keys, first.scale)
    if first.softcap is not None:
        scores = first.softcap * torch.tanh(scores / first.softcap)
    for name in first.terms:
        scores += torch.stack([head.terms[name] for head in heads])
    masks = [head.allowed for head in heads if head.allowed is not None]
    if masks:
        scores = mask_scores(scores, torch.stack(masks))
    sinks = scores.new_tensor([[] if head.sink is None else [head.sink] for head in heads])
    columns = sinks[:, None].expand(-1, scores.shape[1], -1)
    return softmax(torch.cat([scores, columns], 2) if first.sink is not None else scores)[..., : scores.shape[2]]


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
        weights: those of all heads, as captured.
        output: the map that reads the heads' outputs; None if it does not read them directly.
    """

    layer: int
    heads: tuple[HeadParts, ...]
    weights: Float[Tensor, "head query key"]
    output: OutputMap | None

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

    def with_heads_off(self, off: Off) -> LayerParts:
        """Gives heads the weights by which they write what they do when they are off."""
        weights = self.weights.clone()
        for head, parts in enumerate(self.heads):
            if (self.layer, head) in off.zero:
                weights[head] = 0
            elif (self.layer, head) in off.mean:
                weights[head] = weights[head].mean(0)
            elif (self.layer, head) in off.uniform:
                weights[head] = evenly(weights[head], parts.allowed)
        return self._with_weights(weights)

    def _with_weights(self, weights: Float[Tensor, "head query key"]) -> LayerParts:
        heads = tuple(replace(head, weights=some) for head, some in zip(self.heads, weights, strict=True))
        if self.output is None:
            return replace(self, heads=heads, weights=weights)
        x, contexts = self.output.x.clone(), weights @ self.values
        change = ((contexts - self.weights @ self.values) @ self.output_weights).sum(0)
        x[:, : contexts.shape[0] * contexts.shape[2]] = contexts.transpose(0, 1).flatten(1)
        output = replace(self.output, x=x, made=self.output.made + change)
        return replace(self, heads=heads, weights=weights, output=output)


def check_parts(parts: LayerParts, encoder: Encoder, tolerance: float, queries: slice) -> None:
    """Compares the numbers found with the model's.

    Args:
        queries: those whose weights are recomputed.
        tolerance: what rounding explains of a sum, relative to the size of the terms.

    Raises:
        ModelError: the numbers differ by more than rounding explains.
    """
    for name in "qkv":
        check_map([getattr(head, name) for head in parts.heads], name, tolerance)
    heads = [head.of_queries(queries) for head in parts.heads]
    at_once = max(1, BLOCK_ELEMENTS // heads[0].weights.numel())
    for start in range(0, len(heads), at_once):
        _check_weights(parts.layer, heads[start : start + at_once], encoder.dtype)
    if parts.output and len(parts.heads) == encoder.heads:
        check_output(parts.layer, parts.weights, parts.values, parts.output_weights, parts.output, tolerance)


def _check_weights(layer: int, heads: Sequence[HeadParts], dtype: torch.dtype) -> None:
    """Compares the weights recomputed from q and k, in the precision of the model, with those it used.

    Raises:
        ModelError: the numbers differ.
    """
    differences = (recomputed(heads, exact(dtype)) - torch.stack([head.weights for head in heads])).abs().amax((1, 2))
    queries, keys = (torch.stack([getattr(head, name).final for head in heads]).to(exact(dtype)) for name in "qk")
    beyond = ~(differences <= rounding_of_weights(dtype, queries, keys, heads[0].scale))
    if beyond.any():
        raise ModelError(
            f"layer {layer}: the weights recomputed from q and k differ from those the model used by"
            f" {float(differences[beyond].max()):.1e}",
            "--dtype float64 computes more exactly",
        )


def check_output(
    layer: int,
    weights: Float[Tensor, "head query key"],
    values: Float[Tensor, "head key d_v"],
    rows: Float[Tensor, "head d_v d_out"],
    output: OutputMap,
    tolerance: float,
) -> None:
    """Compares Σ over heads of a·v·W_O, with the rest of the input and b_O, with a few tokens' output of the map.

    Raises:
        ModelError: the numbers differ.
    """
    weights, x = sample(weights.movedim(0, 1)).movedim(1, 0), sample(output.x)
    width = len(values) * values.shape[2]
    total = torch.einsum("hqd,hdo->qo", weights @ values, rows) + x[:, width:] @ output.weight[width:]
    size = torch.einsum("hqd,hdo->qo", weights @ values.abs(), rows.abs())
    size += x[:, width:].abs() @ output.weight[width:].abs()
    if output.bias is not None:
        total, size = total + output.bias, size + output.bias.abs()
    difference = (total - sample(output.made)).abs()
    if bool((difference > tolerance * size).any()):
        raise ModelError(
            f"layer {layer}: the heads' outputs times W_O differ from the attention's output by {difference.max():.1e}",
            "--dtype float64 computes more exactly",
        )
