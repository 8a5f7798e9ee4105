"""Ids over several sources, limits, samples, readers from elsewhere."""

import collections
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attnprobe.errors import InputError, UsageError
from attnprobe.readers.readers import READERS, get_reader, read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Columns, Record, Skipped
from tests.readers.reading import read, stdin

LINES = b"a\nb\n\xff\nc\n\n\0\nd\ne\n"
BAD = [3, 6]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"one\n\xff\n")
    (tmp_path / "b.csv").write_bytes(b"n,text\n7,two\n8,\n")
    (tmp_path / "c.jsonl").write_bytes(b'{"n": "x", "text": "three"}\n')
    return tmp_path


def ids(found: list[Record | Skipped]) -> list[str]:
    return [record.id for record in found if isinstance(record, Record)]


def test_ids_name_the_file_where_there_are_several(folder: Path) -> None:
    with stdin(io.BytesIO(b"\nfour\n")):
        found = list(read_records(find_sources(["?.*", "-"])))
    assert found == [
        Record("a.txt:1", "one"),
        Skipped("a.txt", 2, "byte 0xff at position 1 is not utf-8 (--encoding NAME if it is in another)"),
        Record("b.csv:2", "two"),
        Skipped("b.csv", 3, "'text' is empty"),
        Record("c.jsonl:1", "three"),
        Record("-:2", "four"),
    ]


def test_ids_of_a_column_are_left_as_they_are(folder: Path) -> None:
    found = list(read_records(find_sources(["b.csv", "c.jsonl"]), Columns(id="n")))
    assert found == [Record("7", "two"), Skipped("b.csv", 3, "'text' is empty", "8"), Record("x", "three")]


def test_no_sources() -> None:
    assert list(read_records([])) == []


@pytest.mark.parametrize(
    ("limit", "good", "bad"),
    [(1, "1", []), (2, "12", []), (3, "124", [3]), (4, "1247", BAD), (9, "12478", BAD), (None, "12478", BAD)],
)
def test_limit_takes_the_first_good_records(limit: int | None, good: str, bad: list[int]) -> None:
    found = read(LINES, limit=limit)
    assert ids(found) == list(good)
    assert [skipped.line for skipped in found if isinstance(skipped, Skipped)] == bad


def test_limit_counts_over_all_sources(folder: Path) -> None:
    assert ids(list(read_records(find_sources(["?.*"]), limit=2))) == ["a.txt:1", "b.csv:2"]


def test_nothing_is_read_beyond_the_limit() -> None:
    stream = io.BytesIO(b"a\nb\n" + b"c\n" * 1_000_000)
    with stdin(stream):
        assert len(list(read_records(find_sources(["-"]), limit=2))) == 2
    assert stream.tell() < 300_000


@pytest.mark.parametrize("option", ["limit", "sample"])
@pytest.mark.parametrize("number", [0, -1])
def test_limit_and_sample_are_positive(option: str, number: int) -> None:
    with pytest.raises(UsageError, match=f"{option} is {number}"):
        read(LINES, **{option: number})


def test_sample_keeps_the_order_and_comes_after_the_skipped() -> None:
    data = b"".join(b"%d\n" % number if number % 10 else b"\xff\n" for number in range(1, 1001))
    found = read(data, sample=50)
    assert [type(item) for item in found] == [Skipped] * 100 + [Record] * 50
    numbers = list(map(int, ids(found)))
    assert numbers == sorted(set(numbers))
    assert all(item == Record(item.text, item.text) for item in found[100:] if isinstance(item, Record))


def test_seed_decides_the_sample() -> None:
    data = b"x\n" * 1000
    assert read(data, sample=20) == read(data, sample=20, seed=0)
    assert read(data, sample=20, seed=7) == read(data, sample=20, seed=7)
    assert len({tuple(ids(read(data, sample=20, seed=seed))) for seed in range(20)}) == 20


def test_same_sample_on_every_machine() -> None:
    assert ids(read(b"x\n" * 100, sample=5, seed=1)) == ["3", "38", "56", "78", "98"]


@pytest.mark.parametrize("size", [5, 6, 1000])
def test_sample_of_all(size: int) -> None:
    assert ids(read(LINES, sample=size)) == ["1", "2", "4", "7", "8"]


def test_limit_applies_before_the_sample() -> None:
    drawn = {id for seed in range(50) for id in ids(read(b"x\n" * 100, sample=3, limit=10, seed=seed))}
    assert drawn == set(map(str, range(1, 11)))


@pytest.mark.parametrize("size", [1, 3, 7])
def test_every_record_is_drawn_equally_often(size: int) -> None:
    """Chi-squared over records, and over pairs of neighbours in the sample, each far within chance (p > 0.001)."""
    data, draws = b"x\n" * 10, 2000
    samples = [tuple(map(int, ids(read(data, sample=size, seed=seed)))) for seed in range(draws)]
    counts = collections.Counter(number for sample in samples for number in sample)
    expected = draws * size / 10
    assert sum((counts[number] - expected) ** 2 / expected for number in range(1, 11)) < 27.9  # 9 degrees of freedom
    if size == 3:
        sets = collections.Counter(samples)
        assert len(sets) == 120
        assert sum((count - draws / 120) ** 2 / (draws / 120) for count in sets.values()) < 173.6  # 119


@pytest.mark.parametrize(
    ("inputs", "columns", "error"),
    [
        (["a.txt", "b.csv"], Columns("text"), "a.txt is read as plain text"),
        (["c.jsonl", "b.csv"], Columns("body"), "c.jsonl: no record has 'body'"),
        (["c.jsonl", "d.csv"], Columns(), "d.csv: which column"),
        (["c.jsonl", "e.csv.gz"], Columns(), "e.csv.gz: the gzip data end too early"),
        (["c.jsonl", "f.parquet"], Columns(), "f.parquet: no Parquet file"),
    ],
)
def test_every_source_is_looked_at_before_the_first_record(
    folder: Path, inputs: list[str], columns: Columns, error: str
) -> None:
    (folder / "d.csv").write_bytes(b"x,y\n1,2\n")
    (folder / "e.csv.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (folder / "f.parquet").write_bytes(b"PAR1")
    sources = find_sources(inputs)
    with pytest.raises((UsageError, InputError), match=error):
        read_records(sources, columns)


def test_unknown_reader() -> None:
    with pytest.raises(UsageError, match="no input format 'xls'"):
        get_reader("xls")


def test_every_reader_is_there() -> None:
    assert all(callable(get_reader(name)) for name in READERS)


PLUGIN = """
from attnprobe.values.records import Record

def read_words(source, columns, encoding):
    for number, word in enumerate(source.path.read_text(encoding).split(), 1):
        yield Record(str(number), word)
"""
SCRIPT = """
import json, sys
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
found = [[record.id, record.text] for record in read_records(find_sources(sys.argv[1:]))]
heavy = {"torch", "transformers", "pandas", "pyarrow", "datasets", "zstandard"}
print(json.dumps([found, sorted(heavy & set(sys.modules))]))
"""


def test_reader_from_another_package_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "word_plugin.py").write_text(PLUGIN)
    metadata = tmp_path / "word_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: word-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[attnprobe.readers]\nwords = word_plugin:read_words\n")
    (tmp_path / "a.words.gz").write_text("one two")
    (tmp_path / "b.txt").write_text("three four")
    command = [sys.executable, "-c", SCRIPT, "a.words.gz", "b.txt"]
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    found, heavy = json.loads(done.stdout)
    assert found == [["a.words.gz:1", "one"], ["a.words.gz:2", "two"], ["b.txt:1", "three four"]]
    assert heavy == []
