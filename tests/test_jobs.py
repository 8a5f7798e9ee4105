"""Batches, rows as bytes, and runs in parts, without a model: what is measured are numbers made up from the texts."""

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprobe import Record, RowBlock, Skipped
from attnprobe.corpus.chunks import by_length, chunks
from attnprobe.corpus.inputs import Inputs
from attnprobe.errors import InputError, OutputError
from attnprobe.readers.sources import find_sources
from attnprobe.writers.rows import encode_rows, header
from tests.fabricated import COLUMNS, HEADS, LAYERS, METRICS, SOURCE, contents, make, whole, work

FORMATS = ["csv", "tsv", "jsonl", "parquet"]
IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['a "quoted" one', "two\nlines", "a,comma", "a\ttab", "\r\n", "null", "=1+1", "我们", "🐈‍⬛", "'", "\\"]
)
FLOATS = st.floats(width=32, allow_infinity=False)


# Batches


@given(lengths=st.lists(st.integers(1, 30), max_size=60), budget=st.integers(1, 100))
def test_batches_hold_every_text_once_and_only_equal_lengths(lengths: list[int], budget: int) -> None:
    batches = by_length(lengths, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len({lengths[place] for place in batch}) == 1 for batch in batches)
    assert all(len(batch) == 1 or sum(lengths[place] for place in batch) <= budget for batch in batches)
    longest = [lengths[batch[0]] for batch in batches]
    assert longest == sorted(longest, reverse=True)


@given(lengths=st.lists(st.integers(1, 6), max_size=60), budget=st.integers(1, 30))
def test_batches_are_no_more_than_needed(lengths: list[int], budget: int) -> None:
    batches = by_length(lengths, budget)
    for length, its in groupby(batches, key=lambda batch: lengths[batch[0]]):
        assert len(list(its)) == -(-lengths.count(length) // max(1, budget // length))


def items(sizes: list[int]) -> list[Record | Skipped]:
    """Records with as many characters; 0 is one that was skipped."""
    return [
        Record(str(n), "x" * size, None if n % 2 else "y", "f", n) if size else Skipped("f", n, "bad")
        for n, size in enumerate(sizes)
    ]


@given(sizes=st.lists(st.integers(0, 20), max_size=50), records=st.integers(1, 9), characters=st.integers(1, 60))
def test_chunks(sizes: list[int], records: int, characters: int) -> None:
    every = items(sizes)
    found = list(chunks(iter(every), records, characters))
    assert [item for chunk in found for item in chunk] == every
    filled = [
        [len(item.text) + len(item.pair or "") if isinstance(item, Record) else 0 for item in chunk] for chunk in found
    ]
    assert all(chunk and len(chunk) <= records and sum(chunk[:-1]) < characters for chunk in filled)
    assert all(len(chunk) == records or sum(chunk) >= characters for chunk in filled[:-1])  # none ends early


@given(sizes=st.lists(st.integers(0, 20), max_size=30), more=st.lists(st.integers(0, 20)), records=st.integers(1, 9))
def test_chunks_do_not_depend_on_what_comes_after(sizes: list[int], more: list[int], records: int) -> None:
    short = list(chunks(items(sizes), records, 40))
    long = list(chunks(items(sizes + more), records, 40))
    assert long[: max(0, len(short) - 1)] == short[:-1]


def test_what_comes_before_an_error_is_still_a_chunk() -> None:
    def broken() -> Iterator[Record | Skipped]:
        yield from items([1, 2, 3])
        raise InputError("torn")

    found = chunks(broken(), 2, 100)
    assert [len(next(found)), len(next(found))] == [2, 1]
    with pytest.raises(InputError, match="torn"):
        next(found)


# Rows


@st.composite
def blocks(draw: st.DrawFn) -> RowBlock:
    ids = draw(st.lists(IDS, max_size=4))
    n_tokens = draw(st.lists(st.integers(1, 2**31 - 1), min_size=len(ids), max_size=len(ids)))
    size = len(ids) * len(LAYERS) * len(HEADS) * len(METRICS)
    values = np.array(draw(st.lists(FLOATS, min_size=size, max_size=size)), dtype=np.float32)
    shape = (len(ids), len(LAYERS), len(HEADS), len(METRICS))
    return RowBlock.of_heads(ids, n_tokens, LAYERS, HEADS, METRICS, values.reshape(shape))


def cells(block: RowBlock) -> list[list[Any]]:
    """The block's rows; NaN as None, as missing values are read again."""
    return [
        [name, n_tokens, layer, head, *(None if np.isnan(x) else np.float32(x) for x in block.values[text, i, j])]
        for text, (name, n_tokens) in enumerate(zip(block.ids, block.n_tokens, strict=True))
        for i, layer in enumerate(LAYERS)
        for j, head in enumerate(HEADS)
    ]


def same_bits(rows: list[list[Any]]) -> list[list[Any]]:
    """Told apart: -0.0 from 0.0, and whatever float32 tells apart."""
    return [[cell.tobytes() if isinstance(cell, np.float32) else cell for cell in row] for row in rows]


def typed(row: list[str]) -> list[Any]:
    return [row[0], *map(int, row[1:4]), *(np.float32(cell) if cell else None for cell in row[4:])]


@settings(deadline=None)
@given(block=blocks(), format=st.sampled_from(["csv", "tsv"]))
def test_delimited_rows_are_read_again(block: RowBlock, format: str) -> None:
    data = (header(block.columns, format) + encode_rows([block], format)).decode()
    first, *rows = csv.reader(io.StringIO(data, newline=""), delimiter={"csv": ",", "tsv": "\t"}[format])
    assert first == [*COLUMNS]
    assert same_bits([typed(row) for row in rows]) == same_bits(cells(block))


@settings(deadline=None)
@given(block=blocks())
def test_csv_quotes_text_and_nothing_else(block: RowBlock) -> None:
    data = encode_rows([block], "csv").decode()
    rows = csv.reader(io.StringIO(data, newline=""), quoting=csv.QUOTE_NONNUMERIC)
    if not np.isnan(block.values).any():
        assert [row[0] for row in rows] == [row[0] for row in cells(block)]
    assert data.count('"') == 2 * len(block) + sum(2 * row[0].count('"') for row in cells(block))


@settings(deadline=None)
@given(block=blocks())
def test_json_rows_are_read_again(block: RowBlock) -> None:
    rows = [json.loads(line) for line in encode_rows([block], "jsonl").split(b"\n")[:-1]]
    assert all(list(row) == [*COLUMNS] for row in rows)
    found = [[x if n < 4 or x is None else np.float32(x) for n, x in enumerate(row.values())] for row in rows]
    assert same_bits(found) == same_bits(cells(block))


@settings(deadline=None, max_examples=30)
@given(block=blocks())
def test_parquet_rows_are_read_again(block: RowBlock) -> None:
    table = pyarrow.parquet.read_table(io.BytesIO(encode_rows([block], "parquet")))
    assert table.column_names == [*COLUMNS]
    assert [str(kind) for kind in table.schema.types] == ["string", "int32", "int16", "int16", *["float"] * 3]
    found = [
        [x if n < 4 or x is None else np.float32(x) for n, x in enumerate(row)]
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]
    assert same_bits(found) == same_bits(cells(block))


@settings(deadline=None, max_examples=30)
@given(block=blocks())
def test_frame_of_a_block(block: RowBlock) -> None:
    frame = block.to_frame()
    assert list(frame.columns) == [*COLUMNS]
    assert len(frame) == len(block)
    found = [
        [*row[:4], *(None if np.isnan(x) else np.float32(x) for x in row[4:])]
        for row in frame.itertuples(index=False, name=None)
    ]
    assert same_bits(found) == same_bits(cells(block))


# Runs in parts


@pytest.fixture(scope="module")
def expected_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """The files of an uninterrupted run by format."""
    return cache(lambda format: whole(tmp_path_factory.mktemp("whole"), format))


@pytest.mark.parametrize("format", FORMATS)
def test_files_of_a_finished_run(tmp_path: Path, format: str) -> None:
    files = whole(tmp_path, format)
    tables = ["heads.csv", "heads.csv.meta.json", "profile.csv", "profile.csv.meta.json"]
    notes = [f"out.{format}.cut.jsonl", f"out.{format}.skipped.jsonl"]
    assert sorted(files) == sorted(
        [*tables, *notes, f"out.{format}", *([] if format == "parquet" else [f"out.{format}.meta.json"])]
    )
    skipped = [json.loads(line) for line in files[f"out.{format}.skipped.jsonl"].splitlines()]
    assert skipped == [{"file": "f", "line": n, "reason": "bad", "id": None} for n in range(0, 40, 7)]
    cut = [json.loads(line) for line in files[f"out.{format}.cut.jsonl"].splitlines()]
    assert cut == [{"id": f'"{n}"\n', "n_cut": 3} for n in range(40) if n % 7 and n % 5 == 4]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("stops", [[0], [1], [5], [9], [10], [3, 2, 0, 4]], ids=str)
def test_stopped_and_taken_up_again_gives_the_same_bytes(
    expected_of: Callable[[str], dict[str, bytes]], tmp_path: Path, format: str, stops: list[int]
) -> None:
    expected = expected_of(format)
    folder = tmp_path / "stopped"
    folder.mkdir()
    for stop in stops:
        job = make(folder, format)
        job.start(resume=True, overwrite=False)
        work(job, stop_after=stop)
        assert not job.is_finished()
    job = make(folder, format)
    job.start(resume=True, overwrite=False)
    assert job.state.parts == min(sum(stops), 10)
    work(job)
    job.finish()
    assert contents(folder) == expected
    assert make(folder, format).is_finished()


def test_a_part_that_does_not_count_yet_is_written_again(
    expected_of: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    expected = expected_of("csv")
    folder = tmp_path / "stopped"
    folder.mkdir()
    job = make(folder, "csv")
    job.start(resume=False, overwrite=False)
    work(job, stop_after=3)
    (job.folder / "part-000003.csv").write_bytes(b"half a part")
    (job.folder / "part-000007.csv").write_bytes(b"of another life")
    with (job.folder / "skipped.jsonl").open("ab") as file:
        file.write(b'{"half a')
    job = make(folder, "csv")
    job.start(resume=True, overwrite=False)
    work(job)
    job.finish()
    assert contents(folder) == expected


class KilledError(BaseException):
    """Where the process ends at once."""


@pytest.mark.parametrize("format", ["csv", "parquet"])
@pytest.mark.parametrize("kept", range(0, 14, 3))
def test_ended_while_the_folder_is_removed(
    expected_of: Callable[[str], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    kept: int,
) -> None:
    """The output is there already; what is left of the folder must not be taken for a run with fewer parts."""
    expected = expected_of(format)
    folder = tmp_path / "ended"
    folder.mkdir()
    job = make(folder, format)
    job.start(resume=False, overwrite=False)
    work(job)
    with end_while_removing(monkeypatch, after=14 - kept), pytest.raises(KilledError):
        job.finish()
    again = make(folder, format)
    assert again.is_finished()
    assert contents(folder) == expected
    assert not again.folder.exists()


@contextmanager
def end_while_removing(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """Ends the process when it has removed so many files of the folder."""
    unlink, calls = Path.unlink, iter(range(after))

    def remove(path: Path, missing_ok: bool = False) -> None:
        if path.parent.suffix == ".parts" and path.suffix != ".tmp" and next(calls, None) is None:
            raise KilledError
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", remove)
        yield


def test_ended_while_another_run_is_replaced(
    expected_of: Callable[[str], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = expected_of("csv")
    folder = tmp_path / "ended"
    folder.mkdir()
    job = make(folder, "csv", signature="there")
    job.start(resume=False, overwrite=False)
    work(job, stop_after=6)
    with end_while_removing(monkeypatch, after=7), pytest.raises(KilledError):
        make(folder, "csv").start(resume=False, overwrite=True)
    job = make(folder, "csv")
    assert not job.is_finished()
    job.start(resume=True, overwrite=False)
    assert job.state.parts == 0
    work(job)
    job.finish()
    assert contents(folder) == expected


@pytest.mark.parametrize("call", range(1, 18))
def test_ended_while_the_output_is_made(
    expected_of: Callable[[str], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """At any of the files that finish() moves into place."""
    expected = expected_of("csv")
    folder = tmp_path / "ended"
    folder.mkdir()
    job = make(folder, "csv")
    job.start(resume=False, overwrite=False)
    work(job)
    calls = iter(range(1, 100))
    replace = Path.replace

    def move(path: Path, target: Path) -> Path:
        if next(calls) == call:
            raise KilledError
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", move)
        try:
            job.finish()
        except KilledError:
            assert job.output.exists() == (call == 17)  # the output comes last, and then the folder goes
            job = make(folder, "csv")
            job.start(resume=True, overwrite=False)
            patch.setattr(Path, "replace", replace)
            work(job)
            job.finish()
    assert contents(folder) == expected


@pytest.mark.parametrize(
    ("name", "now", "then", "words"),
    [
        ("signature", "model:a|dtype:float32", "model:b|dtype:float32", "model: a, before: b"),
        ("input", {"f": "1"}, {"f": "2"}, "f has other content"),
        ("input", {"f": "1", "g": "1"}, {"f": "2", "g": "2"}, "f, g have other content"),
        ("input", {"f": "1"}, {"g": "1", "h": "1"}, "input: f, before: g, h"),
        ("input", {"f": "1", "g": "1"}, {"g": "1", "f": "1"}, "input: f, g, before: g, f"),
        ("options", {"layers": [1], "limit": None}, {"layers": [1], "limit": 2}, "limit: none, before: 2"),
        ("options", {"layers": [1, 2]}, {"layers": []}, "layers: 1, 2, before: none"),
        ("options", {"columns": {"text": "a", "id": None}}, {"columns": {"text": "b", "id": None}}, "text column: a,"),
        ("options", {"profile": True}, {"profile": False}, "profile: yes, before: no"),
        ("options", dict.fromkeys("abcdef", 1), {}, "d: 1, before: none; and 2 more"),
        ("options", {"column": "x" * 200}, {}, f"column: {'x' * 60}…, before"),
    ],
)
def test_another_run_is_not_taken_up(tmp_path: Path, name: str, now: Any, then: Any, words: str) -> None:
    """What differs is named in words, and nothing else."""
    job = make(tmp_path, "csv", **{name: then})
    job.start(resume=False, overwrite=False)
    work(job, stop_after=2)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="cannot resume: ") as error:
        make(tmp_path, "csv", **{name: now}).start(resume=True, overwrite=False)
    assert words in str(error.value)
    assert not any(mark in str(error.value) for mark in ("dtype", "[", "{", "'"))
    assert contents(tmp_path) == before


def test_finished_output_of_another_run(tmp_path: Path) -> None:
    whole(tmp_path, "csv")
    with pytest.raises(OutputError, match=r"there.*here"):
        make(tmp_path, "csv", signature="there").is_finished()
    meta = tmp_path / "out.csv.meta.json"
    counts = json.loads(meta.read_bytes())["counts"]
    for content, words in (
        ({"signature": "here", "counts": counts}, "input: f, before: none"),
        ({"signature": "here", "counts": counts, "input": ["f"]}, "does not say what it was"),
        ({"signature": "here", "counts": {"texts": 1}}, "does not say that a run like this made it"),
        ({"signature": "here", "counts": {**counts, "texts": "1"}}, "does not say that a run like this made it"),
        ({"signature": "here"}, "does not say that a run like this made it"),
    ):
        meta.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(OutputError, match=words):
            make(tmp_path, "csv").is_finished()
    (tmp_path / "out.csv.meta.json").unlink()
    with pytest.raises(OutputError, match="exists already"):
        make(tmp_path, "csv").is_finished()


def test_unfinished_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    job = make(tmp_path, "csv")
    job.start(resume=False, overwrite=False)
    work(job, stop_after=2)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="unfinished run"):
        make(tmp_path, "csv").start(resume=False, overwrite=False)
    assert contents(tmp_path) == before
    make(tmp_path, "csv").start(resume=False, overwrite=True)
    assert list(contents(tmp_path)) == ["out.csv.parts/manifest.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda source: [source[1], *source[1:]], "not those of the earlier run"),
        (lambda s: [s[0], replace(s[1], words=[s[1].text]), *s[2:]], "not those of the earlier run"),
        (lambda s: [s[0], replace(s[1], pair_words=["a"]), *s[2:]], "not those of the earlier run"),
        (lambda s: [s[0], replace(s[1], labels={"kind": 1}), *s[2:]], "not those of the earlier run"),
        (lambda s: s[:11], "shorter than"),
    ],
)
def test_other_records_than_those_that_count(tmp_path: Path, change: Any, words: str) -> None:
    """As standard input can bring, which has no fingerprint."""
    job = make(tmp_path, "csv")
    job.start(resume=False, overwrite=False)
    work(job, stop_after=4)
    before = contents(tmp_path)
    job = make(tmp_path, "csv")
    job.start(resume=True, overwrite=False)
    with pytest.raises(InputError, match=words):
        work(job, change(SOURCE))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("call", [2, 5, 12])
def test_full_disk_keeps_what_counts(
    expected_of: Callable[[str], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    expected = expected_of("csv")
    folder = tmp_path / "full"
    folder.mkdir()
    calls = iter(range(1, 100))
    replace = Path.replace

    def move(path: Path, target: Path) -> Path:
        if next(calls) >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", move)
        job = make(folder, "csv")
        job.start(resume=False, overwrite=False)
        with pytest.raises(OutputError, match="No space left on device"):
            work(job)
    assert not list(folder.rglob(".*"))  # no temporary file takes the room
    job = make(folder, "csv")
    job.start(resume=True, overwrite=False)
    assert job.state.parts == (call - 2) // 2
    work(job)
    job.finish()
    assert contents(folder) == expected


def test_folder_that_is_gone(tmp_path: Path) -> None:
    job = make(tmp_path, "csv")
    job.start(resume=False, overwrite=False)
    work(job, stop_after=2)
    shutil.rmtree(job.folder)
    job = make(tmp_path, "csv")
    job.start(resume=True, overwrite=False)
    shutil.rmtree(job.folder)
    with pytest.raises(OutputError, match="No such file"):
        work(job)
    assert not job.output.exists()


@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_input_that_changes_while_it_is_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "in.txt"
    path.write_text("one\n", encoding="utf-8")
    found = Inputs(find_sources([str(path)])).watched([item] for item in items([1, 2, 3]))
    next(found)
    if change == "append":
        with path.open("a", encoding="utf-8") as file:
            file.write("two\n")
    elif change == "replace":
        (tmp_path / "other").write_text("two\n", encoding="utf-8")
        (tmp_path / "other").replace(path)
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"in\.txt.*changed while"):
        next(found)


def test_input_that_stays_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("one\n", encoding="utf-8")
    pieces = [[item] for item in items([1, 2, 3])]
    assert list(Inputs(find_sources([str(path)])).watched(pieces)) == pieces
