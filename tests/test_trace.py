"""A trace is the model's own attention, step by step: held to the textbook, to the model, and to plain loops."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, T5EncoderModel

from attnprobe import Encoder, Trace, TruncationWarning, load_encoder, trace
from attnprobe.attention.rounding import rounding
from attnprobe.attention.textbook import multi_head_attention
from attnprobe.errors import ModelError, UsageError
from attnprobe.models import parts
from attnprobe.models.families import FAMILIES as TABLE
from attnprobe.models.families import REFUSED
from attnprobe.models.origins import ROTATED
from attnprobe.writers import get_writer
from tests.eager import eager_layers
from tests.exact import EXACT, doubled, float64
from tests.families import FAMILIES, OTHER_HALVES

TEXT = "She wasn't told, was she?"
CHINESE = "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜"
# Of those that compute alike one is traced here; all others were traced once by hand.
LIKE_BERT = "camembert ernie xlm-roberta-xl data2vec-text roberta-prelayernorm xmod roc_bert splinter bert-generation"
LIKE_BERT += (
    " markuplm layoutlm dpr bert2bert mluke tapas altclip_text align_text chinese_clip_text clap_text bridgetower"
)
LIKE_BART = (
    "pegasus marian m2m_100 blenderbot blenderbot-small plbart mbart seamless_m4t seamless_m4t_v2 bigbird_pegasus"
)
LIKE_CLIP = (
    "owlvit_text owlv2_text xclip_text clipseg_text metaclip_2_text sam3_lite_text siglip_text siglip2_text tipsv2_text"
)
LIKE_OTHERS = (
    "clip siglip mt5 byt5 switch llama gte jina_embeddings_v3 eurobert dia modernvbert ultravbert ultrabert led"
)
LIKE_LLAMA = "llama_causal stablelm granite gemma olmo smollm3 mixtral qwen2 qwen3_moe qwen3_causal starcoder2"
LIKE_OTHERS += " biogpt olmo3 cohere2 gemma3_causal"
LIKE_OTHERS += " t5gemma2 cohere_compass_text flaubert rembert visual_bert flava_text blip_text mvp nllb-moe luke"
ALIKE = {
    *OTHER_HALVES,
    *" ".join([LIKE_BERT, LIKE_BART, LIKE_CLIP, LIKE_LLAMA, LIKE_OTHERS]).split(),
    "nystromformer_approx",
}
UNTRACED = ["deberta", "xlnet", "funnel", "lilt"]
SPREAD = UNTRACED + [
    name
    for name, its in FAMILIES.items()
    if TABLE[its.model_type].through != REFUSED and not TABLE[its.model_type].untraced and name not in ALIKE
]
FOUND_IN_PART = ["neomme"]  # it gates the heads' outputs before W_O


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Many small models: threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def check_in_float64(text: str, encoder: Encoder, **choice: Any) -> None:
    """The trace's weights are those of the model's own eager attention."""
    encoder = doubled(encoder)  # a copy, since plain_weights changes its attention
    with float64():
        its = trace(text, encoder, **choice)
        expected = plain_weights(encoder, its)[its.query]
    np.testing.assert_allclose(its.weight, expected, rtol=0, atol=EXACT)
    assert its.difference <= EXACT


def plain_weights(encoder: Encoder, its: Trace) -> np.ndarray:
    """(query, key) of the head, from the model's own eager attention."""
    model = encoder.model.encoder if encoder.model.config.model_type == "lxmert" else encoder.model
    if not encoder.tap:
        model.set_attn_implementation("eager")
    inputs = {name: torch.tensor([values]) for name, values in its.tokens.inputs.items()}
    try:
        return eager_layers(model, inputs)[its.layer].weights[its.head]
    finally:
        if not encoder.tap:
            model.set_attn_implementation("attnprobe")


def check_by_loops(its: Trace) -> None:
    """Every number follows from the ones before it, by plain loops over plain numbers."""
    score = []
    for key in range(len(its.tokens)):
        dot = sum(float(a) * float(b) for a, b in zip(its.q, its.k[key], strict=True))
        terms = [float(term[key]) for term in its.terms.values()]
        assert its.dot[key] == pytest.approx(dot, abs=1e-9)
        assert its.scaled[key] == pytest.approx(dot * its.scale, abs=1e-9)
        masked = math.isinf(its.score[key])
        score.append(-math.inf if masked else dot * its.scale + sum(terms))
        assert masked or its.score[key] == pytest.approx(score[-1], abs=1e-9)
    total = sum(math.exp(each) for each in score) + (0 if its.sink is None else math.exp(its.sink))
    weight = [math.exp(each) / total for each in score]
    np.testing.assert_allclose(its.weight, weight, atol=1e-12)
    output = [sum(w * float(v[place]) for w, v in zip(weight, its.v, strict=True)) for place in range(its.v.shape[1])]
    np.testing.assert_allclose(its.output, output, atol=1e-9)
    for key, w in enumerate(weight):
        assert its.value_norm[key] == pytest.approx(math.sqrt(sum((w * float(v)) ** 2 for v in its.v[key])), abs=1e-9)


@pytest.mark.parametrize("family", SPREAD)
def test_every_family_adds_up_or_is_refused_by_name(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    text = "MKTAYIAKQRQISF" if family.startswith("esm") else TEXT
    if family in UNTRACED:
        with pytest.raises(ModelError, match=FAMILIES[family].model_type):
            trace(text, encoder, layer=0, head=1, query=2)
        return
    for layer in (0, encoder.layers - 1):
        its = trace(text, encoder, layer=layer, head=1, query=2)
        check_by_loops(its)
        check_in_float64(text, encoder, layer=layer, head=1, query=2)
        if family not in FOUND_IN_PART:
            assert its.x is not None
            assert its.k_projected is not None
            assert its.projected is not None
            assert its.output_norm is not None


BERT = tuple(
    f"encoder.layer.{{}}.attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense")
)
ALBERT = "encoder.albert_layer_groups.0.albert_layers.0.attention"
# Family -> the modules that make q, k, v and the output in a layer.
MAPS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "megatron-bert"), BERT),
    "distilbert": [f"transformer.layer.{{}}.attention.{name}_lin" for name in ("q", "k", "v", "out")],
    "albert": [f"{ALBERT}.{name}" for name in ("query", "key", "value", "dense")],
    "mpnet": [f"encoder.layer.{{}}.attention.attn.{name}" for name in ("q", "k", "v", "o")],
    "t5": [f"encoder.block.{{}}.layer.0.SelfAttention.{name}" for name in ("q", "k", "v", "o")],
}


def textbook(family: str, folder: Path, its: Trace) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """X of the layer, and what multi-head attention on the checkpoint's own matrices makes of it, in float64."""
    loads = T5EncoderModel if family == "t5" else AutoModel
    model = loads.from_pretrained(folder, attn_implementation="eager").double().eval()
    q, k, v, o = (model.get_submodule(name.format(its.layer)) for name in MAPS[family])
    inputs: list[torch.Tensor] = []
    handle = q.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0][0]))
    with torch.no_grad(), float64():
        model(**{name: torch.tensor([values]) for name, values in its.tokens.inputs.items()})
    handle.remove()
    X = inputs[its.layer if family == "albert" else 0]  # ALBERT calls one layer again and again
    length, bias = len(X), None
    if family == "t5":
        bias = model.encoder.block[0].layer[0].SelfAttention.compute_bias(length, length)[0]
    if family == "mpnet":
        bias = model.encoder.compute_position_bias(X[None])[0]
    matrices = [module.weight.T for module in (q, k, v, o)]
    vectors = {f"b_{name}": m.bias for name, m in zip("QKVO", (q, k, v, o), strict=True)}
    scale = 1.0 if family == "t5" else None
    return X, *multi_head_attention(X, X, X, *matrices, 4, **vectors, bias=bias, scale=scale)


@pytest.mark.numeric
@pytest.mark.parametrize("family", MAPS)
def test_heads_together_are_the_textbook(family: str, exact_of: Callable[[str], Encoder]) -> None:
    """Σ over heads of z·W_O, and b_O, is the layer's attention output; the weights and x are the textbook's too."""
    encoder = exact_of(family)
    with float64():
        heads = [trace(TEXT, encoder, layer=1, head=head, query=3) for head in range(4)]
    X, output, weights = textbook(family, encoder.location.folder, heads[0])
    name = MAPS[family][3].format(1)
    bias = encoder.model.get_submodule(name).bias
    total = sum(its.projected for its in heads) + (0 if bias is None else bias.numpy())
    np.testing.assert_allclose(total, output[3].detach().numpy(), rtol=EXACT, atol=EXACT)
    for head, its in enumerate(heads):
        assert its.x is not None
        np.testing.assert_allclose(its.x, X[3].numpy(), rtol=EXACT, atol=EXACT)
        np.testing.assert_allclose(its.weight, weights[head, 3].detach().numpy(), rtol=0, atol=EXACT)
        assert its.columns == (8 * head, 8 * head + 8)
        assert list(its.terms) == (["position_bias"] if family in ("t5", "mpnet") else [])
        assert its.made_by["q"] == ("x·W_Q" if family == "t5" else "x·W_Q + b_Q",)


def test_x_is_the_layers_hidden_state(exact_of: Callable[[str], Encoder]) -> None:
    encoder = exact_of("bert")
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="eager").double().eval()
    with torch.no_grad(), float64():
        its = trace(TEXT, encoder, layer=2, head=0, query=4)
        inputs = {name: torch.tensor([values]) for name, values in its.tokens.inputs.items()}
        states = model(**inputs, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(its.x, states[2][0, 4].numpy(), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(("family", "theta"), [("modernbert", "full_attention"), ("nomic_bert", None)])
def test_rotary_positions_are_a_step(family: str, theta: str | None, encoder_of: Callable[[str], Encoder]) -> None:
    """q and k turned by their positions, pair by pair (Su et al. 2021)."""
    encoder = encoder_of(family)
    its = trace(TEXT, encoder, layer=0, head=2, query=5)
    settings = encoder.model.config.rope_parameters
    base = (settings[theta] if theta else settings)["rope_theta"]
    assert its.q_projected is not None
    assert its.k_projected is not None
    for position, before, after in [(5, its.q_projected, its.q), *zip(range(99), its.k_projected, its.k, strict=False)]:
        for pair in range(4):
            angle = position * base ** (-pair / 4)
            a, b = float(before[pair]), float(before[pair + 4])
            moved = rounding(encoder.dtype, 2, (1 + angle) * (abs(a) + abs(b)))
            assert float(after[pair]) == pytest.approx(a * math.cos(angle) - b * math.sin(angle), rel=0, abs=moved)
            assert float(after[pair + 4]) == pytest.approx(b * math.cos(angle) + a * math.sin(angle), rel=0, abs=moved)
    assert its.made_by["q"][-1] == its.made_by["k"][-1] == ROTATED
    assert its.made_by["v"] in [("x·W_V",), ("x·W_V + b_V",)]


def test_a_norm_and_a_factor_are_steps(encoder_of: Callable[[str], Encoder]) -> None:
    its = trace(TEXT, encoder_of("qwen3"), layer=1, head=3, query=2)
    assert its.made_by["q"] == ("x·W_Q", "after q_norm", ROTATED)
    assert its.made_by["v"] == ("x·W_V",)
    esm = trace("MKTAYIAKQRQISF", encoder_of("esm"), layer=1, head=3, query=2)
    assert (esm.scale, esm.made_by["q"]) == (1.0, ("x·W_Q + b_Q", "times 0.3536", ROTATED))


def test_values_from_another_input_are_said_to_be(encoder_of: Callable[[str], Encoder]) -> None:
    """MobileBERT makes q and k from a narrow copy of what it makes v from."""
    its = trace(TEXT, encoder_of("mobilebert"), layer=1, head=0, query=2)
    assert its.remarks == ("v is made from another input of its token than q is",)
    neomme = trace(TEXT, encoder_of("neomme"), layer=3, head=0, query=2)
    assert neomme.made_by["q"][1:] == ("after q_norm", ROTATED)
    assert neomme.made_by["v"] == ()
    assert [remark.split(" ")[0] for remark in neomme.remarks] == ["v", "the"]


def test_hooked_weights_that_prove_nothing_are_refused(encoder_of: Callable[[str], Encoder]) -> None:
    """A single token's only weight is 1, whatever its q and k."""
    encoder = encoder_of("mpnet")
    alone = encoder.tokenize("a")[0].take([1])
    with pytest.raises(ModelError, match="do not tell which linear maps") as caught:
        parts.head_parts(encoder, alone, 0, 0)
    assert caught.value.hint == "try a longer text"


def test_masks_soft_caps_and_sinks(encoder_of: Callable[[str], Encoder]) -> None:
    clip = trace(TEXT, encoder_of("clip_text"), layer=1, head=0, query=3)
    assert list(np.isneginf(clip.score)) == [key > 3 for key in range(len(clip.tokens))]
    assert clip.to_frame()["score"].isna().sum() == len(clip.tokens) - 4
    longformer = trace(CHINESE, encoder_of("longformer"), layer=1, head=0, query=10)
    assert list(np.flatnonzero(np.isfinite(longformer.score))) == list(range(6, 15))
    gemma = trace(TEXT, encoder_of("t5gemma"), layer=1, head=0, query=3)
    np.testing.assert_allclose(gemma.score[:4], 50 * np.tanh(gemma.scaled[:4] / 50), atol=1e-12)
    sunk = trace(TEXT, encoder_of("openai_privacy_filter"), layer=1, head=2, query=6)
    assert sunk.sink == pytest.approx(float(encoder_of("openai_privacy_filter").model.layers[1].self_attn.sinks[2]))
    assert 0.5 < sunk.weight.sum() < 0.999


@pytest.mark.parametrize("family", ["deberta-v2", "xlnet", "roformer", "squeezebert", "convbert", "nystromformer"])
def test_scores_with_other_terms_never_pass(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Also where the table of families does not name them. ConvBERT's heads are plain."""
    encoder = replace(encoder_of(family), family=None)
    if family == "convbert":
        check_in_float64(TEXT, encoder, layer=0, head=0, query=1)
        return
    with pytest.raises(ModelError, match=f"{family}: no linear maps"):
        trace(TEXT, encoder, layer=0, head=0, query=1)


def test_numbers_that_do_not_add_up_are_not_shown(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = parts.head_parts

    def moved(*arguments: Any) -> Any:
        its = found(*arguments)
        return replace(its, weights=its.weights + 1e-4)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "head_parts", moved)
        with pytest.raises(ModelError, match=r"differ from those the model used by 1\.\de-04"):
            trace(TEXT, minilm, layer=0, head=0, query=1)
    query = minilm.model.encoder.layer[2].attention.self.query
    handle = query.register_forward_hook(lambda module, arguments, output: output * 1.001)
    try:
        with pytest.raises(ModelError, match=r"q differs by .* from the layer's input times the weights of its map"):
            trace(TEXT, minilm, layer=2, head=0, query=1)
    finally:
        handle.remove()


@pytest.mark.numeric
@pytest.mark.parametrize("text", [TEXT, CHINESE, "👍🏽 [/INST]", "word " * 60])
def test_default_model(text: str, minilm: Encoder) -> None:
    for layer, head in [(0, 0), (3, 5), (5, 11)]:
        its = trace(text, minilm, layer=layer, head=head, query=-2)
        check_by_loops(its)
        W_O = minilm.model.encoder.layer[layer].attention.output.dense.weight.double().numpy()  # (out, in)
        columns = slice(*its.columns)
        np.testing.assert_allclose(its.projected, W_O[:, columns] @ its.output, atol=1e-12)
        norms = [np.linalg.norm(W_O[:, columns] @ (w * v)) for w, v in zip(its.weight, its.v, strict=True)]
        np.testing.assert_allclose(its.output_norm, norms, atol=1e-12)
        linear = minilm.model.encoder.layer[layer].attention.self.key
        k = its.k_projected
        assert k is not None
        assert k.dtype == np.float32
        assert k.shape == (len(its.tokens), linear.out_features // 12)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_precisions(dtype: str, encoder_of: Callable[[str], Encoder]) -> None:
    its = trace(TEXT, load_encoder(encoder_of("bert").location.folder, dtype=dtype), layer=1, head=0, query=1)
    assert (its.difference <= EXACT) == (dtype == "float64")
    assert its.q.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert its.made_by["k"] == ("x·W_K + b_K",)


def test_too_coarse_a_precision_is_said(encoder_of: Callable[[str], Encoder]) -> None:
    """In bfloat16 this one's blocks differ, its weights are hooked, and the rotation is out of sight."""
    encoder = load_encoder(encoder_of("modernbert").location.folder, dtype="bfloat16")
    with pytest.raises(ModelError, match="modernbert: no linear maps") as caught:
        trace(TEXT, encoder, layer=1, head=0, query=1)
    assert caught.value.hint == "try --dtype float32"


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_chinese_with_a_multilingual_vocabulary(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """它们 is one word to a reader and two pieces to these vocabularies."""
    encoder = encoder_of(family)
    its = trace(CHINESE, encoder, layer=2, head=1, query="它们")
    assert its.tokens.texts[its.query] == "它"
    assert its.tokens.texts[its.query + 1] == "们"
    assert encoder.tokenizer.unk_token not in its.tokens.strings
    [remark] = its.remarks
    assert remark.startswith("它们 is 2 tokens, ")
    check_by_loops(its)
    check_in_float64(CHINESE, encoder, layer=2, head=1, query="它们")


def test_formats_hold_every_number(minilm: Encoder) -> None:
    its = trace(CHINESE, minilm, layer=3, head=5, query="它们")
    stream = BytesIO()
    get_writer("json")(its.to_table(), stream)
    read = json.loads(stream.getvalue())
    assert (read["model"], read["layer"], read["head"]) == ("all-MiniLM-L6-v2", 3, 5)
    assert read["query"] == {"position": 20, "token": "[UNK]", "text": "它"}
    assert read["signature"].endswith(
        "|special:kept|layer:3|head:5|query:20|" + read["signature"].split("|query:20|")[1]
    )
    for name in ("x", "q_projected", "q", "output", "projected"):
        np.testing.assert_allclose(read[name], getattr(its, name), rtol=1e-6)
    assert read["columns"] == [160, 192]
    assert [key["position"] for key in read["keys"]] == list(range(27))
    for name in ("k", "k_projected", "v", "dot", "scaled", "score", "weight", "value_norm", "output_norm"):
        np.testing.assert_allclose([key[name] for key in read["keys"]], getattr(its, name), rtol=1e-6)
    frame = its.to_frame()
    numbers = ["dot", "scaled", "score", "weight", "value_norm", "output_norm"]
    assert list(frame.columns) == ["position", "token", "text", *numbers]
    assert frame["weight"].sum() == pytest.approx(1)
    assert frame.attrs["signature"] == read["signature"]


def test_pairs_cuts_and_wrong_places(minilm: Encoder) -> None:
    assert trace("A cat.", minilm, pair="A dog.", layer=0, head=0, query="dog").tokens.segments[6] == 2
    with pytest.warns(TruncationWarning, match="only the first 8 were read"):
        assert len(trace(TEXT * 9, minilm, layer=0, head=0, query=1, max_length=8).weight) == 8
    with pytest.raises(UsageError, match="no layer 6"):
        trace(TEXT, minilm, layer=6, head=0, query=1)
    with pytest.raises(UsageError, match="no head 12"):
        trace(TEXT, minilm, layer=0, head=12, query=1)
