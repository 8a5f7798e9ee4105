"""Parquet, with the signature, and how the rows came about, in the schema's metadata under ``attnprobe.``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from attnprobe.errors import MissingExtraError
from attnprobe.values.table import Cell, Table

if TYPE_CHECKING:
    import numpy as np


def write_parquet(table: Table, stream: IO[bytes]) -> None:
    """Writes a table as Parquet; missing values are null.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    typed = {name: pyarrow.array(*_typed(table.column(name)), from_pandas=True) for name in table.columns}
    metadata = {"attnprobe.signature": table.sign()} if table.sign else {}
    metadata |= {"attnprobe.manifest": json.dumps(table.made, ensure_ascii=False)} if table.made else {}
    pyarrow.parquet.write_table(pyarrow.table(typed).replace_schema_metadata(metadata or None), stream)


def _typed(cells: list[Cell] | np.ndarray) -> tuple[Sequence[Cell] | np.ndarray, str | None]:
    """Returns the cells of a column and their type: text if some are text, numbers if all are missing."""
    if not isinstance(cells, list):
        return cells, "string" if cells.dtype == object else None
    if any(isinstance(cell, str) for cell in cells):
        return [None if cell is None else str(cell) for cell in cells], "string"
    return cells, "float64" if all(cell is None for cell in cells) else None
