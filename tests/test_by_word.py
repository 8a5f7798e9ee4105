"""Weights between words: whatever the words, the blocks and the layout, those of plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
import torch

from attnprobe import Encoder
from attnprobe.attention import blocks, words
from attnprobe.attention.blocks import Block
from attnprobe.attention.rounding import rounding
from attnprobe.errors import ModelError, TextError
from attnprobe.measure.by_word import MapListener, WordRows, refuse_pooled
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.running import measure
from attnprobe.values.tokens import Tokens
from attnprobe.values.words import Words
from tests.exact import EXACT, float64
from tests.plain import Plain

pytestmark = pytest.mark.numeric

TEXTS = ["the cat and the dog sat on the mat .", "the dog sat on the mat and the cat .", "unbelievable"]


def owners(length: int, seed: int) -> Words:
    """Words of one token or several, some of none, and tokens of no word, also within one."""
    chance, owner, last = Random(seed), [], -1
    for _ in range(length):
        last += chance.choice([0, 1, 1, 1, 2]) if last >= 0 else 1
        owner.append(chance.choice([last, last, last, -1]))
    count = max(owner) + chance.choice([1, 2])
    return Words(tuple(map(str, range(count))), tuple(owner))


def looped(weights: np.ndarray, given: Words) -> np.ndarray:
    """The definition: of each pair of words the sum over the key's pieces, the mean over the query's."""
    pieces = [[at for at, owner in enumerate(given.owner) if owner == word] for word in range(len(given))]
    maps = np.zeros((len(weights), len(given), len(given)))
    for head in range(len(weights)):
        for query, asking in enumerate(pieces):
            for key, asked in enumerate(pieces):
                for q in asking:
                    maps[head, query, key] += sum(weights[head, q, k] for k in asked) / len(asking)
    return maps


class Keeping(MapListener):
    """Keeps all rows as they come, and all maps."""

    def __init__(self, given: Sequence[Words], encoder: Encoder, layers: Sequence[int]) -> None:
        super().__init__(given, encoder, layers)
        shape = (len(given), len(layers), encoder.heads, self.count, self.count)
        self.by_rows, self.whole = np.full(shape, np.nan), np.full(shape, np.nan)

    def receive(self, rows: WordRows) -> None:
        self.by_rows[rows.texts, rows.layer, rows.heads, rows.rows] = rows.weights.numpy()
        super().receive(rows)

    def receive_maps(self, layer: int, texts: slice, maps: torch.Tensor) -> None:
        self.whole[texts, layer] = maps.numpy()

    def finish(self) -> Found:
        assert not self.waiting
        np.testing.assert_array_equal(self.by_rows, self.whole)
        beyond = [of_text[..., len(one) :, :] for of_text, one in zip(self.whole, self.words, strict=True)]
        assert not any(rows.any() for rows in beyond)
        return Found(
            [of_text[..., : len(one), : len(one)] for of_text, one in zip(self.whole, self.words, strict=True)]
        )


@dataclass(frozen=True)
class Maps(NoRows):
    """Keeps the maps between words of texts that carry them in their labels."""

    layers: tuple[int, ...]
    alone: bool = False

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Keeping:
        return Keeping([text.labels["words"] for text in texts], encoder, self.layers)


def maps_of(encoder: Encoder, given: Sequence[Words], texts: Sequence[Tokens]) -> Sequence[np.ndarray]:
    batch = [replace(text, labels={"words": words}) for text, words in zip(texts, given, strict=True)]
    return measure(batch, encoder, Maps(tuple(range(encoder.layers)))).texts


CASES = [
    ("bert", 2**20),
    *((family, 40) for family in ("bert", "modernbert", "longformer", "longt5_local")),
]


@pytest.mark.parametrize(("family", "elements"), CASES)
def test_words_are_those_of_plain_loops(
    family: str,
    elements: int,
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two texts of one length whose words differ, in a batch with a third; blocks of some rows, and of all.

    Windows, bands, and rows of which a part falls on no token, among the families; heads one by one as in threads.
    """
    encoder, plain = exact_of(family), plain_of(family)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    texts = [encoder.tokenize(text)[0] for text in TEXTS]
    given = [owners(len(text), seed) for seed, text in enumerate(texts)]
    with float64():
        found = maps_of(encoder, given, texts)
        spread = maps_of(replace(encoder, spread=True), given, texts)
        layers = [plain.layers(plain.encode([text])) for text in TEXTS]
    for number, words_of in enumerate(given):
        expected = [looped(layer.weights, words_of) for layer in layers[number]]
        np.testing.assert_allclose(found[number], expected, rtol=0, atol=EXACT)
        np.testing.assert_allclose(spread[number], expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("merge", [words.between_words, words._by_products])
def test_loops_and_products_merge_alike(merge: Callable[..., torch.Tensor], dtype: torch.dtype) -> None:
    """On a CPU a compiled loop, on a GPU products; of part of the keys, and of memory in another order."""
    given = [owners(20, seed) for seed in (3, 4)]
    count = max(map(len, given))
    owner = torch.tensor([each.owner for each in given])
    weights = torch.rand(2, 20, 20, 3, dtype=dtype, generator=torch.Generator().manual_seed(0)).movedim(3, 1)
    merged = merge(weights[..., 4:], owner, owner[:, 4:], count, count)
    for of_text, each, found in zip(weights.double().numpy(), given, merged.numpy(), strict=True):
        of_text[..., :4] = 0
        expected = looped(of_text, each)
        tolerance = EXACT if dtype == torch.float64 else rounding(dtype, 20, 20.0)
        np.testing.assert_allclose(found[:, : len(each), : len(each)], expected, rtol=0, atol=tolerance)
        assert not found[:, len(each) :].any()
        assert not found[..., len(each) :].any()


@pytest.mark.parametrize("wrong", [float("nan"), 0.4])
@pytest.mark.parametrize("checked", [True, False])
def test_rows_that_are_no_probabilities(wrong: float, checked: bool, encoder_of: Callable[[str], Encoder]) -> None:
    weights = torch.full((1, 2, 3, 3), 1 / 3)
    weights[0, 1, 2, 2] = wrong
    listener = Keeping([Words(("a",), (-1, 0, -1))], encoder_of("bert"), [0])
    observe = listener.start_layer(0)
    assert observe is not None
    with pytest.raises(TextError, match="layer 0: attention rows do not sum to 1"):
        observe(Block(slice(0, 3), slice(0, 3), weights, checked=checked))


def test_layers_that_pool_are_refused_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    funnel = encoder_of("funnel")
    pooled = [layer for layer in range(funnel.layers) if funnel.reach and funnel.reach[layer].pooled]
    whole = [layer for layer in range(funnel.layers) if layer not in pooled]
    refuse_pooled(funnel, whole)
    with pytest.raises(ModelError, match=f"layer {pooled[0]} of funnel"):
        refuse_pooled(funnel, [*whole, *pooled])
    text = funnel.tokenize(TEXTS[0])[0]
    with pytest.raises(ModelError, match="pools of several tokens"):
        maps_of(funnel, [owners(len(text), 0)], [text])


def test_a_text_without_words(encoder_of: Callable[[str], Encoder]) -> None:
    text = encoder_of("bert").tokenize(TEXTS[0])[0]
    [maps] = maps_of(encoder_of("bert"), [Words((), (-1,) * len(text))], [text])
    assert maps.shape[2:] == (0, 0)
