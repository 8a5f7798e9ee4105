"""Fits a logistic regression over heads that finds contacts (Rao et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from attnprobe.attention.fitting import fit

C = 0.15  # how much the loss counts, summed over pairs, beside the sum of the weights' sizes
STEPS = 1000


@dataclass(frozen=True)
class Examples:
    """Pairs of one protein, with the value of each head's map.

    Attributes:
        values: heads of the first layer, then of the next.
        counts: for how many pairs of the protein each of them stands.
    """

    values: Float[np.ndarray, "pair head"]
    is_contact: Bool[np.ndarray, " pair"]
    counts: Float[np.ndarray, " pair"]


@dataclass(frozen=True)
class Regression:
    """A logistic regression over heads.

    Attributes:
        weights: of the heads' maps.
        bias: the intercept.
    """

    weights: Float[np.ndarray, "layer head"]
    bias: float

    @classmethod
    def of_head(cls, shape: tuple[int, int], layer: int, head: int) -> Regression:
        """Makes the one that shows the map of a single head."""
        weights = np.zeros(shape)
        weights[layer, head] = 1
        return cls(weights, 0.0)


def fit_regression(examples: Sequence[Examples], shape: tuple[int, int]) -> Regression:
    """Finds the weights for which C times the loss and the sum of their sizes are least together.

    Values are centred and scaled for the search alone; the sizes that count are those of the weights.

    Args:
        shape: (layer, head).
    """
    values = np.concatenate([protein.values for protein in examples])
    signs = np.where(np.concatenate([protein.is_contact for protein in examples]), 1.0, -1.0)
    counts = np.concatenate([protein.counts for protein in examples])
    total = counts.sum()
    middle, scale = values.mean(0), values.std(0)
    scale = np.where(scale > 0, scale, 1)
    values = (values - middle) / scale
    price = np.append(1 / (scale * C * total), 0)  # the intercept is free

    def loss(split: Float[np.ndarray, " weight"]) -> tuple[float, Float[np.ndarray, " weight"]]:
        up, down = np.split(split, 2)
        weights = up - down
        costs = np.logaddexp(0, -signs * (values @ weights[:-1] + weights[-1]))
        slopes = signs * counts * np.expm1(-costs) / total
        gradient = np.append(values.T @ slopes, slopes.sum())
        return float(counts @ costs / total + price @ (up + down)), np.concatenate([price + gradient, price - gradient])

    up, down = np.split(fit(loss, 2 * len(price), nonnegative=True, steps=STEPS).weights, 2)
    weights = (up - down)[:-1] / scale
    return Regression(weights.reshape(shape), float((up - down)[-1] - weights @ middle))
