"""A layer normalization in float64, and how the numbers of a module that ran tell which one it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.attention.rounding import rounding
from attnprobe.models.origins import sample
from attnprobe.models.recorder import Ran, in_float64

USUAL = (1e-5, 1e-6, 1e-12, torch.finfo(torch.float32).eps)  # ε of a module that does not hold it


@dataclass(frozen=True)
class Norm:
    """A LayerNorm or RMSNorm of vectors, in float64.

    Attributes:
        weight: (d,) γ, as it is multiplied: of Gemma's norms 1 + the model's number.
        bias: (d,) β; None if there is none.
        eps: what is added to the variance, or to the mean of squares.
        centred: whether the mean is subtracted, as by LayerNorm; RMSNorm does not.
    """

    weight: Float[Tensor, " d"]
    bias: Float[Tensor, " d"] | None
    eps: float
    centred: bool

    def sizes(self, whole: Float[Tensor, "*token d"]) -> Float[Tensor, "*token"]:
        """Computes σ, by which each whole vector is divided: √(variance + ε), or √(mean of squares + ε)."""
        return (self._moved(whole).square().mean(-1) + self.eps).sqrt()

    def turned(self, vectors: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        """Computes γ⊙(v − mean v), or γ⊙v: the linear part, before the division by σ and without β."""
        return self.weight * self._moved(vectors)

    def __call__(self, vectors: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        """Normalizes the vectors."""
        moved = self._moved(vectors)
        made = self.weight * moved / (moved.square().mean(-1, keepdim=True) + self.eps).sqrt()
        return made if self.bias is None else made + self.bias

    def _moved(self, vectors: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        return vectors - vectors.mean(-1, keepdim=True) if self.centred else vectors


def norm_of(ran: Ran, dtype: torch.dtype) -> Norm | None:
    """Finds the norm that a module computes, by a few tokens that it was given and made; None if it is none.

    Args:
        dtype: the model's.
    """
    if ran.given.shape != ran.made.shape or any(
        vector.shape != ran.given.shape[1:] for vector in ran.module.parameters()
    ):
        return None
    given, made = in_float64(sample(ran.given)), in_float64(sample(ran.made))
    best = min(_norms(ran.module, given.shape[1]), key=lambda norm: _error(norm, given, made), default=None)
    return best if best and _error(best, given, made) <= rounding(dtype, given.shape[1]) else None


def _error(norm: Norm, given: Float[Tensor, "token d"], made: Float[Tensor, "token d"]) -> float:
    """Finds the largest difference from what the norm makes, relative to the size of what is added up."""
    size = norm.weight.abs() * 2 * given.abs().amax(1, keepdim=True) / norm.sizes(given)[:, None]
    size = size if norm.bias is None else size + norm.bias.abs()
    return float(((norm(given) - made).abs() / size).nan_to_num(0).max())


def _norms(module: nn.Module, d: int) -> Iterator[Norm]:
    """Yields the norms that the module's numbers may mean."""
    vectors = [in_float64(parameter) for parameter in module.parameters()]
    numbers = [value for value in vars(module).values() if isinstance(value, float) and 0 <= value < 0.1]
    pairs = list(permutations(vectors)) if len(vectors) < 3 else []
    for (weight, bias), eps, centred in product(
        [_pair(vectors, d) for vectors in pairs], numbers or USUAL, (True, False)
    ):
        yield Norm(weight, bias, eps, centred)
        yield Norm(1 + weight, bias, eps, centred)


def _pair(vectors: tuple[Tensor, ...], d: int) -> tuple[Tensor, Tensor | None]:
    weight = vectors[0] if vectors else torch.ones(d, dtype=torch.float64)
    return weight, vectors[1] if len(vectors) > 1 else None
