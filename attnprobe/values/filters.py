"""Checks the options that choose weights: of which queries and keys, how many, how large."""

from __future__ import annotations

from numbers import Real

from attnprobe.errors import UsageError
from attnprobe.values.arguments import check_choice, check_whole, shown

MOST_ROWS = 10_000_000  # of weights, by default
SEGMENTS = {None: None, "a-b": (1, 2), "b-a": (2, 1)}  # of queries and of keys, by direction


def check_filters(*, pair: str | None, direction: str | None, top: int | None, min_weight: float | None) -> None:
    """Checks the options that choose weights.

    Raises:
        UsageError: an option has an invalid value.
    """
    if direction is not None:
        check_choice("direction", direction, ("a-b", "b-a"))
    if direction and pair is None:
        raise UsageError("a direction needs two texts", "give the second with --pair")
    if top is not None:
        check_whole("top", top, 1)
    if min_weight is not None and not (isinstance(min_weight, Real) and 0 <= min_weight <= 1):
        raise UsageError(f"min_weight must be from 0 to 1; got {shown(min_weight)}")
