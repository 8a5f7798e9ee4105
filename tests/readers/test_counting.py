"""Records are counted where that takes no parsing of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from attnprobe import find_sources, read_records
from attnprobe.readers.counting import count_records

COUNTED = {
    "lines.txt": b"one\n\n  \ntwo\nthree",
    "windows.txt": b"one\r\n\r\ntwo\r\n",
    "objects.jsonl": b'{"text": "one"}\n\n{"text": ""}\n',
    "nothing.txt": b"",
    "cells.csv": b'text,n\n"one\ntwo",1\n\nthree,2\ntoo,many,3\n',
    "cells.tsv": b"text\tn\none\t1\ntwo\t2\n",
    "nothing.csv": b"",
    "semicolons.csv": b"text;n\none, two;1\nthree;2\n",
}
UNKNOWN = {
    "returns.txt": b"one\rtwo\rthree",
    "packed.txt.gz": gzip.compress(b"one\ntwo\n"),
    "wide.txt": "one\ntwo\n".encode("utf-16"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_as_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(COUNTED[name])
    [source] = find_sources([str(tmp_path / name)], tell=lambda message: None)
    assert count_records(source) == len(list(read_records([source])))


def test_rows_of_parquet_are_counted(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", "two"]}), tmp_path / "rows.parquet")
    [source] = find_sources([str(tmp_path / "rows.parquet")])
    assert count_records(source) == 2


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_without_reading(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(UNKNOWN[name])
    assert count_records(find_sources([str(tmp_path / name)])[0]) is None
    assert count_records(find_sources(["-"])[0]) is None
