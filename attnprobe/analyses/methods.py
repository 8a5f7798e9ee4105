"""The ways to follow tokens through the layers: what each takes of a layer, and how layers are joined.

To add one: one Method and one row in METHODS; a measure of layers beside it is a row of ``contributions.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.maxflow import bounds, maximum_flows
from attnprobe.analyses.rollout import rollout, rollout_rows, shares_of_rows, with_residual

if TYPE_CHECKING:
    from attnprobe.measure.fused import Fused
    from attnprobe.models.encoder import Encoder
    from attnprobe.values.tokens import Tokens

LIMIT = "no flow is larger than 1, or than the column sum of its key in layer 0 (attention and residual)"
PASSES_ON = "A share is what attention passes on, not what the model uses of it."
CLOSE = 1e-7  # flows are whole multiples of 1e-9, and sums of them


@dataclass(frozen=True)
class Layers:
    """What is followed through the layers.

    Attributes:
        matrices: (query, key) of each layer.
        signed: what they depend on, for the signature.
        remarks: what a reader should know of them.
    """

    matrices: Sequence[np.ndarray]
    signed: Mapping[str, object] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def _nothing(followed: np.ndarray, layers: Layers) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to follow tokens through the layers.

    Attributes:
        measure: called with an encoder, the tokens and the ``options`` by name but ``max_tokens``.
        join: called with the matrices of the layers, the rows that are asked for and whether after each layer, not the
            last only; returns (layer, row, key).
        options: those that not every method heeds, and this one does.
        number: the column of numbers before each row is divided by its sum, with --raw if that is an option; empty:
            rows are not divided.
        remark: called with what was joined and the layers; says what a reader must know of it.
        note: what a share is, for a terminal.
        costly: why a text may be too long, and what to do then.
        means: the columns of the table by layer: name -> meaning.
    """

    measure: Callable[..., Layers]
    join: Callable[[Sequence[np.ndarray], np.ndarray, bool], np.ndarray]
    options: Sequence[str] = ()
    number: str = ""
    remark: Callable[[np.ndarray, Layers], Iterator[str]] = _nothing
    note: str
    costly: tuple[str, str] = ("", "")
    means: Mapping[str, str] = field(default_factory=dict)


def fused(encoder: Encoder, text: Tokens, *, heads: Any, fusion: str, residual: float) -> Layers:
    """Takes of each layer its fused heads and the residual connection."""
    from attnprobe.measure.fused import FusedHeads, fuse_heads

    chosen = FusedHeads.choose(encoder, heads, fusion)
    found = fuse_heads(text, encoder, chosen)
    matrices = [with_residual(matrix, residual) for matrix in found.matrices]
    return Layers(matrices, chosen.signed(), list(_outside(found)))


def _outside(fused: Fused) -> Iterator[str]:
    """Says how much attention falls on no token of the text."""
    if fused.outside.any():
        low, high = (f"{100 * share:.1f} %" for share in (fused.outside.min(), fused.outside.max()))
        yield (
            f"of a layer's attention, {low if low == high else f'{low} to {high}'} falls on no token of the text, "
            "and is left out: rows were made to sum to 1 before layers were joined"
        )


def contributed(name: str, encoder: Encoder, text: Tokens, *, raw: bool = False) -> Layers:
    """Takes of each layer how much each token counts in each other, rows divided by their sum unless ``raw``."""
    from attnprobe.analyses.contributions import contributions

    found = contributions(encoder, text, [name])
    matrices, remarks = found.matrices[name], list(found.remarks())
    shares = matrices if raw else shares_of_rows(matrices)
    if empty := int((shares.sum(-1) == 0).sum()):
        remarks.append(f"{empty} rows of layers have no contribution from any token, and pass nothing on")
    return Layers(list(shares), {}, remarks)


def roll(matrices: Sequence[np.ndarray], rows: np.ndarray, all_layers: bool) -> np.ndarray:
    """Computes rows of the rollout after each layer or the last one, (layer, row, key)."""
    if not all_layers:
        return rollout_rows(matrices, rows)[None]
    if len(rows) == len(matrices[0]):
        return np.stack(list(rollout(matrices)))
    return np.stack([rollout_rows(matrices[: layer + 1], rows) for layer in range(len(matrices))])


def flow(matrices: Sequence[np.ndarray], rows: np.ndarray, all_layers: bool) -> np.ndarray:
    """Computes maximum flows after each layer or the last one, (layer, row, key)."""
    depths = range(1, len(matrices) + 1) if all_layers else [len(matrices)]
    return np.array([[maximum_flows(matrices[:depth], row) for row in rows] for depth in depths])


def pick(matrices: Sequence[np.ndarray], rows: np.ndarray, all_layers: bool) -> np.ndarray:
    """Takes rows after each layer or the last one, (layer, row, key), of what was led through all layers."""
    return np.stack([matrix[rows] for matrix in (matrices if all_layers else matrices[-1:])])


def limit(followed: np.ndarray, layers: Layers) -> Iterator[str]:
    """Says how many of the flows from the last layer, (row, key), are as large as layer 0 allows."""
    flows = followed[-1]
    met = int((np.abs(flows - bounds(layers.matrices[0])) < CLOSE).sum())
    yield f"{LIMIT}; {met} of these {flows.size} flows are just that, whatever the layers above do"


STAGES = {
    "attn": "what attention writes",
    "attn_res": "that and the residual connection",
    "attn_res_ln": "that after the norm, empty if there is none (pre-LN)",
    "res_out": "that after the feed-forward layer's norm, likewise",
}
NORMS = {
    "value_norm": "mean norm of v·W_O over heads and keys",
    "weighted_norm": "the same times the weight, over heads, queries and keys",
    **{name: f"mean norm of {meaning}" for name, meaning in STAGES.items()},
    **{f"mixing_{name}": f"of other tokens, the mean share in {name}" for name in STAGES},
}
SELF = {"self_share": "mean share that a token has in itself, through this layer alone"}

METHODS: Mapping[str, Method] = {
    "rollout": Method(measure=fused, join=roll, options=("heads", "fusion", "residual"), note=PASSES_ON),
    "flow": Method(
        measure=fused,
        join=flow,
        options=("heads", "fusion", "residual", "max_tokens"),
        number="flow",
        remark=limit,
        note=PASSES_ON,
        costly=(
            "maximum flows are computed",
            "take --method rollout, cut the text with --max-length, or raise --max-tokens: it takes seconds a query",
        ),
    ),
    "norms": Method(
        measure=partial(contributed, "norms"),
        join=roll,
        note="A share counts the length of what tokens write, residual included; feed-forward layers are left out.",
        means=NORMS,
    ),
    "globenc": Method(
        measure=partial(contributed, "globenc"),
        join=roll,
        options=("raw",),
        number="norm",
        note="A share counts the length of what tokens write, residuals and both norms included; feed-forward layers "
        "are left out.",
        means=NORMS,
    ),
    "alti": Method(
        measure=partial(contributed, "alti"),
        join=roll,
        note="A share counts how near a token brings the sum of attention and residual; feed-forward layers are left "
        "out.",
        means=SELF,
    ),
    "value_zeroing": Method(
        measure=partial(contributed, "value_zeroing"),
        join=roll,
        note="A share counts how far the layer's output turns without a token's value; what the residual connection "
        "carries is in none.",
        means=SELF,
    ),
    "decompx": Method(
        measure=partial(contributed, "decompx", raw=True),
        join=pick,
        options=("max_tokens",),
        number="norm",
        note="A share counts the length of a token's vector; the vectors of all add up to the hidden state.",
        costly=(
            "DecompX, which holds a vector for each two tokens, is computed",
            "take --method globenc, cut the text with --max-length, or raise --max-tokens if the memory is there",
        ),
        means={
            "norm": "mean length of the vectors, after this layer and all before",
            "self_share": "mean share that a token has in itself, likewise",
        },
    ),
}
