"""Tokens, ids and names that would drive a terminal, a spreadsheet or an XML reader are data to each of them."""

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from attnprobe.writers.delimited import inert
from tests.cli.commandline import Run, check_error

DRIVING = "\x1b]0;owned\x07 \x9b31m a\u202eb c\rd 我"
HIDDEN = "\x1b\x07\x9b\u202e\r"
RECORD = json.dumps({"id": DRIVING, "text": "the cat"}).encode()
CORPUS = ["corpus", "-", "--input-format", "jsonl", "-k", "entropy", "-l", "0", "--head", "0"]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_terminal_is_not_driven_by_an_id(run: Run, tiny: Path, format: str) -> None:
    arguments = [*CORPUS, "--id-column", "id", "-m", tiny, "-f", format]
    shown = run(*arguments, stdin=RECORD, terminal=True).text
    assert "我" in shown
    assert not set(shown) & set(HIDDEN)
    piped = run(*arguments, stdin=RECORD).text
    if format == "jsonl":
        assert json.loads(shown) == json.loads(piped)
        assert json.loads(piped)["id"] == DRIVING
    else:
        assert "\x1b]0;owned\x07 \x9b31m a\u202eb" in piped
        assert "␛]0;owned␇ <U+009B>31m a<U+202E>b" in shown


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "markdown", "table"])
def test_terminal_is_not_driven_by_a_token(run: Run, format: str) -> None:
    shown = run("weights", "a\x9bb [UNK]", "-l", "0", "--head", "0", "-f", format, terminal=True, columns=200)
    assert shown.code == 0
    assert not set(shown.text) & set("\x9b\x07")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+", "'+"),
        ("-", "'-"),
        ("@a", "'@a"),
        ("\t=", "'\t="),
        ("\r", "'\r"),
        ("a=", "a="),
        ("", ""),
    ],
)
def test_formulas(text: str, safe: str) -> None:
    assert inert(text) == safe


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_spreadsheet_safe_weights(run: Run, format: str) -> None:
    """The rows are those of the data, but for the apostrophe."""
    arguments = ["weights", "= a - b @", "-l", "0", "--head", "0", "-f", format]
    delimiter = {"csv": ",", "tsv": "\t"}[format]
    plain, safe = (
        list(csv.reader(io.StringIO(run(*arguments, *flags).text), delimiter=delimiter))
        for flags in ([], ["--spreadsheet-safe"])
    )
    tokens = [row[3] for row in plain]
    assert {"=", "-", "@", "a", "[CLS]"} < set(tokens)
    assert [row[3] for row in safe] == [f"'{token}" if token in "=-@" else token for token in tokens]
    assert [row[6] for row in safe] == [row[6] for row in plain]


def test_spreadsheet_safe_corpus(run: Run, tiny: Path, tmp_path: Path) -> None:
    record, out = json.dumps({"id": "=1+1", "text": "the cat"}).encode(), tmp_path / "out.csv"
    arguments = [*CORPUS, "--id-column", "id", "-m", tiny, "-o", out]
    ids = []
    for flags in ([], ["--overwrite", "--spreadsheet-safe"]):
        assert run(*arguments, *flags, stdin=record).code == 0
        ids.append(out.read_text(encoding="utf-8").splitlines()[1].split(",")[0])
    assert ids == ['"=1+1"', '"\'=1+1"']
    assert json.loads((tmp_path / "out.csv.meta.json").read_text())["options"]["spreadsheet_safe"] is True


def test_spreadsheet_safe_is_for_csv_and_tsv(run: Run) -> None:
    check_error(run("weights", "a", "-f", "json", "--spreadsheet-safe"), 2, "csv")


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png", "html"])
def test_picture_of_a_model_in_a_folder_with_controls_in_its_name(
    run: Run, tiny: Path, tmp_path: Path, suffix: str
) -> None:
    folder = shutil.copytree(tiny, tmp_path / "m\x01\x1b\x9b\u202e<b>&\ufffe")
    path = tmp_path / f"out.{suffix}"
    command = ["view"] if suffix == "html" else ["heatmap", "-l", "0", "--head", "0"]
    assert run(*command, "a \x01\x9b\u202e\ufffe <b>", "-m", folder, "-o", path).code == 0
    if suffix == "svg":
        ElementTree.parse(path)
    if suffix in ("svg", "html"):
        assert not set(path.read_text(encoding="utf-8")) & set("\x01\x1b\x9b\u202e\ufffe")
