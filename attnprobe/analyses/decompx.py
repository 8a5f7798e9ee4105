"""Carries DecompX's vectors from layer to layer, see ``attention/decompx``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.written import Written
from attnprobe.attention.contributions import spans
from attnprobe.attention.decompx import attended, fed_forward, share_out, slopes
from attnprobe.errors import ModelError
from attnprobe.models.feed_forward import Inner
from attnprobe.models.norms import Norm

INSTEAD = "take --method globenc, alti or value_zeroing"


class Decomposition:
    """The vectors D(q,k) of one text, whose sum over k is the hidden state of q.

    Attributes:
        vectors: after the last layer that came; None before the first.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.vectors: Float[Tensor, "query key d"] | None = None

    def norms_after(self, written: Written) -> Float[Tensor, "query key"]:
        """Leads the vectors through the next layer, and computes their norms.

        Raises:
            ModelError: the layer has a part that DecompX is not defined for.
        """
        layer = written.layer
        norm, inner, output_norm = self._parts_of(written)
        vectors, bias = self._summed(written)
        y = norm(written.whole)
        z = y @ inner.weight_in + (0 if inner.bias_in is None else inner.bias_in)
        slope, out = slopes(z, inner.activation), y + inner(y)
        for queries in spans(len(vectors), len(vectors), inner.weight_in.shape[1]):
            some = share_out(vectors[queries], bias[queries])
            some = _normed(some, norm, written.whole[queries])
            fed = fed_forward(
                some, slope[queries], inner.weight_in, inner.bias_in, inner.weight_out, inner.bias_out
            )
            vectors[queries] = _normed(some + fed, output_norm, out[queries])
        self.vectors = vectors
        return vectors.norm(dim=-1)

    def _parts_of(self, written: Written) -> tuple[Norm, Inner, Norm]:
        """Takes the parts that the vectors go through.

        Raises:
            ModelError: one is missing.
        """
        layer = written.layer
        if layer.norm is None or layer.output_norm is None:
            raise ModelError(f"{self.kind}: DecompX is defined for layers with norms after their sums (post-LN)", INSTEAD)
        if layer.feed_forward is None or layer.feed_forward.inner is None:
            raise ModelError(f"{self.kind}: DecompX is not defined for gated feed-forward layers", INSTEAD)
        if any(head.v.weight is None or head.v.changes for head in layer.parts.heads):
            raise ModelError(f"{self.kind}: something else than a linear map makes v", INSTEAD)
        return layer.norm, layer.feed_forward.inner, layer.output_norm

    def _summed(self, written: Written) -> tuple[Float[Tensor, "query key d"], Float[Tensor, "query d"]]:
        """Leads the vectors through attention and around it, and finds the bias that is to be shared out.

        As in the published code, b_V stays with its token in the first layer, and is shared out in later ones.
        """
        layer, (weights, f) = written.layer, (written.attn.weights, written.attn.f)
        output, heads = layer.parts.output, layer.parts.heads
        bias = torch.zeros_like(layer.x)
        if output is not None and output.bias is not None:
            bias += output.bias
        if self.vectors is None:
            vectors = torch.einsum("hqk,hkd->qkd", weights, f)
            vectors.diagonal().add_(layer.x.T)
            return vectors, bias
        value_maps = torch.stack([head.v.weight for head in heads if head.v.weight is not None])
        vectors = attended(self.vectors, weights, value_maps, layer.parts.output_weights)
        vectors += self.vectors
        for head, a in zip(heads, weights, strict=True):
            if head.v.bias is not None and head.output_weight is not None:
                bias += a.sum(-1, keepdim=True) * (head.v.bias @ head.output_weight)
        return vectors, bias


def _normed(
    vectors: Float[Tensor, "query key d"], norm: Norm, whole: Float[Tensor, "query d"]
) -> Float[Tensor, "query key d"]:
    """Divides by the σ of the whole, and shares out β."""
    return share_out(norm.turned(vectors) / norm.sizes(whole)[:, None, None], norm.bias)
