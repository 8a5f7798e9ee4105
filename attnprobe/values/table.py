"""Rows with named columns, which every command makes and every writer writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    import pandas

Cell = str | int | float | None
CHUNK = 2**16  # rows of arrays that are made at a time


class ArrayRows(Sequence[Sequence[Cell]]):
    """Rows kept as one array per column, for tables of millions; a row is made when it is read.

    A float32 is read as the float with the same fewest digits: 0.1, not 0.10000000149011612.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ArrayRows([array[index] for array in self.arrays])
        start = range(len(self))[index]
        return next(iter(self[start : start + 1]))

    def __iter__(self) -> Iterator[Sequence[Cell]]:
        for start in range(0, len(self), CHUNK):
            yield from zip(*(_cells(array[start : start + CHUNK]) for array in self.arrays), strict=True)


class TextRows(Sequence[Sequence[Cell]]):
    """Rows whose cells of text are changed when they are read."""

    def __init__(self, rows: Sequence[Sequence[Cell]], change: Callable[[str], str]) -> None:
        self.rows, self.change = rows, change

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return TextRows(self.rows[index], self.change)
        return self._changed(self.rows[index])

    def __iter__(self) -> Iterator[Sequence[Cell]]:
        return map(self._changed, self.rows)

    def _changed(self, row: Sequence[Cell]) -> Sequence[Cell]:
        return [self.change(cell) if isinstance(cell, str) else cell for cell in row]


def _cells(array: np.ndarray) -> list[Cell]:
    if array.dtype != "float32":
        cells: list[Cell] = array.tolist()
        return [None if cell != cell else cell for cell in cells] if (array != array).any() else cells
    import orjson

    return orjson.loads(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Table:
    """Rows in column order. None is a missing value: a statistic that has no meaning in this row.

    Attributes:
        notes: how the numbers were computed, for the terminal.
        sign: returns the signature, what the numbers depend on. Called only if the result keeps it, since it hashes
            the model's weights.
        made: how the rows came about, as values of JSON that a file keeps beside the signature.
        document: returns the object that JSON holds instead of the rows, if the rows do not hold everything.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None
    document: Callable[[], Mapping[str, Any]] | None = None
    made: Mapping[str, Any] = field(default_factory=dict)

    def sorted_by(self, column: str | None) -> Table:
        """Sorts the rows from the highest to the lowest value, missing ones last; equal ones keep their order."""
        if column is None:
            return self
        index = self.columns.index(column)

        def rank(row: Sequence[Any]) -> tuple[bool, Any]:
            return (True, 0) if row[index] is None else (False, -row[index])

        return replace(self, rows=sorted(self.rows, key=rank), notes={**self.notes, "sorted_by": column})

    def with_text(self, change: Callable[[str], str]) -> Table:
        """Returns the table with its cells of text changed."""
        return replace(self, rows=TextRows(self.rows, change))

    def head(self, count: int | None) -> Table:
        """Returns the table with its first rows only; None: all."""
        return replace(self, rows=self.rows[:count])

    def column(self, name: str) -> list[Cell] | np.ndarray:
        """Returns all cells of a column, as an array if the rows are kept as arrays."""
        index = self.columns.index(name)
        return self.rows.arrays[index] if isinstance(self.rows, ArrayRows) else [row[index] for row in self.rows]

    def to_table(self) -> Table:
        """The table itself, for who takes all that a table can be made of."""
        return self

    def to_frame(self) -> pandas.DataFrame:
        """Returns the table as a DataFrame, missing values as NaN, and the signature in ``attrs["signature"]``."""
        import pandas

        if isinstance(self.rows, ArrayRows):
            frame = pandas.DataFrame(dict(zip(self.columns, self.rows.arrays, strict=True)))
        else:
            frame = pandas.DataFrame(self.rows, columns=list(self.columns))
            for name in frame.columns[frame.dtypes.map(lambda kind: kind.kind == "O") & frame.isna().all()]:
                frame[name] = frame[name].astype(float)
        if self.sign:  # alone, so that pandas.concat of texts measured alike keeps it
            frame.attrs["signature"] = self.sign()
        return frame


class Tabled(ABC):
    """A summary that is read as a table."""

    @abstractmethod
    def table(self) -> Table:
        """Makes the table that a file holds."""

    def __radd__(self, other: int) -> Self:
        """Lets sum() start from 0."""
        return self if other == 0 else NotImplemented

    def to_table(self) -> Table:
        """Makes the table that a file holds."""
        return self.table()

    def to_frame(self) -> pandas.DataFrame:
        """Returns the table as a DataFrame."""
        return self.table().to_frame()

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns the functions that make the tables, by name."""
        return {"summary": self.table}

    def overview(self, title: str) -> Table:
        """Makes the table with a title."""
        return replace(self.table(), notes={"title": title})
