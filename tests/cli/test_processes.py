"""What needs a process of its own: pipes, time limits, locales."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.commandline import TEXT, Result, Run, check_error, process
from tests.test_startup import MAIN, MARK, check


@pytest.mark.parametrize("offline", ["1", None])
def test_wrong_model_name_fails_without_loading_torch_or_trying_again(tmp_path: Path, offline: str | None) -> None:
    """1.5 s on a quiet machine; with torch and the Hub's retries it would be over 20."""
    environment = {"HF_HUB_OFFLINE": offline, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    seconds = []
    while not seconds or (min(seconds) >= 8 and len(seconds) < 3):  # a busy machine gets three tries
        start = time.monotonic()
        result = subprocess.run(
            **process("heads", TEXT, "-m", "nobody/nothing", **environment), capture_output=True, timeout=60
        )
        seconds.append(time.monotonic() - start)
        check_error(Result(result.returncode, result.stdout, result.stderr.decode()), 1, "nobody/nothing")
    assert min(seconds) < 8


@pytest.mark.parametrize("arguments", [["--version"], ["metrics"], ["metrics", "-f", "table"]], ids=str)
def test_closed_pipe_is_quiet(arguments: list[str]) -> None:
    """As in ``| head -1``, only that the reader leaves before the first line; with a model in test_corpus.py."""
    started = subprocess.Popen(**process(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout
    assert started.stderr
    started.stdout.close()
    with started.stderr:
        assert started.stderr.read() == b""
    assert started.wait(timeout=60) == 0


def test_closed_standard_output() -> None:
    """As a service may start it: ``attnprobe metrics >&-``."""
    command = process("metrics")
    command["args"] = ["sh", "-c", 'exec "$@" >&-', "sh", *command["args"]]
    result = subprocess.run(**command, stderr=subprocess.PIPE, timeout=60)
    assert b"Traceback" not in result.stderr


def test_redirected_without_utf8_or_network(run: Run) -> None:
    """The installed default model needs no network, CSV is UTF-8 in any locale, and only what is used is loaded."""
    environment = {"PYTHONIOENCODING": "ascii", "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    result, _ = check(MAIN, "heads", "我们 go", **environment)
    assert (result.returncode, result.stderr.strip()) == (0, f"{MARK} torch transformers")
    assert result.stdout == run("heads", "我们 go").text


def test_ascii_terminal() -> None:
    """Formulas and wrong names with letters beyond ASCII."""
    for arguments, code in ((["metrics", "-f", "table"], 0), (["heads", TEXT, "-k", "größe"], 2)):
        result = subprocess.run(**process(*arguments, PYTHONIOENCODING="ascii"), capture_output=True, timeout=60)
        assert b"Traceback" not in result.stderr
        assert result.returncode == code
        assert (result.stdout + result.stderr).isascii()
