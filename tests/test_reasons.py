"""Scores that say why are those of autograd over transformers' own attention, and find what a classifier reads."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import attnprobe
from attnprobe import Encoder, load_encoder
from attnprobe.analyses.answers import answer_of
from attnprobe.analyses.token_scores import TOKENS
from attnprobe.errors import ModelError, TextError, UsageError
from attnprobe.models import gradients
from attnprobe.models.editable import editable
from attnprobe.models.edits import Edit
from attnprobe.models.gradients import visit_gradients
from attnprobe.models.running import Output
from attnprobe.render.shading import Shading
from attnprobe.values.tokens import Role, Tokens
from tests.classifier import BAD_WORDS, GOOD_WORDS, HEAD, REVIEWS
from tests.exact import EXACT, doubled, float64

TEXT = "She wasn't told (unhappily) of it."
S = "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
WHY = ["gradient", "chefer"]
# In blocks: biases, shared layers, local layers, grouped queries, soft caps, sinks; and with weights hooked.
IN_BLOCKS = ["bert", "distilbert", "albert", "modernbert", "eurobert", "t5", "t5gemma", "gpt_oss", "gpt2"]
HOOKED = ["mpnet", "rembert", "roformer", "deberta-v2"]


def silent(layer: int, group: int) -> None:
    """Observes nothing."""


def probe(tokens: Tokens) -> Callable[[Output], Tensor]:
    """A number of the first token's last state that no norm makes constant."""
    return lambda output: (output.hidden[0] * torch.arange(1, output.hidden.shape[1] + 1).cos()).sum()


def by_autograd(encoder: Encoder, tokens: Tokens, number: Callable[[Output], Tensor]) -> list[np.ndarray]:
    """a ⊙ ∂F/∂a, (head, query, key) of each layer, with the weights that transformers' eager modules return."""
    model: Any = copy.deepcopy(encoder.model)
    for module in model.modules():
        if isinstance(module, transformers.PreTrainedModel) and module._can_set_attn_implementation():
            module.set_attn_implementation("eager")
    model.requires_grad_()
    inputs = {name: torch.tensor([row]) for name, row in tokens.inputs.items()}
    with torch.enable_grad():
        made = model(**inputs, output_attentions=True)
        weights = list(made.attentions)
        found = torch.autograd.grad(number(Output(made[0][0])), weights)
    return [(a * g)[0].detach().numpy() for a, g in zip(weights, found, strict=True)]


def chefer_by_loops(layers: Sequence[np.ndarray], reads: Sequence[int]) -> list[float]:
    """Chefer's relevance of each key, written out."""
    n = layers[0].shape[1]
    relevance = [[float(q == k) for k in range(n)] for q in range(n)]
    for weighted in layers:
        mean = [
            [sum(max(float(head[q, k]), 0.0) for head in weighted) / len(weighted) for k in range(n)] for q in range(n)
        ]
        relevance = [
            [relevance[q][k] + sum(mean[q][j] * relevance[j][k] for j in range(n)) for k in range(n)] for q in range(n)
        ]
    return [sum(relevance[q][k] - (q == k) for q in reads) / len(reads) for k in range(n)]


def found_by(encoder: Encoder, tokens: Tokens, number: Callable[[Output], Tensor]) -> tuple[list[np.ndarray], Tensor]:
    layers: list[np.ndarray] = []
    reads = visit_gradients(encoder, tokens, number, lambda layer, weighted: layers.append(weighted.numpy()))
    return layers, reads


@pytest.mark.numeric
@pytest.mark.parametrize("family", [*IN_BLOCKS, *HOOKED])
def test_gradients_of_weights_are_those_of_eager_attention(family: str, exact_of: Callable[[str], Encoder]) -> None:
    encoder = exact_of(family)
    with float64():
        [tokens] = encoder.tokenize(TEXT)
        expected = by_autograd(encoder, tokens, probe(tokens))
        layers, reads = found_by(encoder, tokens, probe(tokens))
    assert (encoder.tap is not None) == (family in HOOKED)
    assert reads.nonzero()[:, 0].tolist() == [0]
    for weighted, theirs in zip(layers, expected, strict=True):
        np.testing.assert_allclose(weighted, theirs, rtol=0, atol=EXACT * (1 + np.abs(theirs).max()))


@pytest.mark.numeric
@pytest.mark.parametrize("family", ["bert", "eurobert", "mpnet"])
def test_gradients_add_up_to_the_derivative_by_a_factor(family: str, exact_of: Callable[[str], Encoder]) -> None:
    """Σ a·∂F/∂a of a head is dF/dξ, by finite differences: the identity of the signed importance."""
    layer, head, step = 1, 2, 1e-5
    encoder = editable(exact_of(family))
    with float64():
        [tokens] = encoder.tokenize(TEXT)

        def run(factor: float) -> float:
            def scaled(at: int, some: slice, context: Tensor) -> Tensor:
                factors = torch.ones(encoder.heads)
                factors[head] = factor
                return context * factors[:, None] if at == layer else context

            return float(probe(tokens)(encoder.run([tokens], silent, edit=Edit(context=scaled))[0]))

        layers, _ = found_by(encoder, tokens, probe(tokens))
        expected = (run(1 + step) - run(1 - step)) / (2 * step)
    assert layers[layer][head].sum() == pytest.approx(expected, rel=1e-6)


def test_known_values_by_the_library(minilm: Encoder) -> None:
    """Text S of the notes, whose Chefer row is that of the published code."""
    found = TOKENS(S, minilm, scores=WHY)
    expected = [0.04785, 0.00745, 0.05428, 0.06903, 0.03066, 0.00616]
    np.testing.assert_allclose(found.scores["chefer"][:6], expected, rtol=0, atol=6e-6)
    assert "F is ½‖h‖², h the vector of the classification token" in found.remarks[0]
    assert "|answer:half squared norm of cls|" in found.sign()
    with_heads = [
        TOKENS(S, minilm, scores="gradient", layers=5, heads=head).scores["gradient"].sum() for head in (7, 1)
    ]
    np.testing.assert_allclose(np.abs(with_heads), [2.108743, 1.980343], rtol=1e-5)


@pytest.mark.parametrize("family", ["t5", "gpt_oss"])
def test_scores_are_those_of_loops(family: str, exact_of: Callable[[str], Encoder]) -> None:
    """Where F is of all tokens, and the rows of relevance are averaged; words are sums of pieces."""
    encoder = exact_of(family)
    with float64():
        [tokens] = encoder.tokenize(TEXT)
        layers = by_autograd(encoder, tokens, lambda output: output.hidden.mean(0).square().sum() / 2)
        expected = chefer_by_loops(layers, range(len(tokens)))
        chosen = [[float(head[:, k].sum()) for k in range(len(tokens))] for head in layers[1][[0, 2]]]
        found = TOKENS(TEXT, encoder, scores=WHY)
        part = TOKENS(TEXT, encoder, scores="gradient", layers=1, heads="0,2")
        words = TOKENS(TEXT, encoder, scores=WHY, level="word")
    close(found.scores["chefer"], expected)
    close(part.scores["gradient"], np.sum(chosen, 0))
    assert tokens.words is not None
    for name in WHY:
        by_word = [
            sum(value for value, word in zip(found.scores[name], tokens.words, strict=True) if word == at)
            for at in range(max(tokens.words) + 1)
        ]
        close(words.scores[name], by_word)


def close(found: np.ndarray, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT * (1 + np.abs(expected).max()))


# Labels


@pytest.fixture(scope="module")
def reviews(classifier: Path) -> Encoder:
    return load_encoder(classifier, task=True)


def test_the_word_that_decides_has_the_highest_score(reviews: Encoder) -> None:
    for text, label in REVIEWS:
        found = TOKENS(text, reviews, scores=WHY)
        [decides] = [at for at, token in enumerate(found.tokens.strings) if token in (*GOOD_WORDS, *BAD_WORDS)]
        for name in WHY:
            assert found.scores[name].argmax() == decides, (text, name)
        assert f"F is the logit of {label}, predicted with a probability of 0.9" in found.remarks[0]
        assert f"|answer:logit of {label}|" in found.sign()
    by_head = [
        [
            TOKENS(text, reviews, scores="gradient", layers=at, heads=head).scores["gradient"][decides]
            for head in range(4)
        ]
        for at in range(3)
    ]
    assert np.unravel_index(np.argmax(by_head), (3, 4)) == HEAD


def test_label_is_chosen_by_name_or_number(reviews: Encoder) -> None:
    """Of two labels with opposite logits one is against what the other is for."""
    predicted, other = (TOKENS(REVIEWS[0][0], reviews, scores="gradient", label=label) for label in (None, "NEGATIVE"))
    np.testing.assert_allclose(other.scores["gradient"], -predicted.scores["gradient"], rtol=1e-4, atol=1e-5)
    assert other.remarks[0] == "F is the logit of negative, with a probability of 0.020"
    assert TOKENS(REVIEWS[0][0], reviews, scores="gradient", label="1").sign() == predicted.sign()
    for label in ("neutral", "2"):
        with pytest.raises(UsageError, match=f"no label '{label}'") as error:
            TOKENS(REVIEWS[0][0], reviews, scores="chefer", label=label)
        assert error.value.hint == "one of negative, positive, or a number, 0 to 1"


def test_head_is_loaded_where_a_score_says_why(
    classifier: Path, folder_of: Callable[[str], Path], minilm: Encoder
) -> None:
    text = REVIEWS[0][0]
    assert attnprobe.tokens(text, classifier, "chefer")["chefer"].idxmax() == 4
    assert "answer:logit of positive" in attnprobe.tokens(text, str(classifier), sort="gradient").attrs["signature"]
    assert "answer:half squared norm of cls" in attnprobe.tokens(text, folder_of("bert"), "chefer").attrs["signature"]
    with pytest.raises(UsageError, match="--label is for scores that say why"):
        attnprobe.tokens(text, classifier, "received", label="positive")
    with pytest.raises(UsageError, match="no label 'positive': all-MiniLM-L6-v2 has no classifier"):
        attnprobe.tokens(text, minilm, "chefer", label="positive")


def headed(name: str, folder: Path, **config: Any) -> Encoder:
    """A tiny model with a random head, wide enough to tell labels apart."""
    torch.manual_seed(0)
    model = getattr(transformers, name).from_pretrained(folder, num_labels=3, **config).eval()
    with torch.no_grad():
        model.classifier.weight.copy_(torch.randn(model.classifier.weight.shape))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return load_encoder(model, tokenizer=tokenizer, task=True)


def test_label_of_a_token(folder_of: Callable[[str], Path]) -> None:
    """The mean logit of the pieces of the word that is named; relevance is that of their rows."""
    encoder = headed("BertForTokenClassification", folder_of("bert"))
    [tokens] = encoder.tokenize(TEXT)
    at = [place for place, word in enumerate(tokens.words or ()) if tokens.word_texts[word] == "unhappily"]
    assert len(at) > 1
    with float64():
        exact = doubled(replace(encoder, origin=None))
        found = TOKENS(TEXT, exact, scores=WHY, label=2, query="unhappily")
        logits = exact.run([tokens], silent)[0].logits
        assert logits is not None

        def number(output: Output) -> Tensor:
            return (output.hidden[at].mean(0) @ exact.task.classifier.weight.T)[2]

        layers = by_autograd(exact, tokens, number)
        close(found.scores["chefer"], chefer_by_loops(layers, at))
        probability = logits[at].mean(0).softmax(0)[2]
    assert found.remarks[0].startswith("F is the logit of LABEL_2 at ")
    assert found.remarks[0].endswith(f"with a probability of {probability:.3f}")
    with pytest.raises(UsageError, match="labels each token: which one"):
        TOKENS(TEXT, encoder, scores="chefer")


def test_what_several_labels_and_numbers_say(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("bert")
    multiple = headed("BertForSequenceClassification", folder, problem_type="multi_label_classification")
    [tokens] = multiple.tokenize(TEXT)
    [output] = multiple.run([tokens], silent)
    assert output.logits is not None
    answer = answer_of(multiple, tokens, None, [])
    assert answer.value(output, {}) == pytest.approx(float(output.logits.max().sigmoid()))
    numbers = headed("BertForSequenceClassification", folder, problem_type="regression")
    with pytest.raises(UsageError, match="answers with 3 numbers: which one"):
        answer_of(numbers, tokens, None, [])
    assert answer_of(numbers, tokens, "LABEL_1", []).sentence == f"F is the logit of LABEL_1, {output.logits[1]:.3f}"
    with pytest.raises(UsageError, match="labels no tokens"):
        answer_of(numbers, tokens, "LABEL_1", [1])


# Faithfulness


def test_the_deciding_word_is_found_and_its_curve_falls_first(reviews: Encoder) -> None:
    text = REVIEWS[4][0]
    found = TOKENS(text, reviews, scores=[*WHY, "received"], faithfulness=True)
    tested = found.faithfulness
    assert tested is not None
    deletion, insertion = tested.areas("deletion"), tested.areas("insertion")
    for name in WHY:
        assert deletion[name] < min(deletion["received"], deletion["random"]) - 0.1
        assert insertion[name] > max(insertion["received"], insertion["random"]) + 0.1
        assert tested.deletion[name][0] == pytest.approx(0.945, abs=5e-4)
        np.testing.assert_allclose(tested.deletion[name][1:], 0.5, atol=1e-5)  # without the word nothing is decided
    frame = found.to_table().to_frame()
    assert list(frame) == ["score", "curve", "share", "value", "area"]
    assert set(frame["score"]) == {*WHY, "received", "random"}
    assert found.remarks[-1].startswith("tokens are replaced by [MASK] (deletion), or put back (insertion)")
    assert found.remarks[-1].endswith("what changes is the probability of positive")


@pytest.mark.parametrize("level", ["token", "word"])
def test_curves_are_those_of_one_text_after_the_other(level: str, reviews: Encoder) -> None:
    """Each text with its masks is run by transformers alone; areas are sums of trapezoids."""
    with float64():
        encoder = doubled(reviews)
        found = TOKENS(REVIEWS[1][0], encoder, scores="received", level=level, faithfulness=True)
        [tokens] = encoder.tokenize(REVIEWS[1][0])
        tested = found.faithfulness
        assert tested is not None
        words = list(range(len(tokens))) if level == "token" else list(tokens.words or ())
        units = [unit for unit in dict.fromkeys(words) if tokens.roles[words.index(unit)] == Role.CONTENT]
        units.sort(key=lambda unit: -found.scores["received"][unit])
        for curve, values in {"deletion": tested.deletion, "insertion": tested.insertion}.items():
            expected = []
            for count in range(len(units) + 1):
                masked = units[:count] if curve == "deletion" else units[count:]
                ids = [
                    encoder.tokenizer.mask_token_id if words[at] in masked else number
                    for at, number in enumerate(tokens.inputs["input_ids"])
                ]
                logits = encoder.task(input_ids=torch.tensor([ids])).logits[0]
                expected.append(float(logits.softmax(0)[0]))
            close(values["received"], np.array(expected))
            area = sum((a + b) / 2 / len(units) for a, b in pairwise(expected))
            assert tested.areas(curve)["received"] == pytest.approx(area)


def test_tokens_are_left_out_where_there_is_no_mask(encoder_of: Callable[[str], Encoder]) -> None:
    """And a cosine is the answer where there is no head; a long text is tested in at most 20 steps."""
    encoder = encoder_of("t5")
    found = TOKENS("The old keeper counted twelve boats. " * 3, encoder, scores="rollout", faithfulness=True)
    tested = found.faithfulness
    assert tested is not None
    assert tested.how == "left out"
    assert (tested.shares[0], tested.shares[-1]) == (0, 1)
    assert len(tested.shares) == 21 < tested.n
    assert tested.deletion["rollout"][0] == pytest.approx(1)
    assert tested.insertion["rollout"][0] == tested.deletion["rollout"][-1] < 0.999
    np.testing.assert_array_equal(tested.insertion["random"], tested.deletion["random"][::-1])
    with pytest.raises(UsageError, match="there is no mask, and no token would be left"):
        TOKENS(TEXT, encoder_of("gpt2"), scores="rollout", faithfulness=True)


def test_figures_of_curves(reviews: Encoder) -> None:
    pytest.importorskip("matplotlib")
    from attnprobe.render.shaded_figure import write_svg

    found = TOKENS(REVIEWS[0][0], reviews, scores=WHY, faithfulness=True)
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        write_svg(found, stream)
    assert streams[0].getvalue() == streams[1].getvalue()
    assert b"probability of positive" in streams[0].getvalue()
    assert b"chefer, area" in streams[0].getvalue()


# Limits


def test_signed_scores_are_shaded_from_zero(reviews: Encoder) -> None:
    found = TOKENS(REVIEWS[0][0], reviews, scores="gradient")
    shading, values = Shading.of(found), found.scores["gradient"]
    assert (shading.low, shading.high) == (-np.abs(values).max(), np.abs(values).max())
    amounts = [amount for text, amount in shading.runs if amount is not None]
    np.testing.assert_allclose(amounts, 0.5 + np.sign(values) * np.sqrt(np.abs(values) / np.abs(values).max()) / 2)
    left_out = TOKENS(REVIEWS[0][0], reviews, scores="gradient", special="drop").remarks[-1]
    assert f"with {values[[0, -1]].sum():.3f} of gradient" in left_out


def test_long_texts_are_refused_by_size(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "MOST_BYTES", 2**10)
    with pytest.raises(TextError, match="a gradient keeps all weights of all layers"):
        TOKENS(S, minilm, scores="chefer")


@pytest.mark.parametrize("family", ["xlnet", "squeezebert", "funnel"])
def test_families_without_such_gradients_are_refused_by_name(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match=f"no gradients of the weights that {family} returns"):
        TOKENS(TEXT, encoder_of(family), scores="chefer")


@pytest.mark.parametrize("how", ["zero", "uniform"])
def test_heads_that_are_off_did_nothing(how: str, reviews: Encoder) -> None:
    with reviews.heads_off("1:2", how=how):
        found = TOKENS(REVIEWS[0][0], reviews, scores="gradient", layers=1, heads=2)
    np.testing.assert_array_equal(found.scores["gradient"], 0)
