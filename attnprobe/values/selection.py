"""Selects layers or heads by ``3``, ``0-5``, ``0,2,-1`` or ``all``, counted from 0."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.values.arguments import as_integer, shown

Indices = str | int | Sequence[int] | None
FORMS = "write 3, [0, 2, -1], '0-5' or 'all'"


def select(choice: Indices, count: int, what: str) -> list[int]:
    """Lists the chosen layers or heads in ascending order, given as numbers or text like ``0-5``, ``0,2,-1``, ``all``.

    >>> select("0-2,-1", 6, "layer")
    [0, 1, 2, 5]

    Raises:
        UsageError: the choice has another form, is out of range, or is empty.
    """
    numbers = parse_indices(choice) if isinstance(choice, str) else choice
    if numbers is None:
        return list(range(count))
    chosen = set()
    for number in _integers(numbers, what):  # stops at the first wrong one, however long the range
        if not -count <= number < count:
            raise UsageError(f"no {what} {number}: the model has {count}, numbered 0 to {count - 1}")
        chosen.add(number % count)
    if not chosen:
        raise UsageError(f"no {what} is chosen", f"leave it out, or write all, for every {what}")
    return sorted(chosen)


def choose_among(choice: Indices, known: Collection[int], what: str, holder: str) -> list[int]:
    """Lists the chosen layers or heads of those that a result has, in ascending order.

    Args:
        holder: what has them, for the error.

    Raises:
        UsageError: as :func:`select`; or none of them is chosen.
    """
    chosen = [number for number in select(choice, max(known) + 1, what) if number in known]
    if not chosen:
        raise UsageError(f"{holder} has no {what} {choice}", f"it has {', '.join(map(str, sorted(known)))}")
    return chosen


def as_ranges(numbers: Sequence[int]) -> str:
    """Writes ascending numbers as :func:`select` reads them.

    >>> as_ranges([0, 1, 2, 5]), as_ranges([3])
    ('0-2,5', '3')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _integers(choice: Any, what: str) -> Iterator[int]:
    """Yields the whole numbers of a choice of one or several, of Python, numpy or pandas."""
    alone = as_integer(choice)
    if alone is None and (isinstance(choice, bytes | bytearray) or not isinstance(choice, Iterable)):
        raise UsageError(f"{what} must be whole numbers; got {shown(choice)}", FORMS)
    for value in [alone] if alone is not None else choice:
        number = as_integer(value)
        if number is None:
            raise UsageError(f"{what} must be whole numbers; got {shown(value)} among them", FORMS)
        yield number


def parse_indices(text: str) -> Iterable[int] | None:
    """Reads the numbers in ``3``, ``0-5`` or ``0,2,-1``, ranges left unexpanded; None for ``all``.

    Raises:
        UsageError: the text has another form.
    """
    if text.strip() == "all":
        return None
    ranges: list[Sequence[int]] = []
    for item in text.split(","):
        first, dash, last = item.strip().rpartition("-")
        try:
            named = range(int(first), int(last) + 1) if dash and first else [int(item)]
        except ValueError as error:
            raise UsageError(f"cannot read {shown(text)} as numbers", "write 3, 0-5, 0,2,-1 or all") from error
        if not named:
            raise UsageError(f"{shown(item.strip())} names no number", "write a range from low to high, such as 0-5")
        ranges.append(named)
    return chain.from_iterable(ranges)
