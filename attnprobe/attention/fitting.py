"""Minimizes convex functions to their optimum, the same from run to run and, to rounding, on any machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from jaxtyping import Float

LossAndGradient = Callable[[Float[np.ndarray, " weight"]], tuple[float, Float[np.ndarray, " weight"]]]

SOUGHT = 1e-8  # size of the gradient at which the search ends
TINY = 1e-6  # size of the gradient of what counts as the optimum, where rounding allows no more
STARTS = 10  # where rounding ends a search early, another goes on from there
STEPS = 10_000


@dataclass(frozen=True)
class Fitted:
    """The weights at which a search ended.

    Attributes:
        weights: the weights.
        loss: the function's value there.
        slope: the largest size of a component of its gradient, without those that point beyond a bound.
        n_steps: how many steps were taken.
    """

    weights: Float[np.ndarray, " weight"]
    loss: float
    slope: float
    n_steps: int

    @property
    def converged(self) -> bool:
        """Whether this is the optimum."""
        return self.slope <= TINY


def fit(loss_and_gradient: LossAndGradient, size: int, *, nonnegative: bool = False, steps: int = STEPS) -> Fitted:
    """Minimizes a convex function from zero weights by L-BFGS-B.

    Args:
        loss_and_gradient: returns the function's value, best a mean of order 1, and its gradient, both in float64.
        size: how many weights.
        nonnegative: whether no weight may be negative: an L1 penalty of w is the sum of p and n, where w = p - n.
        steps: how many steps are taken at most.
    """
    from scipy.optimize import minimize

    bounds = [(0.0, None)] * size if nonnegative else None
    found = Fitted(np.zeros(size), np.inf, np.inf, 0)
    for _ in repeat(None, STARTS):
        options = {"maxiter": steps - found.n_steps, "maxfun": 10 * steps, "ftol": 0.0, "gtol": SOUGHT, "maxcor": 30}
        last = minimize(loss_and_gradient, found.weights, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        weights, before = np.asarray(last.x), found
        slope = _slope(weights, np.asarray(last.jac), nonnegative)
        found = Fitted(weights, float(last.fun), slope, before.n_steps + int(last.nit))
        if slope <= SOUGHT or found.n_steps >= steps or not found.loss < before.loss:
            break
    return found


def _slope(weights: np.ndarray, gradient: np.ndarray, nonnegative: bool) -> float:
    """Returns the largest size of a component of the gradient that a step could follow."""
    free = np.where(weights > 0, gradient, np.minimum(gradient, 0)) if nonnegative else gradient
    return float(np.abs(free).max(initial=0.0))
