"""Model folders, whole and broken: one short reason, never a traceback, never random weights."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from attnprobe import head_stats
from attnprobe.models.families import FAMILIES
from tests.cli.commandline import QUERY, TEXT, TOKENIZER_FILES, Run, as_pickle, check_error, check_numbers
from tests.families import build

Change = Callable[[Path], object]


def without(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names]


def with_file(name: str, content: str | bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def with_config(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
        config = {name: value for name, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return change


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def rewrite(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def cut_in_half(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def with_folder_for_a_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


REMOTE_CODE = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
BROKEN: Mapping[str, tuple[Change, list[str]]] = {
    "no config.json": (without("config.json"), ["config.json"]),
    "config.json is a folder": (with_folder_for_a_config, ["config.json"]),
    "config.json is garbage": (with_file("config.json", "{not json"), ["config.json", "JSON"]),
    "config.json is empty": (with_file("config.json", ""), ["config.json", "JSON"]),
    "config.json is not UTF-8": (with_file("config.json", b'{"model_type": "\xe9"}'), ["config.json"]),
    "config.json is a list": (with_file("config.json", "[1]"), ["config.json"]),
    "model type is a list": (with_config(model_type=["bert"]), ["config.json"]),
    "model type is unknown": (with_config(model_type="mine"), ["'mine'"]),
    "model type is missing": (with_config(model_type=None), ["model type"]),
    "size is a word": (with_config(hidden_size="wide"), ["hidden_size"]),
    "size is not for these heads": (with_config(num_attention_heads=7), ["7"]),
    "remote code": (with_config(model_type="mine", auto_map=REMOTE_CODE), ["Python code", "--trust-remote-code"]),
    "no weights": (without("model.safetensors"), ["model.safetensors"]),
    "pickle only": (as_pickle, ["pickle", "pytorch_model.bin", "--allow-pickle"]),
    "weights are cut": (cut_in_half, ["copy"]),
    "weights are empty": (with_file("model.safetensors", b""), ["copy"]),
    "weights were not fetched": (with_file("model.safetensors", "version https://git-lfs.github.com/spec"), ["copy"]),
    "a weight is missing": (with_weights(lambda weights: weights.pop(QUERY)), [QUERY, "lacks"]),
    "a weight has another shape": (with_weights(lambda weights: weights.update({QUERY: torch.ones(16, 32)})), [QUERY]),
    "a weight is no number": (with_weights(lambda weights: weights[QUERY].fill_(torch.nan)), ["layer 0", "nan"]),
    "no tokenizer": (without(*TOKENIZER_FILES), ["tokenizer"]),
    "no vocabulary": (without("tokenizer.json", "vocab.txt"), ["tokenizer"]),
    "tokenizer is garbage": (with_file("tokenizer.json", "{"), ["tokenizer"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_model_folder(run: Run, folder: Path, name: str) -> None:
    change, words = BROKEN[name]
    change(folder)
    check_error(run("heads", TEXT, "-m", folder), 1, *words)


def test_model_folder(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("heads", TEXT, "-m", tiny)
    assert (result.code, result.err) == (0, "")
    check_numbers(result.frame, head_stats(TEXT, tiny))
    assert len(result.frame) == 4
    monkeypatch.setenv("ATTNPROBE_MODEL", str(tiny))
    assert run("heads", TEXT).out == result.out
    monkeypatch.chdir(tiny.parent)
    assert run("heads", TEXT, "-m", "tiny").out == result.out


def test_pooler_may_be_missing(run: Run, folder: Path, tiny: Path) -> None:
    with_weights(lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])(folder)
    assert run("heads", TEXT, "-m", folder).out == run("heads", TEXT, "-m", tiny).out


def test_known_model_needs_none_of_its_remote_code(run: Run, folder: Path, tiny: Path) -> None:
    with_config(auto_map=REMOTE_CODE)(folder)
    assert run("heads", TEXT, "-m", folder).out == run("heads", TEXT, "-m", tiny).out


def test_pickle_is_loaded_when_allowed(run: Run, folder: Path, tiny: Path) -> None:
    as_pickle(folder)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


@pytest.mark.parametrize("pickle", [None, b"garbage"])
def test_safetensors_come_before_an_allowed_pickle(run: Run, folder: Path, tiny: Path, pickle: bytes | None) -> None:
    if pickle:
        (folder / "pytorch_model.bin").write_bytes(pickle)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


class Trap:
    """Pickled, it touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickle_that_runs_code(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Trap(tmp_path / "touched")}, folder / "pytorch_model.bin")
    check_error(run("heads", TEXT, "-m", folder), 1, "--allow-pickle")
    check_error(run("heads", TEXT, "-m", folder, "--allow-pickle"), 1, "copy")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta"])
def test_wrong_device(run: Run, tiny: Path, device: str) -> None:
    check_error(run("heads", TEXT, "-m", tiny, "--device", device), 1, f"'{device}'", "cpu")


@pytest.mark.parametrize("name", ["./nothere", "nothere/", "/nothere/at/all", "a/b/c", "two words"])
def test_wrong_model_name(run: Run, name: str) -> None:
    check_error(run("heads", TEXT, "-m", name), 1, f"'{name}'")
    check_error(run("info", name), 1, f"'{name}'")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("built")
    return cache(lambda family: build(family, root / family))


@pytest.mark.parametrize(
    ("family", "reach"),
    [
        ("modernbert", "layers 0,3: all tokens; layers 1-2: 4 tokens on each side"),
        ("t5gemma2", "layers 0-4: 3 tokens before, 4 after; layer 5: all tokens"),
        ("clip", "all layers: itself and all before"),
        (
            "canine",
            "layer 0: its own block of 16 tokens; layers 1-3: several tokens pooled into one, so only"
            " entropies are given; layer 4: all tokens",
        ),
    ],
)
def test_reach_of_layers_is_named(run: Run, built: Callable[[str], Path], family: str, reach: str) -> None:
    facts = run("info", built(family)).frame.set_index("property")["value"]
    assert facts["reach"] == reach
    shown = " ".join(run("heads", "a cat sat on it", "-m", built(family), "-f", "table").text.split())
    for part in reach.split("; "):
        assert (f"Reach of {part}." in shown) == ("all tokens" not in part)


def test_a_deviation_from_the_checkpoint_is_named(run: Run, built: Callable[[str], Path]) -> None:
    shown = " ".join(run("heads", TEXT, "-m", built("big_bird"), "-f", "table").text.split())
    assert "Not as the checkpoint computes: full attention is measured; the model's own is block-sparse" in shown


def test_models_are_the_rows_of_the_table_of_families(run: Run) -> None:
    frame = run("models").frame
    assert list(frame.columns) == ["model_type", "measured", "through", "remark"]
    assert frame["model_type"].tolist() == sorted(FAMILIES)
    refused = frame[frame["measured"] == "no"]
    assert refused["remark"].str.len().min() > 10
    assert refused["through"].isna().all()
    assert set(frame[frame["measured"] == "yes"]["through"]) == {"blocks", "hooks"}
    shown = " ".join(run("models", terminal=True).text.split())
    assert "fnet no FNet mixes tokens by Fourier transforms and has no attention" in re.sub(r"\x1b\[[\d;]*m", "", shown)


def test_refused_type_is_named_before_its_weights_are_read(run: Run, built: Callable[[str], Path]) -> None:
    check_error(run("heads", TEXT, "-m", built("fnet")), 1, "fnet", "Fourier transforms")


def test_global_attention(run: Run, built: Callable[[str], Path]) -> None:
    plain = run("heads", TEXT, "-m", built("longformer")).frame
    cls = run("heads", TEXT, "-m", built("longformer"), "--global-attention", "cls").frame
    assert cls["cls_share"].mean() > plain["cls_share"].mean()
    check_error(
        run("heads", TEXT, "--global-attention", "cls"), 2, "all-MiniLM-L6-v2 has no global attention", "Longformer"
    )
    check_error(run("heads", TEXT, "--global-attention", "all"), 2, "--global-attention")
