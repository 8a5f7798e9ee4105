"""The README's commands and Python, run as printed; what it shows is what comes out, to the digits shown."""

import doctest
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from attnprobe import Encoder
from tests.cli.commandline import exit_code

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^```console\n\$ (.+?)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


def shown(text: str) -> tuple[str, list[float]]:
    """The text with its decimal numbers taken out and its spaces folded, and the numbers."""
    return " ".join(NUMBER.sub("#", text).split()), [float(number) for number in NUMBER.findall(text)]


def check(printed: str, expected: str) -> None:
    text, numbers = shown(printed)
    expected_text, expected_numbers = shown(expected)
    assert text == expected_text
    assert numbers == pytest.approx(expected_numbers, abs=1e-3)


def test_first_console_block_in_a_shell() -> None:
    """With the installed command, in a process of its own."""
    command, expected = CONSOLE[0]
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "80"}
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    check(run.stdout, expected)


@pytest.mark.parametrize(("command", "expected"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_console_blocks(
    command: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    monkeypatch.setenv("COLUMNS", "80")
    assert exit_code() == 0
    check(capsys.readouterr().out, expected)


def test_readme_has_console_blocks() -> None:
    assert len(CONSOLE) == 5


def test_python_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert (failed, tried) == (0, 23)


def test_readme_begins_with_the_two_commands() -> None:
    first = README.split("```")[1].splitlines()[1:3]
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]


def test_example_finds_the_previous_token_head(minilm: Encoder) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "previous_token.py"))
    heads = example["previous_token_heads"](minilm)
    assert heads.index[0] == (0, 2)
    assert (heads.loc[(0, 2)] > 0.85).all()
    assert (heads.mean(axis=1) >= 0.25).all()
