"""Blocks of rows, as runs over many texts yield them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.values.notebook import html_table, one_line

if TYPE_CHECKING:
    import pandas

TEXT_COLUMNS = {"id": "string", "n_tokens": "int32"}  # of the text that a row is about
HEAD_COLUMNS = {"layer": "int16", "head": "int16"}


@dataclass(frozen=True, repr=False)
class RowBlock:
    """Numbers about consecutive texts: an array whose axes carry columns, read as rows.

    Attributes:
        axes: the columns of each axis but the last, by name: first those of the texts, ``id`` and ``n_tokens``, then
            for head statistics ``layer`` and ``head``, an axis each.
        names: the columns of numbers, the last axis.
        values: (text, ..., name) in float32 or int32; NaN where a number has no meaning.
    """

    axes: Sequence[Mapping[str, Sequence[Any]]]
    names: Sequence[str]
    values: np.ndarray

    @classmethod
    def of_heads(
        cls,
        ids: Sequence[str],
        n_tokens: Sequence[int],
        layers: Sequence[int],
        heads: Sequence[int],
        names: Sequence[str],
        values: np.ndarray,
    ) -> RowBlock:
        """Makes a block with a row per text, layer and head; values: (text, layer, head, name)."""
        return cls(({"id": ids, "n_tokens": n_tokens}, {"layer": layers}, {"head": heads}), names, values)

    def __repr__(self) -> str:
        return one_line(
            "RowBlock", "", f"{len(self.ids):,} texts", f"{len(self):,} rows", f"{len(self.columns)} columns"
        )

    def _repr_html_(self) -> str:
        """Shows the first rows."""
        frame = self.to_frame()
        return html_table(repr(self), list(frame.columns), frame.to_numpy(object).tolist())

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the texts."""
        return self.axes[0]["id"]

    @property
    def n_tokens(self) -> Sequence[int]:
        """How many tokens of each text were read."""
        return self.axes[0]["n_tokens"]

    @property
    def columns(self) -> list[str]:
        """The columns of the axes, then those of numbers."""
        return [*chain(*self.axes), *self.names]

    def __len__(self) -> int:
        return prod(self.values.shape[:-1])

    def index(self) -> dict[str, np.ndarray]:
        """Spreads the columns of the axes to a cell for each row; text as objects."""
        sizes = self.values.shape[:-1]
        found = {}
        for number, axis in enumerate(self.axes):
            inner, outer = prod(sizes[number + 1 :]), prod(sizes[:number])
            for name, cells in axis.items():
                is_text = TEXT_COLUMNS.get(name) == "string" or any(isinstance(cell, str) for cell in cells)
                kind = object if is_text else int
                found[name] = np.tile(np.repeat(np.asarray(cells, dtype=kind), inner), outer)
        return found

    def with_text(self, change: Callable[[str], str]) -> RowBlock:
        """Returns the block with its cells of text changed."""
        axes = [
            {name: [change(cell) if isinstance(cell, str) else cell for cell in cells] for name, cells in axis.items()}
            for axis in self.axes
        ]
        return replace(self, axes=axes)

    def to_frame(self) -> pandas.DataFrame:
        """Returns the rows as a DataFrame."""
        import pandas

        numbers = self.values.reshape(-1, len(self.names))
        return pandas.concat(
            [pandas.DataFrame(self.index()), pandas.DataFrame(numbers, columns=list(self.names))], axis=1
        )
