"""Rows with named columns: what every command makes and every writer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows in column order. None is a missing value: a statistic without meaning there.

    Attributes:
        notes: how the numbers came about, for what a terminal shows.
        sign: gives the signature, what the numbers depend on. Called only where the result keeps it, since it hashes
            the model's weights.
        document: gives the one object that JSON holds instead of the rows, where there is more to say than they do.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None
    document: Callable[[], Mapping[str, Any]] | None = None

    def sorted_by(self, column: str | None) -> Table:
        """The rows from the highest to the lowest value, missing ones last; equal ones keep their order."""
        if column is None:
            return self
        place = self.columns.index(column)

        def rank(row: Sequence[Any]) -> tuple[bool, Any]:
            return (True, 0) if row[place] is None else (False, -row[place])

        return replace(self, rows=sorted(self.rows, key=rank), notes={**self.notes, "sorted_by": column})

    def head(self, count: int | None) -> Table:
        """The first rows; None: all."""
        return replace(self, rows=self.rows[:count])

    def to_frame(self) -> pandas.DataFrame:
        """The table as a DataFrame; missing values become NaN, and the signature is in ``attrs["signature"]``."""
        import pandas

        frame = pandas.DataFrame(self.rows, columns=list(self.columns))
        frame = frame.astype({name: float for name in self.columns if frame[name].isna().all()})
        if self.sign:  # alone, so that pandas.concat of texts measured alike keeps it
            frame.attrs["signature"] = self.sign()
        return frame
