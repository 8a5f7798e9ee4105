"""attnprobe atlas with an atlas as FILE: written anew, shown and compared, without a model."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from attnprobe import Atlas
from tests.atlases import fabricated
from tests.cli.commandline import Run, check_error


@pytest.fixture(autouse=True)
def _atlases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNPROBE_MODEL", "./nothere")  # what a person always has is no option of this command
    for seed, name in enumerate(("new.txt", "old.json")):
        Path(name).write_text(json.dumps(fabricated(2, 3, seed=seed)), encoding="utf-8")
    Path("cut.json").write_text(json.dumps(fabricated(2, 3))[:999], encoding="utf-8")
    Path("texts.jsonl").write_text('{"text": "\\"format\\": \\"attnprobe-atlas\\""}\n', encoding="utf-8")


def test_an_atlas_is_written_anew(run: Run) -> None:
    new, old = (Atlas(fabricated(2, 3, seed=seed)) for seed in (0, 1))
    assert json.loads(run("atlas", "new.txt", "-f", "json").out) == new.data
    assert run("atlas", "new.txt", "--against", "old.json", "-o", "both.json", "--numbers", "numbers.csv").err == ""
    assert json.loads(Path("both.json").read_bytes()) == new.against(old).data
    pd.testing.assert_frame_equal(pd.read_csv("numbers.csv"), new.numbers().to_frame())
    assert pd.read_csv(io.BytesIO(run("atlas", "new.txt", "-q").out))["finding"].tolist() == [
        head["findings"][0]["text"] for head in new.data["heads"]
    ]
    shown = run("atlas", "new.txt", "-q", terminal=True)
    assert (shown.code, shown.err) == (0, "")
    assert "made-up" in shown.text


def test_no_line_of_a_table_ends_with_blanks_in_a_file(run: Run) -> None:
    lines = run("atlas", "new.txt", "-f", "table").text.splitlines()
    assert any("most telling heads" in line for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("written", [(), ("-o", "none.html", "--numbers", "none.csv")])
def test_nothing_is_written_where_no_text_is_measured(run: Run, tiny: Path, written: tuple[str, ...]) -> None:
    for name in ("empty.txt", "empty.conllu"):
        Path(name).write_text("", encoding="utf-8")
    before = {*Path().iterdir()}
    result = run("atlas", "empty.txt", "--conllu", "empty.conllu", "-m", str(tiny), *written)
    assert (result.code, result.out, {*Path().iterdir()}) == (1, b"", before)
    *told, error, hint = result.err.splitlines()
    assert told == ["attnprobe: no records in 'empty.txt'", "attnprobe: no records in 'empty.conllu'"]
    assert "no text was measured, so there is no atlas" in error
    assert "sentences that come with attnprobe" in hint


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["new.txt", "old.json"], 2, ["'new.txt' holds a result", "name it alone"]),
        (["new.txt", "-m", "other"], 2, ["no model runs: -m does not apply", "leave -m out"]),
        (["new.txt", "--importance", "zero"], 2, ["no model runs: --importance does not apply"]),
        (["new.txt", "--clusters", "3"], 2, ["--clusters does not apply"]),
        (["new.txt", "--conllu", "bank.conllu"], 2, ["--conllu does not apply"]),
        (["new.txt", "--column", "text"], 2, ["--column does not apply"]),
        (["new.txt", "-n"], 2, ["-n does not apply"]),
        (["new.txt", "--workers", "2"], 2, ["--workers does not apply"]),
        (["new.txt", "-o", "old.json"], 1, ["'old.json' exists already", "--overwrite"]),
        (["new.txt", "--numbers", "old.json"], 1, ["'old.json' exists already", "--overwrite"]),
        (["new.txt", "--against", "texts.jsonl"], 1, ["'texts.jsonl' is no atlas"]),
        (["cut.json"], 1, ["'cut.json' is no atlas: it ends too early"]),
        (["texts.jsonl"], 1, ["./nothere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_suit_an_atlas_is_refused(run: Run, arguments: list[str], code: int, words: list[str]) -> None:
    check_error(run("atlas", *arguments), code, *words)
