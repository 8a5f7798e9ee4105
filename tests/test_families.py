"""Every family's numbers are those of its own eager attention, which is measured here a second time in plain numpy.

What is expected uses transformers alone: its attentions, its special-token mask, its offsets, its configuration.
"""

from __future__ import annotations

import inspect
import io
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from attnprobe import Encoder, head_stats, load_encoder
from attnprobe.attention import blocks
from attnprobe.errors import ModelError
from attnprobe.metrics import load_metrics
from attnprobe.metrics.reduce import Sums
from attnprobe.run import measure
from attnprobe.tokens import Tokens
from tests.families import FAMILIES, HOOKED, INTERFACE, REFUSED, build, no_progress_bars

MEASURED = (*INTERFACE, *HOOKED)
TOLERANCE = 1e-6  # absolute up to 1, relative above
LONG_RANGE = 10

TEXTS = {
    "english": "She wasn't told (until half past six!) that the ferry couldn't come; so, in the end, they waited.",
    "french": "Où l'élève a-t-il mangé une crêpe, à l'école ? Déjà à minuit, près de l'hôtel : « Noël » !",
    "chinese": "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜",
    "typed": "A cat 🐈‍⬛, a thumb 👍🏽 and [CLS] typed by hand [SEP], then </s> and [MASK].",
}
PROTEINS = {
    "protein": "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ",
    "gapped": "LAGVSER.TIDPKQ-NFYMHWCX--BUZO.",
    "typed": "MKTAY<eos>IAKQR<cls>QISF<mask>VKSH",
}
PAIRS = {
    "bert": ("She wasn't told, was she?", "Nobody had told her that the ferry wouldn't come [SEP] today!"),
    "roberta": ("L'été dernier, où êtes-vous allés ?", "今天天气很好，我们去公园散步吧。 </s>"),
    "t5": ("In 2024, 37 trains were late.", "他们 are </s> unhappy; she isn't."),
}


def texts_of(family: str) -> dict[str, str]:
    return PROTEINS if family == "esm" else TEXTS


CASES = [(family, name) for family in MEASURED for name in texts_of(family)]


@dataclass(frozen=True)
class Plain:
    """A family as transformers alone loads it: the eager model and its tokenizer."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> Plain:
        text_encoder = folder.name == "t5"  # AutoModel would add a random decoder
        auto = transformers.AutoModelForTextEncoding if text_encoder else transformers.AutoModel
        with no_progress_bars():
            model = auto.from_pretrained(folder, attn_implementation="eager", local_files_only=True).eval()
        if folder.name == "bart":
            model = model.get_encoder()
        return cls(model, transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True))

    def encode(self, texts: Sequence[str]) -> Any:
        return self.tokenizer(
            *texts, return_special_tokens_mask=True, return_offsets_mapping=self.tokenizer.is_fast, return_tensors="pt"
        )

    def run(self, encoding: Any) -> Any:
        taken = inspect.signature(self.model.forward).parameters
        with torch.inference_mode():
            return self.model(**{name: encoding[name] for name in encoding if name in taken}, output_attentions=True)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: build(family, root / family))


@pytest.fixture(scope="session")
def encoder_of(folder_of: Callable[[str], Path]) -> Callable[[str], Encoder]:
    return cache(lambda family: load_encoder(folder_of(family)))


@pytest.fixture(scope="session")
def plain_of(folder_of: Callable[[str], Path]) -> Callable[[str], Plain]:
    return cache(lambda family: Plain.load(folder_of(family)))


@pytest.mark.parametrize(("family", "name"), CASES)
def test_numbers_are_those_of_eager_attention(
    family: str, name: str, encoder_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    text = texts_of(family)[name]
    assert_same(head_stats(text, encoder_of(family), long_range=LONG_RANGE), expected_means(plain_of(family), [text]))


@pytest.mark.parametrize("elements", [1, 1000])
@pytest.mark.parametrize("family", ["bert", "modernbert", "eurobert", "t5", "deberta-v2"])
def test_numbers_do_not_depend_on_the_size_of_a_block(
    family: str,
    elements: int,
    encoder_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The texts here are short enough for one block; smaller ones hold one row, or a few."""
    encoder, text = encoder_of(family), TEXTS["english"]
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    frame, length = head_stats(text, encoder, long_range=LONG_RANGE), len(encoder.tokenize(text)[0])
    assert_same(frame, expected_means(plain_of(family), [text]), scale_of_tokens=length)


@pytest.mark.parametrize("family", PAIRS)
def test_numbers_of_a_pair_are_those_of_eager_attention(
    family: str, encoder_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    text, pair = PAIRS[family]
    expected = expected_means(plain_of(family), [text, pair])
    assert (expected["cross_share"] > 0).all()
    assert_same(head_stats(text, encoder_of(family), pair=pair, long_range=LONG_RANGE), expected)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_command_line_prints_the_numbers_of_eager_attention(
    family: str, folder_of: Callable[[str], Path], plain_of: Callable[[str], Plain]
) -> None:
    command = shutil.which("attnprobe", path=Path(sys.executable).parent)
    assert command, "attnprobe is not installed beside this Python"
    result = subprocess.run(
        [command, "heads", TEXTS["english"], "-m", folder_of(family), "--long-range", str(LONG_RANGE)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert_same(pd.read_csv(io.StringIO(result.stdout)), expected_means(plain_of(family), [TEXTS["english"]]))


@pytest.mark.parametrize("family", MEASURED)
def test_attention_is_neither_uniform_nor_one_hot(family: str, plain_of: Callable[[str], Plain]) -> None:
    """Otherwise the numbers of this file would prove little."""
    every = [expected_means(plain_of(family), [text])["relative_entropy"] for text in texts_of(family).values()]
    by_layer = np.mean(every, axis=(0, 2))
    assert (by_layer > 0.1).all()
    assert (by_layer < 0.97).all()


@pytest.mark.parametrize("family", MEASURED)
def test_capture_is_the_one_the_family_allows(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """A silent fall-back to hooks would give the same numbers, at the price of whole layers in memory."""
    assert (encoder_of(family).tap is None) == (family in INTERFACE), encoder_of(family).tap_reason


@pytest.mark.parametrize("family", MEASURED)
def test_layers_and_heads_are_those_of_the_configuration(
    family: str, encoder_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    config, encoder = plain_of(family).model.config, encoder_of(family)
    head_ratio = getattr(config, "head_ratio", 1)  # ConvBERT leaves this share of its heads to convolution
    assert (encoder.layers, encoder.heads) == (config.num_hidden_layers, config.num_attention_heads // head_ratio)


@pytest.mark.parametrize("family", MEASURED)
def test_probing_changes_no_output(
    family: str, encoder_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    encoder, plain, outputs = encoder_of(family), plain_of(family), []
    handle = encoder.model.register_forward_hook(lambda module, arguments, output: outputs.append(output[0]))
    try:
        for text in texts_of(family).values():
            encoder.observe(encoder.tokenize(text), lambda layer, text: lambda block: None)
    finally:
        handle.remove()
    expected = [plain.run(plain.encode([text])).last_hidden_state for text in texts_of(family).values()]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(outputs, expected, strict=True))


@pytest.mark.parametrize("family", MEASURED)
def test_batch_gives_what_each_text_gives_alone(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    assert_batch_equals_singles(family, encoder_of(family))


@pytest.mark.parametrize("family", ["modernbert", "nomic_bert", "eurobert", "t5"])
def test_tokenizer_that_pads_on_the_left_changes_nothing(
    family: str, encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_of(family).tokenizer, "padding_side", "left")
    assert_batch_equals_singles(family, encoder_of(family))


@pytest.mark.parametrize("family", REFUSED)
def test_what_cannot_be_measured_is_refused_in_one_sentence(family: str, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError) as caught:
        load_encoder(folder_of(family))
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert ". " not in message


def test_every_family_is_in_one_group() -> None:
    assert sorted([*INTERFACE, *HOOKED, *REFUSED]) == sorted(FAMILIES)


def expected_means(plain: Plain, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Every metric of a text or pair by its definition: (layer, head), the mean over queries; NaN without meaning."""
    encoding = plain.encode(texts)
    weights = np.stack([layer[0].double().numpy() for layer in plain.run(encoding).attentions])
    length = weights.shape[-1]
    query, key = np.arange(length)[:, None], np.arange(length)[None, :]
    added = encoding["special_tokens_mask"][0].numpy() == 1
    assert added.sum() == plain.tokenizer.num_special_tokens_to_add(pair=len(texts) == 2)
    ids = encoding["input_ids"][0].numpy()
    separator = plain.tokenizer.eos_token_id if plain.tokenizer.sep_token_id is None else plain.tokenizer.sep_token_id
    cls, sep = added & (ids == plain.tokenizer.cls_token_id), added & (ids == separator)
    reach = reachable_keys(plain.model.config, length)
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)
    none = np.full(weights.shape[:2], np.nan)

    def mean(of_weight: np.ndarray) -> np.ndarray:
        """The mean over queries of the weights' sum over keys, each times a factor."""
        return (weights * of_weight).sum(-1).mean(-1)

    def distance_to(keys: np.ndarray) -> np.ndarray:
        return mean(np.abs(query - np.flatnonzero(keys)).min(1))

    return {
        "entropy": entropy.mean(-1),
        "relative_entropy": (entropy / np.log(reach)[:, None, :]).mean(-1),
        "confidence": weights[..., ~sep, :][..., ~sep].max(-1).mean(-1),
        "cls_share": mean(cls) if cls.any() else none,
        "sep_share": mean(sep) if sep.any() else none,
        "special_share": mean(added) if added.any() else none,
        "punctuation_share": mean(are_punctuation(plain, texts, encoding)),
        "self_share": mean(key == query),
        "previous_share": mean(key == query - 1),
        "next_share": mean(key == query + 1),
        "distance": mean(np.abs(key - query)),
        "offset": mean(key - query),
        "cls_distance": distance_to(cls) if cls.any() else none,
        "sep_distance": distance_to(sep) if sep.any() else none,
        "long_range_share": mean(np.abs(key - query) >= LONG_RANGE),
        "sink_share": (weights[..., 0] > 0.3).mean(-1),
        "cross_share": cross_share(weights, encoding) if len(texts) == 2 else none,
    }


def cross_share(weights: np.ndarray, encoding: Any) -> np.ndarray:
    """The attention to the other text's tokens, the mean over the tokens of both texts."""
    sequences = np.array([-1 if number is None else number for number in encoding.sequence_ids(0)])
    first, second = sequences == 0, sequences == 1
    to_other = np.outer(first, second) | np.outer(second, first)
    return (weights * to_other).sum(-1)[..., first | second].mean(-1)


def are_punctuation(plain: Plain, texts: Sequence[str], encoding: Any) -> np.ndarray:
    """Which tokens of the texts stand for punctuation alone; ESM, which gives no offsets, has one character a token."""
    if plain.tokenizer.is_fast:
        numbers, offsets = encoding.sequence_ids(0), encoding["offset_mapping"][0].tolist()
        pieces = plain.tokenizer.convert_ids_to_tokens(encoding["input_ids"][0].tolist())
        surfaces = [  # a lone ▁ is white space, though it is given the offsets of the character after it
            "" if number is None or piece == "▁" else texts[number][start:end].strip()
            for number, (start, end), piece in zip(numbers, offsets, pieces, strict=True)
        ]
    else:
        surfaces = plain.tokenizer.convert_ids_to_tokens(encoding["input_ids"][0].tolist())
    categories = [{unicodedata.category(character)[0] for character in surface} for surface in surfaces]
    return np.array([found == {"P"} for found in categories])


def reachable_keys(config: Any, length: int) -> np.ndarray:
    """(layer, query): how many keys a query can see; in ModernBERT's local layers local_attention // 2 on each side."""
    kinds = config.layer_types if config.model_type == "modernbert" else ["full"] * config.num_hidden_layers
    places = np.arange(length)
    radius = [config.local_attention // 2 if kind == "sliding_attention" else length for kind in kinds]
    return np.stack([np.minimum(places, r) + 1 + np.minimum(length - 1 - places, r) for r in radius])


def assert_same(frame: pd.DataFrame, expected: dict[str, np.ndarray], scale_of_tokens: int = 1) -> None:
    """Every layer, head and metric of the frame equals what is expected; see :func:`assert_close`."""
    layers, heads = expected["entropy"].shape
    assert list(frame.columns) == ["layer", "head", *expected]
    assert frame["layer"].tolist() == np.repeat(np.arange(layers), heads).tolist()
    assert frame["head"].tolist() == np.tile(np.arange(heads), layers).tolist()
    for name, values in expected.items():
        assert_close(name, frame[name].to_numpy(float), values.ravel(), scale_of_tokens)


def assert_close(name: str, ours: np.ndarray, theirs: np.ndarray, scale_of_tokens: int = 1) -> None:
    """One metric's values are equal to TOLERANCE, absolute up to 1 and relative above.

    Args:
        scale_of_tokens: by how much the tolerance is larger for a metric counted in tokens. Another order of the
            model's own sums moves weights by some 1e-7; such a metric adds up weights times up to the text's length.
    """
    assert (np.isnan(ours) == np.isnan(theirs)).all(), name
    error = np.nan_to_num(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max()
    in_tokens = load_metrics([name])[name].unit.startswith("tokens")
    assert error <= TOLERANCE * (scale_of_tokens if in_tokens else 1), f"{name} is off by {error:.1e}"


def sums_of(texts: Sequence[Tokens], encoder: Encoder) -> list[Sums]:
    """Every metric of the texts, run as one batch."""
    layers = range(encoder.layers)
    return measure(texts, encoder, load_metrics(), layers=layers, long_range=LONG_RANGE, queries="all", level="token")


def assert_batch_equals_singles(family: str, encoder: Encoder) -> None:
    """Texts of several lengths as one batch, in both orders, give each text's own sums."""
    texts = [encoder.tokenize(text)[0] for text in texts_of(family).values()]
    assert len({len(text) for text in texts}) >= 3
    together, backwards = sums_of(texts, encoder), sums_of(texts[::-1], encoder)[::-1]
    for text, *batched in zip(texts, together, backwards, strict=True):
        alone = sums_of([text], encoder)[0]
        for sums in batched:
            assert (sums.count == alone.count).all()
            for index, name in enumerate(load_metrics()):
                assert_close(name, sums.means()[..., index], alone.means()[..., index])
