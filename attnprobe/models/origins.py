"""Finds the linear map that made q, k or v, and the changes since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.textbook import linear
from attnprobe.errors import ModelError
from attnprobe.models.linear import LINEAR, matrix
from attnprobe.models.recorder import Ran, Step, in_float64

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
        for ran in step.by_token:
            for first in _as_long(ran.made, vectors[0], tolerance):
                span = slice(first, first + heads * d)
                if span.stop > ran.made.shape[1]:
                    continue
                changes = _changes(split(ran.made[:, span], d), vectors, tolerance)
                if changes is None:
                    continue
                if is_map(ran):
                    yield _changed(mapped(ran, span, d), vectors, changes)
                elif ran.given.shape == ran.made.shape:  # a norm
                    for before in _origins(split(ran.given[:, span], d), steps[:place], tolerance):
                        yield _changed(before, vectors, (f"after {step.name}", *changes))


def _changed(before: Sequence[Vectors], final: Tensor, changes: tuple[str, ...]) -> list[Vectors]:
    made = zip(before, final, strict=True)
    return [replace(head, final=vectors, changes=(*head.changes, *changes)) for head, vectors in made]


def is_map(ran: Ran) -> bool:
    """Tests whether a linear map ran once for each token, and not for each of several vectors of a token."""
    return isinstance(ran.module, LINEAR) and (ran.given.shape[1], ran.made.shape[1]) == matrix(ran.module).shape


def mapped(ran: Ran, columns: slice, d: int) -> list[Vectors]:
    """Takes the vectors of the heads in some columns of a linear map's output, with those columns of the map."""
    assert isinstance(ran.module, LINEAR)
    made, weights = split(ran.made[:, columns], d), split(in_float64(matrix(ran.module)[:, columns]), d)
    biases = [None] * len(made) if ran.module.bias is None else in_float64(ran.module.bias[columns]).view(-1, d)
    return [Vectors(some, ran.given, some, *of_map) for some, *of_map in zip(made, weights, biases, strict=True)]


def split(side_by_side: Float[Tensor, "row width"], d: int) -> Float[Tensor, "head row d"]:
    """Splits the numbers of heads that lie side by side."""
    return side_by_side.reshape(len(side_by_side), -1, d).movedim(1, 0)


def check_map(heads: Sequence[Vectors], name: str, tolerance: float) -> None:
    """Compares xW + b with the model's output, relative to the size of the terms, for a few tokens of each head.

    Raises:
        ModelError: the numbers differ.
    """
    by_input: dict[int, list[Vectors]] = {}
    for head in heads:
        by_input.setdefault(id(head.x), []).append(head)
    for together in by_input.values():
        if together[0].x is None:
            continue
        x, weight, bias = sample(together[0].x), _beside(together, "weight"), _beside(together, "bias")
        size = linear(x.abs(), weight.abs(), None if bias is None else bias.abs())
        difference = (linear(x, weight, bias) - sample(_beside(together, "projected"))).abs()
        if bool((difference > tolerance * size).any()):
            raise ModelError(
                f"{name} differs by {difference.max():.1e} from the layer's input times the weights of its map"
            )


def _beside(heads: Sequence[Vectors], name: str) -> Any:
    """Puts the tensors of heads side by side; None if they have none."""
    tensors = [getattr(head, name) for head in heads]
    return None if tensors[0] is None else torch.cat(tensors, -1)


def sample(vectors: Float[Tensor, "token d"]) -> Float[Tensor, "some d"]:
    """Takes a few tokens, the first among them: a linear map treats all tokens alike."""
    return vectors[few(len(vectors))]


def few(tokens: int) -> slice:
    """Returns the places of a few tokens among all, the first among them."""
    return slice(None, None, max(1, tokens // SAMPLED))


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
