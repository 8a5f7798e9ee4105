"""Every family's numbers are those of its own eager attention, which is measured here a second time in plain numpy.

What is expected uses transformers alone: the weights of ``eager.py``, the tokenizer's own special-token mask and
offsets. How each family is captured is what ``attnprobe models`` prints.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from packaging.version import Version
from safetensors.torch import load_file, save_file
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from attnprobe import Encoder, head_stats, load_encoder
from attnprobe.attention import blocks
from attnprobe.errors import ModelError, UsageError
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.running import measure
from attnprobe.metrics import METRICS, load_metrics
from attnprobe.metrics.sums import Sums
from attnprobe.models.families import BLOCKS
from attnprobe.models.families import FAMILIES as TABLE
from attnprobe.models.layouts import Reach
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Role, Tokens
from tests.cli.commandline import exit_code
from tests.eager import Layer, eager_layers
from tests.exact import EXACT, float64
from tests.families import FAMILIES
from tests.plain import Plain
from tests.rows import assert_close, noise

LONG_RANGE = 10

INCOMPLETE = [
    "cpmant",
    "gpt_oss",
    "longt5_tglobal",
    "openai_privacy_filter",
    "pegasus_x",
]  # rows that sum to less than 1
REFUSED = [
    "clvp",
    "fnet",
    "layoutlmv3",
    "mra",
    "nystromformer_approx",
    "perceiver",
    "pop2piano",
    "reformer",
    "udop",
    "yoso",
]
NEWEST = Version(transformers.__version__) >= Version("5.23")  # which the table describes; older ones know fewer types
HERE = [name for name, its in FAMILIES.items() if NEWEST or its.model_type in CONFIG_MAPPING_NAMES]
# In transformers 5.2 Switch returns something else than weights, and a batch moves ESM (with a mask token) and ByT5.
MEASURED = [name for name in HERE if name not in REFUSED and (NEWEST or name != "switch")]
BATCHED = [name for name in MEASURED if NEWEST or name not in ("esm", "byt5")]

# One family of each kind of capture and of arithmetic, for the tests that also run on other code paths.
NUMERIC = ["bert", "t5", "modernbert", "gemma3_text", "xlnet", "deberta-v2", "longformer", "funnel", "squeezebert"]


def marked(names: Sequence[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.numeric) if name in NUMERIC else name for name in names]


TEXTS = {
    "english": "She wasn't told (until half past six!) that the ferry couldn't come; so, in the end, they waited.",
    "chinese": "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜",
    "typed": "A cat 🐈‍⬛, a thumb 👍🏽 and [CLS] typed by hand [SEP], then </s> and [MASK].",
}
PROTEINS = {
    "protein": "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ",
    "gapped": "LAGVSER.TIDPKQ-NFYMHWCX--BUZO.",
    "typed": "MKTAY<eos>IAKQR<cls>QISF<mask>VKSH",
}
SPELLED = {  # for vocabularies of characters and bytes
    "english": "She wasn't told (until half past six!)",
    "german": "Die Mädchen spielen draußen; schön, nicht wahr?",
    "short": "it was told.",
}
PAIRS = {
    "bert": ("She wasn't told, was she?", "Nobody had told her that the ferry wouldn't come [SEP] today!"),
    "roberta": ("L'été dernier, où êtes-vous allés ?", "今天天气很好，我们去公园散步吧。 </s>"),
    "t5": ("In 2024, 37 trains were late.", "他们 are </s> unhappy; she isn't."),
}


def texts_of(family: str) -> dict[str, str]:
    if family in ("esm", "esmc"):
        return PROTEINS
    return SPELLED if family in ("byt5", "canine", "dia", "speecht5", "vits") else TEXTS


Expected = dict[str, np.ndarray]  # metric -> (layer, head)


@pytest.fixture(scope="module")
def expected_of_texts(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> Callable[[str], list[Expected]]:
    """What is expected of each of a family's texts, computed once."""

    def expect(family: str) -> list[Expected]:
        encoder, plain = exact_of(family), plain_of(family)
        with float64():
            return [expected_of(plain, encoder, text) for text in texts_of(family).values()]

    return cache(expect)


@pytest.mark.parametrize("family", marked(MEASURED))
def test_numbers_are_those_of_eager_attention(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    expected_of_texts: Callable[[str], list[Expected]],
) -> None:
    """Also: attention is neither uniform nor one-hot, or the numbers would prove little.

    In float32 the texts of NUMERIC are run one by one, and of other families the first, as all come in batches below.
    """
    encoder, exact, spread = encoder_of(family), exact_of(family), []
    texts, all_expected = list(texts_of(family).values()), expected_of_texts(family)
    for number, (text, expected) in enumerate(zip(texts, all_expected, strict=True)):
        with float64():
            assert_same(head_stats(text, exact, long_range=LONG_RANGE), expected, EXACT)
        if number == 0 or family in NUMERIC:
            assert_same(head_stats(text, encoder, long_range=LONG_RANGE), expected, noise_of(encoder, text))
        spread.append(expected["relative_entropy"].mean(1))
        assert np.isnan(expected["outside_share"]).all() == (family not in INCOMPLETE)
    assert (np.mean(spread, 0) > 0.05).all()
    assert (np.mean(spread, 0) < 0.99).all()


def noise_of(encoder: Encoder, *texts: str) -> float:
    return noise(encoder, len(encoder.tokenize(*texts)[0]))


@pytest.mark.parametrize("family", MEASURED)
def test_capture_is_the_one_of_the_table(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """A silent fall-back to hooks would give the same numbers, at the price of whole layers in memory."""
    encoder, row = encoder_of(family), TABLE[FAMILIES[family].model_type]
    assert (encoder.tap is None) == (row.through == BLOCKS) or not NEWEST, encoder.tap_reason
    assert encoder.padding_invariant == ("never padded" not in row.remark)
    local = any(reach is None or not (reach.everything or reach == Reach(None, 0)) for reach in encoder.reach)
    widely = family in ("mixtral", "qwen3_moe")  # whose sliding_window is not set
    assert local == (("local layers" in row.remark and not widely) or family == "canine")
    causal = row.remark.startswith("causal") or "; causal" in row.remark or family.endswith("_causal")
    assert all(reach is not None and reach.right == 0 for reach in encoder.reach) == causal


@pytest.mark.parametrize(
    ("family", "window", "reach"),
    [
        ("gpt_neo", {"window_size": 100}, [Reach(None, 0), Reach(99, 0)] * 2),
        ("mistral", {"sliding_window": 4096}, [Reach(4095, 0)] * 3),
        ("mistral", {"sliding_window": None}, [Reach(None, 0)] * 3),
    ],
)
def test_window_wider_than_the_text_that_is_tried_at_load(
    family: str, window: dict[str, Any], reach: list[Reach], folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folder_of(family), tmp_path / family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | window))
    assert list(load_encoder(folder).reach) == reach


@pytest.mark.parametrize("family", marked(MEASURED))
def test_probing_changes_no_output_and_keeps_no_weights(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    encoder, plain, outputs = exact_of(family), plain_of(family), []
    text = next(iter(texts_of(family).values()))
    handle = encoder.model.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    try:
        with float64():
            encoder.observe(encoder.tokenize(text), lambda layer, text: lambda block: None)
    finally:
        handle.remove()
    with torch.inference_mode(), float64():
        output = plain.model(**plain.inputs(plain.encode([text])))
    expected = output.get("encoder_last_hidden_state", output[0])
    assert (outputs[0][0] - expected).abs().max() <= EXACT * expected.abs().max()
    kept = [outputs[0].get(name) for name in ("attentions", "global_attentions", "encoder_attentions")]
    assert sum(number_of_elements(weights) for weights in kept) == 0
    assert outputs[0].get("past_key_values") is None


def number_of_elements(nested: Any) -> int:
    if isinstance(nested, dict):
        return number_of_elements(list(nested.values()))
    if isinstance(nested, tuple | list):
        return sum(map(number_of_elements, nested))
    return 0 if nested is None else nested.numel()


@pytest.mark.parametrize("family", marked(BATCHED))
def test_batch_gives_the_numbers_of_each_text(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    expected_of_texts: Callable[[str], list[Expected]],
) -> None:
    """Texts of several lengths."""
    encoder, exact, all_expected = encoder_of(family), exact_of(family), expected_of_texts(family)
    texts = [encoder.tokenize(text)[0] for text in texts_of(family).values()]
    assert len({len(text) for text in texts}) >= 3
    with float64():
        found = sums_of(texts, exact)
    for in_float64, usual, expected in zip(found, sums_of(texts, encoder), all_expected, strict=True):
        assert_means(in_float64, expected, EXACT)
        assert_means(usual, expected, noise(encoder, max(map(len, texts))))


@pytest.mark.numeric
@pytest.mark.parametrize("family", NUMERIC)
def test_batch_gives_what_each_text_gives_alone(family: str, exact_of: Callable[[str], Encoder]) -> None:
    assert_batch_equals_singles(family, exact_of(family))


LEFT = ["modernbert", "nomic_bert", "eurobert", "t5", "xlnet", "gemma3_text", "qwen3"]


@pytest.mark.parametrize("family", [name for name in LEFT if name in HERE])
def test_tokenizer_that_pads_on_the_left_changes_nothing(
    family: str, exact_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_of(family).tokenizer, "padding_side", "left")
    assert_batch_equals_singles(family, exact_of(family))


BLOCKWISE = ["bert", "modernbert", "t5", *(["eurobert", "openai_privacy_filter"] if NEWEST else [])]
LAID_OUT = ["deberta-v2", "longformer", "longt5_tglobal", "pegasus_x", "canine"]


@pytest.mark.parametrize("elements", [1, 1000])
@pytest.mark.parametrize("family", [*BLOCKWISE, *LAID_OUT])
def test_numbers_do_not_depend_on_the_size_of_a_block(
    family: str,
    elements: int,
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The texts here are short enough for one block; smaller ones hold one row of one head, or a few."""
    encoder, plain, text = exact_of(family), plain_of(family), SPELLED["english"]
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    with float64():
        expected = expected_of(plain, encoder, text)
        assert_same(head_stats(text, encoder, long_range=LONG_RANGE), expected, EXACT)


@pytest.mark.parametrize("family", ["longformer", "led", "longt5_local", "longt5_tglobal", "pegasus_x", "canine"])
def test_words_of_banded_layers_are_those_of_whole_rows(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """Words that the model's own blocks cut in two are joined all the same."""
    encoder, plain, text = exact_of(family), plain_of(family), next(iter(texts_of(family).values()))
    words = encoder.tokenize(text)[0].words
    assert words is not None
    assert len(set(words)) < len(words)
    to_words = np.eye(max(words) + 1)[words]  # (token, word)
    with float64():
        layers = plain.layers(plain.encode([text]))
        ours = head_stats(text, encoder, ["self_share"], level="word")["self_share"].to_numpy()
    expected = [
        np.nan if layer.pooled else to_words.T / to_words.sum(0)[:, None] @ layer.weights @ to_words for layer in layers
    ]
    share = [np.nan if layer is np.nan else np.diagonal(layer, 0, 1, 2).mean(-1) for layer in expected]
    for layer, values in enumerate(share):
        np.testing.assert_allclose(ours.reshape(len(share), -1)[layer], values, rtol=0, atol=EXACT)


@pytest.mark.parametrize("which", ["cls", "first"])
@pytest.mark.parametrize("family", ["longformer", "led"])
def test_global_attention_is_that_of_the_model(
    family: str, which: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    encoder, plain = exact_of(family), plain_of(family)
    texts = ["Is it raining?", TEXTS["english"]]
    encoding = plain.encode(texts)
    first = [number == 0 for number in encoding.sequence_ids(0)]
    mask = torch.tensor([[1] + [0] * (len(first) - 1) if which == "cls" else list(map(int, first))])
    with float64():
        expected = expected_of(plain, encoder, *texts, global_attention_mask=mask)
        frame = head_stats(texts[0], encoder, pair=texts[1], long_range=LONG_RANGE, global_attention=which)
    assert_same(frame, expected, EXACT)


@pytest.mark.skipif(not NEWEST, reason="an older transformers itself makes tensors without their device")
@pytest.mark.parametrize("level", ["token", "word"])
@pytest.mark.parametrize(
    "family",
    [
        "bert",
        "modernbert",
        "t5",
        "neomme",
        "openai_privacy_filter",
        "mpnet",
        "xlnet",
        "longformer",
        "led",
        "pegasus_x",
        "canine",
        "funnel",
        "squeezebert",
        "videoprism_text",
    ],
)
def test_everything_is_made_on_the_device_of_the_model(
    family: str, level: str, encoder_of: Callable[[str], Encoder]
) -> None:
    """With a default device that holds no data, whatever is made without the model's device fails."""
    encoder = encoder_of(family)
    options = {"global_attention": "cls"} if family in ("longformer", "led") else {}
    expected = head_stats("The cat sat on the unbelievable mat.", encoder, level=level, **options)
    with torch.device("meta"):
        frame = head_stats("The cat sat on the unbelievable mat.", encoder, level=level, **options)
    pd.testing.assert_frame_equal(frame, expected)


LOW = ["bert", "modernbert", "t5", "mpnet", "longformer", "longt5_tglobal", "pegasus_x", "squeezebert"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", [*LOW, *(["canine"] if NEWEST else [])])
def test_checkpoint_of_low_precision(
    family: str, dtype: str, folder_of: Callable[[str], Path], encoder_of: Callable[[str], Encoder], tmp_path: Path
) -> None:
    """It is computed in float32 unless asked for otherwise, and then within the precision of its numbers."""
    usual = encoder_of(family)
    folder = shutil.copytree(folder_of(family), tmp_path / family)
    weights = load_file(folder / "model.safetensors")
    rounded = {name: weight.to(getattr(torch, dtype)) for name, weight in weights.items()}
    save_file(rounded, folder / "model.safetensors", metadata={"format": "pt"})
    text = next(iter(texts_of(family).values()))
    exact, low = (load_encoder(folder, dtype=precision) for precision in (None, dtype))
    assert (exact.dtype, low.dtype) == (torch.float32, getattr(torch, dtype))
    frame = head_stats(text, exact, ["entropy", "self_share"])
    assert not frame.equals(head_stats(text, usual, ["entropy", "self_share"]))
    difference = (head_stats(text, low, ["entropy", "self_share"]) - frame).abs().mean()
    assert (difference < (0.15 if dtype == "bfloat16" else 0.02)).all()


def test_global_attention_is_refused_where_there_is_none(encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(UsageError, match="bert has no global attention"):
        head_stats("a", encoder_of("bert"), global_attention="cls")


@pytest.mark.parametrize("family", PAIRS)
def test_numbers_of_a_pair_are_those_of_eager_attention(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    (text, pair), encoder, plain = PAIRS[family], exact_of(family), plain_of(family)
    with float64():
        expected = expected_of(plain, encoder, text, pair)
        frame = head_stats(text, encoder, pair=pair, long_range=LONG_RANGE)
    assert (expected["cross_share"] > 0).all()
    assert_same(frame, expected, EXACT)


@pytest.mark.parametrize("family", ["bert", "t5", "longformer"])
def test_command_line_prints_the_numbers_of_eager_attention(
    family: str,
    folder_of: Callable[[str], Path],
    encoder_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process; the installed command in one of its own is tested in test_examples.py."""
    command = ["heads", TEXTS["english"], "-m", str(folder_of(family)), "--long-range", str(LONG_RANGE)]
    monkeypatch.setattr(sys, "argv", ["attnprobe", *command])
    assert exit_code() == 0
    result = capsys.readouterr()
    assert result.err == ""
    encoder, plain = encoder_of(family), plain_of(family)
    with float64():
        expected = expected_of(plain, encoder, TEXTS["english"])
    assert_same(pd.read_csv(io.StringIO(result.out)), expected, noise_of(encoder, TEXTS["english"]))


@pytest.mark.parametrize("family", [name for name in REFUSED if name in HERE])
def test_what_cannot_be_measured_is_refused_in_one_sentence(family: str, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"is not measured: \w+") as caught:
        load_encoder(folder_of(family))
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message


@pytest.mark.parametrize("family", ["canine", "funnel"])
def test_text_too_short_for_a_model_is_named(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match="fails on this text"):
        head_stats("a", encoder_of(family))


@pytest.mark.skipif(not NEWEST, reason="an older transformers knows fewer types")
def test_every_measured_type_of_the_table_is_measured_here() -> None:
    measured = {kind for kind, row in TABLE.items() if row.through != "refused"}
    assert {FAMILIES[name].model_type for name in MEASURED} == measured


def test_type_without_a_row_is_tried_all_the_same(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folder_of("bert"), tmp_path / "unknown")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "ernie"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(TABLE, "ernie")
        encoder = load_encoder(folder)
    assert encoder.family is None
    assert encoder.tap is None


def test_reach_of_a_type_without_a_row_is_unknown_where_its_configuration_speaks_of_windows(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Its windows may be wider than the short text that is tried at load."""
    folder = shutil.copytree(folder_of("mpnet"), tmp_path / "unknown")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_window": 64}))
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(TABLE, "mpnet")
        encoder = load_encoder(folder)
    assert encoder.tap is not None
    assert encoder.reach == (None,) * encoder.layers
    assert head_stats("a cat", encoder, ["relative_entropy"])["relative_entropy"].isna().all()


def expected_of(plain: Plain, encoder: Encoder, *texts: str, **more: torch.Tensor) -> dict[str, np.ndarray]:
    """Every metric of a text or pair by its definition, of weights in float64; see :func:`expected_means`."""
    layers = eager_layers(plain.model, plain.inputs(plain.encode(texts)) | more)
    return expected_means(plain, encoder, texts, layers)


def expected_means(
    plain: Plain, encoder: Encoder, texts: Sequence[str], layers: Sequence[Layer]
) -> dict[str, np.ndarray]:
    """Every metric of a text or pair by its definition: (layer, head), the mean over queries; NaN without meaning."""
    tokens, encoding = encoder.tokenize(*texts)[0], plain.encode(texts)
    cls, sep, added, punctuation = kinds_of_tokens(plain, tokens, encoding, texts)
    by_layer = [means_of_layer(layer, cls, sep, added, punctuation) for layer in layers]
    to_same = same_token(plain, tokens, encoding)
    to_other = other_text(encoding) if len(texts) == 2 else None
    for means, layer in zip(by_layer, layers, strict=True):
        none = np.full(len(layer.weights), np.nan)
        is_known = not layer.pooled and to_same.any()
        means["same_token_share"] = mean_where(layer.weights, to_same) if is_known else none
        means["cross_share"] = none if to_other is None else mean_where(layer.weights, to_other)
        outside = 1 - layer.weights.sum(-1)
        means["outside_share"] = outside.mean(-1) if outside.max() > 1e-5 else none
    return {name: np.stack([means[name] for means in by_layer]) for name in METRICS}


def means_of_layer(
    layer: Layer, cls: np.ndarray, sep: np.ndarray, added: np.ndarray, punctuation: np.ndarray
) -> dict[str, np.ndarray]:
    weights, queries = layer.weights, layer.weights.shape[1]
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)
    relative = np.where(layer.reach > 1, entropy / np.log(np.maximum(layer.reach, 2)), 0)
    none = np.full(len(weights), np.nan)
    query, key = np.arange(queries)[:, None], np.arange(weights.shape[2])[None, :]

    def mean(of_weight: np.ndarray) -> np.ndarray:
        """The mean over queries of the weights' sum over keys, each times a factor; empty where tokens are pooled."""
        return none if layer.pooled else (weights * of_weight).sum(-1).mean(-1)

    def distance_to(keys: np.ndarray) -> np.ndarray:
        return mean(np.abs(query.T - np.flatnonzero(keys)[:, None]).min(0)) if keys.any() else none

    kept = none if layer.pooled else weights[:, ~sep, :][:, :, ~sep].max(-1).mean(-1)
    return {
        "entropy": entropy.mean(-1),
        "relative_entropy": relative.mean(-1),
        "confidence": kept,
        "cls_share": mean(cls) if cls.any() else none,
        "sep_share": mean(sep) if sep.any() else none,
        "special_share": mean(added) if added.any() else none,
        "punctuation_share": mean(punctuation),
        "self_share": mean(key == query),
        "previous_share": mean(key == query - 1),
        "next_share": mean(key == query + 1),
        "distance": mean(np.abs(key - query)),
        "offset": mean(key - query),
        "cls_distance": distance_to(cls),
        "sep_distance": distance_to(sep),
        "long_range_share": mean(np.abs(key - query) >= LONG_RANGE),
        "sink_share": none if layer.pooled else (weights[..., 0] > 0.3).mean(-1),
    }


def kinds_of_tokens(
    plain: Plain, tokens: Tokens, encoding: Any, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which tokens are classification tokens, separators, added at all, punctuation.

    Tokenizers that give no offsets, or wrong ones, are tested in test_tokenizers.py; what attnprobe makes of them is
    taken.
    """
    if not plain.tokenizer.is_fast or tokens.words is None:
        roles = np.array(tokens.roles)
        return roles == Role.CLS, roles == Role.SEP, roles != Role.CONTENT, are_punctuation(tokens.texts)
    added = encoding["special_tokens_mask"][0].numpy() == 1
    assert added.sum() == plain.tokenizer.num_special_tokens_to_add(pair=len(texts) == 2)
    ids = encoding["input_ids"][0].numpy()
    separator = plain.tokenizer.eos_token_id if plain.tokenizer.sep_token_id is None else plain.tokenizer.sep_token_id
    numbers, offsets = encoding.sequence_ids(0), encoding["offset_mapping"][0].tolist()
    pieces = plain.tokenizer.convert_ids_to_tokens(ids.tolist())
    surfaces = [  # a lone ▁ is white space, though it is given the offsets of the character after it
        "" if number is None or piece == "▁" else texts[number][start:end].strip()
        for number, (start, end), piece in zip(numbers, offsets, pieces, strict=True)
    ]
    cls = added & (ids == plain.tokenizer.cls_token_id)
    return cls, added & (ids == separator) & ~cls, added, are_punctuation(surfaces)


def are_punctuation(surfaces: Sequence[str]) -> np.ndarray:
    return np.array([{unicodedata.category(character)[0] for character in surface} == {"P"} for surface in surfaces])


def other_text(encoding: Any) -> np.ndarray:
    """(query, key) of a pair: True between tokens of different texts."""
    numbers = np.array([-1 if number is None else number for number in encoding.sequence_ids(0)])
    return np.not_equal.outer(numbers, numbers) & np.not_equal.outer(numbers < 0, numbers >= 0)


def same_token(plain: Plain, tokens: Tokens, encoding: Any) -> np.ndarray:
    """(query, key) of the text: True between two positions with a token of one number, not that of unknown ones."""
    ids = encoding["input_ids"][0].numpy()
    added = np.array(tokens.roles) != Role.CONTENT
    unknown = added | (ids == plain.tokenizer.unk_token_id)
    same: np.ndarray = np.equal.outer(ids, ids) & ~np.logical_or.outer(unknown, unknown) & ~np.eye(len(ids), dtype=bool)
    return same


def mean_where(weights: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The attention to some keys of each query, the mean over the queries that have such."""
    return (weights * cells).sum(-1)[:, cells.any(-1)].mean(-1)


def assert_same(frame: pd.DataFrame, expected: dict[str, np.ndarray], tolerance: float) -> None:
    """Every layer, head and metric of the frame equals what is expected; see :func:`assert_close`."""
    layers, heads = expected["entropy"].shape
    assert list(frame.columns) == ["layer", "head", *expected]
    assert frame["layer"].tolist() == np.repeat(np.arange(layers), heads).tolist()
    assert frame["head"].tolist() == np.tile(np.arange(heads), layers).tolist()
    for name, values in expected.items():
        assert_close(name, frame[name].to_numpy(float), values.ravel(), tolerance, expected["distance"].ravel())


def assert_means(sums: Sums, expected: Expected, tolerance: float) -> None:
    """Every metric of a text's sums is that expected; see :func:`assert_close`."""
    for name, means in zip(load_metrics(), np.moveaxis(sums.means(), -1, 0), strict=True):
        assert_close(name, means, expected[name], tolerance, expected["distance"])


def sums_of(texts: Sequence[Tokens], encoder: Encoder) -> list[Sums]:
    """Every metric of the texts, run as one batch."""
    measurement = HeadMeans.choose(encoder, Reading(), long_range=LONG_RANGE)
    return list(measure(texts, encoder, measurement).texts)


def assert_batch_equals_singles(family: str, encoder: Encoder) -> None:
    """Texts of several lengths as one batch, in both orders, give each text's own sums."""
    texts = [encoder.tokenize(text)[0] for text in texts_of(family).values()]
    assert len({len(text) for text in texts}) >= 3
    with float64():
        together, backwards = sums_of(texts, encoder), sums_of(texts[::-1], encoder)[::-1]
        singles = [sums_of([text], encoder)[0] for text in texts]
    distance = list(load_metrics()).index("distance")
    for alone, *batched in zip(singles, together, backwards, strict=True):
        for sums in batched:
            assert (sums.count == alone.count).all()
            for index, name in enumerate(load_metrics()):
                ours, theirs = sums.means()[..., index], alone.means()[..., index]
                assert_close(name, ours, theirs, EXACT, alone.means()[..., distance])
