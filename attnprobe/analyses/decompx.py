"""Carries DecompX's vectors from layer to layer, see ``attention/decompx``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.written import Written
from attnprobe.attention.contributions import spans
from attnprobe.attention.decompx import attended, fed_forward, share_out, slopes
from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.sublayers import Inner, Norm, Sublayers

INSTEAD = "take --method norms, alti or value_zeroing"


class Decomposition:
    """The vectors D(q,k) of one text, whose sum over k is the hidden state of q.

    Attributes:
        vectors: after the last layer that came; None before the first.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.vectors: Float[Tensor, "query key d"] | None = None

    def norms_after(self, written: Written) -> Float[Tensor, "query key"]:
        """Leads the vectors through the next layer, and computes their norms.

        Raises:
            ModelError: the layer has a part that DecompX is not defined for, or the vectors do not add up.
        """
        layer, inner = written.layer, self._inner_of(written.layer)
        vectors, bias = self._summed(written)
        read = layer.norm or layer.feed_forward_norm  # what the feed-forward sublayer reads the sum through
        y = read(layer.summed) if read else layer.summed
        z = y @ inner.weight_in + (0 if inner.bias_in is None else inner.bias_in)
        slope = slopes(z, inner.activation)
        maps = (inner.weight_in, inner.bias_in, inner.weight_out, inner.bias_out)
        for queries in spans(len(vectors), len(vectors) * inner.weight_in.shape[1]):
            summed = share_out(vectors[queries], bias[queries])
            some = _normed(summed, read, layer.summed[queries])
            fed = fed_forward(some, slope[queries], *maps)
            kept = some if layer.norm else summed
            vectors[queries] = _normed(kept + fed, layer.output_norm, layer.last_sum[queries])
        self.vectors = vectors
        self._check_sum(layer, inner.weight_in.shape[1])
        return torch.sqrt(vectors.square().sum(-1))

    def _inner_of(self, layer: Sublayers) -> Inner:
        """Takes the feed-forward sublayer's two linear maps, if DecompX can go through the layer.

        Raises:
            ModelError: it cannot.
        """
        if layer.feed_forward.inner is None:
            raise ModelError(
                f"{self.encoder.kind}: DecompX is not defined for gated feed-forward layers, or experts", INSTEAD
            )
        if any(head.v.weight is None or head.v.changes for head in layer.parts.heads):
            raise ModelError(
                f"{self.encoder.kind}: more than one linear map makes v, which DecompX does not go through", INSTEAD
            )
        return layer.feed_forward.inner

    def _summed(self, written: Written) -> tuple[Float[Tensor, "query key d"], Float[Tensor, "query d"]]:
        """Leads the vectors through attention and around it, and finds the bias that is to be shared out.

        As in the published code, b_V stays with its token in the first layer, and is shared out in later ones.
        """
        layer, weights = written.layer, written.attn.weights
        output, heads = layer.parts.output, layer.parts.heads
        bias = torch.zeros_like(layer.x)
        if output is not None and output.bias is not None:
            bias += output.bias
        if self.vectors is None:
            vectors = torch.einsum("hqk,hkd->qkd", weights, written.attn.f)
            vectors.diagonal().add_(layer.x.T)
            return vectors, bias
        read = _normed(self.vectors, layer.attention_norm, layer.x)
        value_maps = torch.stack([head.v.weight for head in heads if head.v.weight is not None])
        vectors = attended(read, weights, value_maps, layer.parts.output_weights) + self.vectors
        for head, a in zip(heads, weights, strict=True):
            if head.v.bias is not None and head.output_weight is not None:
                bias += a.sum(-1, keepdim=True) * (head.v.bias @ head.output_weight)
        return vectors, bias

    def _check_sum(self, layer: Sublayers, widest: int) -> None:
        """Compares the sum of the vectors with the hidden state after the layer.

        Raises:
            ModelError: they differ by more than rounding explains.
        """
        assert self.vectors is not None
        difference = float((self.vectors.sum(1) - layer.made).abs().max())
        count = terms(layer.parts.layer + 1, widest, len(self.vectors))
        if not difference <= 4 * rounding(self.encoder.dtype, count) * float(layer.made.abs().max()):
            raise ModelError(
                f"{self.encoder.kind}, layer {layer.parts.layer}: DecompX's vectors add up to the hidden state but for"
                f" {difference:.1e}",
                INSTEAD,
            )


def _normed(
    vectors: Float[Tensor, "query key d"], norm: Norm | None, whole: Float[Tensor, "query d"]
) -> Float[Tensor, "query key d"]:
    """Divides by the σ of the whole, and shares out β; changes nothing where there is no norm."""
    return vectors if norm is None else share_out(norm.turned(vectors) / norm.sizes(whole)[:, None, None], norm.bias)
