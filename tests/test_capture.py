"""The weights that are kept are the model's own, whichever way they are captured."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import AutoModel

from attnprobe import Encoder, TruncationWarning
from attnprobe.attention.rounding import rounding
from attnprobe.errors import ModelError, UsageError
from attnprobe.measure.weights import keep_weights
from tests.eager import eager_layers
from tests.exact import EXACT, doubled, float64
from tests.rows import noise

pytestmark = pytest.mark.numeric

TEXT = "The animal didn't cross the street because it was too tired."


def check(encoder: Encoder, text: str) -> None:
    """The weights are those of a copy of the model that nobody listens to."""
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="eager").double().eval()
    found = keep_weights(text, encoder)
    inputs = {name: torch.tensor([values]) for name, values in found.pieces.inputs.items()}
    with float64():
        exact = keep_weights(text, doubled(encoder))
        expected = np.stack([layer.weights for layer in eager_layers(model, inputs)])
    np.testing.assert_allclose(exact.weights, expected, rtol=0, atol=EXACT)
    assert found.weights.dtype == np.float32
    np.testing.assert_allclose(found.weights, expected, rtol=0, atol=noise(encoder, len(found.key_tokens)))
    np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=0, atol=rounding(encoder.dtype, len(found.key_tokens)))


@pytest.mark.parametrize(
    "text", [TEXT, "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜", "👍🏽 [/INST]", "word " * 200]
)
def test_weights_are_those_of_the_model(text: str, minilm: Encoder) -> None:
    check(minilm, text)


@pytest.mark.parametrize("family", ["deberta-v2", "longformer", "xlnet", "modernbert"])
def test_weights_of_other_families(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    check(encoder_of(family), TEXT)


def test_words_sum_over_keys_and_average_over_queries(minilm: Encoder) -> None:
    text = "tokenization of unbelievable words"
    words, pieces = keep_weights(text, minilm, level="word"), keep_weights(text, minilm)
    units = np.asarray(pieces.pieces.words)
    member = np.equal.outer(np.arange(units.max() + 1), units).astype(float)
    mean = member / member.sum(1, keepdims=True)
    tolerance = rounding(minilm.dtype, len(pieces.key_tokens))
    np.testing.assert_allclose(words.weights, mean @ pieces.weights.astype(float) @ member.T, rtol=0, atol=tolerance)
    assert list(words.key_tokens.strings) == ["[CLS]", "tokenization", "of", "unbelievable", "words", "[SEP]"]
    assert len(words.pieces) == len(pieces.key_tokens) > len(words.key_tokens)


def test_chosen_layers_and_heads_in_the_order_asked(minilm: Encoder) -> None:
    some, every = keep_weights(TEXT, minilm, layers=[-1, 0], heads="3,5"), keep_weights(TEXT, minilm)
    assert some.weights.shape[:2] == (2, 2)
    for place, layer in enumerate(some.layers):
        np.testing.assert_array_equal(some.weights[place], every.weights[layer][list(some.heads)])


def test_a_pair_and_a_cut_text(minilm: Encoder) -> None:
    assert sorted(set(keep_weights("A cat.", minilm, pair="A dog.").key_tokens.segments)) == [0, 1, 2]
    with pytest.warns(TruncationWarning, match="only the first 8 were read"):
        assert len(keep_weights(TEXT, minilm, max_length=8).query_tokens) == 8


def test_too_many_weights_are_refused_with_their_size(minilm: Encoder) -> None:
    with pytest.raises(UsageError, match=r"6 layers × 12 heads × 16 × 16 tokens are 18,432 weights"):
        keep_weights(TEXT, minilm, most=18_431)
    assert keep_weights(TEXT, minilm, most=18_432).weights.size == 18_432


def test_pooled_layers_have_no_weights_of_tokens(encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match="pools of several tokens"):
        keep_weights("several words that the model pools", encoder_of("funnel"))


def test_the_signature_names_what_the_weights_depend_on(minilm: Encoder) -> None:
    sign = keep_weights(TEXT, minilm, level="word").sign
    assert sign is not None
    assert "|max_length:256|level:word|special:kept|" in sign()
