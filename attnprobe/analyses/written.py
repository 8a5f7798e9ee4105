"""What tokens write into each other in one layer, at each point of it, see ``attention/contributions``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from attnprobe.attention import contributions
from attnprobe.attention.contributions import written_by_heads
from attnprobe.models.sublayers import Norm, Sublayers


@dataclass(frozen=True)
class Stage:
    """One point of a layer, where q has t(q,k) = Σ_h a[h,q,k]·f_h(k) + [q=k]·x(q) of k.

    Attributes:
        weights: a, divided by the σ(q) of the norms before.
        values: v.
        maps: W_O, which leads to f after these norms, without that division: they turn a sum as they turn its parts.
        x: after these norms; None before the residual connection.
    """

    weights: Float[Tensor, "head query key"]
    values: Float[Tensor, "head key d_v"]
    maps: Float[Tensor, "head d_v d"]
    x: Float[Tensor, "query d"] | None = None

    def after(self, norm: Norm, whole: Float[Tensor, "query d"]) -> Stage:
        """Goes through a norm that is given the whole vectors; β belongs to no token."""
        sizes = norm.sizes(whole)[:, None]
        x = None if self.x is None else norm.turned(self.x) / sizes
        return Stage(self.weights / sizes, self.values, norm.turned(self.maps), x)

    @cached_property
    def f(self) -> Float[Tensor, "head key d"]:
        """The vectors that weights scale."""
        return written_by_heads(self.values, self.maps)

    @property
    def norms(self) -> Float[Tensor, "query key"]:
        """The norms ‖t(q,k)‖."""
        return contributions.norms(self.weights, self.f, self.x)

    @property
    def mixing_ratio(self) -> float:
        """The mean over queries of what comes from other tokens."""
        return float(contributions.mixing_ratios(self.weights, self.f, self.x).mean())


@dataclass(frozen=True)
class Written:
    """One layer of a text, and its stages by name; None where its family has no such point."""

    layer: Sublayers

    @cached_property
    def attn(self) -> Stage:
        """What attention writes."""
        parts = self.layer.parts
        return Stage(parts.weights, parts.values, parts.output_weights)

    @cached_property
    def attn_res(self) -> Stage:
        """With what the residual connection keeps."""
        return replace(self.attn, x=self.layer.x)

    @cached_property
    def attn_res_ln(self) -> Stage | None:
        """After the norm that follows the sum."""
        return self.attn_res.after(self.layer.norm, self.layer.summed) if self.layer.norm else None

    @cached_property
    def res_out(self) -> Stage | None:
        """After the norm that follows the feed-forward layer, of which only the residual connection counts."""
        if self.attn_res_ln is None or self.layer.output_norm is None:
            return None
        return self.attn_res_ln.after(self.layer.output_norm, self.layer.last_sum)
