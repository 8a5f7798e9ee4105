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
from attnprobe.models.recorder import Step

LINEAR = (nn.Linear, Conv1D)
ROTATED = "rotated by its position"
SAMPLED = 8  # tokens of which a linear map is recomputed


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


def origins(vectors: Float[Tensor, "head token d"], steps: Sequence[Step], tolerance: float) -> list[Vectors]:
    """Finds the linear map that made each head's vectors, and the changes since; if there is none, only the vectors.

    Where heads lie side by side in one output, all are found with the first; else each is searched for.
    """
    for found in _origins(vectors, steps, tolerance):
        return found
    if len(vectors) == 1:
        return [Vectors(vectors[0])]
    return [origins(vectors[[head]], steps, tolerance)[0] for head in range(len(vectors))]


def _origins(
    vectors: Float[Tensor, "head token d"], steps: Sequence[Step], tolerance: float
) -> Iterator[list[Vectors]]:
    """Yields what made the vectors of heads that lie side by side."""
    heads, _, d = vectors.shape
    for place, step in reversed(list(enumerate(steps))):
        for given, made in step.by_token:
            for first in _as_long(made, vectors[0], tolerance):
                span = slice(first, first + heads * d)
                if span.stop > made.shape[1]:
                    continue
                changes = _changes(split(made[:, span], d), vectors, tolerance)
                if changes is None:
                    continue
                if isinstance(step.module, LINEAR):
                    whole = mapped(step.module, given, made, span)
                    yield [
                        replace(head, final=final, changes=changes)
                        for head, final in zip(by_head(whole, d), vectors, strict=True)
                    ]
                elif given.shape == made.shape:  # a norm
                    for before in _origins(split(given[:, span], d), steps[:place], tolerance):
                        done = (*before[0].changes, f"after {step.name}", *changes)
                        yield [
                            replace(head, final=final, changes=done)
                            for head, final in zip(before, vectors, strict=True)
                        ]


def split(side_by_side: Float[Tensor, "token width"], d: int) -> Float[Tensor, "head token d"]:
    """Splits the vectors of heads that lie side by side."""
    return side_by_side.reshape(len(side_by_side), -1, d).movedim(1, 0)


def mapped(module: nn.Linear | Conv1D, given: Tensor, made: Tensor, columns: slice) -> Vectors:
    """Takes the vectors in some columns of a linear map's output, with those columns of the map."""
    bias = None if module.bias is None else in_float64(module.bias[columns])
    return Vectors(made[:, columns], given, made[:, columns], in_float64(matrix(module)[:, columns]), bias)


def by_head(vectors: Vectors, d: int) -> list[Vectors]:
    """Splits the vectors of heads that lie side by side in a linear map's output."""
    assert vectors.weight is not None
    made, weights = split(vectors.final, d), split(vectors.weight, d)
    biases = [None] * len(made) if vectors.bias is None else vectors.bias.reshape(-1, d)
    return [
        Vectors(some, vectors.x, some, weight, bias) for some, weight, bias in zip(made, weights, biases, strict=True)
    ]


def matrix(module: nn.Linear | Conv1D) -> Float[Tensor, "d_in d_out"]:
    """Returns the W of a linear map xW + b; GPT-2's maps hold W, others its transpose."""
    return module.weight if isinstance(module, Conv1D) else module.weight.T


def in_float64(tensor: Tensor) -> Tensor:
    """Copies the numbers to float64 in the main memory."""
    return tensor.double().cpu()


def check_map(vectors: Sequence[Vectors], name: str, tolerance: float) -> None:
    """Compares xW + b with the model's output, relative to the size of the terms, for a few tokens of each head.

    Raises:
        ModelError: the numbers differ.
    """
    for head in vectors:
        if head.x is None or head.weight is None or head.projected is None:
            continue
        x, bias = sample(head.x), head.bias
        size = linear(x.abs(), head.weight.abs(), None if bias is None else bias.abs())
        difference = (linear(x, head.weight, bias) - sample(head.projected)).abs()
        if bool((difference > tolerance * size).any()):
            raise ModelError(
                f"{name} differs by {difference.max():.1e} from the layer's input times the weights of its map"
            )


def sample(vectors: Float[Tensor, "token d"]) -> Float[Tensor, "some d"]:
    """Takes a few tokens, the first among them: a linear map treats all tokens alike."""
    return vectors[:: max(1, len(vectors) // SAMPLED)]


def _changes(
    before: Float[Tensor, "head token d"], after: Float[Tensor, "head token d"], tolerance: float
) -> tuple[str, ...] | None:
    """Finds the change that all vectors had: none, a factor, or a rotation of pairs of numbers; None: another one."""
    factor = float(after.norm() / before.norm()) if before.any() else 0.0
    scaled = () if abs(factor - 1) < tolerance else (f"times {factor:.4g}",)
    if close(before * factor, after, tolerance):
        return scaled
    kept = zip(_kept_by_rotation(before * factor), _kept_by_rotation(after), strict=True)
    return (*scaled, ROTATED) if any(close(old, new, tolerance) for old, new in kept) else None


def _as_long(made: Float[Tensor, "token d_out"], vectors: Float[Tensor, "token d"], tolerance: float) -> list[int]:
    """Finds the first columns of vectors in ``made`` as long as these, up to one factor, to compare only those."""
    length, d = vectors.shape
    places = made.shape[1] // d
    lengths = made[:, : places * d].reshape(length, places, d).square().sum(2).sqrt()
    expected = vectors.square().sum(1).sqrt()
    factors = (expected.norm() / lengths.norm(dim=0)).nan_to_num(0, 0)
    moved = (lengths * factors - expected[:, None]).abs().amax(0)
    alike = moved <= 2 * d**0.5 * tolerance * expected.max()  # no sum of d close numbers lies further apart
    return [place * d for place in alike.nonzero()[:, 0].tolist()]


def _kept_by_rotation(vectors: Float[Tensor, "head token d"]) -> Iterator[Float[Tensor, "head token kept"]]:
    """Computes what a rotary embedding (Su et al. 2021) leaves as it is, for each usual form.

    A rotation keeps the length of each pair of numbers, one from each half or neighbours; some models rotate only the
    first half or quarter of the vector.
    """
    d = vectors.shape[2]
    for turned in (size for size in (d, d // 2, d // 4) if size > 1 and size % 2 == 0):
        first, rest = vectors[..., :turned], vectors[..., turned:]
        shape = vectors.shape[:2]
        yield torch.cat([first.reshape(*shape, 2, turned // 2).norm(dim=2), rest], 2)
        yield torch.cat([first.reshape(*shape, turned // 2, 2).norm(dim=3), rest], 2)


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Tests whether the numbers are equal up to the tolerance times the largest of them; of each head by itself."""
    largest = expected.abs().amax((-2, -1))
    return bool(((found - expected).abs().amax((-2, -1)) <= tolerance * largest).all())
