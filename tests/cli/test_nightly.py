"""attnprobe corpus as a nightly job: one line that goes on or starts anew, its log, its exit code, and how it ends."""

import csv
import errno
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attnprobe import Encoder, run_corpus
from attnprobe.cli import log, output
from attnprobe.corpus import engines, on_ray
from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.jobs import Job
from attnprobe.errors import UsageError
from attnprobe.models import loading
from tests.cli.commandline import Run, Stream, check_error, process

TEXTS = [f"line {number} and so on" for number in range(20)]
SKIPPED = {3, 11}
NIGHTLY = ("--resume", "--overwrite")
ROOT = Path(__file__).parent.parent.parent
DONE = re.compile(r"attnprobe: done: (.+), \d+:\d\d:\d\d -> (.+)")

load_once = cache(loading.load_encoder)


@pytest.fixture(autouse=True)
def _small_chunks_of_a_model_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_encoder", load_once)
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)


@pytest.fixture
def corpus(run: Run, tiny: Path) -> Run:
    """``attnprobe corpus ARGUMENTS`` with the tiny model."""
    return lambda *arguments, **options: run("corpus", *arguments, "-m", tiny, "-k", "entropy", **options)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are measured."""
    texts: list[str] = []
    tokenize = Encoder.tokenize

    def listen(encoder: Encoder, text: str, *arguments: Any, **options: Any) -> Any:
        texts.append(text)
        return tokenize(encoder, text, *arguments, **options)

    monkeypatch.setattr(Encoder, "tokenize", listen)
    return texts


def write(path: Path, texts: list[str] = TEXTS, bad: set[int] = SKIPPED) -> Path:
    """A CSV file whose records of these numbers cannot be used."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [[text] + ["more"] * (number in bad) for number, text in enumerate(texts)]
        csv.writer(file).writerows([["text"], *rows])
    return path


def interrupted(corpus: Run, *arguments: object, after: int = 2, signal: int = signal.SIGINT) -> Any:
    """Runs the command up to a signal, which comes after so many chunks."""
    add = Job.add

    def end(job: Any, result: Any) -> None:
        if job.state.parts == after:
            os.kill(os.getpid(), signal)
        add(job, result)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "add", end)
        return corpus(*arguments)


# The same work or not


def nothing(corpus: Run, source: Path, out: Path) -> None:
    """Nothing is there."""


def unfinished(corpus: Run, source: Path, out: Path) -> None:
    assert interrupted(corpus, source, "-o", out).code == 130


def finished(corpus: Run, source: Path, out: Path) -> None:
    assert corpus(source, "-o", out).code == 3


def unfinished_of_other_content(corpus: Run, source: Path, out: Path) -> None:
    unfinished(corpus, write(source, TEXTS[::-1]), out)
    write(source)


def unfinished_of_other_options(corpus: Run, source: Path, out: Path) -> None:
    interrupted(corpus, source, "-o", out, "-l", "0", "--limit", "12")


def unfinished_and_damaged(corpus: Run, source: Path, out: Path) -> None:
    unfinished(corpus, source, out)
    min(Path(f"{out}.parts").glob("part-*")).write_bytes(b"torn")


def finished_of_other_content(corpus: Run, source: Path, out: Path) -> None:
    finished(corpus, write(source, TEXTS[::-1]), out)
    write(source)


def finished_of_other_input(corpus: Run, source: Path, out: Path) -> None:
    finished(corpus, write(source.with_name("old.csv")), out)


def finished_of_other_options(corpus: Run, source: Path, out: Path) -> None:
    assert corpus(source, "-o", out, "-l", "0").code == 3


def of_somebody_else(corpus: Run, source: Path, out: Path) -> None:
    out.write_bytes(b"a thesis")


def finished_then_unfinished_of_other_content(corpus: Run, source: Path, out: Path) -> None:
    finished(corpus, source, out)
    assert interrupted(corpus, write(source, TEXTS[::-1]), "-o", out, "--overwrite").code == 130
    write(source)


@pytest.mark.parametrize(
    ("before", "n_measured", "said"),
    [
        (nothing, 18, ""),
        (unfinished, 8, ""),
        (finished, 0, "'OUT' is complete; there is nothing to resume"),
        (unfinished_of_other_content, 18, "starting anew: in.csv has other content"),
        (unfinished_of_other_options, 18, "starting anew: layers: 0, 1, before: 0; limit: none, before: 12"),
        (unfinished_and_damaged, 18, "starting anew: 'OUT.parts/part-000000"),
        (finished_of_other_content, 18, "starting anew: in.csv has other content"),
        (finished_of_other_input, 18, "starting anew: input: in.csv, before: old.csv"),
        (finished_of_other_options, 18, "starting anew: layers: 0, 1, before: 0"),
        (of_somebody_else, 18, "starting anew: 'OUT' exists already"),
        (finished_then_unfinished_of_other_content, 18, "starting anew: in.csv has other content"),
    ],
)
def test_goes_on_with_the_same_work_and_else_starts_anew(
    corpus: Run,
    tmp_path: Path,
    measured: list[str],
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Run, Path, Path], None],
    n_measured: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    source, out = write(Path("in.csv")), Path("out.csv" if n_measured else "out.parquet")
    before(corpus, source, out)
    measured.clear()
    result = corpus(source, "-o", out, *NIGHTLY)
    assert result.code == 3, result.err
    assert len(measured) == n_measured
    assert result.err.startswith(
        f"attnprobe: {said.replace('OUT', str(out))}" if "anew" in said else "attnprobe: 2 rec"
    )
    assert said.replace("OUT", str(out)) in result.err
    whole = Path(f"whole{out.suffix}")
    corpus(source, "-o", whole)
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.parts").exists()
    again = corpus(source, "-o", out, *NIGHTLY)
    assert (again.code, len(measured)) == (3, n_measured + 18)
    assert "is complete" in again.err


def test_folder_of_somebody_else_stays(corpus: Run, tmp_path: Path) -> None:
    thesis = tmp_path / "out.csv.parts" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_bytes(b"precious")
    check_error(corpus(write(tmp_path / "in.csv"), "-o", tmp_path / "out.csv", *NIGHTLY), 1, "thesis.txt")
    assert thesis.read_bytes() == b"precious"


def test_table_that_is_missing_is_made(corpus: Run, tmp_path: Path, measured: list[str]) -> None:
    source, out, table = write(tmp_path / "in.csv"), tmp_path / "out.csv", tmp_path / "heads.csv"
    finished(corpus, source, out)
    result = corpus(source, "-o", out, "--summary", table, *NIGHTLY)
    assert "starting anew" in result.err
    assert "was made without" in result.err
    assert table.exists()


def test_a_changed_byte_in_the_middle_is_noticed(corpus: Run, tmp_path: Path) -> None:
    """With the size and time of the file before."""
    source, out = tmp_path / "in.txt", tmp_path / "out.csv"
    lines = [f"line {number:06} {'x' * 90}" for number in range(4000)]
    source.write_text("\n".join(lines), encoding="utf-8")
    time = source.stat().st_mtime_ns
    asked = [source, "-o", out, *NIGHTLY, "-l", "0", "--head", "0", "--sample", "2"]
    assert corpus(*asked).code == 0
    assert "is complete" in corpus(*asked).err
    lines[2000] = lines[2000].replace("x", "y")
    source.write_text("\n".join(lines), encoding="utf-8")
    os.utime(source, ns=(time, time))
    assert "starting anew: " in corpus(*asked).err


def test_file_replaced_while_the_model_loads(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "in.csv")

    def replace(*arguments: Any, **options: Any) -> Encoder:
        write(tmp_path / "new.csv", TEXTS[::-1]).replace(source)
        return load_once(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_encoder", replace)
        check_error(corpus(source, "-o", tmp_path / "out.csv"), 1, "changed while it was being read")
    assert corpus(source, "-o", tmp_path / "out.csv", *NIGHTLY).code == 3


def test_what_comes_through_a_pipe_starts_anew(corpus: Run, tmp_path: Path, measured: list[str]) -> None:
    out, data = tmp_path / "out.csv", "\n".join(TEXTS).encode()
    for flags, n_measured in ((NIGHTLY, 20), (NIGHTLY, 20), (["--resume"], 0)):
        measured.clear()
        result = corpus("-", "-o", out, *flags, stdin=data)
        assert (result.code, len(measured)) == (0, n_measured)
    assert "starting anew" in corpus("-", "-o", out, *NIGHTLY, stdin=data[:99]).err


@pytest.mark.parametrize("flags", [["--resume"], ["--resume", "--summary", "heads.csv"], [*NIGHTLY, "-o", "-"]])
def test_resume_needs_a_file(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    check_error(corpus(write(Path("in.csv")), *flags), 2, "--resume", "-o FILE")
    with pytest.raises(UsageError, match="with an output"):
        run_corpus("in.csv", encoder=load_once(), resume=True)


# The exit code


@pytest.mark.parametrize(
    ("limit", "code", "said"),
    [
        (None, 3, "2 records were skipped; "),
        ("10%", 0, "2 records were skipped (10 % of all, within --max-skipped 10 %); "),
        ("0.1", 0, "2 records were skipped (10 % of all, within --max-skipped 10 %); "),
        ("9.9 %", 3, "2 records were skipped (10 % of all, above --max-skipped 9.9 %); "),
        ("0", 3, "2 records were skipped (10 % of all, above --max-skipped 0 %); "),
        ("100%", 0, "within --max-skipped 100 %"),
    ],
)
def test_share_that_may_be_skipped(corpus: Run, tmp_path: Path, limit: str | None, code: int, said: str) -> None:
    """The same when asked again."""
    source, out = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    flags = [] if limit is None else ["--max-skipped", limit]
    for _ in range(2):
        result = corpus(source, "-o", out, *NIGHTLY, *flags)
        assert result.code == code
        assert said in result.err
    quiet = corpus(source, "-o", out, *NIGHTLY, *flags, "-q")
    assert (quiet.code, quiet.err) == (code, "")


def test_share_is_exact(corpus: Run, tmp_path: Path) -> None:
    """7 of 1000 are 0.7 %, though 0.7 / 100 is less than 0.007 in floats."""
    from fractions import Fraction

    from attnprobe.cli.corpus_options import Progressing
    from attnprobe.cli.remarks import exit_code
    from attnprobe.corpus.state import State

    allowed = Progressing(max_skipped="0.7%").allowed
    assert allowed == Fraction(7, 1000)
    assert [exit_code(State(items=1000, skipped=skipped), allowed) for skipped in (0, 7, 8)] == [0, 0, 3]
    assert exit_code(State(), None) == 0


@pytest.mark.parametrize("limit", ["5", "101%", "-1%", "some", "nan", "1/0", "%"])
def test_what_is_no_share_is_refused(corpus: Run, tmp_path: Path, limit: str) -> None:
    check_error(corpus(write(tmp_path / "in.csv"), f"--max-skipped={limit}"), 2, "--max-skipped", limit, "1%")


def test_one_record_is_no_plural(corpus: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text(f"one\n{'word ' * 90}\nnul \0\n", encoding="utf-8")
    said = corpus(source, "-o", tmp_path / "out.csv", "-l", "0", "--head", "0").err
    assert "1 text was longer than the model reads and was cut" in said
    assert "1 record was skipped; " in said
    source.write_text("one\n", encoding="utf-8")
    again = corpus(source, "-o", tmp_path / "out.csv", "--overwrite", "-l", "0", "--head", "0")
    assert "done: 1 text, 1 row, 0 skipped" in again.err


def test_no_records(corpus: Run, tmp_path: Path) -> None:
    result = corpus(write(tmp_path / "in.csv", []), "-o", tmp_path / "out.csv")
    no_records, done = result.err.splitlines()
    assert result.code == 0
    assert no_records == f"attnprobe: no records in '{tmp_path / 'in.csv'}'"
    assert DONE.fullmatch(done)
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 1


def test_dry_run_beside_an_output(corpus: Run, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    finished(corpus, source, out)
    before = out.read_bytes()
    result = corpus(source, "-o", out, "-n")
    assert result.code == 0, result.err
    assert out.read_bytes() == before


# The log


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the clock, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def paced(state: SimpleNamespace, total: int | None = 1000) -> log.Pace:
    pace = log.Pace(lambda: state, None)  # type: ignore[arg-type, return-value]
    pace.total = total
    return pace


@pytest.mark.parametrize("format", ["text", "json"])
def test_line_now_and_then(seconds: list[float], monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """Every half minute, when a batch or a chunk is done; of a run that was taken up after 100 records."""
    err, state = Stream(io_bytes := io.BytesIO()), SimpleNamespace(items=100, skipped=1)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(log, "_format", format)
    with output.Progress(paced(state), shown=True) as progress:
        for seconds[0] in (110, 129, 131, 140):
            progress.add(100, 1000)
        state.items, state.skipped, seconds[0] = 502, 3, 162
        progress.store(SimpleNamespace(n_texts=400))  # type: ignore[arg-type]
    lines = io_bytes.getvalue().decode().splitlines()
    if format == "text":
        assert [re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", "TIME", line) for line in lines] == [
            "attnprobe: TIME 400 of 1,000 (40.0 %), 10 texts/s, 97 tokens/s, 1 skipped, 0:01:02 left",
            "attnprobe: TIME 502 of 1,000 (50.2 %), 6 texts/s, 64 tokens/s, 3 skipped, 0:01:17 left",
        ]
        return
    last = json.loads(lines[-1])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", last.pop("time"))
    assert last.pop("message").endswith("left")
    assert last == {
        "event": "progress", "done": 502, "total": 1000, "percent": 50.2, "skipped": 3,
        "records_per_second": 6.5, "tokens_per_second": 64.5, "seconds_left": 77,
    }  # fmt: skip


def test_line_without_a_total(seconds: list[float]) -> None:
    pace = paced(SimpleNamespace(items=0, skipped=0), None)
    seconds[0] = 110
    pace.add(100, 1000)
    known = pace.numbers()
    assert (known["done"], known["total"], known["percent"], known["seconds_left"]) == (100, None, None, None)


def test_log_of_a_run(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a line at each batch and chunk; no more is done than there is, also of texts in windows."""
    monkeypatch.setattr(output, "EVERY", 0)
    source, out = write(tmp_path / "in.csv", [" ".join(["word"] * 20)] * 20), tmp_path / "out.csv"
    monkeypatch.setattr(log.Pace, "ask_total", lambda pace: setattr(pace, "total", pace.count()))
    result = corpus(source, "-o", out, "--max-length", "8", "--stride", "2", "--log", "json", terminal=True)
    lines = [json.loads(line) for line in result.err.splitlines()]
    progress = [line for line in lines if line["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 20
    assert [line["done"] for line in progress] == sorted(line["done"] for line in progress)
    assert progress[0]["done"] <= 8
    assert [line["event"] for line in lines[-2:]] == ["note", "done"]
    last = lines[-1]
    assert {name: last[name] for name in ("texts", "rows", "skipped", "cut", "files", "exit_code", "was_complete")} == {
        "texts": 18, "rows": 72, "skipped": 2, "cut": 0, "files": [str(out)], "exit_code": 3, "was_complete": False,
    }  # fmt: skip
    again = [
        json.loads(line)
        for line in corpus(
            source, "-o", out, "--max-length", "8", "--stride", "2", *NIGHTLY, "--log", "json"
        ).err.splitlines()
    ]
    assert (again[-1]["was_complete"], again[-1]["texts"], again[-1]["exit_code"]) == (True, 18, 3)


def test_last_line(corpus: Run, tmp_path: Path) -> None:
    source, out, table = write(tmp_path / "in.csv"), tmp_path / "out.csv", tmp_path / "heads.csv"
    found = DONE.fullmatch(corpus(source, "-o", out, "--summary", table).err.splitlines()[-1])
    assert found
    assert found.groups() == ("18 texts, 72 rows, 2 skipped", f"{out}, {table}")
    found = DONE.fullmatch(corpus(source, "--summary", table, "--overwrite", terminal=True).err.splitlines()[-1])
    assert found
    assert found.groups() == ("18 texts, 2 skipped", str(table))  # rows are not kept
    assert "done" in corpus(source, "-o", out, "--overwrite", "--no-progress").err
    assert "done" not in corpus(source, "-f", "csv").err
    last = json.loads(corpus(source, "-f", "csv", "--log", "json").err.splitlines()[-1])
    assert (last["event"], last["files"]) == ("done", [])


def test_errors_are_objects_too(corpus: Run, tmp_path: Path) -> None:
    result = corpus(write(tmp_path / "in.csv"), "-o", tmp_path / "no" / "out.csv", "--log", "json")
    [line] = [json.loads(line) for line in result.err.splitlines()]
    assert (result.code, line["event"], line["exit_code"], line["hint"]) == (1, "error", 1, "make it first")
    assert "no folder" in line["message"]
    assert corpus(tmp_path / "nothere.csv").err.startswith("attnprobe: ")  # the next command is not of that log


# The end


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("flags", [[], ["--overwrite"], NIGHTLY], ids=str)
def test_signals(corpus: Run, run: Run, tmp_path: Path, number: int, code: int, word: str, flags: list[str]) -> None:
    """One line says how to go on, and that command does; a command with both flags is its own."""
    source, out, before = write(tmp_path / "in.csv"), tmp_path / "out.csv", signal.getsignal(number)
    result = interrupted(corpus, source, "-o", out, *flags, signal=number)
    assert result.code == code
    [line] = result.err.splitlines()
    assert line.startswith(f"attnprobe: {word} after 10 texts; to go on: attnprobe corpus ")
    assert signal.getsignal(number) is before
    again = shlex.split(line.split("to go on: ")[1])
    assert {"--resume", "--overwrite"} & set(again) == ({*NIGHTLY} if flags == NIGHTLY else {"--resume"})
    assert run(*again[1:]).code == 3
    assert out.read_bytes() == corpus(source, "-q").out


def test_terminated_while_a_part_is_written(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part is written to its end; a second signal does not disturb the first."""
    save, source = np.savez, write(tmp_path / "in.csv")

    def end(*arguments: Any, **numbers: Any) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        save(*arguments, **numbers)

    monkeypatch.setattr(np, "savez", end)
    result = corpus(source, "-o", tmp_path / "out.csv")
    assert (result.code, result.err.split(";")[0]) == (143, "attnprobe: terminated after 3 texts")


def test_terminated_before_the_run(corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_encoder", lambda **options: os.kill(os.getpid(), signal.SIGTERM))
    check_error(corpus(write(tmp_path / "in.csv"), "-o", tmp_path / "out.csv"), 143, "terminated")


SLOW = """
import time
from attnprobe.cli import main, output
from attnprobe.corpus import settings
settings.CHUNK_TEXTS = 4
store = output.Progress.store
output.Progress.store = lambda progress, result: (
    store(progress, result), print("part", flush=True), time.sleep(60 * (progress.pace.done > 7))
)
if __name__ == "__main__":
    main()
"""


def test_workers_end_with_the_run(tiny: Path, tmp_path: Path) -> None:
    """The signal goes to all processes, as a service's does: one line, no process is left, and only the parts."""
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    folder, source = tmp_path / "out", write(tmp_path / "in.csv")
    folder.mkdir()
    flags = ["--workers", "2", "--no-progress"]
    command = process(source, "-o", folder / "out.csv", "-m", tiny, *flags, PYTHONPATH=str(ROOT))
    command["args"][1:3] = [str(tmp_path / "slow.py"), "corpus"]
    started = subprocess.Popen(
        **command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout
    assert [started.stdout.readline() for _ in range(2)] == ["part\n"] * 2
    os.killpg(started.pid, signal.SIGTERM)
    _, err = started.communicate(timeout=60)  # until no process holds standard error
    assert started.returncode == 143
    assert re.fullmatch(r"attnprobe: terminated after 7 texts; to go on: .+\n", err), err
    assert [path.name for path in folder.iterdir()] == ["out.csv.parts"]


def test_workers_that_cannot_be_started(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """As where shared memory is read-only."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(engines, "ProcessPoolExecutor", refuse)
    source = write(tmp_path / "in.csv")
    result = run("corpus", source, "-o", tmp_path / "out.csv", "-m", tiny, "--workers", "2", "--resume")
    check_error(result, 1, "workers cannot be started: Read-only file system", "/dev/shm")


def test_handler_of_a_signal_outlasts_the_start_of_ray() -> None:
    """Ray sets one that ends the process without a word."""
    before = signal.getsignal(signal.SIGTERM)
    with on_ray._handler_kept(signal.SIGTERM):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


KILLED = """
import os, signal, sys
from unittest.mock import MagicMock
for name in ("on_ray", "prober", "threads", "workers"):  # which load torch, and make no pool
    sys.modules[f"attnprobe.corpus.{name}"] = MagicMock()
from attnprobe.corpus.engines import _pool
pool = _pool(1, None)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_python_does_not_warn_of_what_a_killed_run_leaves() -> None:
    command = process(PYTHONPATH=str(ROOT)) | {"args": [sys.executable, "-c", KILLED]}
    killed = subprocess.run(**command, capture_output=True, check=False)
    assert (killed.returncode, killed.stdout, killed.stderr) == (-9, b"", b"")
