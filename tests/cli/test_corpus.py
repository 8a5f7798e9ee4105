"""attnprobe corpus: rows against ``head_stats``, runs that are killed and taken up again, and what is refused."""

import csv
import errno
import gzip
import io
import json
import os
import random
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from attnprobe import METRICS, Encoder, head_stats, load_encoder
from attnprobe.corpus import settings as corpus_settings
from attnprobe.models import loading
from tests.cli.commandline import READERS, Result, Run, as_pickle, check_error, process, signature
from tests.rows import STORED, check_rows, noise

TEXTS = [
    "The cat sat on the mat.",
    "我们昨天去了超市",
    "patient",
    "A thumb 👍🏽 and a cat 🐈‍⬛ [SEP]",
    "It [/INST] was late, wasn't it?",
    " ".join(["word"] * 600),
]
IDS = ["plain", 'a "quoted" one', "a,comma", "two\nlines", "[/INST]", "我们"]
LINES = [f"line {n} {'is long ' * (n % 7)}and ends" for n in range(1, 41)]
LINES[10], LINES[20], LINES[30] = "nul \0", " ".join(["word"] * 90), "nul \0 again"
COLUMNS = ["id", "n_tokens", "layer", "head", *METRICS]
FORMATS = ["csv", "tsv", "jsonl", "parquet"]
KILLS = 20
PATIENCE = 300  # seconds for what takes a few on an idle machine

pytestmark = pytest.mark.filterwarnings("ignore::attnprobe.TruncationWarning")


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_encoder", load_once)


load_once = cache(loading.load_encoder)


@pytest.fixture
def corpus(run: Run, tiny: Path) -> Run:
    """``attnprobe corpus ARGUMENTS`` with the tiny model."""
    return lambda *arguments, **options: run("corpus", *arguments, "-m", tiny, **options)


@pytest.fixture
def encoder(tiny: Path) -> Encoder:
    return load_once(str(tiny))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 4 texts."""
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 lines, two of which cannot be used and one of which is cut."""
    return write(tmp_path_factory.mktemp("input") / "in.txt", LINES)


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def rows_of(path: Path) -> pd.DataFrame:
    """With ids as text, whatever they look like."""
    format = path.suffix[1:]
    data = path.read_bytes()
    if format in ("csv", "tsv"):
        frame = pd.read_csv(
            io.BytesIO(data), sep={"csv": ",", "tsv": "\t"}[format], dtype={"id": str}, keep_default_na=False,
            na_values={name: [""] for name in METRICS},
        )  # fmt: skip
    else:
        frame = READERS[format](data)
    return frame


def one_by_one(encoder: Encoder, texts: list[str], ids: list[str], **options: Any) -> pd.DataFrame:
    frames = []
    for name, text in zip(ids, texts, strict=True):
        frame = head_stats(text, encoder, **options)
        frame.insert(0, "id", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# Rows


def as_csv(path: Path, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["name", "body"], *zip(IDS, TEXTS, strict=True)])
    return path


def as_jsonl(path: Path) -> Path:
    rows = ({"name": name, "body": text, "other": 1} for name, text in zip(IDS, TEXTS, strict=True))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    pyarrow.parquet.write_table(pyarrow.table({"name": IDS, "body": TEXTS}), path)
    return path


MAKE: dict[str, Callable[[Path], Path]] = {
    "csv": as_csv,
    "tsv": lambda path: as_csv(path, "\t"),
    "jsonl": as_jsonl,
    "parquet": as_parquet,
}


@pytest.mark.parametrize("format", FORMATS)
def test_rows_are_those_of_each_text(corpus: Run, encoder: Encoder, tmp_path: Path, format: str) -> None:
    """Read from the same format with ids that every format must quote."""
    source, out = MAKE[format](tmp_path / f"in.{format}"), tmp_path / f"out.{format}"
    result = corpus(source, "--column", "body", "--id-column", "name", "-o", out)
    assert (result.code, result.out) == (0, b"")
    rows = rows_of(out)
    assert list(rows.columns) == COLUMNS
    check_rows(rows, one_by_one(encoder, TEXTS, IDS), encoder)
    lengths = [min(64, len(encoder.tokenizer(text)["input_ids"])) for text in TEXTS]
    assert rows["n_tokens"].tolist() == [length for length in lengths for _ in range(4)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_of_the_default_model(run: Run, tmp_path: Path, dtype: str) -> None:
    out = tmp_path / "out.csv"
    assert run("corpus", write(tmp_path / "in.txt", TEXTS), "-o", out, "--dtype", dtype).code == 0
    encoder = load_encoder(dtype=dtype)
    check_rows(rows_of(out), one_by_one(encoder, TEXTS, list("123456")), encoder)


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--queries", "content"], {"queries": "content"}),
        (["--level", "word"], {"level": "word"}),
        (["--stride", "8"], {"stride": 8}),
        (["--stride", "4", "--max-length", "20"], {"stride": 4, "max_length": 20}),
        (["--max-length", "12"], {"max_length": 12}),
        (["-l", "-1", "--head", "1"], {"layers": -1, "heads": 1}),
        (["-l", "1,0"], {"layers": [1, 0]}),
        (["-k", "distance", "-k", "entropy"], {"metrics": ["distance", "entropy"]}),
        (["--long-range", "3", "--batch-tokens", "20"], {"long_range": 3}),
    ],
    ids=str,
)
def test_options_are_those_of_heads(
    corpus: Run, encoder: Encoder, tmp_path: Path, flags: list[str], options: dict[str, Any]
) -> None:
    out = tmp_path / "out.csv"
    assert corpus(write(tmp_path / "in.txt", TEXTS), "-o", out, *flags).code == 0
    expected = one_by_one(encoder, TEXTS, list("123456"), **options)
    check_rows(rows_of(out), expected, encoder)
    meta = json.loads((tmp_path / "out.csv.meta.json").read_text(encoding="utf-8"))
    assert meta["signature"] == head_stats("one", encoder, **options).attrs["signature"]


def test_pairs(corpus: Run, encoder: Encoder, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("one,two\nThe cat,sat\nA dog,barked at it\n", encoding="utf-8")
    assert corpus(source, "--column", "one", "--pair-column", "two", "-o", out).code == 0
    frames = [head_stats("The cat", encoder, pair="sat"), head_stats("A dog", encoder, pair="barked at it")]
    expected = pd.concat(frames, ignore_index=True)
    expected.insert(0, "id", np.repeat(["2", "3"], 4))  # lines of the file
    check_rows(rows_of(out), expected, encoder)


def test_several_files_and_blank_lines(corpus: Run, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.txt", ["one", "", "two"]), tmp_path / "b.txt.gz"
    two.write_bytes(gzip.compress(b"three\n"))
    result = corpus(tmp_path / "*.txt*", "-l", "0", "--head", "0", "-k", "entropy")
    assert [row[0] for row in csv.reader(io.StringIO(result.text))] == ["id", f"{one}:1", f"{one}:3", f"{two}:1"]


def test_standard_input_and_output(corpus: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "in.txt", TEXTS[:5])
    corpus(source, "-o", tmp_path / "out.csv")
    expected = (tmp_path / "out.csv").read_bytes()
    assert corpus("-", stdin=source.read_bytes()).out == expected
    assert corpus("-", "-o", "-", "-f", "csv", stdin=source.read_bytes()).out == expected
    corpus("-", "-o", tmp_path / "piped.csv", stdin=source.read_bytes())
    assert (tmp_path / "piped.csv").read_bytes() == expected


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_rows_to_standard_output_are_those_of_the_file(corpus: Run, tmp_path: Path, format: str) -> None:
    source, out = write(tmp_path / "in.txt", TEXTS), tmp_path / f"out.{format}"
    corpus(source, "-o", out)
    assert corpus(source, "-f", format).out == out.read_bytes()


def test_missing_values(corpus: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "in.txt", ["one"])
    wanted = [source, "-l", "0", "--head", "0", "-k", "cross_share", "-k", "self_share"]
    header, row = corpus(*wanted, "-f", "csv").text.splitlines()
    assert header == '"id","n_tokens","layer","head","self_share","cross_share"'
    assert re.fullmatch(r'"1",3,0,0,0\.\d+,', row)
    assert corpus(*wanted, "-f", "jsonl").text.endswith('"cross_share":null}\n')
    corpus(*wanted, "-o", tmp_path / "out.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["cross_share"].null_count == 1


@pytest.mark.parametrize("format", FORMATS)
def test_signature_comes_with_the_rows(corpus: Run, encoder: Encoder, tmp_path: Path, format: str) -> None:
    source, out = write(tmp_path / "in.txt", ["one"]), tmp_path / f"out.{format}"
    tables = [tmp_path / "heads.csv", tmp_path / "profile.csv"]
    corpus(source, "-o", out, "--summary", tables[0], "--profile", tables[1], "--queries", "content")
    expected = head_stats("one", encoder, queries="content").attrs["signature"]
    assert signature(expected)["queries"] == "content"
    if format == "parquet":
        metadata = pyarrow.parquet.read_schema(out).metadata
        assert metadata[b"attnprobe.signature"].decode() == expected
    for path in [*tables, *([] if format == "parquet" else [out])]:
        meta = path.with_name(f"{path.name}.meta.json")
        assert json.loads(meta.read_text(encoding="utf-8"))["signature"] == expected


def test_terminal_shows_the_means(corpus: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "in.txt", ["one", "two words"])
    result = corpus(source, "-k", "entropy", "-k", "self_share", terminal=True)
    assert result.code == 0
    assert "2 texts, 7 tokens" in result.text
    means = corpus(source, "-k", "entropy", "-k", "self_share", "-f", "csv").frame.groupby(["layer", "head"]).mean()
    plain = re.sub(r"\x1b\[[\d;]*m", "", result.text)
    shown = [row.split() for row in plain.splitlines() if re.match(r" +\d+ +\d+ ", row)]
    found = np.array([[float(cell) for cell in row[2:]] for row in shown])
    np.testing.assert_allclose(found, means[["entropy", "self_share"]], atol=5e-3)


def test_summary_and_profile_as_files(corpus: Run, encoder: Encoder, lines: Path, tmp_path: Path) -> None:
    out, heads, curve = tmp_path / "out.parquet", tmp_path / "heads.parquet", tmp_path / "curve.jsonl"
    corpus(lines, "-o", out, "--summary", heads, "--profile", curve, "--head", "1")
    rows, summary = pd.read_parquet(out), pd.read_parquet(heads)
    expected = rows.drop(columns=["id", "n_tokens"]).groupby(["layer", "head"]).mean().stack().dropna()
    found = summary.set_index(["layer", "head", "metric"])["mean"].dropna()
    assert set(found.index) == set(expected.index)
    np.testing.assert_allclose(found, expected.loc[found.index], rtol=STORED, atol=STORED * expected.abs().max())
    assert set(summary.loc[summary["metric"] == "distance", "n_texts"]) == {38}
    profile = pd.DataFrame([json.loads(line) for line in curve.read_bytes().splitlines()])
    assert list(profile.columns) == ["layer", "head", "offset", "share"]
    np.testing.assert_allclose(profile.groupby(["layer", "head"])["share"].sum(), 1, rtol=0, atol=noise(encoder, 64))
    assert set(profile["head"]) == {1}


@pytest.mark.usefixtures("small", "warm_workers")
def test_workers_give_the_same_bytes(corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same order, and all of them are heard of."""
    from attnprobe.cli import output

    counted: list[np.ndarray] = []
    monkeypatch.setattr(output.Progress, "add", lambda progress, *counts: heard.append(counts))
    for workers in (1, 2):
        heard: list[tuple[int, int]] = []
        folder = tmp_path / str(workers)
        folder.mkdir()
        tables = ["--summary", folder / "heads.csv", "--profile", folder / "curve.csv"]
        result = corpus(lines, "-o", folder / "out.csv", *tables, "--workers", workers, "--no-progress")
        assert result.code == 3
        assert len(result.err.splitlines()) == 3  # cut, skipped, done
        counted.append(np.sum(heard, axis=0))
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert counted[0].tolist() == counted[1].tolist()


# Empty corpora


def test_file_without_texts(corpus: Run, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.txt", ["", " "]), tmp_path / "out.csv"
    result = corpus(source, "-o", out, "--summary", tmp_path / "heads.csv", "--profile", tmp_path / "curve.csv")
    assert (result.code, result.err.splitlines()[0]) == (0, f"attnprobe: no records in '{source}'")
    assert next(csv.reader(io.StringIO(out.read_text(encoding="utf-8")))) == COLUMNS
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1
    table = pd.read_csv(tmp_path / "heads.csv")
    assert len(table) == 4 * len(METRICS)
    assert table["n_texts"].eq(0).all()
    assert table["mean"].isna().all()
    assert pd.read_csv(tmp_path / "curve.csv")["share"].eq(0).all()


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_but_skipped_records(corpus: Run, tmp_path: Path, format: str) -> None:
    source, out = write(tmp_path / "in.txt", ["nul \0", "again \0"]), tmp_path / f"out.{format}"
    result = corpus(source, "-o", out)
    assert result.code == 3
    assert len(rows_of(out) if format != "jsonl" else out.read_bytes()) == 0
    assert len((tmp_path / f"out.{format}.skipped.jsonl").read_bytes().splitlines()) == 2


# Records that cannot be used


def test_skipped_and_cut_texts_are_counted_and_listed(corpus: Run, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    result = corpus(lines, "-o", out)
    assert result.code == 3
    cut, skipped, _ = result.err.splitlines()
    assert cut.startswith("attnprobe: 1 text was longer")
    assert str(out) + ".cut.jsonl" in cut
    assert skipped == f"attnprobe: 2 records were skipped; '{out}.skipped.jsonl' lists them"
    listed = [json.loads(line) for line in Path(f"{out}.skipped.jsonl").read_bytes().splitlines()]
    assert [(each["file"], each["line"]) for each in listed] == [(str(lines), 11), (str(lines), 31)]
    assert all("NUL" in each["reason"] for each in listed)
    listed = [json.loads(line) for line in Path(f"{out}.cut.jsonl").read_bytes().splitlines()]
    assert listed == [{"id": "21", "n_cut": 28}]  # 90 words, [CLS] and [SEP], of which 64 fit
    assert rows_of(out)["id"].unique().tolist() == [str(n) for n in range(1, 41) if n not in (11, 31)]


def test_skipped_records_are_counted_beside_a_stream(corpus: Run, lines: Path) -> None:
    result = corpus(lines, "-k", "entropy")
    assert result.code == 3
    said = result.err.splitlines()[1]
    assert said.startswith(f"attnprobe: 2 records were skipped; the first: {lines}:11: ")
    assert "NUL" in said
    quiet = corpus(lines, "-k", "entropy", "-q")
    assert (quiet.code, quiet.err, quiet.out) == (3, "", result.out)


def test_lists_of_an_earlier_run_go(corpus: Run, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    corpus(lines, "-o", out)
    assert corpus(write(tmp_path / "in.txt", ["one"]), "-o", out, "--overwrite").code == 0
    assert sorted(contents(tmp_path)) == ["in.txt", "out.csv", "out.csv.meta.json"]


@pytest.mark.usefixtures("small")
def test_failing_keeps_what_was_done(corpus: Run, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    check_error(corpus(lines, "-o", out, "--on-error", "fail"), 1, f"{lines}:11", "NUL", "--on-error skip")
    assert not out.exists()
    parts = sorted((tmp_path / "out.csv.parts").glob("part-*"))
    rows = list(csv.reader(io.StringIO("".join(part.read_text(encoding="utf-8") for part in parts))))
    assert [row[0] for row in rows[::4]] == [str(n) for n in range(1, 11)]
    check_error(corpus(lines, "-o", out, "--on-error", "fail", "--resume"), 1, f"{lines}:11")
    check_error(corpus(lines, "-o", out, "--resume"), 1, "on error: skip, before: fail")


def test_failing_within_the_tokenizer(corpus: Run, tmp_path: Path) -> None:
    """A record the reader takes and the tokenizer finds nothing in."""
    source = write(tmp_path / "in.txt", ["one", "\u200b\u200d"])
    check_error(corpus(source, "-o", tmp_path / "out.csv", "--on-error", "fail"), 1, f"{source}:2", "no token")
    assert corpus(source, "-o", tmp_path / "out.csv", "--overwrite").code == 3


# Killed and taken up again

SERVER = """
import gc, json, os, sys, time
from attnprobe.corpus import engines, estimate, jobs, settings
from attnprobe.cli import main
from attnprobe.models import loading
import pyarrow.parquet, scipy.special

settings.CHUNK_TEXTS = 4
os.fsync = lambda descriptor: None  # only a loss of power takes what a process has written
encoder = loading.load_encoder(sys.argv[1])
loading.load_encoder = lambda **options: encoder

with open(os.devnull, "w") as sys.stdout:  # a first run, which imports and compiles what all need
    sys.argv = ["attnprobe", "corpus", f"{sys.argv[1]}/vocab.txt", "--limit", "1"]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code
sys.stdout = sys.__stdout__
gc.freeze()  # a collection in a child would copy every page of this process
CALLS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")

def count(name, watched, kill_at):
    calls = 0
    def hook(event, arguments):
        nonlocal calls
        if event in CALLS or event == "open" and watched in str(arguments[0]):
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), 9)
    sys.addaudithook(hook)
    return lambda: calls

def rest(seconds, add=jobs.Job.add):
    jobs.Job.add = lambda self, result: (add(self, result), time.sleep(seconds))

for line in sys.stdin:
    arguments, log, kill_at, pause, out = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(out, os.O_WRONLY) if out else 2, 1)
        sys.argv = ["attnprobe", "corpus", *arguments]
        calls = count(log, os.path.dirname(log), kill_at)
        rest(pause)
        try:
            main()
        except SystemExit as exit:
            sys.stderr.flush()
            with open(log + ".calls", "w") as file:
                print(calls(), file=file)
            os._exit(exit.code or 0)
        os._exit(99)
    print(child, flush=True)
    if not sys.stdin.readline():  # until it is asked for, a child that has ended can still be killed
        os.kill(child, 9)  # nobody is left to ask
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Runs ``attnprobe corpus``, one at a time, in processes of their own that need not load the model again.

    Without a reply in time it ends, with all its processes, and the next start begins anew: so also after a test that
    failed before it waited for its process, whose exit status would be taken for the next reply.
    """

    def __init__(self, model: Path) -> None:
        self.model = model
        self.process: subprocess.Popen[str] | None = None
        self.is_free = True  # no process runs that is still to be waited for

    def start(self, log: Path, *arguments: object, kill_at: int = 0, pause: float = 0, out: Path | None = None) -> int:
        """Starts one and returns its id; ``kill_at`` kills it before it touches files for the so-manieth time.

        Args:
            log: the file for its standard error, and for its standard output unless ``out`` is.
            pause: how long it rests after every part.
        """
        if not self.is_free:
            self.end()
        self.is_free = False
        command = [*map(str, arguments), "-m", str(self.model)]
        return self._ask([command, str(log), kill_at, pause, out and str(out)])

    def wait(self) -> int:
        """Its exit status; -9 if it was killed."""
        code = self._ask("wait")
        self.is_free = True
        return code

    def call(self, log: Path, *arguments: object, kill_at: int = 0) -> int:
        self.start(log, *arguments, kill_at=kill_at)
        return self.wait()

    def end(self) -> None:
        process, self.process, self.is_free = self.process, None, True
        if process:
            with process:
                os.killpg(process.pid, signal.SIGKILL)

    def _ask(self, request: object) -> int:
        process = self.process = self.process or self._begin()
        assert process.stdin
        assert process.stdout
        try:
            print(json.dumps(request), file=process.stdin, flush=True)
            assert select.select([process.stdout], [], [], PATIENCE)[0], f"no reply within {PATIENCE} s to {request}"
            return int(process.stdout.readline())
        except BaseException:
            self.end()
            raise

    def _begin(self) -> subprocess.Popen[str]:
        command = process()
        command["args"] = [sys.executable, "-W", "ignore", "-c", SERVER, str(self.model)]
        command["env"]["TOKENIZERS_PARALLELISM"] = "false"
        command["stdin"] = subprocess.PIPE
        return subprocess.Popen(**command, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny)
    yield server
    server.end()


@pytest.fixture(scope="module")
def whole(server: Server, lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """The files of an uninterrupted run."""

    @cache
    def run_whole(format: str) -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp("whole")
        assert server.call(folder / "log", *job(lines, folder, format)) == 3
        files = contents(folder)
        return {name: data for name, data in files.items() if not name.startswith("log")}

    return run_whole


def job(source: Path, folder: Path, format: str) -> list[object]:
    tables = ["--summary", folder / "heads.csv", "--profile", folder / "curve.csv"]
    return [source, "-o", folder / f"out.{format}", *tables, "-k", "entropy", "-k", "distance"]


def check_whole(folder: Path, expected: dict[str, bytes]) -> None:
    """Byte for byte, no text lost or twice, and nothing else left, not even of a killed process."""
    files = {name: data for name, data in contents(folder).items() if not name.startswith("log")}
    assert files == expected


def test_uninterrupted_run_has_every_text_once(
    whole: Callable[[str], dict[str, bytes]], encoder: Encoder, tmp_path: Path
) -> None:
    for format in ("csv", "jsonl", "parquet"):
        (tmp_path / f"out.{format}").write_bytes(whole(format)[f"out.{format}"])
        rows = rows_of(tmp_path / f"out.{format}")
        texts = {str(n): text for n, text in enumerate(LINES, start=1) if "\0" not in text}
        expected = one_by_one(encoder, list(texts.values()), list(texts), metrics=["entropy", "distance"])
        check_rows(rows, expected, encoder)


def wait_for_parts(folder: Path, number: int, process: int) -> None:
    """Returns when there are so many parts, or the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while is_alive(process) and parts_in(folder) < number:
        assert time.monotonic() < deadline, f"fewer than {number} parts in '{folder}' after {PATIENCE} s"
        time.sleep(0.001)


def parts_in(folder: Path) -> int:
    """How many there are; Path.glob fails on a folder that is removed meanwhile."""
    with suppress(FileNotFoundError):
        return sum(path.name.startswith("part-") for path in folder.iterdir())
    return 0


def is_alive(process: int) -> bool:
    """Tells whether a process that was started and not yet waited for still runs."""
    state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return state.rsplit(")", 1)[1].split()[0] != "Z"


def test_killed_at_random_moments(
    server: Server, lines: Path, tmp_path: Path, whole: Callable[[str], dict[str, bytes]]
) -> None:
    """Twenty times with SIGKILL, after some more parts and a random delay; each run goes on with what the last left."""
    chance, kills, number = random.Random(0), 0, 0
    while kills < KILLS:
        format = ("csv", "jsonl", "parquet")[number % 3]
        folder = tmp_path / str(number)
        folder.mkdir()
        number += 1
        code, parts = -9, folder / f"out.{format}.parts"
        while code == -9:
            wanted = parts_in(parts) + chance.randrange(4)
            child = server.start(folder / "log", *job(lines, folder, format), "--resume")
            wait_for_parts(parts, wanted, child)
            time.sleep(chance.random() * 0.05)
            if kills < KILLS and is_alive(child):
                os.kill(child, signal.SIGKILL)
            code = server.wait()
            kills += code == -9
        log = (folder / "log").read_text(encoding="utf-8")
        assert code == 3, log  # also if it was killed after its last file
        check_whole(folder, whole(format))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_killed_between_any_two_files(
    server: Server, lines: Path, tmp_path: Path, whole: Callable[[str], dict[str, bytes]], format: str
) -> None:
    """Before it opens, moves or removes a file: at some places in the middle and at many of those in the end."""
    expected, counted = whole(format), tmp_path / "counted"
    counted.mkdir()
    assert server.call(counted / "log", *job(lines, counted, format)) == 3
    calls = int((counted / "log.calls").read_text(encoding="utf-8"))
    chance = random.Random(1)
    middle, end = chance.sample(range(calls - 70), 4), chance.sample(range(calls - 70, calls), 6)
    for at in [*middle, *end]:
        folder = tmp_path / str(at)
        folder.mkdir()
        assert server.call(folder / "log", *job(lines, folder, format), kill_at=at + 1) == -9
        code = server.call(folder / "log", *job(lines, folder, format), "--resume")
        assert code == 3, (folder / "log").read_text(encoding="utf-8")
        check_whole(folder, expected)


# Taken up or refused


@contextmanager
def stopped(monkeypatch: pytest.MonkeyPatch, error: BaseException, parts: int = 2) -> Iterator[None]:
    """Runs within it end with the error after so many parts."""
    from attnprobe.corpus.jobs import Job

    add = Job.add

    def limited(job: Any, result: Any) -> None:
        if job.state.parts == parts:
            raise error
        add(job, result)

    with monkeypatch.context() as patch:
        patch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
        patch.setattr(Job, "add", limited)
        yield


@pytest.fixture
def unfinished(corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output that a run has two parts of, in chunks of four texts."""
    out = tmp_path / "out.csv"
    with stopped(monkeypatch, KeyboardInterrupt()):
        assert corpus(lines, "-o", out).code == 130
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    return out


def test_unfinished_run_needs_a_word(corpus: Run, lines: Path, unfinished: Path) -> None:
    before = contents(unfinished.parent)
    check_error(corpus(lines, "-o", unfinished), 1, "out.csv.parts", "--resume", "--overwrite")
    assert contents(unfinished.parent) == before


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_unfinished_run_goes_on_or_starts_anew(corpus: Run, lines: Path, unfinished: Path, flag: str) -> None:
    assert corpus(lines, "-o", unfinished, flag).code == 3
    assert corpus(lines, "-o", unfinished.with_name("whole.csv")).code == 3
    assert unfinished.read_bytes() == unfinished.with_name("whole.csv").read_bytes()
    assert not Path(f"{unfinished}.parts").exists()


def test_resuming_measures_only_the_rest(
    corpus: Run, lines: Path, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    tokenize = Encoder.tokenize

    def listen(encoder: Encoder, text: str, *arguments: Any, **options: Any) -> Any:
        read.append(text)
        return tokenize(encoder, text, *arguments, **options)

    monkeypatch.setattr(Encoder, "tokenize", listen)
    assert corpus(lines, "-o", unfinished, "--resume").code == 3
    assert read == [line for line in LINES[8:] if "\0" not in line]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--queries", "content"], "queries: content, before: all"),
        (["--max-length", "32"], "max length: 32, before: 64"),
        (["--dtype", "float64"], "dtype: float64, before: float32"),
        (["-l", "0"], "layers: 0, before: 0, 1"),
        (["-k", "entropy"], "metrics: entropy, before: "),
        (["--limit", "9", "--seed", "1"], "limit: 9, before: none; seed: 1, before: 0"),
        (["--profile", "PROFILE"], "profile: yes, before: no"),
        (["--batch-tokens", "100"], "batch tokens: 100, before: 2048"),
        (["--on-error", "fail"], "on error: fail, before: skip"),
    ],
    ids=str,
)
def test_resuming_with_another_option_is_refused(
    corpus: Run, lines: Path, unfinished: Path, flags: list[str], words: str
) -> None:
    """Only what differs is named, in words."""
    before = contents(unfinished.parent)
    flags = [str(unfinished.with_name("p.csv")) if flag == "PROFILE" else flag for flag in flags]
    result = corpus(lines, "-o", unfinished, "--resume", *flags)
    check_error(result, 1, f"attnprobe: cannot resume: {words}", "--overwrite")
    assert not any(mark in result.err for mark in ("signature", "transformers", "[", "None", "True"))
    assert contents(unfinished.parent) == before


def test_resuming_with_another_model_is_refused(run: Run, lines: Path, unfinished: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    result = run("corpus", lines, "-o", unfinished, "--resume", "-m", folder)
    check_error(result, 1, "cannot resume", "model: copy@", "before: tiny@")


def test_resuming_with_another_input_is_refused(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write(tmp_path / "in.txt", LINES), tmp_path / "out.csv"
    with stopped(monkeypatch, KeyboardInterrupt()):
        corpus(source, "-o", out)
    write(source, [*LINES[:-1], "another end"])
    check_error(corpus(source, "-o", out, "--resume"), 1, f"cannot resume: {source} has other content")


def test_resuming_standard_input(corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which has no fingerprint: the records that count already are compared."""
    out = tmp_path / "out.csv"
    with stopped(monkeypatch, KeyboardInterrupt()):
        corpus("-", "-o", out, stdin=lines.read_bytes())
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    other = lines.read_bytes().replace(b"line 3", b"LINE 3")
    check_error(corpus("-", "-o", out, "--resume", stdin=other), 1, "not those of the earlier run")
    check_error(corpus("-", "-o", out, "--resume", stdin=b"one\ntwo\n"), 1, "shorter")
    assert corpus("-", "-o", out, "--resume", stdin=lines.read_bytes()).code == 3
    assert out.read_bytes() == corpus("-", stdin=lines.read_bytes()).out


def test_nothing_to_resume(corpus: Run, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.txt", TEXTS[:3]), tmp_path / "out.csv"
    assert corpus(source, "-o", out, "--resume").code == 0
    before = contents(tmp_path)
    assert out.read_bytes() == corpus(source).out
    result = corpus(source, "-o", out, "--resume")
    assert (result.code, result.out) == (0, b"")
    assert result.err == f"attnprobe: '{out}' is complete; there is nothing to resume\n"
    assert contents(tmp_path) == before
    check_error(corpus(source, "-o", out, "--resume", "-l", "0"), 1, "cannot resume", "layers")


def test_resume_replaces_only_what_its_own_run_made(corpus: Run, tmp_path: Path) -> None:
    source, out, other = write(tmp_path / "in.txt", TEXTS), tmp_path / "out.csv", tmp_path / "other.csv"
    other.write_text("precious", encoding="utf-8")
    check_error(corpus(source, "-o", out, "--summary", other, "--resume"), 1, "other.csv", "exists already")
    assert other.read_text(encoding="utf-8") == "precious"
    assert corpus(source, "-o", out).code == 0
    check_error(
        corpus(source, "-o", out, "--summary", tmp_path / "s.csv", "--resume"), 1, "made without", "--overwrite"
    )


@pytest.mark.parametrize(
    "flags", [["-o", "a.csv", "--summary", "a.csv"], ["--summary", "b.csv", "--profile", "./b.csv"]]
)
def test_two_results_in_one_file_are_refused(
    corpus: Run, tmp_path: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_error(corpus(write(tmp_path / "in.txt", TEXTS), *flags), 2, "named for two results")
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["in.csv", "-o", "in.csv"],
        ["in.csv", "-o", "link.csv"],
        ["in.csv", "-o", "out.csv", "--summary", "in.csv"],
        ["in.csv", "--profile", "./in.csv"],
        ["out.jsonl.cut.jsonl", "-o", "out.jsonl"],
        ["out.csv.parts/part-000000.csv", "-o", "out.csv"],
    ],
    ids=str,
)
def test_input_is_never_written(
    corpus: Run, tmp_path: Path, arguments: list[str], flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.csv.parts").mkdir()
    for name in ("in.csv", "out.csv.parts/part-000000.csv"):
        (tmp_path / name).write_text("text\nprecious\n", encoding="utf-8")
    (tmp_path / "out.jsonl.cut.jsonl").write_text('{"text": "precious"}\n', encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("in.csv")
    before = contents(tmp_path)
    result = corpus(*arguments, "--column", "text", flag)
    check_error(result, 2, "is an input" if "parts" not in arguments[0] else "folder of the unfinished run")
    assert contents(tmp_path) == before


def test_run_is_the_only_one_of_its_files(corpus: Run, lines: Path, unfinished: Path) -> None:
    from attnprobe.writers.locks import locked

    before = contents(unfinished.parent)
    for flag in ("--overwrite", "--resume"):
        with locked(unfinished):
            check_error(
                corpus(lines, "-o", unfinished, flag), 1, "out.csv", f"written by process {os.getpid()}", "wait"
            )
    table = unfinished.with_name("heads.csv")
    with locked(table):
        check_error(corpus(lines, "--summary", table), 1, "heads.csv", "written by process")
        check_error(corpus(lines, "-o", unfinished, "--summary", table, "--resume"), 1, "heads.csv", "written by")
    assert contents(unfinished.parent) == before


def test_two_runs_at_once_do_not_mix(
    server: Server, corpus: Run, lines: Path, tmp_path: Path, whole: Callable[[str], dict[str, bytes]]
) -> None:
    folder, other = tmp_path / "run", write(tmp_path / "in.txt", ["another", "text"])
    folder.mkdir()
    child = server.start(folder / "log", *job(lines, folder, "csv"), pause=600)
    wait_for_parts(folder / "out.csv.parts", 1, child)
    check_error(corpus(*job(other, folder, "csv"), "--overwrite"), 1, f"written by process {child}")
    os.kill(child, signal.SIGKILL)
    assert server.wait() == -9
    assert server.call(folder / "log", *job(lines, folder, "csv"), "--resume") == 3
    check_whole(folder, whole("csv"))


def test_what_is_not_of_a_run_stays_and_is_named(corpus: Run, lines: Path, unfinished: Path) -> None:
    (Path(f"{unfinished}.parts") / "thesis.txt").write_text("precious", encoding="utf-8")
    result = corpus(lines, "-o", unfinished, "--resume")
    assert result.code == 3
    assert "thesis.txt" in result.err
    assert contents(Path(f"{unfinished}.parts")) == {"thesis.txt": b"precious"}
    for flag in ("--overwrite", "-q"):
        code, words = (1, ["not attnprobe's", "thesis.txt"]) if flag == "--overwrite" else (1, ["exists already"])
        check_error(corpus(lines, "-o", unfinished, flag), code, *words)
    assert contents(Path(f"{unfinished}.parts")) == {"thesis.txt": b"precious"}


@pytest.mark.parametrize("name", ["out.csv.skipped.jsonl", "out.csv.cut.jsonl"])
def test_list_that_exists_is_not_removed_unasked(corpus: Run, tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "in.txt", ["one"])
    (tmp_path / name).write_text("precious", encoding="utf-8")
    before = contents(tmp_path)
    check_error(corpus(source, "-o", tmp_path / "out.csv"), 1, name, "exists already", "--overwrite")
    assert contents(tmp_path) == before


def test_table_made_meanwhile_is_not_replaced(corpus: Run, lines: Path, tmp_path: Path) -> None:
    """Also beside a stream of rows, which has no folder."""
    table = tmp_path / "heads.csv"
    result = corpus(lines, "--summary", table, stdout=Making(table))
    assert result.code == 1
    assert "heads.csv' exists already" in result.err
    assert table.read_text(encoding="utf-8") == "precious"


class Making(io.BytesIO):
    """A stream that makes a file when it is written to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def write(self, data: Any) -> int:
        self.path.write_text("precious", encoding="utf-8")
        return super().write(data)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_finished_output_is_replaced_only_when_asked(corpus: Run, tmp_path: Path, format: str) -> None:
    source, out = write(tmp_path / "in.txt", TEXTS[:3]), tmp_path / f"out.{format}"
    corpus(source, "-o", out)
    before = contents(tmp_path)
    check_error(corpus(source, "-o", out), 1, out.name, "exists", "--overwrite")
    assert contents(tmp_path) == before
    assert corpus(source, "-o", out, "--overwrite", "-l", "0").code == 0
    assert set(rows_of(out)["layer"]) == {0}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_file_of_another_kind_is_not_taken_for_a_finished_run(corpus: Run, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    out.write_bytes(b"precious")
    source = write(tmp_path / "in.txt", ["one"])
    check_error(corpus(source, "-o", out, "--resume"), 1, name, "exists already", "--overwrite")
    assert out.read_bytes() == b"precious"


# Interrupted


def test_interrupted_by_a_signal(
    server: Server, run: Run, lines: Path, tmp_path: Path, whole: Callable[[str], dict[str, bytes]], small: None
) -> None:
    """Ctrl-C: one line that says how to go on, and that command does."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    child = server.start(folder / "log", *job(lines, folder, "csv"), "--overwrite", pause=0.2)
    wait_for_parts(folder / "out.csv.parts", 2, child)
    os.kill(child, signal.SIGINT)
    assert server.wait() == 130
    (line,) = (folder / "log").read_text(encoding="utf-8").splitlines()
    assert re.match(r"attnprobe: interrupted after [1-9]\d* texts; to go on: attnprobe corpus ", line)
    again = shlex.split(line.split("to go on: ")[1])
    assert again[-1] == "--resume"
    assert "--overwrite" not in again
    assert run(*again[1:]).code == 3
    check_whole(folder, whole("csv"))


@pytest.mark.usefixtures("small")
def test_interrupted_while_a_part_is_written(
    corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is written to its end; numpy would make another error of the interruption."""
    save, out, before = np.savez, tmp_path / "out.csv", signal.getsignal(signal.SIGINT)

    def interrupted(*arguments: Any, **numbers: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        save(*arguments, **numbers)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        result = corpus(lines, "-o", out)
    assert result.code == 130
    (line,) = result.err.splitlines()
    assert line.startswith("attnprobe: interrupted after 4 texts; to go on: attnprobe corpus ")
    assert signal.getsignal(signal.SIGINT) is before
    assert corpus(lines, "-o", out, "--resume").code == 3
    assert out.read_bytes() == corpus(lines).out


def test_interrupted_stream(corpus: Run, lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnprobe.corpus.jobs import Stream as Sink

    def interrupt(sink: Any, result: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Sink, "add", interrupt)
    result = corpus(lines)
    assert (result.code, result.err) == (130, "attnprobe: interrupted after 0 texts\n")


# What goes wrong on the way


def test_folder_removed_while_running(
    corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnprobe.corpus.jobs import Job

    folder, add = tmp_path / "results", Job.add
    folder.mkdir()

    def remove(job: Any, result: Any) -> None:
        add(job, result)
        shutil.rmtree(folder, ignore_errors=True)

    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    monkeypatch.setattr(Job, "add", remove)
    check_error(corpus(lines, "-o", folder / "out.csv"), 1, "cannot write", str(folder), "No such file")
    assert not folder.exists()


def test_full_disk(corpus: Run, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import attnprobe.corpus.jobs

    calls, encode = iter(range(100)), attnprobe.corpus.jobs.encode_rows

    def full(*arguments: Any, **options: Any) -> bytes:
        if next(calls) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return encode(*arguments, **options)

    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    out = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(attnprobe.corpus.jobs, "encode_rows", full)
        check_error(corpus(lines, "-o", out), 1, "part-000003", "No space left on device")
    assert len(list(Path(f"{out}.parts").glob("part-*"))) == 3
    assert corpus(lines, "-o", out, "--resume").code == 3
    assert out.read_bytes() == corpus(lines).out


def test_standard_output_on_a_full_disk(corpus: Run, tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def close(self) -> None:
            pass

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = write(tmp_path / "in.txt", ["one"])
    check_error(corpus(source, stdout=Full()), 1, "No space left on device")


@pytest.mark.parametrize("change", ["content", "time"])
def test_input_changed_while_running(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    from attnprobe.corpus.jobs import Job

    source, out, add = write(tmp_path / "in.txt", LINES), tmp_path / "out.csv", Job.add

    def touch(job: Any, result: Any) -> None:
        add(job, result)
        if change == "content":
            write(source, [*LINES, "one more"])
        else:
            os.utime(source, ns=(1, 1))

    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    with monkeypatch.context() as patch:
        patch.setattr(Job, "add", touch)
        check_error(corpus(source, "-o", out), 1, str(source), "changed while it was being read")
    assert not out.exists()
    if change == "content":
        check_error(corpus(source, "-o", out, "--resume"), 1, "cannot resume", "input")
        write(source, LINES)
    assert corpus(source, "-o", out, "--resume").code == 3
    assert out.read_bytes() == corpus(source).out


def test_closed_pipe_is_quiet(server: Server, tmp_path: Path) -> None:
    """``| head -1`` of more than a pipe holds; how Python ends after it is tested in test_processes.py."""
    many, log, pipe = write(tmp_path / "many.txt", TEXTS[:5] * 40), tmp_path / "log", tmp_path / "pipe"
    os.mkfifo(pipe)
    server.start(log, many, out=pipe)
    with pipe.open("rb") as out:
        assert out.readline().startswith(b'"id","n_tokens"')
    assert (server.wait(), log.read_bytes()) == (0, b"")


# Progress, dry runs, refusals


@pytest.mark.parametrize("flag", ["-q", "--no-progress"])
def test_progress_on_a_terminal_unless_unwanted(corpus: Run, lines: Path, tmp_path: Path, flag: str) -> None:
    shown = corpus(lines, "-k", "entropy", "-o", tmp_path / "shown.csv", terminal=True)
    assert "texts/s" in shown.err
    hidden = corpus(lines, "-k", "entropy", "-o", tmp_path / "hidden.csv", flag, terminal=True)
    assert "texts/s" not in hidden.err
    assert "\x1b" not in hidden.err


def test_dry_run(corpus: Run, lines: Path, tmp_path: Path) -> None:
    result = corpus(lines, "-n", "-o", tmp_path / "out.csv", "--summary", tmp_path / "heads.csv")
    assert result.code == 0
    table = dict(csv.reader(io.StringIO(result.text)))
    assert (table["texts"], table["records that would be skipped"], table["rows"]) == ("38", "2", "152")
    characters = sum(len(line) for line in LINES if "\0" not in line)
    assert table["characters"] == f"{characters:,}"
    assert table["columns"] == ", ".join(COLUMNS)
    rows = corpus(lines)
    tokens = rows.frame.drop_duplicates("id")["n_tokens"].sum()  # the sample is all of so few
    assert table["tokens"] == f"about {tokens:,.0f}"
    assert table["batches"] == "at least 1"
    header = rows.out.index(b"\n") + 1
    assert table["size of the rows"] == f"about {(len(rows.out) - header) / 1000:.3g} kB"
    assert re.fullmatch(r"about \d+ s, with one worker, once the model is loaded", table["time"])
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_more_than_the_sample(corpus: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "in.txt", ["A text of nine tokens."] * 300)
    table = dict(csv.reader(io.StringIO(corpus(source, "-n", "--batch-tokens", "100").text)))
    assert (table["texts"], table["tokens"], table["batches"]) == ("300", "about 2,700", "at least 27")


def test_dry_run_of_nothing(corpus: Run, tmp_path: Path) -> None:
    table = dict(csv.reader(io.StringIO(corpus(write(tmp_path / "in.txt", []), "-n").text)))
    assert (table["texts"], table["tokens"], table["rows"]) == ("0", "about 0", "0")


def test_dry_run_in_the_format_that_is_asked_for(run: Run, tiny: Path, lines: Path, tmp_path: Path) -> None:
    first = {"what": "texts", "how much": "38"}

    def plan(command: str, *arguments: object) -> bytes:
        result = run(command, lines, "-m", tiny, "-n", "-q", *arguments)
        assert result.code == 0, result.err
        return result.out

    assert json.loads(plan("patterns", "-f", "json"))[0] == first
    for beside in ([], ["-o", tmp_path / "out"]):
        assert json.loads(plan("corpus", "-f", "jsonl", *beside).splitlines()[0]) == first
    assert re.search(rb"texts +38\b", plan("corpus", "-f", "table"))
    for binary in ("parquet", "png"):
        assert plan("similarity", "-f", binary).startswith(b'"what","how much"\n"texts","38"\n')
    check_error(run("corpus", lines, "-m", tiny, "-n", "-f", "json"), 2, "a corpus cannot be written as json", "jsonl")


def test_dry_run_on_a_terminal(corpus: Run, lines: Path) -> None:
    result = corpus(lines, "-n", terminal=True)
    assert result.code == 0
    assert re.search(r"texts +38\b", result.text)


@pytest.fixture
def _no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Encoder:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(loading, "load_encoder", refuse)


@pytest.mark.usefixtures("_no_loading")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["IN", "-m", "nobody/nothing"], 1, ["nobody/nothing"]),
        (["IN", "--column", "text"], 2, ["in.txt", "columns"]),
        (["CSV", "--column", "body"], 2, ["in.csv", "'body'", "'one'"]),
        (["CSV", "--id-column", "name", "--column", "one"], 2, ["in.csv", "'name'"]),
        (["nothere.txt"], 1, ["nothere.txt"]),
        (["IN", "-k", "size"], 2, ["size"]),
        (["IN", "-l", "x"], 2, ["x"]),
        (["IN", "-o", "OUT.json"], 2, ["json", "jsonl"]),
        (["IN", "-f", "parquet"], 2, ["parquet", "-o"]),
        (["IN", "-o", "OUT.csv", "--summary", "OUT.txt"], 2, ["OUT.txt", ".csv"]),
        (["IN", "--limit", "0"], 2, ["--limit"]),
        (["IN", "IN"], 2, ["twice"]),
        (["IN", "--encoding", "utf-99"], 2, ["utf-99"]),
    ],
    ids=str,
)
def test_refused_before_the_model_loads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.txt", ["one"])
    (tmp_path / "in.csv").write_text("one,two\na,b\n", encoding="utf-8")
    before = contents(tmp_path)
    named = {"IN": "in.txt", "CSV": "in.csv"}
    check_error(run("corpus", *[named.get(argument, argument) for argument in arguments]), code, *words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-l", "2"], ["layer"]),
        (["--head", "2"], ["head"]),
        (["--max-length", "65"], ["65", "64 positions"]),
        (["--stride", "64"], ["stride 64"]),
    ],
)
def test_options_the_model_cannot_follow(corpus: Run, tmp_path: Path, flags: list[str], words: list[str]) -> None:
    source = write(tmp_path / "in.txt", TEXTS)
    check_error(corpus(source, "-o", tmp_path / "out.csv", *flags), 2, *words)
    assert list(tmp_path.iterdir()) == [source]


def test_unsafe_model_leaves_nothing_behind(run: Run, folder: Path, tmp_path: Path) -> None:
    as_pickle(folder)
    source = write(tmp_path / "in.txt", ["one"])
    check_error(run("corpus", source, "-o", tmp_path / "out.csv", "-m", folder), 1, "--allow-pickle")
    assert not (tmp_path / "out.csv.parts").exists()


def test_no_input(corpus: Run) -> None:
    result = corpus()
    check_error(Result(result.code, result.out, result.err), 2, "FILE")
