"""What people have of a model: an object in memory, an adapter, a wrapper's checkpoint, a folder of another kind."""

import copy
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from attnprobe import Encoder, corpus_stats, head_stats, load_encoder, trace
from attnprobe.errors import MissingExtraError, ModelError, TextError, UsageError
from attnprobe.models.describe import describe
from tests.exact import EXACT
from tests.families import FAMILIES, no_progress_bars, spread_weights

TEXT = "The old lighthouse keeper counted twelve boats."
Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder_of("bert"), tmp_path / "model"))


def tokenizer_of(family: str) -> Any:
    tokenizer = FAMILIES[family].tokenizer()
    tokenizer.model_max_length = 128
    return tokenizer


def stats(encoder: Encoder) -> pd.DataFrame:
    return head_stats(TEXT, encoder)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal to EXACT, which only encoders in float64 are."""
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=EXACT, atol=EXACT)


def differ(found: pd.DataFrame, other: pd.DataFrame) -> bool:
    return bool((found["entropy"] - other["entropy"]).abs().max() > 1e-3)


def change(folder: Path, edit: Change) -> None:
    weights = {name: tensor.contiguous() for name, tensor in edit(load_file(folder / "model.safetensors")).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def configure(folder: Path, file: str = "config.json", **values: Any) -> None:
    content = json.loads((folder / file).read_text(encoding="utf-8")) | values
    content = {name: value for name, value in content.items() if value is not None}
    (folder / file).write_text(json.dumps(content), encoding="utf-8")


def decided(encoder: Encoder) -> str:
    return str(dict(describe(encoder).rows).get("decided", ""))


def adapted(model: Any, **options: Any) -> Any:
    """The model with a LoRA of peft, whose use of transformers' old names is nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(model, peft.LoraConfig(**options))


def task_model(name: str, folder: Path) -> Any:
    """A model with a head, its encoder's weights those of the folder, in float64."""
    options = {"attention_type": "original_full"} if name.startswith("BigBird") else {}
    with no_progress_bars():
        return getattr(transformers, name).from_pretrained(folder, dtype=torch.float64, **options)


# Objects in memory

HEADED = {
    "BertForSequenceClassification": "bert",  # classifiers and cross-encoders
    "BertModel": "bert",
    "RobertaForTokenClassification": "roberta",
    "ModernBertForMaskedLM": "modernbert",  # masked language models
    "MPNetForMaskedLM": "mpnet",
    "T5ForConditionalGeneration": "t5",
    "BartForConditionalGeneration": "bart",
    "CLIPModel": "clip",
    "BlipModel": "blip",
    "BrosForTokenClassification": "bros",
    "BigBirdForMaskedLM": "big_bird",
}


@pytest.mark.filterwarnings("ignore::attnprobe.CaseWarning")
@pytest.mark.parametrize("name", HEADED)
def test_object_is_measured_as_its_folder(folder_of: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    family = HEADED[name]
    model, tokenizer = task_model(name, folder_of(family)), tokenizer_of(family)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = load_encoder(tmp_path / "saved", dtype="float64")
    ours = load_encoder(model, tokenizer=tokenizer)
    same(stats(ours), stats(saved))
    assert ours.dtype == torch.float64
    assert (ours.tap is None, ours.max_length) == (saved.tap is None, saved.max_length)
    assert ours.fingerprint == f"{name}@{ours.weights_sha256[:12]}"


def test_object_is_left_as_it_was(folder_of: Callable[[str], Path]) -> None:
    model = task_model("BertForSequenceClassification", folder_of("bert")).train()
    model.set_attn_implementation("sdpa")
    before = copy.deepcopy(model.state_dict())
    trained = [module.training for module in model.modules()]
    encoder = load_encoder(model, tokenizer=tokenizer_of("bert"))
    stats(encoder)
    corpus_stats([TEXT, TEXT], encoder, threads=2).to_frame()
    trace(TEXT, encoder, layer=0, head=0, query=1)
    assert [module.training for module in model.modules()] == trained
    assert all(trained)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert model.config._attn_implementation == "sdpa"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    inputs = tokenizer_of("bert")(TEXT, return_tensors="pt")
    model(**inputs, labels=torch.tensor([1])).loss.backward()
    assert model.bert.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_numbers_and_name_follow_the_training(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    model, tokenizer = task_model("BertForSequenceClassification", folder_of("bert")), tokenizer_of("bert")
    encoder = load_encoder(model, tokenizer=tokenizer)
    before, name = stats(encoder), encoder.fingerprint
    assert encoder.fingerprint == name
    optimizer = torch.optim.SGD(model.parameters(), lr=20.0)
    model.train()(**tokenizer(TEXT, return_tensors="pt"), labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    after = stats(encoder)
    assert differ(after, before)
    assert encoder.fingerprint != name
    assert encoder.fingerprint in after.attrs["signature"]
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    same(after, stats(load_encoder(tmp_path, dtype="float64")))


def resize(model: Any) -> None:
    model.resize_token_embeddings(500)


def add_adapter(model: Any) -> None:
    adapted(model, target_modules=["query"])


def convert(model: Any) -> None:
    model.float()


@pytest.mark.parametrize("edit", [resize, add_adapter, convert])
def test_object_with_other_tensors_than_given_is_refused(
    folder_of: Callable[[str], Path], edit: Callable[[Any], None]
) -> None:
    model = task_model("BertForSequenceClassification", folder_of("bert"))
    encoder = load_encoder(model, tokenizer=tokenizer_of("bert"))
    edit(model)
    with pytest.raises(ModelError, match="its weights lie elsewhere"):
        stats(encoder)
    stats(load_encoder(model, tokenizer=tokenizer_of("bert")))


def test_wrapped_objects(folder_of: Callable[[str], Path]) -> None:
    model, tokenizer = task_model("BertForSequenceClassification", folder_of("bert")), tokenizer_of("bert")
    expected = stats(load_encoder(model, tokenizer=tokenizer))
    compiled = nn.Module()
    compiled._orig_mod = model  # as torch.compile does, whose import takes seconds
    for wrapped in (nn.DataParallel(model), compiled):
        same(stats(load_encoder(wrapped, tokenizer=tokenizer)), expected)


def test_tokenizer_by_name_beside_an_object(folder_of: Callable[[str], Path]) -> None:
    model = task_model("BertModel", folder_of("bert"))
    same(
        stats(load_encoder(model, tokenizer=folder_of("bert"))),
        stats(load_encoder(folder_of("bert"), dtype="float64")),
    )


def test_objects_that_cannot_be_meant(folder_of: Callable[[str], Path]) -> None:
    model, tokenizer = task_model("BertModel", folder_of("bert")), tokenizer_of("bert")
    for arguments, words in [
        ((model, {}), "the tokenizer of BertModel is not given"),
        ((model, {"tokenizer": 3}), "a tokenizer is a folder"),
        ((model, {"tokenizer": tokenizer, "dtype": "float32"}), "is in memory as float64, and not as float32"),
        ((nn.Linear(2, 2), {"tokenizer": tokenizer}), "a model is a folder, a Hub id or a transformers model"),
        ((None, {"tokenizer": tokenizer}), "a model is a folder"),
    ]:
        with pytest.raises(UsageError, match=words):
            load_encoder(arguments[0], **arguments[1])
    with pytest.raises(UsageError) as caught:
        head_stats(TEXT, model)
    assert caught.value.hint == "load_encoder(model, tokenizer=tokenizer) takes a model object"


# Adapters


@pytest.fixture
def adapter(folder: Path, tmp_path: Path) -> Path:
    """A LoRA of rank 2 and scale 6 / 2 on the queries and values of a classifier, as peft saves it."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    tuned = adapted(model, task_type="SEQ_CLS", r=2, lora_alpha=6, target_modules=["query", "value"])
    random = torch.Generator().manual_seed(2)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.3
    tuned.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_adapter_is_merged(folder: Path, adapter: Path, tmp_path: Path) -> None:
    """By hand: W + B·A·scale."""
    base = stats(load_encoder(folder, dtype="float64"))
    encoder = load_encoder(adapter, dtype="float64")
    matrices = load_file(adapter / "adapter_model.safetensors")
    model = task_model("BertModel", folder)
    for layer in range(model.config.num_hidden_layers):
        for name in ("query", "value"):
            way = f"encoder.layer.{layer}.attention.self.{name}"
            a, b = (matrices[f"base_model.model.bert.{way}.lora_{which}.weight"].double() for which in "AB")
            model.get_submodule(way).weight.data += b @ a * (6 / 2)
    by_hand = load_encoder(model, tokenizer=tokenizer_of("bert"))
    same(stats(encoder), stats(by_hand))
    assert differ(stats(encoder), base)
    assert decided(encoder) == f"an adapter, merged into its base model {str(folder)!r} in {str(folder)!r}"
    assert encoder.location.short_name == "adapter"
    assert encoder.weights_sha256 != load_encoder(folder).weights_sha256


def test_adapter_in_memory_is_measured_as_its_folder(folder: Path, adapter: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        tuned = peft.PeftModel.from_pretrained(model, adapter).double()
    same(stats(load_encoder(tuned, tokenizer=folder)), stats(load_encoder(adapter, dtype="float64")))


def test_adapter_brings_its_own_tokenizer(adapter: Path) -> None:
    tokenizer = tokenizer_of("bert")
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(adapter)
    assert load_encoder(adapter).max_length == 64


def test_adapter_without_peft(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError, match="this needs peft") as caught:
        load_encoder(adapter)
    assert caught.value.hint == 'pip install "attnprobe[peft]"'


def without_file(folder: Path, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()


def without_base(folder: Path, adapter: Path) -> None:
    configure(adapter, "adapter_config.json", base_model_name_or_path=None)


def with_lost_base(folder: Path, adapter: Path) -> None:
    configure(adapter, "adapter_config.json", base_model_name_or_path="./nowhere")


def with_itself_for_a_base(folder: Path, adapter: Path) -> None:
    configure(adapter, "adapter_config.json", base_model_name_or_path=str(adapter))


def of_a_rank_without_end(folder: Path, adapter: Path) -> None:
    configure(adapter, "adapter_config.json", r=10**8)


def of_a_deeper_model(folder: Path, adapter: Path) -> None:
    rename_adapter(adapter, "layer.2.", "layer.7.")


def of_another_model(folder: Path, adapter: Path) -> None:
    rename_adapter(adapter, "bert.encoder", "electra.encoder")


def as_prompt(folder: Path, adapter: Path) -> None:
    content = {"peft_type": "PROMPT_TUNING", "task_type": "SEQ_CLS", "num_virtual_tokens": 4}
    content["base_model_name_or_path"] = str(folder)
    (adapter / "adapter_config.json").write_text(json.dumps(content), encoding="utf-8")


def rename_adapter(adapter: Path, old: str, new: str) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name.replace(old, new): tensor for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (without_file, "holds no weights of its adapter"),
        (without_base, "names no base model"),
        (with_lost_base, "is an adapter of './nowhere', which cannot be opened: no folder './nowhere'"),
        (with_itself_for_a_base, "is an adapter itself"),
        (of_a_rank_without_end, "asks for larger matrices"),
        (of_a_deeper_model, "does not fit its base model: it has .*layer.7"),
        (of_another_model, "no weight of the adapter .* belongs to its base model"),
        (as_prompt, "type PROMPT_TUNING, which puts made-up tokens before a text"),
    ],
)
def test_adapter_that_cannot_be_merged(
    folder: Path, adapter: Path, edit: Callable[[Path, Path], None], words: str
) -> None:
    edit(folder, adapter)
    with pytest.raises(ModelError, match=words):
        load_encoder(adapter)


# Checkpoints

LAYER = "encoder.layer.0.attention.self"


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"module.bert.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"model.bert.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: name.replace("layer.1.", "layer.1._orig_mod."),
    ],
)
def test_names_that_a_wrapper_made(
    folder: Path, folder_of: Callable[[str], Path], rename: Callable[[str], str]
) -> None:
    change(folder, lambda weights: {rename(name): tensor for name, tensor in weights.items()})
    encoder = load_encoder(folder, dtype="float64")
    same(stats(encoder), stats(load_encoder(folder_of("bert"), dtype="float64")))
    assert "what a wrapper put before the names of weights" in decided(encoder)


def added(name: str, dtype: torch.dtype = torch.float32) -> Change:
    return lambda weights: weights | {name: torch.ones(4, 4, dtype=dtype)}


def as_integers(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = f"{LAYER}.query.weight"
    return weights | {name: (weights[name] * 50).to(torch.int8)}


@pytest.mark.parametrize(
    ("edit", "words", "hint"),
    [
        (added(f"bert.{LAYER}.distance_embedding.weight"), "distance_embedding", "gone from transformers"),
        (added(f"{LAYER}.query.lora_A.default.weight"), "lora_A", "merge_and_unload"),
        (added(f"base_model.model.bert.{LAYER}.query.lora_A.weight"), "lora_A", "merge_and_unload"),
        (added(f"{LAYER}.query.SCB"), "query.SCB", "quantized"),
        (added(f"{LAYER}.query.weight_scale"), "query.weight_scale", "quantized"),
        (added(f"{LAYER}.query.qweight", torch.int32), "query.qweight", "quantized"),
        (added("encoder.layer.9.output.dense.weight"), "layer.9", "right checkpoint"),
        (as_integers, f"{LAYER}.query.weight .* is stored as I8", "quantization"),
        (lambda weights: {f"core.{name}": tensor for name, tensor in weights.items()}, "lacks", "'core.embeddings"),
    ],
)
def test_checkpoint_that_is_not_the_encoders(folder: Path, edit: Change, words: str, hint: str) -> None:
    change(folder, edit)
    with pytest.raises(ModelError, match=words) as caught:
        load_encoder(folder)
    assert hint in caught.value.hint


def test_integers_in_a_pickle(folder: Path) -> None:
    weights = as_integers(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="is stored as int8"):
        load_encoder(folder, allow_pickle=True)


@pytest.mark.parametrize(
    "names",
    [
        ["classifier.weight", "cls.predictions.bias", "decoder.layer.0.weight", "pooler.x.weight", "lm_head.bias"],
        ["encoder.layer.0.attention.bias", "encoder.layer.0.attention.masked_bias", "encoder.version"],
    ],
)
def test_heads_decoders_and_old_masks_are_left(
    folder: Path, folder_of: Callable[[str], Path], names: list[str]
) -> None:
    change(folder, lambda weights: weights | {name: torch.ones(4, 4) for name in names})
    same(stats(load_encoder(folder, dtype="float64")), stats(load_encoder(folder_of("bert"), dtype="float64")))


def test_fp8_is_measured_as_the_weights_it_stands_for(folder: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(folder, tmp_path / "plain"))

    def quantized(weights: dict[str, torch.Tensor], back: bool) -> dict[str, torch.Tensor]:
        found = dict(weights)
        for name, tensor in weights.items():
            if name.startswith("encoder.") and tensor.ndim == 2:
                scale = tensor.abs().max() / 448
                small = (tensor / scale).to(torch.float8_e4m3fn)
                found |= {name: small.float() * scale} if back else {name: small, f"{name}_scale_inv": scale.view(1, 1)}
        return found

    change(folder, lambda weights: quantized(weights, back=False))
    change(plain, lambda weights: quantized(weights, back=True))
    configure(folder, quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]})
    encoder = load_encoder(folder, dtype="float64")
    same(stats(encoder), stats(load_encoder(plain, dtype="float64")))
    assert decided(encoder) == "fp8 weights, turned back into plain ones"
    change(folder, lambda weights: {name: weights[name] for name in weights if name != f"{LAYER}.key.weight_scale_inv"})
    with pytest.raises(ModelError):
        load_encoder(folder)


@pytest.mark.parametrize("method", ["gptq", "bitsandbytes", "mxfp4", "made-up"])
def test_other_quantizations_are_refused_by_name(folder: Path, method: str) -> None:
    configure(folder, quantization_config={"quant_method": method})
    with pytest.raises(ModelError, match=f"quantized \\('{method}'\\)"):
        load_encoder(folder)


# Folders


def test_sentence_transformers_folder(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole / "0_Transformer")
    kinds = {"Transformer": "0_Transformer", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    (whole / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    encoder = load_encoder(whole, dtype="float64")
    same(stats(encoder), stats(load_encoder(folder, dtype="float64")))
    assert decided(encoder) == (
        "sentence-transformers: its transformer in '0_Transformer' is measured, without Pooling, Normalize"
    )
    assert encoder.location.short_name == "whole"


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([{"type": "x.Transformer", "path": "../model"}], "leads out of its folder"),
        ([{"type": "x.StaticEmbedding", "path": ""}], "without a transformer .its modules: StaticEmbedding"),
        ({}, "no list of modules"),
    ],
)
def test_modules_that_cannot_be_followed(tmp_path: Path, modules: Any, words: str) -> None:
    (tmp_path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        load_encoder(tmp_path)


def test_parent_folder_of_a_trainer(folder: Path, tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        shutil.copytree(folder, tmp_path / "runs" / f"checkpoint-{step}")
    with pytest.raises(ModelError, match="holds no config") as caught:
        load_encoder(tmp_path / "runs")
    assert caught.value.hint == f"did you mean {str(tmp_path / 'runs' / 'checkpoint-1000')!r}?"


def test_tokenizer_from_another_folder(folder: Path, folder_of: Callable[[str], Path]) -> None:
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(ModelError, match="holds no tokenizer") as caught:
        load_encoder(folder)
    assert "--tokenizer" in caught.value.hint
    encoder = load_encoder(folder, tokenizer=folder_of("bert"), dtype="float64")
    expected = stats(load_encoder(folder_of("bert"), dtype="float64"))
    same(stats(encoder), expected)
    same(stats(load_encoder(folder, tokenizer=tokenizer_of("bert"), dtype="float64")), expected)
    assert f"|tokenizer:bert@{(encoder.tokenizer_fingerprint or '')[-12:]}|" in stats(encoder).attrs["signature"]
    assert "tokenizer:" not in expected.attrs["signature"]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.safetensors", POINTER, "model.safetensors of .* is a git-lfs pointer"),
        ("tokenizer.json", POINTER, "tokenizer.json of .* is a git-lfs pointer"),
        ("tf_model.h5", b"", r"only for TensorFlow \(tf_model.h5\)"),
        ("bert_model.ckpt.index", b"", "only for TensorFlow"),
        ("flax_model.msgpack", b"", "only for Flax"),
        ("onnx/model.onnx", b"", "only for ONNX"),
        ("model-q4.gguf", b"", "only for GGUF"),
        ("epoch=3.ckpt", b"", "only for PyTorch Lightning"),
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_what_lies_there_in_place_of_weights(
    folder: Path, file: str, content: bytes, words: str, configured: bool
) -> None:
    (folder / "model.safetensors").unlink()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    if not configured and not content:
        (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=words):
        load_encoder(folder)


def test_model_type_from_the_architectures(folder: Path, folder_of: Callable[[str], Path]) -> None:
    configure(folder, model_type=None)
    encoder = load_encoder(folder, dtype="float64")
    same(stats(encoder), stats(load_encoder(folder_of("bert"), dtype="float64")))
    assert decided(encoder) == "config.json names no model_type; bert is taken from its architectures"
    configure(folder, architectures=["MyModel"])
    with pytest.raises(ModelError, match="names no model type") as caught:
        load_encoder(folder)
    assert '"model_type": "bert"' in caught.value.hint


def test_picture_model(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.ViTConfig(**sizes, image_size=8, patch_size=4)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="type vit, which reads pictures and no text"):
        load_encoder(tmp_path)


# Embeddings


def test_tokens_beyond_the_embeddings(folder: Path) -> None:
    before = stats(load_encoder(folder))
    tokenizer = tokenizer_of("bert")
    tokenizer.add_tokens(["<e1>", "</e1>"])
    tokenizer.save_pretrained(folder)
    encoder = load_encoder(folder)
    size = len(tokenizer) - 2
    assert decided(encoder) == f"texts with <e1>, </e1> are refused: the embeddings hold {size} tokens"
    pd.testing.assert_frame_equal(stats(encoder), before)
    with pytest.raises(TextError, match=f"token {size} .<e1>., and the model's embeddings hold {size}") as caught:
        head_stats("the <e1> cat </e1> sat", encoder)
    assert "resize_token_embeddings" in caught.value.hint
    rows = corpus_stats(["the cat", "a <e1> cat", "the cat"], encoder, on_error="skip")
    assert set(rows.to_frame()["id"]) == {"1", "3"}


def test_token_types_beyond_the_embeddings(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("bert")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.BertConfig(**sizes, vocab_size=len(tokenizer), type_vocab_size=1)
    model = transformers.BertModel(config)
    spread_weights(model, 0.25)
    encoder = load_encoder(model, tokenizer=tokenizer)
    stats(encoder)
    with pytest.raises(TextError, match="token type 1, and the model's embeddings hold 1"):
        head_stats(TEXT, encoder, pair=TEXT)
