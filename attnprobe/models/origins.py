"""Finds the linear map that made q, k or v, and the changes since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from attnprobe.attention.textbook import linear
from attnprobe.errors import ModelError
from attnprobe.models.linear import LINEAR, matrix
from attnprobe.models.recorder import Step

ROTATED = "rotated by its position"


@dataclass(frozen=True)
class Vectors:
    """The q, k or v of one head, by token, in float64.

    Attributes:
        final: (token, d), as they enter the scores, or the weighted sum.
        x: (token, d_in), the input of the linear map; None if the map was not found.
        projected: (token, d), xW + b as the model computed it.
        weight, bias: W (d_in, d) and b (d,), the head's columns of the map; b may be None.
        changes: the steps from ``projected`` to ``final``, in words and in order.
    """

    final: Float[Tensor, "token d"]
    x: Float[Tensor, "token d_in"] | None = None
    projected: Float[Tensor, "token d"] | None = None
    weight: Float[Tensor, "d_in d"] | None = None
    bias: Float[Tensor, " d"] | None = None
    changes: tuple[str, ...] = ()


def origin(vectors: Float[Tensor, "token d"], steps: Sequence[Step], tolerance: float) -> Vectors:
    """Finds the linear map that made these vectors, and the changes since; if there is none, keeps only the vectors."""
    for place, step in reversed(list(enumerate(steps))):
        for given, made in step.by_token:
            for columns in _as_long(made, vectors, tolerance):
                changes = _changes(made[:, columns], vectors, tolerance)
                if changes is None:
                    continue
                if isinstance(step.module, LINEAR):
                    return replace(mapped(step.module, given, made, columns), final=vectors, changes=changes)
                if given.shape != made.shape:
                    continue
                before = origin(given[:, columns], steps[:place], tolerance)  # a norm
                if before.x is not None:
                    return replace(before, final=vectors, changes=(*before.changes, f"after {step.name}", *changes))
    return Vectors(vectors)


def mapped(module: nn.Linear | Conv1D, given: Tensor, made: Tensor, columns: slice) -> Vectors:
    """Takes the vectors in some columns of a linear map's output, with those columns of the map."""
    bias = None if module.bias is None else in_float64(module.bias[columns])
    return Vectors(made[:, columns], given, made[:, columns], in_float64(matrix(module)[:, columns]), bias)


def in_float64(tensor: Tensor) -> Tensor:
    """Copies the numbers to float64 in the main memory."""
    return tensor.double().cpu()


def check_map(vectors: Vectors, name: str, tolerance: float) -> None:
    """Compares xW + b with the model's output, relative to the size of the terms.

    Raises:
        ModelError: the numbers differ.
    """
    if vectors.x is None or vectors.weight is None or vectors.projected is None:
        return
    bias = vectors.bias
    size = linear(vectors.x.abs(), vectors.weight.abs(), None if bias is None else bias.abs())
    difference = (linear(vectors.x, vectors.weight, bias) - vectors.projected).abs()
    if bool((difference > tolerance * size).any()):
        raise ModelError(
            f"{name} differs by {difference.max():.1e} from the layer's input times the weights of its map"
        )


def _changes(
    before: Float[Tensor, "token d"], after: Float[Tensor, "token d"], tolerance: float
) -> tuple[str, ...] | None:
    """Finds the change that all vectors had: none, a factor, or a rotation of pairs of numbers; None: another one."""
    factor = float(after.norm() / before.norm()) if before.any() else 0.0
    scaled = () if abs(factor - 1) < tolerance else (f"times {factor:.4g}",)
    if close(before * factor, after, tolerance):
        return scaled
    kept = zip(_kept_by_rotation(before * factor), _kept_by_rotation(after), strict=True)
    return (*scaled, ROTATED) if any(close(old, new, tolerance) for old, new in kept) else None


def _as_long(made: Float[Tensor, "token d_out"], vectors: Float[Tensor, "token d"], tolerance: float) -> list[slice]:
    """Finds the columns of ``made`` with vectors as long as these, up to one factor, to compare only those."""
    length, d = vectors.shape
    places = made.shape[1] // d
    lengths = made[:, : places * d].reshape(length, places, d).square().sum(2).sqrt()
    expected = vectors.square().sum(1).sqrt()
    factors = (expected.norm() / lengths.norm(dim=0)).nan_to_num(0, 0)
    moved = (lengths * factors - expected[:, None]).abs().amax(0)
    alike = moved <= 2 * d**0.5 * tolerance * expected.max()  # no sum of d close numbers lies further apart
    return [slice(place * d, (place + 1) * d) for place in alike.nonzero()[:, 0].tolist()]


def _kept_by_rotation(vectors: Float[Tensor, "token d"]) -> Iterator[Float[Tensor, "token kept"]]:
    """Computes what a rotary embedding (Su et al. 2021) leaves as it is, for each usual form.

    A rotation keeps the length of each pair of numbers, one from each half or neighbours; some models rotate only the
    first half or quarter of the vector.
    """
    d = vectors.shape[1]
    for turned in (size for size in (d, d // 2, d // 4) if size > 1 and size % 2 == 0):
        first, rest = vectors[:, :turned].contiguous(), vectors[:, turned:]
        yield torch.cat([first.view(-1, 2, turned // 2).norm(dim=1), rest], 1)
        yield torch.cat([first.view(-1, turned // 2, 2).norm(dim=2), rest], 1)


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Tests whether the numbers are equal up to the tolerance times the largest of them."""
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())
