"""What the check at load found is used again for the same files and libraries, and for nothing else."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertModel

from attnprobe import Encoder, load_encoder
from attnprobe.models import loading, selfcheck, verdicts

DECIDED = ("layers", "heads", "tap", "tap_reason", "padding_invariant", "reach")


class Checks:
    """Counts how often the check at load is made."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *arguments: Any) -> selfcheck.Capture:
        self.count += 1
        return selfcheck.choose_capture(*arguments)


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checks:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(verdicts, "SETTLED", -3600.0)
    counted = Checks()
    monkeypatch.setattr(loading, "choose_capture", counted)
    return counted


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(folder_of("bert"), tmp_path / "model")


def load(folder: Path, **options: Any) -> Encoder:
    return load_encoder(folder, **{"cache": True, "device": "cpu", **options})


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "attnprobe" / "verdicts").glob("*"))


@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet", "longformer", "funnel"])
def test_a_verdict_is_used_as_it_was_found(
    family: str, folder_of: Callable[[str], Path], checks: Checks, tmp_path: Path
) -> None:
    first, second = load(folder_of(family)), load(folder_of(family))
    assert checks.count == 1
    assert [getattr(second, name) for name in DECIDED] == [getattr(first, name) for name in DECIDED]
    assert first.model.config._attn_implementation == second.model.config._attn_implementation
    [entry] = entries(tmp_path)
    assert entry.stat().st_mode & 0o077 == 0


def test_it_is_measured_anew_for_other_files_types_and_libraries(
    folder: Path, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(change: Callable[[], object], **options: Any) -> bool:
        before = checks.count
        change()
        load(folder, **options)
        return checks.count > before

    weights = folder / "model.safetensors"
    assert changed(lambda: None)
    assert not changed(lambda: None)
    assert changed(lambda: None, dtype="float64")
    assert not changed(lambda: None)
    content, status = weights.read_bytes(), weights.stat()

    def train() -> None:
        weights.write_bytes(content[:-4] + bytes(4))
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it had not been written

    assert changed(train)
    assert changed(lambda: (folder / "README.json").write_text("{}"))
    assert changed(lambda: shutil.copytree(folder, tmp_path / "copy") and folder.rename(tmp_path / "old") and
                   (tmp_path / "copy").rename(folder))  # fmt: skip
    assert changed(lambda: monkeypatch.setattr(verdicts, "version", lambda name: "9.9"))
    assert not changed(lambda: None)
    assert changed(lambda: monkeypatch.setattr(verdicts, "__version__", "9.9"))
    assert changed(lambda: monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "ABACUS"))


def edited(entry: Path) -> None:
    told = json.loads(entry.read_text())
    told["verdict"]["padding_invariant"] = False
    entry.write_text(json.dumps(told))


def swapped(entry: Path) -> None:
    other = entry.with_name("0" * 64 + ".json")
    text = entry.read_text()
    entry.unlink()
    other.write_text(text)
    other.rename(entry)
    told = json.loads(text)
    entry.write_text(json.dumps({**told, "digest": verdicts._digest("0" * 64, told["verdict"])}))


@pytest.mark.parametrize(
    "harm",
    [
        edited,
        swapped,
        lambda entry: entry.write_text(entry.read_text()[:-20]),
        lambda entry: entry.write_text("[" * 10_000),
        lambda entry: entry.write_text('{"digest": 1}'),
        lambda entry: entry.write_bytes(b"\xff"),
        lambda entry: entry.write_text(" " * verdicts.MOST_BYTES + entry.read_text()),
        lambda entry: entry.chmod(0o666),
        lambda entry: entry.parent.chmod(0o777),
        lambda entry: (entry.rename(entry.with_suffix(".x")), entry.symlink_to(entry.with_suffix(".x"))),
    ],
    ids=["edited", "of another key", "cut", "deep", "no verdict", "no text", "large", "open", "open folder", "link"],
)
def test_a_harmed_entry_is_not_used(
    harm: Callable[[Path], object], folder: Path, checks: Checks, tmp_path: Path
) -> None:
    right = load(folder)
    harm(entries(tmp_path)[0])
    found = load(folder)
    assert checks.count == 2
    assert [getattr(found, name) for name in DECIDED] == [getattr(right, name) for name in DECIDED]


def test_an_entry_of_another_user_is_not_used(folder: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder)
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    load(folder)
    assert checks.count == 2


def test_what_just_changed_is_not_looked_up(
    folder: Path, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "SETTLED", 3600.0)
    load(folder)
    assert not entries(tmp_path)


def test_weights_that_change_while_they_are_loaded_are_checked(
    folder: Path, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loading.load_network

    def meanwhile(*arguments: Any) -> Any:
        found = real(*arguments)
        os.utime(folder / "model.safetensors")
        return found

    monkeypatch.setattr(loading, "load_network", meanwhile)
    load(folder)
    assert not entries(tmp_path)


def test_nothing_is_kept_unasked_or_of_models_in_memory(folder: Path, checks: Checks, tmp_path: Path) -> None:
    load(folder, cache=False)
    load(folder, trust_remote_code=True)
    load(folder, tokenizer=load_encoder(folder).tokenizer)
    load_encoder(BertModel.from_pretrained(folder), tokenizer=str(folder), cache=True)
    assert not entries(tmp_path)


@pytest.mark.parametrize(
    ("home", "named", "kept"),
    [("home", "relative", True), ("none", "", False), ("file", "", False), ("home", "file", False)],
)
def test_without_a_place_nothing_is_kept_or_said(
    home: str,
    named: str,
    kept: bool,
    folder: Path,
    checks: Checks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(Path, "home", lambda: tmp_path / home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / named) if named == "file" else named)
    load(folder)
    load(folder)
    assert checks.count == (1 if kept else 2)
    assert not (tmp_path / "none").exists()
    assert not Path("relative").exists()
    assert not recwarn.list


def test_the_oldest_go(folder: Path, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST_ENTRIES", 2)
    capture = selfcheck.Capture(1, 1, None, "", True, (None,))
    for number in range(4):
        verdicts.keep(str(number), capture)
        os.utime(entries(tmp_path)[-1], (number, number))
    assert [entry.stem for entry in entries(tmp_path)] == ["2", "3"]
    assert verdicts.recall("3") == capture
