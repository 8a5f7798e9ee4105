"""The empty summary of measurements that do not summarize texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.table import Table


@dataclass(frozen=True)
class NoSummary:
    """The summary of a measurement whose texts do not add up: only the signature."""

    signature: str

    def of_texts(self, texts: Sequence[Measured], together: Any) -> NoSummary:
        """Returns this summary, whatever the texts."""
        return self

    def __add__(self, other: NoSummary) -> NoSummary:
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns no arrays."""
        return {}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> NoSummary:
        """Returns this summary.

        Raises:
            ValueError: arrays are given.
        """
        if arrays:
            raise ValueError("wrong names")
        return self

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns no tables."""
        return {}

    def overview(self, title: str) -> Table:
        """Makes an empty table with the title."""
        return Table([], [], {"title": title})
