"""Averages over heads, layers or both: weights, or statistics, some of which have no meaning in some layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnprobe.values.options import Mean
from attnprobe.values.selection import as_ranges
from attnprobe.values.table import Cell

Numbers = tuple[int | None, ...]
"""The numbers of layers or heads along an axis; None alone for the mean of several."""


def averaged_axes(mean: Mean, layers: Sequence[int], heads: Sequence[int]) -> tuple[Numbers, Numbers]:
    """Finds the numbers of layers and of heads after the mean."""
    return (None,) if mean.over_layers else tuple(layers), (None,) if mean.over_heads else tuple(heads)


def signed_mean(mean: Mean, layers: Sequence[int], heads: Sequence[int]) -> dict[str, object]:
    """Makes the parts of a signature that say what the mean is over; None for what is not averaged."""
    return {
        **mean.signed(),
        "layers": as_ranges(layers) if mean.over_layers else None,
        "heads": as_ranges(heads) if mean.over_heads else None,
    }


def named_mean(mean: Mean, layers: Sequence[int], heads: Sequence[int]) -> str:
    """Names what the mean is over; empty if nothing is averaged.

    >>> named_mean(Mean("all"), [3], [0, 1, 2])
    'mean of layer 3 and heads 0-2'
    """
    axes = (("layer", layers, mean.over_layers), ("head", heads, mean.over_heads))
    named = [f"{axis}{'s' if len(of) > 1 else ''} {as_ranges(of)}" for axis, of, averaged in axes if averaged]
    return f"mean of {' and '.join(named)}" if named else ""


def name_of(axis: str, number: int | None) -> str:
    """Names a layer or a head, or their mean.

    >>> name_of("layer", 3), name_of("head", None)
    ('layer 3', 'mean of heads')
    """
    return f"mean of {axis}s" if number is None else f"{axis} {number}"


def short_name(number: Cell) -> str:
    """Writes the number of a layer or a head, or that it is their mean."""
    return "mean" if number is None else str(number)


def mean_over(values: np.ndarray, mean: Mean) -> np.ndarray:
    """Averages (layer, head, ...) in float64; the axes stay, with one number each.

    NaN is left out: the mean is over the layers that have a value, and NaN if none has.

    >>> mean_over(np.array([[1.0, 3.0], [np.nan, np.nan]]), Mean("all"))
    array([[2.]])
    """
    for axis, averaged in ((1, mean.over_heads), (0, mean.over_layers)):
        if averaged:
            known = ~np.isnan(values)
            count = known.sum(axis, keepdims=True)
            total = np.where(known, values, 0).sum(axis, keepdims=True, dtype=np.float64)
            values = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return values


def mean_of_sums(total: np.ndarray, count: np.ndarray, mean: Mean) -> tuple[np.ndarray, np.ndarray]:
    """Averages the statistics of texts, given as sums over queries: each text's own means first.

    Args:
        total: (..., layer, head, metric) the metric summed over queries.
        count: (..., layer, metric) how many queries; 0 in layers where the metric has no meaning, which are left out.

    Returns:
        total and count of the mean, whose axes have one number where they are averaged.
    """
    if mean.over_heads:
        total = total.mean(-2, keepdims=True)
    if mean.over_layers:
        known, queries = count > 0, count.max(-2, keepdims=True)
        values = np.divide(total, count[..., None, :], out=np.zeros_like(total), where=known[..., None, :])
        layers = np.maximum(known.sum(-2, keepdims=True), 1)
        total, count = values.sum(-3, keepdims=True) * (queries / layers)[..., None, :], queries
    return total, count


def partly_empty(count: np.ndarray, names: Sequence[str], mean: Mean) -> list[str]:
    """Says of each metric without meaning in some layers that the mean leaves these out.

    Args:
        count: (layer, metric) how many queries each is the mean of.
    """
    layers = len(count) if mean.over_layers else 0
    known = (count > 0).sum(0)
    return [
        f"{name} is the mean of the {some} of {layers} layers where it has a meaning"
        for name, some in zip(names, known, strict=True)
        if 0 < some < layers
    ]
