"""What a table over many texts says of how it came about: the same for the same numbers, on any day and any machine."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from attnprobe import Encoder, run_corpus

TEXTS = "The cat sat on the mat.\nIt was warm.\n\nNobody said a word.\n"


@pytest.fixture
def encoder(encoder_of: Callable[[str], Encoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """In a folder with texts."""
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text(TEXTS, encoding="utf-8")
    return encoder_of("bert")


def test_summary_says_command_input_and_options(encoder: Encoder, tmp_path: Path) -> None:
    run_corpus("texts.txt", None, encoder, ["entropy"], summary="heads.csv", layers=[0], level="word", limit=2)
    text = Path("heads.csv.meta.json").read_text(encoding="utf-8")
    made = json.loads(text)
    assert list(made) == ["signature", "command", "input", "options"]
    assert made["command"] == "attnprobe corpus"
    assert "level:word" in made["signature"]
    assert list(made["input"]) == ["texts.txt"]
    assert made["input"]["texts.txt"].startswith(f"{len(TEXTS)}-")
    assert made["options"]["metrics"] == ["entropy"]
    assert (made["options"]["layers"], made["options"]["limit"]) == ([0], 2)
    assert str(tmp_path) not in text
    assert not {"batch_tokens", "workers", "engine", "format"} & made["options"].keys()


def test_bytes_are_those_of_a_run_of_another_shape(encoder: Encoder) -> None:
    """With rows or without, in other batches."""
    run_corpus("texts.txt", None, encoder, ["entropy"], summary="a.csv")
    run_corpus("texts.txt", "rows.csv", encoder, ["entropy"], summary="b.csv", batch_tokens=7)
    assert Path("a.csv.meta.json").read_bytes() == Path("b.csv.meta.json").read_bytes()


def test_parquet_and_profile_say_the_same(encoder: Encoder) -> None:
    run_corpus("texts.txt", None, encoder, ["entropy"], summary="heads.parquet", profile="profile.json")
    metadata = pyarrow.parquet.read_schema("heads.parquet").metadata
    beside = json.loads(Path("profile.json.meta.json").read_text(encoding="utf-8"))
    assert {
        "signature": metadata[b"attnprobe.signature"].decode(),
        **json.loads(metadata[b"attnprobe.manifest"]),
    } == beside


def test_other_input_is_told_apart(encoder: Encoder) -> None:
    for name, text in (("one", TEXTS), ("two", TEXTS.replace("warm", "cold"))):
        Path("texts.txt").write_text(text, encoding="utf-8")
        run_corpus("texts.txt", None, encoder, ["entropy"], summary=f"{name}.csv")
    one, two = (json.loads(Path(f"{name}.csv.meta.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert one["signature"] == two["signature"]
    assert one["input"] != two["input"]
