"""What is said on standard error of a text that is not what it seems; once, and not at all under --quiet."""

import json
from pathlib import Path

import pytest

from tests.cli.commandline import TEXT, Run, check_error

CHINESE = "我昨天去了超市,买了苹果"
COMMANDS = {
    "heads": [],
    "weights": ["-l", "0", "--head", "0", "-f", "csv"],
    "heatmap": ["--stat", "entropy"],
    "trace": ["-l", "0", "--head", "0", "--query", "1"],
    "view": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_tokens(run: Run, tiny: Path, command: str) -> None:
    result = run(command, CHINESE, "-m", tiny, *COMMANDS[command])
    assert result.code == 0
    assert result.err == (
        "attnprobe: 9 of the text's 12 tokens are unknown to the model's vocabulary;"
        " does the model read texts of this language and kind?\n"
    )
    assert run(command, CHINESE, "-m", tiny, *COMMANDS[command], "-q").err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_text_that_is_a_file(
    run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my review.txt").write_text("the cat sat on the mat\n")
    (tmp_path / "folder").mkdir()
    result = run(command, "my review.txt", "-m", tiny, *COMMANDS[command])
    assert result.code == 0
    assert result.err == (
        "attnprobe: TEXT is taken as it stands, though there is a file 'my review.txt'; what the file holds:"
        f" attnprobe {command} < 'my review.txt', or a text a line: attnprobe corpus 'my review.txt'\n"
    )
    for arguments in (["my review.txt", "-q"], ["folder"], ["a" * 5000, "--max-length", "64", "-q"]):
        assert run(command, *arguments, "-m", tiny, *COMMANDS[command]).err == ""


@pytest.mark.parametrize("text", ["-5 degrees", "-5", "--- a rule", "--5", "-quite nice", "- item"])
def test_text_that_begins_with_a_dash(run: Run, tiny: Path, text: str) -> None:
    shown = text if text in ("-5", "--5") else f"'{text}'"
    check_error(run("heads", text, "-m", tiny), 2, f"stands last, after --, e.g. attnprobe heads -- {shown}")
    assert run("heads", "-m", tiny, "-k", "entropy", "--", text).code == 0


def test_options_that_are_not_there_are_no_text(run: Run) -> None:
    for arguments in (["--foo"], ["-l", "-1", "--foo", TEXT], ["-x", TEXT]):
        assert "stands last" not in run("heads", *arguments).err


def test_corpus_counts_unknown_tokens_or_leaves_them_out(run: Run, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"the cat\n{CHINESE}\n", encoding="utf-8")
    usual = ["corpus", tmp_path / "in.txt", "-m", tiny, "-k", "entropy", "--no-progress", "-o"]
    result = run(*usual, tmp_path / "out.csv")
    assert result.code == 0
    assert result.err.startswith(
        "attnprobe: texts with more than a third of their tokens unknown to the model's vocabulary: 1"
        " (--max-unknown 0.33 leaves them out)\n"
    )
    assert run(*usual, tmp_path / "quiet.csv", "-q").err == ""
    fewer = run(*usual, tmp_path / "fewer.csv", "--max-unknown", "0.33")
    assert (fewer.code, "1 record was skipped" in fewer.err) == (3, True)
    [skipped] = map(json.loads, (tmp_path / "fewer.csv.skipped.jsonl").read_text().splitlines())
    assert (skipped["line"], skipped["reason"]) == (2, "9 of 12 tokens are unknown to the model's vocabulary")
    check_error(run(*usual, tmp_path / "no.csv", "--max-unknown", "33"), 2, "--max-unknown")


def test_corpus_counts_texts_without_words(run: Run, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the cat\nthe cat sat ฉัน\n", encoding="utf-8")
    result = run("corpus", tmp_path / "in.txt", "-m", tiny, "-k", "entropy", "--level", "word", "-f", "csv")
    assert result.code == 0
    assert "takes a dictionary, and each token stands for itself: 1\n" in result.err


def test_options_behind_two_dashes_are_said_to_be(run: Run, tiny: Path) -> None:
    check_error(run("heads", "-m", tiny, "--", "-5 degrees", "-k", "entropy"), 2, "options stand before --")


def test_file_in_place_of_a_model(run: Run, tiny: Path) -> None:
    check_error(run("info", tiny / "config.json"), 1, "config.json' is a file", "the folder that holds")
