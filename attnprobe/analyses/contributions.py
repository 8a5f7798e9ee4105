"""How much each token of a text counts in each other, layer by layer: the matrices that ``flow`` follows.

To add a measure: one function of a layer, and one row in CONTRIBUTIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.decompx import Decomposition
from attnprobe.analyses.written import Stage, Written
from attnprobe.attention.contributions import alti, value_zeroing
from attnprobe.attention.rounding import rounding
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.sublayers import Sublayers, visit_sublayers
from attnprobe.values.attention import check_kept
from attnprobe.values.tokens import Tokens

Matrix = Float[Tensor, "query key"]
Measure = Callable[[Written], Matrix]  # of one layer after the other


@dataclass(frozen=True)
class Contributions:
    """How much each token counts in each other, in every layer.

    Attributes:
        matrices: (layer, query, key) in float64 for each measure by name.
        outside: (layer,) the mean share of attention that falls on no token of the text.
        has_norms: whether norms follow the sums (post-LN).
        only_heads: whether the output map reads nothing beside the heads.
    """

    matrices: Mapping[str, np.ndarray]
    outside: np.ndarray
    has_norms: bool
    only_heads: bool

    def remarks(self) -> Iterator[str]:
        """Says what is peculiar to the model."""
        if not self.has_norms and {"norms", "alti"} & self.matrices.keys():
            yield "norms stand before the sums here (pre-LN): what is measured of attention is the sum, without a norm"
        if not self.only_heads:
            yield "what is added to attention beside its heads is in no token's share"
        if self.outside.any():
            low, high = (f"{100 * share:.1f} %" for share in (self.outside.min(), self.outside.max()))
            shares = low if low == high else f"{low} to {high}"
            yield f"of a layer's attention, {shares} falls on no token of the text, and writes nothing"


def norms_of(written: Written) -> Matrix:
    """Computes the norms of what is written after the norm of the sum, or where there is none, of the sum."""
    return last_of_attention(written).norms


def globenc_of(encoder: Encoder, written: Written) -> Matrix:
    """Computes the norms of what is written after the feed-forward layer's norm.

    Raises:
        ModelError: there is no such norm.
    """
    if written.res_out is None:
        raise ModelError(
            f"{encoder.kind}: GlobEnc is defined for layers with norms after their sums (post-LN)",
            "norms is the same measure without them: --method norms, or -k norms",
        )
    return written.res_out.norms


def alti_of(written: Written) -> Matrix:
    """Computes ALTI's contributions to the sum of attention and residual, after its norm if there is one."""
    stage = last_of_attention(written)
    assert stage.x is not None
    y = written.layer.norm(written.layer.summed) if written.layer.norm else written.layer.summed
    return alti(stage.weights, stage.f, stage.x, y)


def value_zeroing_of(written: Written) -> Matrix:
    """Computes how far the layer's output turns without a token's value."""
    return value_zeroing(written.attn.weights, written.attn.f, written.layer.summed, written.layer.tail)


def last_of_attention(written: Written) -> Stage:
    """Chooses the point after the norm of the sum, or where there is none, the sum."""
    return written.attn_res_ln or written.attn_res


CONTRIBUTIONS: Mapping[str, Callable[[Encoder], Measure]] = {
    "norms": lambda encoder: norms_of,
    "globenc": lambda encoder: partial(globenc_of, encoder),
    "alti": lambda encoder: alti_of,
    "value_zeroing": lambda encoder: value_zeroing_of,
    "decompx": lambda encoder: Decomposition(encoder).norms_after,
}


def contributions(
    encoder: Encoder, text: Tokens, names: Sequence[str], visit: Callable[[Written], None] | None = None
) -> Contributions:
    """Measures a text once, layer by layer.

    Args:
        names: of CONTRIBUTIONS.
        visit: called with each layer, too.

    Raises:
        ModelError: the layers have other parts than are known, or lack one that a measure needs.
        UsageError: the text is so long that the weights of a layer's heads, or the matrices, would not fit.
    """
    check_kept(encoder.heads, "heads", len(text))
    check_kept(encoder.layers, "layers", len(text))
    measures = {name: CONTRIBUTIONS[name](encoder) for name in names}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    outside, have_norms, only_heads = [], [], []

    def measure_layer(layer: Sublayers) -> None:
        written = Written(layer)
        if visit:
            visit(written)
        for name, measure in measures.items():
            found[name].append(measure(written).numpy())
        have_norms.append(layer.norm is not None)
        only_heads.append(_reads_only_heads(layer))
        given = layer.parts.weights.sum(-1)
        missing = (1 - given).where(given > 0, 0)  # a head that is off gives nothing
        outside.append(float(missing.mean()) if missing.max() > rounding(encoder.dtype, len(text)) else 0.0)

    visit_sublayers(encoder, text, range(encoder.layers), measure_layer)
    matrices = {name: np.stack(of) for name, of in found.items()}
    return Contributions(matrices, np.array(outside), all(have_norms), all(only_heads))


def _reads_only_heads(layer: Sublayers) -> bool:
    """Tests whether the output map reads nothing beside the heads, as ConvBERT's reads a convolution."""
    heads, _, d_v = layer.parts.values.shape
    return layer.parts.output is not None and layer.parts.output.x.shape[1] == heads * d_v
