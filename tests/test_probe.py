"""The probe of dependency heads: its data, its optimum, and that it learns on other sentences than it is tested on."""

from __future__ import annotations

import numpy as np
import pytest

from attnprobe.attention.fitting import fit

pytestmark = pytest.mark.numeric


def squares(weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the squared distance from (3, -1, 0.2), in axes of unlike steepness."""
    steepness, distance = np.array([1.0, 10.0, 0.1]), weights - np.array([3.0, -1.0, 0.2])
    return float(0.5 * steepness @ distance**2), steepness * distance


def lasso(both: np.ndarray) -> tuple[float, np.ndarray]:
    """The same of the difference of two vectors, with the penalty 0.05 · |w|."""
    loss, gradient = squares(both[:3] - both[3:])
    return loss + 0.05 * float(both.sum()), np.concatenate([gradient, -gradient]) + 0.05


def test_a_search_ends_at_the_optimum() -> None:
    found = fit(squares, 3)
    assert found.converged
    np.testing.assert_allclose(found.weights, [3.0, -1.0, 0.2], atol=1e-6)


def test_a_penalty_of_sizes_leaves_weights_at_zero() -> None:
    """The optimum is 3 - 0.05 / 1, -1 + 0.05 / 10, and 0, since 0.1 · 0.2 < 0.05."""
    found = fit(lasso, 6, nonnegative=True)
    assert found.converged
    np.testing.assert_allclose(found.weights[:3] - found.weights[3:], [2.95, -0.995, 0.0], atol=1e-6)


def test_a_search_that_is_cut_short_says_so() -> None:
    assert not fit(squares, 3, steps=1).converged
