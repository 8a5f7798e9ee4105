"""What needs no model must not import torch: help, version, completion, the list of metrics, and early errors."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "pandas")
MARK = "imported:"
# Runs some code and then says, on a line of standard error of its own, which heavy libraries it brought in.
CHECK = f"""
import sys
try:
    exec(sys.argv.pop(1))
finally:
    print("\\n{MARK}", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
MAIN = "from attnprobe.cli import main; main()"
COMPLETE = {"_ATTNPROBE_COMPLETE": "complete_bash", "COMP_WORDS": "attnprobe heads --me", "COMP_CWORD": "2"}


def check(code: str, *arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs code in a process of its own; returns the process and the heavy libraries that it imported."""
    process = subprocess.run(
        [sys.executable, "-c", CHECK, code, *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    marks = [line for line in process.stderr.splitlines() if line.startswith(MARK)]
    assert len(marks) == 1, process.stderr
    return process, marks[0].removeprefix(MARK).split()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--help"], "heads"),
        (["heads", "--help"], "--metric"),
        (["info", "-h"], "--device"),
        (["--version"], "attnprobe "),
        (["metrics"], "entropy"),
    ],
    ids=str,
)
def test_command_without_a_model_is_light(arguments: list[str], word: str) -> None:
    process, heavy = check(MAIN, *arguments)
    assert heavy == []
    assert process.returncode == 0
    assert word in process.stdout


def test_completion_is_light() -> None:
    process, heavy = check(MAIN, **COMPLETE)
    assert heavy == []
    assert process.returncode == 0
    assert process.stdout.split() == ["--metric"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["heads", "text", "-k", "entrpy"], "entropy"),
        (["heads", "text", "-m", "./nothere"], "./nothere"),
        (["heads", "text", "-m", "nobody/nothing"], "nobody/nothing"),
        (["heads", "text", "-o", "out.unknown"], "out.unknown"),
        (["weights", "text", "--direction", "a-b"], "--pair"),
        (["heatmap", "text", "-o", "out.csv"], "out.csv"),
        (["info", "./nothere"], "./nothere"),
        (["trace", "text", "-l", "x", "--head", "0"], "'x'"),
    ],
    ids=str,
)
def test_early_error_is_light(arguments: list[str], word: str) -> None:
    process, heavy = check(MAIN, *arguments)
    assert heavy == []
    assert process.returncode in {1, 2}
    assert word in process.stderr


def test_library_import_is_light() -> None:
    _, heavy = check("import attnprobe; attnprobe.METRICS; attnprobe.Tokens; dir(attnprobe)")
    assert heavy == []


def test_check_can_fail() -> None:
    _, heavy = check("import pandas")
    assert heavy == ["pandas"]
