"""What heads find of relations on all texts: the better direction of each, beside the best fixed offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from attnprobe.analyses.related import OFFSETS, Relations


class Pointed(NamedTuple):
    """How often a head finds a relation, on all texts; fields as ``pointed`` in schema.json."""

    relation: str
    direction: str
    accuracy: float
    baseline: float
    baseline_offset: int
    gain: float
    n: int


def best_of(relations: Relations) -> dict[str, dict[tuple[int, int], Pointed]]:
    """Finds for each relation and head the direction in which it is more often right, the first of equals.

    A label that is called as the total of all relations is left out.
    """
    rows, size = relations.all_heads().rows, len(relations.labels) + len(OFFSETS)
    found: dict[str, dict[tuple[int, int], Pointed]] = {}
    for start in range(0, len(rows), size):
        of_label = rows[start : start + size]
        found.setdefault(str(of_label[0][0]), dict(_of_label(of_label)))
    return found


def _of_label(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[tuple[int, int], Pointed]]:
    """Yields each head, with its better direction; nothing if there is none of the relation."""
    of_heads, of_offsets = ([row for row in rows if (row[1] is None) == is_offset] for is_offset in (False, True))
    rates = [row[4] for row in of_offsets]
    if None in rates:
        return
    baseline = max(rates)
    better: dict[tuple[int, int], Sequence[Any]] = {}
    for row in of_heads:
        known = better.setdefault((row[1], row[2]), row)
        if row[4] > known[4]:
            better[row[1], row[2]] = row
    for place, (label, _, _, direction, accuracy, n, *_) in better.items():
        offset = OFFSETS[rates.index(baseline)]
        yield place, Pointed(label, direction, accuracy, baseline, offset, accuracy - baseline, n)
