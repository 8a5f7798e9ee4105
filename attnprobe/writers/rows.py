"""Blocks of rows -> bytes that can be put one after another: CSV, TSV and JSON Lines; Parquet in files of its own.

Numbers are written in the fewest digits that give the same float32 again.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from attnprobe.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from attnprobe.values.rows import RowBlock

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


def header(columns: list[str], format: str) -> bytes:
    """What stands before all rows."""
    if format not in DELIMITERS:
        return b""
    return (DELIMITERS[format].join(f'"{name}"' for name in columns) + "\n").encode()


def encode_rows(block: RowBlock, format: str) -> bytes:
    """The block's rows, each with its line feed; or a whole Parquet file."""
    if format == "parquet":
        return _parquet(block)
    return b"".join(_delimited(block, DELIMITERS[format]) if format in DELIMITERS else _objects(block))


def _delimited(block: RowBlock, delimiter: str) -> Iterator[bytes]:
    """Text quoted, numbers bare, missing values empty."""
    comma = delimiter.encode()
    heads = [
        f"{delimiter}{layer}{delimiter}{head}{delimiter}".encode() for layer in block.layers for head in block.heads
    ]
    for name, n_tokens, values in zip(block.ids, block.n_tokens, block.values, strict=True):
        quoted = name.replace('"', '""')
        start = f'"{quoted}"{delimiter}{n_tokens}'.encode()
        numbers = orjson.dumps(values.reshape(len(heads), -1), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        numbers = numbers.replace(b"null", b"")
        for head, row in zip(heads, numbers.split(b"],["), strict=True):
            yield start + head + (row if comma == b"," else row.replace(b",", comma)) + b"\n"


def _objects(block: RowBlock) -> Iterator[bytes]:
    """One JSON object a row; missing values are null."""
    places = [(layer, head) for layer in block.layers for head in block.heads]
    for name, n_tokens, values in zip(block.ids, block.n_tokens, block.values, strict=True):
        for (layer, head), row in zip(places, values.reshape(len(places), -1), strict=True):
            start = orjson.dumps({"id": name, "n_tokens": n_tokens, "layer": layer, "head": head})
            numbers = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",") if len(row) else []
            cells = [b'"%b":%b' % (metric.encode(), cell) for metric, cell in zip(block.metrics, numbers, strict=True)]
            yield start[:-1] + b"," + b",".join(cells) + b"}\n"


def _parquet(block: RowBlock) -> bytes:
    import numpy as np
    import pyarrow
    import pyarrow.parquet

    texts, per_text = len(block.ids), len(block.layers) * len(block.heads)
    values = block.values.reshape(-1, len(block.metrics)).T.copy()
    columns = [
        np.repeat(np.asarray(block.ids, dtype=object), per_text),
        np.repeat(block.n_tokens, per_text),
        np.tile(np.repeat(block.layers, len(block.heads)), texts),
        np.tile(block.heads, texts * len(block.layers)),
    ]
    schema = _schema(block.columns)
    arrays = [pyarrow.array(column, schema.types[place]) for place, column in enumerate(columns)]
    arrays += [pyarrow.array(column, mask=np.isnan(column)) for column in values]
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def _schema(columns: Sequence[str]) -> Any:
    import pyarrow

    types = {"id": pyarrow.string(), "n_tokens": pyarrow.int32(), "layer": pyarrow.int16(), "head": pyarrow.int16()}
    return pyarrow.schema([(name, types.get(name, pyarrow.float32())) for name in columns])


def join_parts(
    parts: Iterable[Path], format: str, columns: list[str], stream: IO[bytes], manifest: Mapping[str, Any]
) -> None:
    """Puts parts into one file: bytes after bytes, or Parquet row groups with the manifest in the metadata."""
    if format != "parquet":
        stream.write(header(columns, format))
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, stream, 2**20)
        return
    import pyarrow.parquet

    stored = {"attnprobe.values.signature": manifest["signature"], "attnprobe.manifest": json.dumps(manifest)}
    schema = _schema(columns).with_metadata(stored)
    with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for part in parts:
            with pyarrow.parquet.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).cast(schema))


def parquet_manifest(path: Path) -> bytes:
    """What join_parts wrote into a Parquet file's metadata.

    Raises:
        KeyError: nothing; TypeError: it has no metadata.
    """
    import pyarrow.parquet

    manifest: bytes = pyarrow.parquet.read_schema(path).metadata[b"attnprobe.manifest"]
    return manifest
