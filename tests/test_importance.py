"""The importance of heads is what transformers' eager model, a Jacobian and plain loops say."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from attnprobe import Encoder, Record, importance, load_encoder
from attnprobe.analyses.gradients import Gradients
from attnprobe.analyses.importance import IMPORTANCE
from attnprobe.analyses.losses import loss_of
from attnprobe.errors import InputError, ModelError, TextError, UsageError
from attnprobe.measure.running import measure
from attnprobe.models.edits import Edit
from attnprobe.models.tasks import Task
from attnprobe.render.importance import write_pdf, write_png, write_svg
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Role, Tokens
from tests.exact import EXACT, doubled, float64
from tests.families import no_progress_bars
from tests.plain import Plain

TEXTS = ["She wasn't told, was she?", "Nobody had told her.", "Had she told nobody?"]
# The map that reads a layer's heads: post-LN, pre-LN, RMSNorm, grouped queries, position biases, shared layers; hooked.
OUTPUT_MAPS = {
    "bert": "encoder.layer.{}.attention.output.dense",
    "esm": "encoder.layer.{}.attention.output.dense",
    "roberta-prelayernorm": "encoder.layer.{}.attention.output.dense",
    "distilbert": "transformer.layer.{}.attention.out_lin",
    "albert": "encoder.albert_layer_groups.0.albert_layers.0.attention.dense",
    "modernbert": "layers.{}.attn.Wo",
    "eurobert": "layers.{}.self_attn.o_proj",
    "qwen3": "layers.{}.self_attn.o_proj",
    "bart": "layers.{}.self_attn.out_proj",
    "t5": "encoder.block.{}.layer.0.SelfAttention.o",
    "mpnet": "encoder.layer.{}.attention.attn.o",
    "xglm": "layers.{}.self_attn.out_proj",
}


def gradients(encoder: Encoder, objective: str, **options: Any) -> Gradients:
    found = IMPORTANCE.choose(encoder, Reading(), {"objective": objective, **options})
    assert isinstance(found, Gradients)
    return found


def measured(encoder: Encoder, objective: str, texts: Sequence[Tokens], **options: Any) -> np.ndarray:
    """(text, layer, head) of some texts in one batch."""
    return np.array(measure(texts, encoder, gradients(encoder, objective, **options)).texts)[..., 0]


def close(found: Any, expected: Any, tolerance: float = EXACT) -> None:
    size = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * size)


def with_factors(model: Any, layers: int, heads: int, name: str, ids: Tensor, run: Callable[..., Tensor]) -> Any:
    """The factors (layer, token, head) on what each output map is given, by hooks, and what the run gives."""
    factors = torch.ones(layers, ids.shape[-1], heads, requires_grad=True)
    calls = iter(range(layers))

    def scale(module: Any, arguments: tuple[Tensor, ...]) -> Tensor:
        [given] = arguments
        return (given.unflatten(-1, (heads, -1)) * factors[next(calls), :, :, None]).flatten(-2)

    modules = {model.get_submodule(name.format(layer)) for layer in range(layers)}
    handles = [module.register_forward_pre_hook(scale) for module in modules]
    try:
        return factors, run(ids)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.numeric
@pytest.mark.parametrize("family", OUTPUT_MAPS)
def test_gradients_are_rows_of_the_jacobian(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """Of transformers' eager model, text by text: one backward pass for each component of the mean hidden state."""
    encoder, plain = exact_of(family), plain_of(family)
    with float64():
        texts = [encoder.tokenize(text)[0] for text in TEXTS]
        found = {name: measured(encoder, name, texts) for name in ("sensitivity", "norm")}
        by_token = measured(encoder, "norm", texts, per_token=True)
        for number, text in enumerate(TEXTS):
            inputs = plain.inputs(plain.encode([text]))

            def pooled(ids: Tensor, inputs: Any = inputs) -> Tensor:
                mean: Tensor = plain.model(**inputs)[0][0].mean(0)
                return mean

            sizes = encoder.layers, encoder.heads, OUTPUT_MAPS[family]
            factors, o = with_factors(plain.model, *sizes, inputs["input_ids"], pooled)
            [rows] = torch.autograd.grad(o, factors, torch.eye(len(o)), is_grads_batched=True)
            jacobian = rows.numpy()  # (d, layer, token, head)
            of_norm = np.einsum("d,dlth->lth", o.detach().numpy(), jacobian)
            close(found["sensitivity"][number], np.linalg.norm(jacobian.sum(2), axis=0))
            close(found["norm"][number], np.abs(of_norm.sum(1)))
            close(by_token[number], np.abs(of_norm).sum(1))
            assert (by_token[number] >= found["norm"][number] - EXACT).all()


@pytest.mark.numeric
def test_gradients_are_central_differences(exact_of: Callable[[str], Encoder]) -> None:
    """Of [CLS]'s norm, and of the cosine of two texts of unequal length, which have one factor."""
    encoder, step = exact_of("bert"), 1e-5
    with float64():
        texts = [[encoder.tokenize(text)[0] for text in TEXTS[at : at + 2]] for at in (0, 1)]
        cosine = torch.nn.functional.cosine_similarity

        def states(tokens: Tokens, layer: int, head: int, factor: float) -> Tensor:
            def scaled(at: int, some: slice, context: Tensor) -> Tensor:
                factors = torch.ones(encoder.heads)
                factors[head] = factor if at == layer else 1
                return context * factors[:, None]

            return encoder.observe([tokens], lambda *_: None, edit=Edit(context=scaled))[0]

        def numbers(*place: Any) -> list[Tensor]:
            one, other = (states(texts[0][at], *place) for at in (0, 1))
            return [one[0].square().sum() / 2, cosine(one.mean(0), other.mean(0), 0)]

        found = [
            measured(encoder, "cls-norm", texts[0])[0],
            importance([Record("1", TEXTS[0], TEXTS[1])], encoder, objective="similarity").values,
        ]
        for layer, head in np.ndindex(encoder.layers, encoder.heads):
            pairs = zip(numbers(layer, head, 1 + step), numbers(layer, head, 1 - step), strict=True)
            for measure_found, (above, below) in zip(found, pairs, strict=True):
                expected = abs(float(above - below)) / (2 * step)
                np.testing.assert_allclose(measure_found[layer, head], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.numeric
def test_masked_language_model(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The pseudo-loss in plain loops: one masked copy for each token of the text, run alone."""
    torch.manual_seed(0)
    with no_progress_bars():
        model = transformers.BertForMaskedLM.from_pretrained(folder_of("bert"), attn_implementation="eager").eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder_of("bert"))
        for one in (model, tokenizer):
            one.save_pretrained(tmp_path)
    loaded = load_encoder(tmp_path, task=True)
    with float64():
        encoder, model = doubled(loaded), model.double()
        texts = [encoder.tokenize(text)[0] for text in TEXTS]
        found = measured(encoder, "mlm", texts)
        for number, text in enumerate(texts):
            ids, content = torch.tensor([text.inputs["input_ids"]]), text.positions(Role.CONTENT)

            def loss(ids: Tensor, content: Sequence[int] = content) -> Tensor:
                total = torch.zeros(())
                for at in content:
                    masked = ids.clone()
                    masked[0, at] = tokenizer.mask_token_id
                    total = total - model(input_ids=masked).logits[0, at].log_softmax(-1)[ids[0, at]]
                return total / len(content)

            expected = torch.zeros(encoder.layers, encoder.heads)
            for at in content:
                sizes = encoder.layers, encoder.heads, f"bert.{OUTPUT_MAPS['bert']}"
                factors, part = with_factors(model, *sizes, ids, lambda ids, at=at: loss(ids, [at]))
                expected += torch.autograd.grad(part, factors)[0].sum(1) / len(content)
            close(found[number], expected.abs().numpy())


def test_mean_of_magnitudes_over_texts(encoder_of: Callable[[str], Encoder]) -> None:
    """Not the magnitude of the mean: signs differ between texts."""
    encoder = encoder_of("bert")
    both = importance(TEXTS[:2], encoder, objective="norm", batch_tokens=1)
    alone = [importance([text], encoder, objective="norm").values for text in TEXTS[:2]]
    np.testing.assert_allclose(both.values, (alone[0] + alone[1]) / 2, rtol=1e-6)
    frame = both.to_frame()
    margin = 12.706205 * np.abs(alone[0] - alone[1]).ravel() / 2  # Student's t with one degree of freedom
    np.testing.assert_allclose(frame["ci_high"] - frame["importance"], margin, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(np.square(both.normalized).sum(1), 1, rtol=1e-12)
    some = importance(TEXTS[:2], encoder, objective="norm", batch_tokens=1, layers=[1])
    assert frame[frame["layer"] == 1].drop(columns="n_texts").to_numpy() == pytest.approx(
        some.to_frame().drop(columns="n_texts").to_numpy()
    )


def test_losses_are_their_formulas() -> None:
    text = Tokens(
        strings=["[CLS]", "play", "##ing", "on", "[SEP]"],
        texts=["", "play", "ing", "on", ""],
        roles=[Role.CLS, Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.SEP],
        segments=[0, 1, 1, 1, 0],
        words=[0, 1, 1, 2, 3],
        given=(["playing", "on"], None),
    )
    logits = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    share = [math.exp(x) / sum(map(math.exp, logits.tolist())) for x in logits.tolist()]
    sigmoid = [1 / (1 + math.exp(-x)) for x in logits.tolist()]
    single = Task("sequence", ["a", "b", "c"], "single")
    for label in ("b", 1, "1"):
        assert float(loss_of(logits, label, single, text)) == pytest.approx(-math.log(share[1]), rel=1e-12)
    several = Task("sequence", ["a", "b", "c"], "multiple")
    binary = -(math.log(sigmoid[0]) + math.log(1 - sigmoid[1]) + math.log(sigmoid[2])) / 3
    assert float(loss_of(logits, ["a", "c"], several, text)) == pytest.approx(binary, rel=1e-12)
    number = Task("sequence", ["LABEL_0"], "number")
    assert float(loss_of(logits[:1], "2.5", number, text)) == pytest.approx((0.3 - 2.5) ** 2, rel=1e-12)
    by_token = torch.stack([logits * at for at in range(5)])
    tagging = Task("token", ["a", "b", "c"], "single")
    expected = [-float(by_token[at].log_softmax(-1)[label]) for at, label in ((1, 2), (3, 0))]
    assert float(loss_of(by_token, ["c", "a"], tagging, text)) == pytest.approx(sum(expected) / 2, rel=1e-12)
    assert float(loss_of(by_token, ["c", None], tagging, text)) == pytest.approx(expected[0], rel=1e-12)
    for task, label in ((single, "d"), (single, 3), (number, "x"), (number, [1, 2]), (tagging, ["c"]), (tagging, "c")):
        with pytest.raises(TextError):
            loss_of(by_token if task is tagging else logits[: len(task.labels)], label, task, text)


def test_what_cannot_be_measured_is_refused(encoder_of: Callable[[str], Encoder]) -> None:
    for family, objective, reason in (
        ("t5", "cls-norm", "adds no classification token"),
        ("xlnet", "norm", "heads of xlnet cannot be changed"),
        ("bert", "mlm", "no head of a masked language model"),
        ("bert", "loss", "no head of a classifier"),
    ):
        labels = {"label_column": "label"} if objective == "loss" else {}
        with pytest.raises(ModelError, match=reason):
            importance(TEXTS, encoder_of(family), objective=objective, **labels)
    with pytest.raises(InputError, match="there is no second text"):
        importance(TEXTS, encoder_of("bert"), objective="similarity")
    for options in (
        {"objective": "loss"},
        {"label_column": "label"},
        {"per_token": True},
        {"method": "zero", "objective": "norm", "per_token": True},
    ):
        with pytest.raises(UsageError):
            importance(TEXTS, encoder_of("bert"), **options)


def test_figures(encoder_of: Callable[[str], Encoder]) -> None:
    found = importance(TEXTS, encoder_of("bert"), objective="norm")
    for write, start in ((write_png, b"\x89PNG"), (write_svg, b"<?xml"), (write_pdf, b"%PDF")):
        stream = io.BytesIO()
        write(found, stream)
        assert stream.getvalue().startswith(start)
    with pytest.raises(InputError, match="no text was measured"):
        write_png(importance([], encoder_of("bert")), io.BytesIO())
