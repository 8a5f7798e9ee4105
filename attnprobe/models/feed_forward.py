"""A layer's feed-forward sublayer in float64: any vectors in, the sublayer's output without residual and norm."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.attention.textbook import linear
from attnprobe.models.origins import close

KNOWN: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": nn.functional.gelu,
    "relu": nn.functional.relu,
    "gelu_tanh": lambda z: nn.functional.gelu(z, approximate="tanh"),
    "silu": nn.functional.silu,
    "quick_gelu": lambda z: z * torch.sigmoid(1.702 * z),
    "relu2": lambda z: nn.functional.relu(z).square(),
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Inner:
    """A feed-forward sublayer of two linear maps with a function of each number between them.

    Attributes:
        weight_in, bias_in: (d, d_ff) and (d_ff,); the bias may be None.
        activation: the function.
        name: one of ``KNOWN``, or the name of the model's own class.
        weight_out, bias_out: (d_ff, d) and (d,); the bias may be None.
    """

    weight_in: Float[Tensor, "d d_ff"]
    bias_in: Float[Tensor, " d_ff"] | None
    activation: Callable[[Tensor], Tensor]
    name: str
    weight_out: Float[Tensor, "d_ff d"]
    bias_out: Float[Tensor, " d"] | None

    def __call__(self, vectors: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        """Computes the sublayer's output."""
        inside = self.activation(linear(vectors, self.weight_in, self.bias_in))
        return linear(inside, self.weight_out, self.bias_out)


@dataclass(frozen=True)
class FeedForward:
    """A feed-forward sublayer: its own map, in float64, without residual and norm.

    Attributes:
        module: the model's module that computes it; None if there is none of its own.
        inner: the two linear maps and the function between them; None if it is gated, or has experts.
    """

    module: nn.Module | None
    inner: Inner | None

    def __call__(self, vectors: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        """Computes the sublayer's output."""
        if self.inner is not None:
            return self.inner(vectors)
        together = vectors.reshape(-1, *vectors.shape[-2:]) if vectors.ndim > 1 else vectors[None, None]
        with torch.no_grad():
            return first_tensor(self._apart(together)).reshape(vectors.shape)

    @cached_property
    def _apart(self) -> nn.Module:
        assert self.module is not None
        return apart(self.module)


def first_tensor(output: object) -> Tensor:
    """Returns the output of a module that returns one tensor, or several."""
    return output if isinstance(output, Tensor) else output[0]  # type: ignore[index]


def apart(module: nn.Module) -> nn.Module:
    """Copies a module to float64 in the main memory, without the hooks of the model's present run."""
    copied = copy.deepcopy(module).double().cpu()
    for part in copied.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._forward_hooks_with_kwargs):
            hooks.clear()
    return copied


def name_of(activation: nn.Module, given: Tensor, made: Tensor, tolerance: float) -> str:
    """Names the function of a module by its numbers; one that is not known by its class."""
    for name, function in KNOWN.items():
        if close(function(given), made, tolerance):
            return name
    return type(activation).__name__
