"""What measurements share that make no rows, or no summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.rows import RowBlock
from attnprobe.values.table import Table


class NoRows:
    """A measurement whose texts have no rows."""

    @property
    def columns(self) -> dict[str, str]:
        """Returns no columns."""
        return {}

    def rows(self, texts: Sequence[Measured]) -> list[RowBlock]:
        """Makes no rows."""
        return []


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
