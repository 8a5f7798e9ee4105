"""Writes JSON (one array, or one object) and JSON Lines (one object per line); missing values are null."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

import orjson

from attnprobe.values.table import Table


def write_json(table: Table, stream: IO[bytes]) -> None:
    """Writes an array with one object per row; or the table's document, with as few digits as identify each number."""
    if table.document:
        stream.write(orjson.dumps(table.document(), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        return
    stream.write(b"[\n" + b",\n".join(_objects(table)) + b"\n]\n")


def write_jsonl(table: Table, stream: IO[bytes]) -> None:
    """Writes one object per line."""
    for line in _objects(table):
        stream.write(line + b"\n")


def _objects(table: Table) -> Iterator[bytes]:
    for row in table.rows:
        record = dict(zip(table.columns, row, strict=True))
        yield json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
