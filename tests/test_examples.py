"""The examples, run as a reader runs them: offline, with the default model, which is loaded once for all of them."""

import csv
import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.cli.commandline import Stream, exit_code

EXAMPLES = Path(__file__).parent.parent / "examples"
TESTED = ("pandas_pipeline.py", "shell_pipeline.sh", "sklearn_pipeline.py")
ELSEWHERE = ("previous_token.py",)  # in test_readme.py; what pages read is tried by test_pages.py
Printed = Callable[[str], str]
pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What a Python example prints, run in this process; it must have nothing to say on standard error."""

    def run(name: str) -> str:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        result = capsys.readouterr()
        assert result.err == ""
        return result.out

    return run


def run(name: str, *arguments: str, commands: Path, stdin: str = "") -> str:
    """What a shell example prints; it must end well and have nothing to say on standard error.

    Args:
        commands: the folder of ``attnprobe``.
    """
    command, environment = ["bash", str(EXAMPLES / name), *arguments], {**os.environ}
    environment["PATH"] = f"{commands}:{Path(sys.executable).parent}:{environment['PATH']}"
    ended = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def heads(lines: Iterable[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(lines))


def test_all_examples_are_tested() -> None:
    there = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")}
    assert there == {*TESTED, *ELSEWHERE}


def test_pandas_pipeline(printed: Printed) -> None:
    first, *table = printed("pandas_pipeline.py").splitlines()
    assert first.startswith(f"{8 * 6 * 12} rows")  # 8 texts, 6 layers of 12 heads
    assert table[0].split() == ["kind", "question", "statement", "difference"]
    rows = [[float(number) for number in re.findall(r"-?\d\.\d+", line)] for line in table[2:]]
    assert len(rows) == 5
    for question, statement, difference in rows:
        assert difference == pytest.approx(question - statement, abs=2e-3)
    sizes = [abs(difference) for *_, difference in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.05


def test_sklearn_pipeline(printed: Printed) -> None:
    score, predicted = printed("sklearn_pipeline.py").splitlines()
    accuracy = re.match(r"accuracy (\d\.\d\d) over 5 folds", score)
    assert accuracy
    assert float(accuracy[1]) >= 0.8
    assert re.findall(r"\w+", predicted) == ["recipe", "warranty"]


ROWS = """\
"id","n_tokens","layer","head","entropy"
"1, with a comma",4,0,0,1
"1, with a comma",4,0,1,0.5
"1, with a comma",4,1,0,
"2",9,0,0,2.25
"2",9,0,1,3
"2",9,1,0,1.75
"""


def stand_in(folder: Path, rows: str = "") -> Path:
    """Puts an ``attnprobe`` into a folder that prints some rows, and keeps what it was given."""
    command = folder / "attnprobe"
    (folder / "rows").write_text(rows, encoding="utf-8")
    command.write_text(f"#!/bin/sh\ncd '{folder}'\nprintf '%s\\n' \"$@\" > given\ncat > texts\ncat rows\n")
    command.chmod(0o755)
    return folder


def given(folder: Path) -> list[str]:
    """The arguments that the stand-in was given."""
    return (folder / "given").read_text(encoding="utf-8").splitlines()


def test_shell_pipeline_finds_the_previous_token_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the script gives runs in this process, and the script is run anew with what it prints."""
    run("shell_pipeline.sh", commands=stand_in(tmp_path))
    out, err = Stream(io.BytesIO()), Stream(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["attnprobe", *given(tmp_path)])
        patch.setattr(sys, "stdin", Stream(io.BytesIO((tmp_path / "texts").read_bytes())))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        assert exit_code() == 0
    assert err.buffer.getvalue() == b""
    rows = out.buffer.getvalue().decode()
    found = heads(run("shell_pipeline.sh", commands=stand_in(tmp_path, rows)).splitlines())
    assert len(found) == 5
    assert (found[0]["layer"], found[0]["head"], found[0]["texts"]) == ("0", "2", "20")
    means = [float(row["mean_previous_share"]) for row in found]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.8


def test_shell_pipeline_on_standard_input(tmp_path: Path) -> None:
    """What it gives the command and makes of its rows, which need no model here."""
    texts = "Some text, with a comma.\n\nAnother one.\n"
    printed = run("shell_pipeline.sh", "-", "entropy", "2", stdin=texts, commands=stand_in(tmp_path, ROWS))
    assert printed.splitlines() == ["layer,head,mean_entropy,texts", "0,1,1.7500,2", "1,0,1.7500,1"]
    assert (tmp_path / "texts").read_text() == texts
    assert given(tmp_path) == ["corpus", "-", "-k", "entropy", "-f", "csv"]
