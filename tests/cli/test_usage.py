"""info, metrics, help, and what is said of wrong usage."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

import attnprobe
from attnprobe import METRICS, Encoder
from attnprobe.metrics import ON_REQUEST, load_metrics
from attnprobe.models import loading
from tests.cli.commandline import (
    FORMATS,
    READERS,
    TEXT,
    Run,
    check_error,
)

NINES = "9" * 5000


@pytest.mark.parametrize("format", FORMATS)
def test_info(run: Run, format: str) -> None:
    result = run("info", "-f", format)
    assert (result.code, result.err) == (0, "")
    if format in {"markdown", "latex", "table"}:
        assert all(re.search(words, result.text) for words in ("layers.* 6", "heads.* 12", "hidden.*size.* 384"))
        return
    frame = READERS[format](result.out).astype(str)
    assert list(frame.columns) == ["property", "value"]
    facts = dict(zip(frame["property"], frame["value"], strict=True))
    assert (facts["layers"], facts["heads"], facts["hidden_size"], facts["head_size"]) == ("6", "12", "384", "32")
    assert (facts["max_length"], facts["dtype"], facts["parameters"]) == ("256", "float32", "22713216")
    assert facts["reading"] == "max_seq_length 256 of sentence_bert_config.json"
    assert facts["weights_sha256"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_info_of_a_folder(run: Run, tiny: Path) -> None:
    facts = dict(run("info", tiny).frame.itertuples(index=False))
    assert (facts["layers"], facts["heads"], facts["hidden_size"]) == (2, 2, 32)
    assert facts["model"] == str(tiny)


def test_metrics_says_what_each_metric_is(run: Run) -> None:
    rows = list(csv.reader(run("metrics", "-f", "csv").text.splitlines()))
    assert rows[0] == ["metric", "meaning", "formula", "unit", "source"]
    known = {**METRICS, **ON_REQUEST}
    declared = load_metrics(list(known))
    assert rows[1:] == [
        [name, known[name][1], declared[name].formula, declared[name].unit, declared[name].source] for name in known
    ]
    assert all(cell for row in rows for cell in row)


@pytest.mark.parametrize("format", FORMATS)
def test_metrics_in_every_format(run: Run, format: str) -> None:
    result = run("metrics", "-f", format, columns=300)
    assert (result.code, result.err) == (0, "")
    if format in {"markdown", "latex", "table"}:
        assert all(name in result.text.replace("\\", "") for name in METRICS)
    else:
        assert list(READERS[format](result.out)["metric"]) == [*METRICS, *ON_REQUEST]


def test_version(run: Run) -> None:
    assert run("--version").text == f"attnprobe {attnprobe.__version__}\n"


@pytest.mark.parametrize("command", [[], ["heads"], ["weights"], ["heatmap"], ["info"], ["metrics"]], ids=str)
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
        assert [line for line in result.err.splitlines()[-2:] if "Error: " in line]


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: Any, **options: Any) -> Encoder:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_encoder", load)
    result = run("heads", TEXT)
    check_error(result, 130, "interrupted")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["weights", TEXT, "--query", NINES],
        ["heads", TEXT, "-l", NINES],
        ["heads", TEXT, "--head", f"0-{NINES}"],
        ["heads", TEXT, "--top", NINES],
        ["heads", TEXT, "--max-length", NINES],
        ["corpus", "-", "--workers", NINES[:30]],
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[2]}",
)
def test_numbers_of_absurd_length_are_explained(run: Run, arguments: list[str]) -> None:
    result = run(*arguments, stdin=b"the cat")
    check_error(result, 2)
    assert len(result.err) < 600
