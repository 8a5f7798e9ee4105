"""What command-line words name."""

import gzip
import io
import os
import re
import threading
from pathlib import Path
from unittest import mock

import pytest
import zstandard

from attnprobe.errors import InputError, MissingExtraError, UsageError
from attnprobe.readers.readers import read_records
from attnprobe.readers.source import Source
from attnprobe.readers.sources import find_sources, fingerprint, stamps
from attnprobe.values.records import Record
from tests.readers.reading import stdin


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str, data: bytes = b"text\n") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def named(*inputs: str, format: str | None = None) -> list[str]:
    return [source.name for source in find_sources(inputs, format)]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.txt", "txt"),
        ("a.TEXT", "txt"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json.gz", "json"),
        ("a.csv", "csv"),
        ("a.b.Csv.Gz", "csv"),
        ("a.tsv.zst", "tsv"),
        ("a.tab.zstd", "tsv"),
        ("a.fa", "fasta"),
        ("a.fasta.gz", "fasta"),
        ("a.faa", "fasta"),
        ("a.parquet", "parquet"),
        ("a.pq.gz", "parquet"),
        ("a.arrow", "arrow"),
        ("a.feather", "arrow"),
        ("a.ipc", "arrow"),
    ],
)
def test_format_by_suffix(name: str, format: str) -> None:
    put(name)
    assert find_sources([name]) == [Source(name, format, Path(name))]
    assert find_sources([name], "jsonl") == [Source(name, "jsonl", Path(name))]


@pytest.mark.parametrize("name", ["a", "a.gz", ".txt", "a.md", "a.txt.bz2", "a.zst.txt.gz.gz", "txt"])
def test_suffix_that_tells_nothing(name: str) -> None:
    put(name)
    with pytest.raises(UsageError, match=f"cannot tell the format of '{name}' from its suffix") as caught:
        find_sources([name])
    assert caught.value.hint.startswith("--input-format, one of txt jsonl json csv")
    assert find_sources([name], "txt") == [Source(name, "txt", Path(name))]


@pytest.mark.parametrize("name", ["a.xlsx", "a.XLS", "a.ods"])
def test_spreadsheet_is_refused_by_name(name: str) -> None:
    put(name)
    with pytest.raises(UsageError, match=f"'{name}' is a spreadsheet, which is not read") as caught:
        find_sources([name])
    assert caught.value.hint == "save it as CSV or Parquet"


def test_files_come_as_named_and_globs_sorted() -> None:
    put("b.txt", "a.txt", "c.txt", "d/x.txt", "d/e/y.txt", "d/e/z.csv", ".hidden.txt")
    assert named("c.txt", "[ab].txt") == ["c.txt", "a.txt", "b.txt"]
    assert named("*.txt") == ["a.txt", "b.txt", "c.txt"]
    assert named("d/**/*.*") == ["d/e/y.txt", "d/e/z.csv", "d/x.txt"]
    assert named("d/**", "?.txt") == ["d/e/y.txt", "d/e/z.csv", "d/x.txt", "a.txt", "b.txt", "c.txt"]
    assert named(str(Path.cwd() / "*.txt"))[0] == str(Path.cwd() / "a.txt")


def test_file_that_looks_like_a_glob_or_a_hub_name() -> None:
    put("[ab].txt", "a.txt", "hub:x.txt", "-.txt")
    assert named("[ab].txt", "hub:x.txt", "-.txt") == ["[ab].txt", "hub:x.txt", "-.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.txt", "no file 'no.txt'"),
        ("", "no file ''"),
        ("no\0.txt", "no file 'no\\x00.txt'"),
        ("no*.txt", "no file matches 'no*.txt'"),
        ("folder*", "no file matches 'folder*'"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a.txt/b.txt", "no file 'a.txt/b.txt'"),
    ],
)
def test_nothing_there(name: str, message: str) -> None:
    put("a.txt", "folder/a.txt")
    with pytest.raises(InputError) as caught:
        find_sources([name])
    assert message in str(caught.value)
    assert caught.value.exit_code == 1


def test_folder_that_is_no_dataset() -> None:
    put("folder/a.txt")
    with pytest.raises(InputError, match="'folder' is a folder, and no dataset") as caught:
        find_sources(["folder"], "txt")
    assert caught.value.hint == "name its files, such as 'folder/*.txt'"


@pytest.mark.parametrize(
    "inputs", [["-", "-"], ["a.txt", "a.txt"], ["a.txt", "./a.txt"], ["*.txt", "a*"], ["hub:a"] * 2]
)
def test_named_twice(inputs: list[str]) -> None:
    put("a.txt")
    with pytest.raises(UsageError, match="named twice"):
        find_sources(inputs)


def test_no_input() -> None:
    with pytest.raises(UsageError, match="no input") as caught:
        find_sources([])
    assert caught.value.hint == "name files, or - for stdin"


def test_unknown_format() -> None:
    with pytest.raises(UsageError, match="no input format 'xls'") as caught:
        find_sources(["-"], "xls")
    assert caught.value.hint == "one of txt jsonl json csv tsv fasta conllu conllu-documents parquet arrow dataset"


def test_file_read_as_a_dataset() -> None:
    put("a.txt")
    with pytest.raises(UsageError, match=r"'a\.txt' is a file, and a dataset is a folder"):
        find_sources(["a.txt"], "dataset")


def test_stdin() -> None:
    assert find_sources(["-"]) == [Source("-", "txt", once=True)]
    assert find_sources(["-"], "csv") == [Source("-", "csv", once=True)]
    (source,) = find_sources(["-"])
    assert (fingerprint(source), stamps(source)) == ("stdin", None)


def test_closed_stdin() -> None:
    with mock.patch("sys.stdin", None), pytest.raises(InputError, match=r"^-: it is closed"):
        list(read_records(find_sources(["-"])))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("a.parquet", "pyarrow", "parquet"), ("a.arrow", "pyarrow", "parquet"), ("a.txt.gz", "zstandard", "zstd")],
)
def test_missing_extra(name: str, package: str, extra: str) -> None:
    put(name, data=zstandard.compress(b"text\n"))
    with mock.patch.dict("sys.modules", {package: None}), pytest.raises(MissingExtraError) as caught:
        find_sources([name])
    assert str(caught.value) == f"this needs {package}, which is not installed"
    assert caught.value.hint == f'pip install "attnprobe[{extra}]"'


def test_missing_extra_shows_when_stdin_is_read() -> None:
    without = mock.patch.dict("sys.modules", {"zstandard": None})
    with stdin(io.BytesIO(zstandard.compress(b"a\n"))), without, pytest.raises(MissingExtraError, match="zstandard"):
        list(read_records(find_sources(["-"])))
    with mock.patch.dict("sys.modules", {"pyarrow": None}), pytest.raises(MissingExtraError, match="pyarrow"):
        find_sources(["-"], "parquet")


def test_file_that_cannot_be_read() -> None:
    """Linux opens this one, and no more."""
    with pytest.raises(InputError, match="'/proc/self/mem' cannot be read: Input/output error"):
        find_sources(["/proc/self/mem"], "txt")


def test_file_that_must_not_be_read() -> None:
    put("a.txt")
    forbidden = mock.patch.object(Path, "open", side_effect=PermissionError(13, "Permission denied"))
    with forbidden, pytest.raises(InputError, match=r"'a\.txt' cannot be read: Permission denied"):
        find_sources(["a.txt"])


@pytest.mark.parametrize("name", ["a.txt", "a.*"])
def test_link_to_nothing(name: str) -> None:
    Path("a.txt").symlink_to("nothing")
    with pytest.raises(InputError, match=f"'{re.escape(name)}' cannot be read: No such file or directory"):
        find_sources([name])


def test_file_that_is_gone_when_it_is_read() -> None:
    put("a.txt")
    sources = find_sources(["a.txt"])
    Path("a.txt").unlink()
    with pytest.raises(InputError, match=r"^a\.txt: cannot be read: No such file or directory$"):
        read_records(sources)
    with pytest.raises(InputError, match=r"'a\.txt' cannot be read"):
        fingerprint(sources[0])
    assert stamps(sources[0]) is None


def test_name_that_is_not_unicode() -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    put(name)
    (source,) = find_sources([name])
    assert source.name == "caf\\xe9.txt"
    assert list(read_records([source])) == [Record("1", "text")]


def test_fingerprint_is_of_the_content() -> None:
    put("a.txt", "b.txt", data=b"a" * 10)
    put("c.txt", data=b"a" * 9 + b"b")
    put("d.txt", data=b"a" * 11)
    a, b, c, d = (fingerprint(source) for source in find_sources(["?.txt"]))
    assert a == b
    assert len({a, c, d}) == 3
    assert a.startswith("10-")


@pytest.mark.parametrize("place", [0, 2**19, 2**20 - 1])
def test_fingerprint_is_of_all_bytes(place: int) -> None:
    data = bytearray(2**20)
    put("a.txt", data=bytes(data))
    data[place] = 1
    put("b.txt", data=bytes(data))
    a, b = find_sources(["a.txt", "b.txt"])
    assert fingerprint(a) != fingerprint(b)


def test_state_shows_a_change() -> None:
    put("a.txt")
    (source,) = find_sources(["a.txt"])
    before = stamps(source)
    assert before == stamps(source) is not None
    put("a.txt", data=b"more text\n")
    changed = stamps(source)
    assert changed != before
    put("b.txt", data=b"more text\n")
    Path("b.txt").replace("a.txt")
    assert stamps(source) != changed


def test_pipe_with_a_name() -> None:
    os.mkfifo("pipe.txt")
    (source,) = find_sources(["pipe.txt"])
    assert (source.once, fingerprint(source), stamps(source)) == (True, "stdin", None)
    writer = threading.Thread(target=Path("pipe.txt").write_bytes, args=(gzip.compress(b"one\ntwo\n"),))
    writer.start()
    assert list(read_records([source])) == [Record("1", "one"), Record("2", "two")]
    writer.join()
