"""Every value in a model's folder made odd, and every file broken: it is refused in plain words, or measured."""

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attnprobe import head_stats, load_encoder
from attnprobe.errors import AttnprobeError
from attnprobe.models.describe import describe

NESTED: list[Any] = []
for _ in range(40):
    NESTED = [NESTED]
ODD = (None, [], {}, "x", -1, 0, 1, 3.5, 2**20, 2**70, True, NESTED, math.nan, math.inf, "y" * 10**5, [1], {"": 1})
FILES = ("config.json", "tokenizer_config.json", "tokenizer.json")


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder_of("modernbert"), tmp_path / "copy"))


def outcome(folder: Path) -> str:
    """Why the folder is refused; empty if it is measured. Anything but an AttnprobeError escapes."""
    try:
        encoder = load_encoder(folder)
        describe(encoder)
        entropy = head_stats("The cat sat on the mat.", encoder, metrics=["entropy"])["entropy"]
    except AttnprobeError as error:
        return str(error)
    assert ((entropy >= 0) & (entropy < 10)).all()
    return ""


def places(content: Any, depth: int = 3) -> Iterator[list[Any]]:
    """The ways to the values in a JSON file: of each object the first keys, of each list the first item."""
    if depth and isinstance(content, dict | list):
        for key in list(content)[:50] if isinstance(content, dict) else range(len(content[:1])):
            yield [key]
            yield from ([key, *way] for way in places(content[key], depth - 1) if len(way) < 2 or way[1] in (0, "type"))


@pytest.mark.parametrize("family", ["t5", "deberta-v2"])
def test_vocabulary_that_transformers_makes_up(folder_of: Callable[[str], Path], tmp_path: Path, family: str) -> None:
    folder = shutil.copytree(folder_of(family), tmp_path / family)
    assert outcome(folder) == ""
    (folder / "tokenizer.json").unlink()
    assert outcome(folder) == f"{str(folder)!r} holds no tokenizer"


def test_panic_in_the_tokenizer(folder: Path) -> None:
    """Rust's panics are no Exception in Python."""
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": ""}, "content": "x"}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert outcome(folder).startswith("TokenizersBackend does not read this text: ")


@pytest.mark.parametrize("name", FILES)
def test_odd_values(folder: Path, name: str) -> None:
    written = (folder / name).read_text(encoding="utf-8")
    chance = random.Random(name)
    outcomes = []
    for way in chance.sample(ways := list(places(json.loads(written))), min(50, len(ways))):
        content = part = json.loads(written)
        for key in way[:-1]:
            part = part[key]
        part[way[-1]] = chance.choice(ODD)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        outcomes.append(outcome(folder))
    assert "" in outcomes
    assert any(outcomes)


@pytest.mark.parametrize("name", [*FILES, "model.safetensors"])
def test_broken_bytes(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    chance = random.Random(name)
    flipped = bytearray(data)
    flipped[chance.randrange(min(300, len(data)))] ^= 64
    assert outcome(folder) == ""
    for broken in (b"", data[:1], data[: len(data) // 2], chance.randbytes(999), b"\xff\xfe" + data, b"[" * 10**5):
        (folder / name).write_bytes(broken)
        assert outcome(folder)
    (folder / name).write_bytes(flipped)
    outcome(folder)
