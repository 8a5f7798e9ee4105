"""Blocks of rows -> bytes that can be put one after another: CSV, TSV and JSON Lines; Parquet in files of its own.

Numbers are written in the fewest digits that give the same float32 again.
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
    """Refuses a format in which rows cannot be written as they come.

    Raises:
        UsageError: they cannot, or not to standard output.
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
    """The bytes before all rows."""
    if format not in DELIMITERS:
        return b""
    return (DELIMITERS[format].join(f'"{name}"' for name in columns) + "\n").encode()


def encode_rows(blocks: Iterable[RowBlock], format: str, *, inert_text: bool = False) -> bytes:
    """The rows of some blocks, each with its line feed; or a whole Parquet file.

    Args:
        inert_text: whether no cell of text is to be taken for a formula by a spreadsheet.
    """
    if inert_text:
        blocks = [block.with_text(inert) for block in blocks]
    if format == "parquet":
        return _parquet(list(blocks))
    encode = partial(_delimited, delimiter=DELIMITERS[format]) if format in DELIMITERS else _objects
    return b"".join(chain.from_iterable(map(encode, blocks)))


def _delimited(block: RowBlock, delimiter: str) -> Iterator[bytes]:
    """Text quoted, numbers bare, missing values empty.

    The numbers of a text are written as JSON in one go, ``[[1.0,null],[...]]``, and cut into rows at ``],[``: no text
    stands among them.
    """
    comma = delimiter.encode()
    places = [delimiter.join(["", *map(_quoted, cells), ""]).encode() for cells in _cells(block.axes[1:])]
    for cells, values in zip(_cells(block.axes[:1]), block.values, strict=True):
        start = delimiter.join(map(_quoted, cells)).encode()
        numbers = orjson.dumps(values.reshape(len(places), -1), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        rows = numbers.replace(b"null", b"").split(b"],[") if places else []
        for place, row in zip(places, rows, strict=True):
            yield start + place + (row if comma == b"," else row.replace(b",", comma)) + b"\n"


def _cells(axes: Sequence[Mapping[str, Sequence[Any]]]) -> list[tuple[Any, ...]]:
    """The cells of some axes' columns, a tuple for each combination of their places."""
    return [tuple(chain(*places)) for places in product(*(zip(*axis.values(), strict=True) for axis in axes))]


def _quoted(cell: Any) -> str:
    if isinstance(cell, str):
        escaped = cell.replace('"', '""')
        return f'"{escaped}"'
    return "" if cell is None else str(cell)


def _objects(block: RowBlock) -> Iterator[bytes]:
    """One JSON object a row; missing values are null."""
    names = [*chain(*block.axes)]
    places = _cells(block.axes[1:])
    for cells, values in zip(_cells(block.axes[:1]), block.values, strict=True):
        for place, row in zip(places, values.reshape(len(places), -1), strict=True):
            start = orjson.dumps(dict(zip(names, (*cells, *place), strict=True)))
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
    """The block as an Arrow table; columns that only some blocks have come as they are, and get their types later."""
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
    """The Arrow schema of columns with their types."""
    import pyarrow

    return pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in columns.items()])


def join_parts(
    parts: Iterable[Path], format: str, columns: Mapping[str, str], stream: IO[bytes], manifest: Mapping[str, Any]
) -> None:
    """Puts parts into one file: bytes after bytes, or Parquet row groups with the manifest in the metadata."""
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
    """What join_parts wrote into a Parquet file's metadata.

    Raises:
        KeyError: there is no manifest in it; TypeError: there is no metadata.
    """
    import pyarrow.parquet

    manifest: bytes = pyarrow.parquet.read_schema(path).metadata[b"attnprobe.manifest"]
    return manifest
