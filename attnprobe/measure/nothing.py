"""The summary of a measurement that has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.table import Table


@dataclass(frozen=True)
class NoSummary:
    """What is left of texts that say nothing together."""

    signature: str

    def of_texts(self, texts: Sequence[Measured], together: Any) -> NoSummary:
        """Itself."""
        return self

    def __add__(self, other: NoSummary) -> NoSummary:
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> NoSummary:
        """Itself, of no arrays.

        Raises:
            ValueError: there are some.
        """
        if arrays:
            raise ValueError("wrong names")
        return self

    def tables(self) -> dict[str, Callable[[], Table]]:
        """None."""
        return {}

    def overview(self, title: str) -> Table:
        """Only the title."""
        return Table([], [], {"title": title})
