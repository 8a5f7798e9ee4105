"""Files that are not written as their suffix says, on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.commandline import Result, Run

NOTE = "attnprobe: in.csv: its cells are separated by semicolons, not commas (--delimiter says otherwise)\n"
OPTIONS = ("-k", "entropy", "-l", "0", "--head", "0", "-f", "csv", "--no-progress")


@pytest.fixture
def corpus(run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``attnprobe corpus ARGUMENTS`` with the tiny model, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: run("corpus", *arguments, *OPTIONS, "-m", tiny, **options)


def ids(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [row.split(",")[0].strip('"') for row in result.text.splitlines()[1:]]


def test_what_was_decided_is_said_once(corpus: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id;text\n7;The cat sat.\n8;The dog sat.\n")
    result = corpus("in.csv", "--id-column", "id")
    assert (ids(result), result.err) == (["7", "8"], NOTE)
    for more in (["-q"], ["--delimiter", ";"]):
        again = corpus("in.csv", "--id-column", "id", *more)
        assert (again.text, again.err) == (result.text, "")


def test_flags_decide(corpus: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'"The cat | sat.\nThe dog" | sat.\n')
    result = corpus("in.csv", "--delimiter", "|", "--quoting", "none", "--no-header", "--column", "1")
    assert (ids(result), result.err) == (["1", "2"], "")


def test_question_comes_before_the_model_is_loaded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_bytes(b"The cat sat.\nThe dog sat.\n")
    result = run("corpus", "in.csv", "-m", "no/model")
    assert result.code == 2
    assert result.err == (
        "attnprobe: in.csv: is its first row a header, or a text? 'The cat sat.'\n  --header or --no-header\n"
    )


def test_key_that_no_record_has_is_wrong_usage(corpus: Run, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"data": [{"answer": {"text": "The cat sat."}, "n": 1}]}')
    assert ids(corpus("in.json", "--column", "answer.text", "--id-column", "n")) == ["1"]
    result = corpus("in.json", "--column", "answer")
    assert result.code == 3  # it is there, and no text
    result = corpus("in.json", "--column", "text")
    assert result.code == 2
    assert result.err == "attnprobe: in.json: no record has 'text'\n  columns: 'answer.text', 'n'\n"


def test_standard_input_is_sniffed_too(corpus: Run) -> None:
    result = corpus("-", "--input-format", "csv", stdin=b"id;text\n7;The cat sat.\n")
    assert ids(result) == ["2"]
    assert result.err == NOTE.replace("in.csv", "-")
    fasta = corpus("-", "--input-format", "fasta", stdin=b">P1 x\nMKT\n")
    assert ids(fasta) == ["P1"]


def test_manifest_says_how_the_file_was_to_be_read(corpus: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id;text\n7;The cat sat.\n")
    assert corpus("in.csv", "--delimiter", ";", "--header", "-o", "out.csv").code == 0
    options = json.loads((tmp_path / "out.csv.meta.json").read_text())["options"]
    assert {name: options[name] for name in ("delimiter", "quoting", "header")} == {
        "delimiter": ";",
        "quoting": None,
        "header": True,
    }
    assert "cannot resume: delimiter: none, before: ;" in corpus("in.csv", "-o", "out.csv", "--resume").err
