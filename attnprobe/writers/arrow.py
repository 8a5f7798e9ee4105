"""Parquet, with the signature in the schema's metadata under ``attnprobe.signature``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from attnprobe.errors import MissingExtraError
from attnprobe.table import Table


def write_parquet(table: Table, stream: IO[bytes]) -> None:
    """Parquet by pyarrow; missing values are null.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    arrays = {name: [row[column] for row in table.rows] for column, name in enumerate(table.columns)}
    typed = {name: pyarrow.array(cells, _type(cells)) for name, cells in arrays.items()}
    metadata = {"attnprobe.signature": str(table.notes.get("signature", ""))}
    pyarrow.parquet.write_table(pyarrow.table(typed).replace_schema_metadata(metadata), stream)


def _type(cells: Sequence[object]) -> str | None:
    """Columns without any value are numbers: statistics with no meaning for this text."""
    return "float64" if all(cell is None for cell in cells) else None
