"""Output files appear whole or not at all, and never in the place of something else."""

import errno
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from attnprobe import Encoder, head_stats
from attnprobe.values.table import Table
from tests.cli.commandline import (
    TEXT,
    Run,
    check_error,
    check_numbers,
    signature,
)


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.json", "out.jsonl", "out.md", "out.markdown"])
def test_output_to_a_file(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    result = run("heads", TEXT, "-o", path)
    assert (result.code, result.out, result.err) == (0, b"", "")
    format = {"md": "markdown"}.get(path.suffix[1:], path.suffix[1:])
    assert path.read_bytes() == run("heads", TEXT, "-f", format).out
    meta = json.loads((tmp_path / f"{name}.meta.json").read_text(encoding="utf-8"))
    assert signature(meta["signature"])["model"] == "all-MiniLM-L6-v2@53aa51172d14"
    assert sorted(each.name for each in tmp_path.iterdir()) == [name, f"{name}.meta.json"]


def test_output_to_parquet_carries_its_signature(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    assert run("heads", TEXT, "-o", path).code == 0
    expected = head_stats(TEXT, minilm)
    check_numbers(pd.read_parquet(path).astype(expected.dtypes), expected)
    metadata = pyarrow.parquet.read_schema(path).metadata
    assert metadata[b"attnprobe.signature"].decode() == expected.attrs["signature"]
    assert list(tmp_path.iterdir()) == [path]


def test_format_wins_over_suffix_and_still_has_a_signature(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    assert run("heads", TEXT, "-o", path, "-f", "csv").code == 0
    assert path.read_bytes() == run("heads", TEXT).out
    meta = json.loads((tmp_path / "out.parquet.meta.json").read_text(encoding="utf-8"))
    assert signature(meta["signature"])["level"] == "token"


def test_new_file_has_usual_permissions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    run("metrics", "-o", tmp_path / "out.csv")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["out.csv"] == modes["usual"]


def test_existing_file_is_replaced_only_when_asked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("precious", encoding="utf-8")
    check_error(run("heads", TEXT, "-o", path), 1, "out.csv", "exists", "--overwrite")
    assert path.read_text(encoding="utf-8") == "precious"
    (tmp_path / "link").hardlink_to(path)
    assert run("heads", TEXT, "-o", path, "--overwrite").code == 0
    assert path.read_bytes() == run("heads", TEXT).out
    assert (tmp_path / "link").read_text(encoding="utf-8") == "precious"  # the new file was moved into place, whole


def test_existing_meta_file_is_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    meta = tmp_path / "out.csv.meta.json"
    meta.write_text("precious", encoding="utf-8")
    check_error(run("heads", TEXT, "-o", tmp_path / "out.csv"), 1, "out.csv.meta.json", "--overwrite")
    assert meta.read_text(encoding="utf-8") == "precious"


def test_what_is_no_file_is_never_replaced(run: Run, tmp_path: Path) -> None:
    """--overwrite on a device or a pipe, such as /dev/null, must not put a file in its place."""
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that writing into it would not wait
    run("metrics", "-o", path, "--overwrite")
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("name", "options", "code", "words"),
    [
        ("nothere/out.csv", [], 1, ["no folder", "nothere"]),
        ("file/out.csv", [], 1, ["no folder", "file"]),
        ("folder", ["-f", "csv"], 1, ["folder"]),
        ("out.txt", [], 2, ["out.txt", ".csv", ".parquet"]),
        ("out", [], 2, ["out", ".csv"]),
        ("out.csv", ["-f", "table"], 2, ["table"]),
        ("out.csv", ["-f", "xml"], 2, ["xml", "csv"]),
    ],
)
def test_output_that_cannot_be_written(
    run: Run, tmp_path: Path, name: str, options: list[str], code: int, words: list[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    check_error(run("heads", TEXT, "-o", tmp_path / name, *options), code, *words)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_folder_that_may_not_be_written_to(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprobe.writers.files.os.access", lambda path, mode: False)
    check_error(run("heads", TEXT, "-o", tmp_path / "out.csv"), 1, str(tmp_path), "may not be written")


def broken_writer(error: BaseException) -> Callable[[Table, Any], None]:
    def write(table: Table, stream: Any) -> None:
        stream.write(b"half")
        raise error

    return write


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.parquet"])
def test_failed_write_leaves_nothing_behind(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, old: str | None
) -> None:
    if old:
        (tmp_path / name).write_text(old, encoding="utf-8")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("attnprobe.writers.files.get_writer", lambda format: broken_writer(full))
    check_error(run("heads", TEXT, "-o", tmp_path / name, "--overwrite"), 1, name, "No space left on device")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == ({name: old} if old else {})


def test_interrupted_write_leaves_nothing_behind(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprobe.writers.files.get_writer", lambda format: broken_writer(KeyboardInterrupt()))
    assert run("metrics", "-o", tmp_path / "out.csv").code == 130
    assert list(tmp_path.iterdir()) == []


class FullDisk(io.BytesIO):
    """Standard output redirected to a disk without room; stays readable when a writer closes it."""

    def close(self) -> None:
        pass

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "arguments",
    [["metrics", "-f", "csv"], ["metrics", "-f", "json"], ["metrics", "-f", "table"], ["--version"], ["--help"]],
    ids=str,
)
def test_standard_output_on_a_full_disk(run: Run, arguments: list[str]) -> None:
    check_error(run(*arguments, stdout=FullDisk()), 1, "No space left on device")
