"""What needs no model must not import torch: help, version, completion, the list of metrics, and early errors."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import attnprobe

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
COMPLETE = {"_ATTNPROBE_COMPLETE": "complete_bash", "COMP_CWORD": "2"}


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


@pytest.mark.parametrize(("words", "flag"), [("heads --me", "--metric"), ("weights --di", "--direction")])
def test_completion_is_light(words: str, flag: str) -> None:
    process, heavy = check(MAIN, **COMPLETE, COMP_WORDS=f"attnprobe {words}")
    assert heavy == []
    assert process.returncode == 0
    assert process.stdout.split() == [flag]


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


def test_analysis_is_loaded_for_its_own_command_only() -> None:
    code = f"{MAIN.replace('main()', '')}\ntry: main()\nfinally: assert 'attnprobe.analyses.trace' not in sys.modules"
    for arguments in (["--help"], ["weights", "--help"]):
        process, _ = check(code, *arguments)
        assert (process.returncode, "trace  " in process.stdout) == (0, arguments == ["--help"])


def test_type_checkers_know_the_public_names() -> None:
    source = Path(attnprobe.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imported = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert imported == attnprobe._HOMES
    assert sorted(attnprobe.__all__) == sorted(["__version__", *imported])
    assert all(getattr(attnprobe, name) for name in attnprobe.__all__)


def test_check_can_fail() -> None:
    _, heavy = check("import pandas")
    assert heavy == ["pandas"]
