"""The examples, run as a reader runs them: offline, with the default model, in a few seconds each."""

import csv
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
TESTED = ("pandas_pipeline.py", "shell_pipeline.sh", "sklearn_pipeline.py")
ELSEWHERE = ("previous_token.py",)  # in test_readme.py; what pages read is tried by test_pages.py
Printed = Callable[[str], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What a Python example prints, run in this process; it must have nothing to say on standard error."""

    def run(name: str) -> str:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        result = capsys.readouterr()
        assert result.err == ""
        return result.out

    return run


def run(name: str, *arguments: str, stdin: str = "", commands: Path = Path(sys.executable).parent) -> str:
    """What a shell example prints; it must end well and have nothing to say on standard error.

    Args:
        commands: the folder of ``attnprobe``.
    """
    command, environment = ["bash", str(EXAMPLES / name), *arguments], {**os.environ}
    environment["PATH"] = f"{commands}:{environment['PATH']}"
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


def test_shell_pipeline_finds_the_previous_token_head() -> None:
    found = heads(run("shell_pipeline.sh").splitlines())
    assert len(found) == 5
    assert (found[0]["layer"], found[0]["head"], found[0]["texts"]) == ("0", "2", "20")
    means = [float(row["mean_previous_share"]) for row in found]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.8


ROWS = """\
"id","n_tokens","layer","head","entropy"
"1, with a comma",4,0,0,1
"1, with a comma",4,0,1,0.5
"1, with a comma",4,1,0,
"2",9,0,0,2.25
"2",9,0,1,3
"2",9,1,0,1.75
"""


def test_shell_pipeline_on_standard_input(tmp_path: Path) -> None:
    """What it gives the command and makes of its rows, which need no model here."""
    command = tmp_path / "attnprobe"
    command.write_text(f"#!/bin/sh\ncd '{tmp_path}'\necho $@ > given\ncat > texts\ncat << 'END'\n{ROWS}END\n")
    command.chmod(0o755)
    texts = "Some text, with a comma.\n\nAnother one.\n"
    printed = run("shell_pipeline.sh", "-", "entropy", "2", stdin=texts, commands=tmp_path)
    assert printed.splitlines() == ["layer,head,mean_entropy,texts", "0,1,1.7500,2", "1,0,1.7500,1"]
    assert (tmp_path / "texts").read_text() == texts
    assert (tmp_path / "given").read_text().split() == ["corpus", "-", "-k", "entropy", "-f", "csv"]
