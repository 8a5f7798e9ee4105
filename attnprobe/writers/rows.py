"""Blocks of rows -> bytes that can be put one after another: CSV, TSV and JSON Lines; Parquet as separate files.

Numbers are written with as few digits as identify each float32.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import IO, Any

import orjson

from attnprobe.errors import MissingExtraError, UsageError
from attnprobe.values.rows import HEAD_COLUMNS, TEXT_COLUMNS, RowBlock
from attnprobe.writers.delimited import inert

DELIMITERS = {"csv": ",", "tsv": "\t"}
ROW_FORMATS = ("csv", "tsv", "jsonl", "parquet")


def check_row_format(name: str, *, streamed: bool) -> None:
    """Checks that rows can be written in a format as they come.

    Raises:
        UsageError: the format cannot be written row by row, or not to standard output.
        MissingExtraError: the format's package is not installed.
    """
    if name not in ROW_FORMATS:
        raise UsageError(f"a corpus cannot be written as {name}", f"one of {' '.join(ROW_FORMATS)}")
    if name == "parquet" and streamed:
        raise UsageError("a corpus cannot be written to standard output as parquet", "-o FILE.parquet writes a file")
    if name == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet") from error


def header(columns: Iterable[str], format: str) -> bytes:
    """Encodes the line of column names before all rows; empty if the format has none."""
    if format not in DELIMITERS:
        return b""
    return (DELIMITERS[format].join(f'"{name}"' for name in columns) + "\n").encode()


def encode_rows(blocks: Iterable[RowBlock], format: str, *, inert_text: bool = False) -> bytes:
    """Encodes the rows of some blocks, each with a line feed; or a whole Parquet file.

    Args:
        inert_text: whether to keep spreadsheets from taking a text for a formula, see :func:`inert`.
    """
    if inert_text:
        blocks = [block.with_text(inert) for block in blocks]
    if format == "parquet":
        return _parquet(list(blocks))
    encode = partial(_delimited, delimiter=DELIMITERS[format]) if format in DELIMITERS else _objects
    return b"".join(chain.from_iterable(map(encode, blocks)))


def _delimited(block: RowBlock, delimiter: str) -> Iterator[bytes]:
    """Encodes rows with text quoted, numbers bare, missing values empty.

    The numbers of a text are written as JSON in one go, ``[[1.0,null],[...]]``, and cut into rows at ``],[``: no text
    stands among them.
    """
    comma = delimiter.encode()
    middles = [delimiter.join(["", *map(_quoted, cells), ""]).encode() for cells in _cells(block.axes[1:])]
    for cells, values in zip(_cells(block.axes[:1]), block.values, strict=True):
        start = delimiter.join(map(_quoted, cells)).encode()
        numbers = orjson.dumps(values.reshape(len(middles), -1), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        rows = numbers.replace(b"null", b"").split(b"],[") if middles else []
        for middle, row in zip(middles, rows, strict=True):
            yield start + middle + (row if comma == b"," else row.replace(b",", comma)) + b"\n"


def _cells(axes: Sequence[Mapping[str, Sequence[Any]]]) -> list[tuple[Any, ...]]:
    """Combines the cells of some axes' columns: a tuple for each combination of indices."""
    return [tuple(chain(*cells)) for cells in product(*(zip(*axis.values(), strict=True) for axis in axes))]


def _quoted(cell: Any) -> str:
    if isinstance(cell, str):
        escaped = cell.replace('"', '""')
        return f'"{escaped}"'
    return "" if cell is None else str(cell)


def _objects(block: RowBlock) -> Iterator[bytes]:
    """Encodes one JSON object per row; missing values are null."""
    names = [*chain(*block.axes)]
    middles = _cells(block.axes[1:])
    for cells, values in zip(_cells(block.axes[:1]), block.values, strict=True):
        for middle, row in zip(middles, values.reshape(len(middles), -1), strict=True):
            start = orjson.dumps(dict(zip(names, (*cells, *middle), strict=True)))
            numbers = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",") if len(row) else []
            pairs = [b'"%b":%b' % (name.encode(), cell) for name, cell in zip(block.names, numbers, strict=True)]
            yield start[:-1] + b"," + b",".join(pairs) + b"}\n"


def _parquet(blocks: Sequence[RowBlock]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    table = pyarrow.concat_tables([_arrow(block) for block in blocks])
    pyarrow.parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _arrow(block: RowBlock) -> Any:
    """Makes an Arrow table of the block; join_parts sets the types of columns that only some measurements have."""
    import numpy as np
    import pyarrow

    types = {**TEXT_COLUMNS, **HEAD_COLUMNS}
    numbers = block.values.reshape(-1, len(block.names)).T.copy()
    found = {
        name: pyarrow.array(cells, getattr(pyarrow, types[name])() if name in types else None)
        for name, cells in block.index().items()
    }
    found |= {
        name: pyarrow.array(column, mask=np.isnan(column)) for name, column in zip(block.names, numbers, strict=True)
    }
    return pyarrow.table(found)


def schema_of(columns: Mapping[str, str]) -> Any:
    """Makes the Arrow schema of columns with their types."""
    import pyarrow

    return pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in columns.items()])


def join_parts(
    parts: Iterable[Path], format: str, columns: Mapping[str, str], stream: IO[bytes], manifest: Mapping[str, Any]
) -> None:
    """Joins parts into one file: byte after byte, or as Parquet row groups with the manifest in the metadata."""
    if format != "parquet":
        stream.write(header(columns, format))
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, stream, 2**20)
        return
    import pyarrow.parquet

    stored = {"attnprobe.signature": manifest["signature"], "attnprobe.manifest": json.dumps(manifest)}
    schema = schema_of(columns).with_metadata(stored)
    with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for part in parts:
            with pyarrow.parquet.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).cast(schema))


def parquet_manifest(path: Path) -> bytes:
    """Returns the manifest that join_parts wrote into a Parquet file's metadata.

    Raises:
        KeyError: the metadata have no manifest.
        TypeError: the file has no metadata.
    """
    import pyarrow.parquet

    manifest: bytes = pyarrow.parquet.read_schema(path).metadata[b"attnprobe.manifest"]
    return manifest
