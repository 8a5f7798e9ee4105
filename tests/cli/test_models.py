"""Model folders, whole and broken: one short reason, never a traceback, never random weights."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from attnprobe import head_stats, load_encoder
from attnprobe.models.families import FAMILIES
from tests.cli.commandline import QUERY, TEXT, TOKENIZER_FILES, Run, as_pickle, check_error, check_numbers
from tests.rows import noise

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


def with_pipe_for_a_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def with_link(name: str, target: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def with_json(name: str, place: str, value: Any) -> Change:
    """Sets a value inside a JSON file; the place is its keys, joined by slashes."""

    def change(folder: Path) -> None:
        content = part = json.loads((folder / name).read_text(encoding="utf-8"))
        *way, last = place.split("/")
        for key in way:
            part = part[key]
        part[last] = value
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return change


def in_parts(folder: Path) -> None:
    """Puts the weights into two files and an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(weights)}
    for file in set(places.values()):
        part = {name: weights[name] for name in weights if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def with_index_to(target: object, suffix: str = "safetensors") -> Change:
    """Puts an index of one file in the place of the weights, which are moved out of the folder; a pickle stays."""
    pickle = "weights.bin" if suffix == "bin" else "pytorch_model.bin"
    index = "pytorch_model.bin.index.json" if suffix == "bin" else "model.safetensors.index.json"

    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
        torch.save(weights, folder.parent / "outside.bin")
        torch.save(weights, folder / pickle)
        shutil.copy(folder.parent / "outside.bin", folder / "pickle.safetensors")
        content = {"metadata": {}, "weight_map": dict.fromkeys(weights, target)}
        (folder / index).write_text(json.dumps(content), encoding="utf-8")

    return change


def with_weights_behind_a_link(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors").symlink_to("../outside.safetensors")


def with_a_pickle_for_weights(folder: Path) -> None:
    as_pickle(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")


def with_template(processor: dict[str, Any]) -> Change:
    """Sets what the tokenizer does to its tokens, for a class that takes it from tokenizer.json."""

    def change(folder: Path) -> None:
        with_json("tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast")(folder)
        with_json("tokenizer.json", "post_processor", processor)(folder)

    return change


ROOMLESS = {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}
NO_PIECE = {"type": "BertProcessing", "sep": ["[SEP]", 10**9], "cls": ["[CLS]", 101]}
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
    "a weight is no number": (with_weights(lambda weights: weights[QUERY].fill_(torch.nan)), ["layer 0", "NaN"]),
    "no tokenizer": (without(*TOKENIZER_FILES), ["tokenizer"]),
    "no vocabulary": (without("tokenizer.json", "vocab.txt"), ["tokenizer"]),
    "tokenizer is garbage": (with_file("tokenizer.json", "{"), ["tokenizer"]),
    "config.json is a pipe": (with_pipe_for_a_config, ["config.json", "no regular file"]),
    "config.json is a device": (with_link("config.json", "/dev/zero"), ["config.json", "no regular file"]),
    "config.json is a link to itself": (with_link("config.json", "config.json"), ["no config.json"]),
    "config.json is nested": (with_file("config.json", "[" * 100_000 + "]" * 100_000), ["config.json", "deeply"]),
    "a value is nested": (with_file("config.json", '{"x": ' + "[" * 99 + "]" * 99 + "}"), ["config.json", "deeply"]),
    "other files": (with_config(text_config={"transformers_weights": "a.bin"}), ["transformers_weights"]),
    "other configuration": (with_config(configuration_files=["config.4.json"]), ["configuration_files"]),
    "an adapter": (with_file("adapter_config.json", "{}"), ["adapter"]),
    "layers without end": (with_config(num_hidden_layers=2**40), ["1099511627776 for num_hidden_layers"]),
    "labels without end": (with_config(num_labels=10**400), ["num_labels"]),
    "more layers than weights": (with_config(num_hidden_layers=10**5), ["config.json", "larger than its weight"]),
    "wider than its weights": (with_config(hidden_size=2**15), ["config.json", "larger than its weight"]),
    "tokens without end": (with_json("tokenizer_config.json", "extra_ids", 2**31), ["2147483648 for extra_ids"]),
    "labels by the million": (with_config(num_labels=2**20), ["1048576 for num_labels"]),
    "labels by name": (with_config(id2label=dict.fromkeys(map(str, range(2**18)), "")), ["config.json", "too much"]),
    "no layer": (with_config(num_hidden_layers=0), ["no place for: encoder.layer.0"]),
    "limit is a word": (with_json("tokenizer_config.json", "model_max_length", "x"), ["model_max_length", "'x'"]),
    "limit is a fraction": (with_json("tokenizer_config.json", "model_max_length", 3.5), ["model_max_length", "3.5"]),
    "limit leaves no room": (with_json("tokenizer_config.json", "model_max_length", 2), ["no room", "2 tokens"]),
    "template without tokens": (with_template(ROOMLESS), ["no token in a plain text"]),
    "number without a piece": (with_template(NO_PIECE), ["no piece of number"]),
    "index of a pickle": (with_index_to("pytorch_model.bin"), ["pytorch_model.bin", "no .safetensors"]),
    "index of a pickle of another name": (with_index_to("pickle.safetensors"), ["pickle.safetensors", "safetensors"]),
    "index leads out": (with_index_to("../outside.safetensors"), ["outside.safetensors", "outside its folder"]),
    "index of nothing there": (with_index_to("nowhere.safetensors"), ["nowhere.safetensors"]),
    "index of numbers": (with_index_to(1), ["weight_map"]),
    "index is a list": (
        lambda folder: [with_index_to("x")(folder), with_file("model.safetensors.index.json", "[]")(folder)],
        ["model.safetensors.index.json", "JSON object"],
    ),
    "parts without an index": (
        lambda folder: (folder / "model.safetensors").rename(folder / "model-1-of-1.safetensors"),
        ["model.safetensors.index.json"],
    ),
    "weights lie elsewhere": (with_weights_behind_a_link, ["outside its folder"]),
    "weights are a pickle": (with_a_pickle_for_weights, ["model.safetensors", "is no safetensors"]),
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


outputs: dict[Path, bytes] = {}


@pytest.fixture
def usual(run: Run, tiny: Path) -> bytes:
    """What the folder gives before a test changes a copy of it; asked for once."""
    if tiny not in outputs:
        outputs[tiny] = run("heads", TEXT, "-m", tiny).out
    return outputs[tiny]


HARMLESS: Mapping[str, Change] = {
    "architectures is a number": with_config(architectures=5),
    "architectures is a list of lists": with_config(architectures=[["BertModel"]]),
    "window is a list": with_config(sliding_window=[4]),
    "window without end": with_config(sliding_window=2**70),
    "head size is a word": with_config(head_dim="x"),
    "no limit": with_json("tokenizer_config.json", "model_max_length", 10**30),
    "no limit, as a fraction": with_json("tokenizer_config.json", "model_max_length", 1e30),
    "weights in parts": in_parts,
    "weights that are not loaded": with_file("model-extra.safetensors", "not even weights"),
    "an index that is not loaded": with_file("model.safetensors.index.json", "{"),
    "a link inside": lambda folder: [
        (folder / "model.safetensors").rename(folder / "weights"),
        (folder / "model.safetensors").symlink_to("weights"),
    ],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_but_harmless_model_folder(run: Run, folder: Path, usual: bytes, name: str) -> None:
    HARMLESS[name](folder)
    result = run("heads", TEXT, "-m", folder)
    assert (result.code, result.err) == (0, "")
    assert result.out == usual
    assert run("info", folder).code == 0


def test_only_loaded_weights_are_hashed(folder: Path) -> None:
    before = load_encoder(folder).weights_sha256
    (folder / "model-extra.safetensors").write_bytes(b"not even weights")
    assert load_encoder(folder).weights_sha256 == before
    in_parts(folder)
    encoder = load_encoder(folder)
    assert [path.name for path in encoder.location.weight_files] == [
        f"model-0000{n}-of-00002.safetensors" for n in (1, 2)
    ]
    assert encoder.weights_sha256 != before


def test_index_with_an_absolute_path(run: Run, folder: Path) -> None:
    path = folder / "part.safetensors"
    with_index_to(str(path))(folder)
    shutil.copy(folder.parent / "outside.safetensors", path)
    check_error(run("heads", TEXT, "-m", folder), 1, "part.safetensors", "outside its folder")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("weights.bin", []),
        ("../outside.bin", ["outside its folder"]),
        ("pickle.safetensors", ["no .bin file"]),
    ],
)
def test_index_of_allowed_pickles(run: Run, folder: Path, target: str, words: list[str]) -> None:
    with_index_to(target, "bin")(folder)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    if words:
        check_error(result, 1, *words)
    else:
        assert (result.code, result.err) == (0, "")
    check_error(run("heads", TEXT, "-m", folder), 1, "--allow-pickle")


def test_pooler_may_be_missing(run: Run, folder: Path, usual: bytes) -> None:
    with_weights(lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])(folder)
    assert run("heads", TEXT, "-m", folder).out == usual


def test_known_model_needs_none_of_its_remote_code(run: Run, folder: Path, usual: bytes) -> None:
    with_config(auto_map=REMOTE_CODE)(folder)
    assert run("heads", TEXT, "-m", folder).out == usual


def test_pickle_is_loaded_when_allowed(run: Run, folder: Path, usual: bytes) -> None:
    as_pickle(folder)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == usual


@pytest.mark.parametrize("pickle", [None, b"garbage"])
def test_safetensors_come_before_an_allowed_pickle(run: Run, folder: Path, usual: bytes, pickle: bytes | None) -> None:
    if pickle:
        (folder / "pytorch_model.bin").write_bytes(pickle)
    result = run("heads", TEXT, "-m", folder, "--allow-pickle")
    assert (result.code, result.err) == (0, "")
    assert result.out == usual


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
def test_reach_of_layers_is_named(run: Run, folder_of: Callable[[str], Path], family: str, reach: str) -> None:
    facts = run("info", folder_of(family)).frame.set_index("property")["value"]
    assert facts["reach"] == reach
    shown = " ".join(run("heads", "a cat sat on it", "-m", folder_of(family), "-f", "table").text.split())
    for part in reach.split("; "):
        assert (f"Reach of {part}." in shown) == ("all tokens" not in part)


def test_a_deviation_from_the_checkpoint_is_named(run: Run, folder_of: Callable[[str], Path]) -> None:
    shown = " ".join(run("heads", TEXT, "-m", folder_of("big_bird"), "-f", "table").text.split())
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


def test_refused_type_is_named_before_its_weights_are_read(run: Run, folder_of: Callable[[str], Path]) -> None:
    check_error(run("heads", TEXT, "-m", folder_of("fnet")), 1, "fnet", "Fourier transforms")


def test_global_attention(run: Run, folder_of: Callable[[str], Path]) -> None:
    plain = run("heads", TEXT, "-m", folder_of("longformer")).frame
    cls = run("heads", TEXT, "-m", folder_of("longformer"), "--global-attention", "cls").frame
    assert cls["cls_share"].mean() > plain["cls_share"].mean()
    check_error(
        run("heads", TEXT, "--global-attention", "cls"), 2, "all-MiniLM-L6-v2 has no global attention", "Longformer"
    )
    check_error(run("heads", TEXT, "--global-attention", "all"), 2, "--global-attention")


def test_global_attention_of_a_corpus(run: Run, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(TEXT)
    many = run(
        "corpus", tmp_path / "in.txt", "-m", folder_of("longformer"), "--global-attention", "cls", "-f", "csv"
    ).frame
    one = run("heads", TEXT, "-m", folder_of("longformer"), "--global-attention", "cls").frame
    encoder = load_encoder(folder_of("longformer"))
    length = len(encoder.tokenize(TEXT)[0])
    check_numbers(many[list(one.columns)], one, rtol=0, atol=noise(encoder, length) * length)
    check_error(run("corpus", tmp_path / "in.txt", "--global-attention", "cls"), 2, "has no global attention")


@pytest.mark.parametrize("command", [("heads", TEXT, "-m"), ("weights", TEXT, "-m"), ("info",)])
def test_tokenizer_of_its_own(run: Run, folder: Path, tiny: Path, command: tuple[str, ...]) -> None:
    without(*[file for file in TOKENIZER_FILES if (folder / file).exists()])(folder)
    check_error(run(*command, folder), 1, "no tokenizer", "--tokenizer")
    check_error(run(*command, folder, "--tokenizer", "./nowhere"), 1, "./nowhere")
    result = run(*command, folder, "--tokenizer", tiny)
    assert (result.code, result.err) == (0, "")
    if command[0] != "info":
        assert result.out == run(*command, tiny).out


def test_corpus_with_a_tokenizer_of_its_own(run: Run, folder: Path, tiny: Path, tmp_path: Path) -> None:
    without(*[file for file in TOKENIZER_FILES if (folder / file).exists()])(folder)
    with_file("texts.txt", f"{TEXT}\nA dog.\n")(tmp_path)
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    assert run("corpus", tmp_path / "texts.txt", "-m", folder, "--tokenizer", tiny, "-o", ours).code == 0
    assert run("corpus", tmp_path / "texts.txt", "-m", tiny, "-o", theirs).code == 0
    assert ours.read_bytes() == theirs.read_bytes()
    signature = json.loads((tmp_path / "ours.csv.meta.json").read_text(encoding="utf-8"))["signature"]
    assert "|tokenizer:tiny@" in signature


def test_info_says_what_was_decided(run: Run, folder: Path) -> None:
    with_config(model_type=None, architectures=["BertModel"])(folder)
    rows = run("info", folder).frame.set_index("property")["value"]
    assert rows["decided"] == "config.json names no model_type; bert is taken from its architectures"
