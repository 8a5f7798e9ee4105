"""Heads that are off are what transformers' own modules make of a model without them; afterwards all is as before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attnprobe
from attnprobe import Encoder, load_encoder
from attnprobe.errors import ModelError, UsageError
from attnprobe.models.edits import Edit
from attnprobe.models.parts import visit_layers
from attnprobe.models.sublayers import Sublayers, visit_sublayers
from attnprobe.values.signature import part_of
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Tokens
from tests.exact import EXACT, float64
from tests.plain import Plain

TEXT = "She wasn't told, was she?"
TEXTS = [TEXT, "Nobody had told her.", "The old lighthouse keeper counted seven gulls."]
PROBED = (
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)
HEADS = 4  # of each layer of the tiny models


@dataclass(frozen=True)
class Modules:
    """Where a family has its output maps and values.

    Attributes:
        output: the output map of a layer, by its number.
        value: the map that makes the values; empty if the weights are hooked.
        first: the column of its output at which the values begin.
        shared: how many heads share values.
        window: how far a query of the layers with these numbers sees; None: all keys.
    """

    output: str
    value: str = ""
    first: int = 0
    shared: int = 1
    window: Callable[[int], int | None] = lambda layer: None


# post-LN, pre-LN, RMSNorm, grouped queries, local layers, bias, shared layers, fused maps; then hooked weights.
FAMILIES = {
    "bert": Modules("encoder.layer.{}.attention.output.dense", "encoder.layer.{}.attention.self.value"),
    "distilbert": Modules("transformer.layer.{}.attention.out_lin", "transformer.layer.{}.attention.v_lin"),
    "albert": Modules(
        "encoder.albert_layer_groups.0.albert_layers.0.attention.dense",
        "encoder.albert_layer_groups.0.albert_layers.0.attention.value",
    ),
    "modernbert": Modules(
        "layers.{}.attn.Wo", "layers.{}.attn.Wqkv", 64, window=lambda layer: 4 if layer % 3 else None
    ),
    "eurobert": Modules("layers.{}.self_attn.o_proj", "layers.{}.self_attn.v_proj", shared=2),
    "t5": Modules("encoder.block.{}.layer.0.SelfAttention.o", "encoder.block.{}.layer.0.SelfAttention.v"),
    "esm": Modules("encoder.layer.{}.attention.output.dense", "encoder.layer.{}.attention.self.value"),
    "mpnet": Modules("encoder.layer.{}.attention.attn.o"),
    "convbert": Modules("encoder.layer.{}.attention.output.dense"),
    "longformer": Modules("encoder.layer.{}.attention.output.dense"),
    "xglm": Modules("layers.{}.self_attn.out_proj"),
}
IN_BLOCKS = [name for name, modules in FAMILIES.items() if modules.value]


def nobody(layer: int, group: int) -> None:
    """Observes nothing."""


def run(encoder: Encoder, texts: Sequence[Tokens], **options: Any) -> list[Tensor]:
    return encoder.observe(texts, nobody, encoder.groups(texts), **options)


def text_for(family: str) -> str:
    return "MKTAYIAKQRQISF" if family == "esm" else TEXT


def named(family: str) -> str:
    """Heads of the family's layer 1; of ALBERT, whose layers share their modules, of all."""
    return {"albert": "*:1,*:3", "convbert": "1:1"}.get(family, "1:1,1:3")


Exact = Callable[[str], AbstractContextManager[Encoder]]


@pytest.fixture
def exact(exact_of: Callable[[str], Encoder]) -> Exact:
    """A family's encoder in float64; a copy, since outlets stay once they are found."""

    @contextmanager
    def enter(family: str) -> Iterator[Encoder]:
        encoder = copy.copy(exact_of(family))  # loaded in float32
        with float64():
            yield encoder

    return enter


def off(encoder: Encoder, heads: str, how: str = "zero", text: str = TEXT) -> Tensor:
    tokens = encoder.tokenize(text)
    with encoder.heads_off(heads, how=how):
        [hidden] = run(encoder, tokens)
    return hidden


def plain_hidden(plain: Plain, model: Any, text: str) -> Tensor:
    with torch.no_grad():
        hidden: Tensor = model(**plain.inputs(plain.encode([text])))[0][0]
    return hidden


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT * float(expected.detach().abs().max()))


@pytest.mark.numeric
@pytest.mark.parametrize("family", FAMILIES)
def test_zero_is_an_output_map_without_the_heads_columns(
    family: str, exact: Exact, plain_of: Callable[[str], Plain]
) -> None:
    plain, text = plain_of(family), text_for(family)
    with exact(family) as encoder:
        found = off(encoder, named(family), text=text)
    model = copy.deepcopy(plain.model)
    weight = model.get_submodule(FAMILIES[family].output.format(1)).weight
    width = encoder.outlets[1].d_v if encoder.outlets else weight.shape[1] // HEADS
    for head in {1, 3} & set(range(encoder.heads)):
        weight.data[:, head * width : (head + 1) * width] = 0
    with float64():
        close(found, plain_hidden(plain, model, text))
        assert not torch.allclose(found, plain_hidden(plain, plain.model, text))


def averages(contexts: Tensor, values: Tensor, seen: list[list[int]]) -> Tensor:
    """The mean over the text's positions, (position, d), one after another."""
    total = torch.zeros_like(contexts[0])
    for context in contexts:
        total = total + context
    return torch.stack([total / len(contexts)] * len(contexts))


def evenly(contexts: Tensor, values: Tensor, seen: list[list[int]]) -> Tensor:
    """The mean of the values that each query sees."""
    found = torch.zeros_like(contexts)
    for query, keys in enumerate(seen):
        for key in keys:
            found[query] = found[query] + values[key] / len(keys)
    return found


@contextmanager
def changed(model: nn.Module, family: str, change: Callable[..., Tensor]) -> Iterator[None]:
    """Gives the output map of layer 1, or of all that share one, other contexts of heads 1 and 3."""
    modules, made = FAMILIES[family], dict[str, Tensor]()

    def keep(module: nn.Module, given: Any, values: Tensor) -> None:
        made["values"] = values[0]

    def replace(module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
        contexts, values = given[0][0].clone(), made["values"]
        d, reach = contexts.shape[1] // HEADS, modules.window(1)
        places = range(len(contexts))
        seen = [[key for key in places if reach is None or abs(query - key) <= reach] for query in places]
        for head in (1, 3):
            own = slice(head * d, (head + 1) * d)
            start = modules.first + head // modules.shared * d
            contexts[:, own] = change(contexts[:, own], values[:, start : start + d], seen)
        return contexts[None]

    handles = [
        model.get_submodule(modules.value.format(1)).register_forward_hook(keep),
        model.get_submodule(modules.output.format(1)).register_forward_pre_hook(replace),
    ]
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.numeric
@pytest.mark.parametrize(("how", "change"), [("mean", averages), ("uniform", evenly)])
@pytest.mark.parametrize("family", IN_BLOCKS)
def test_mean_and_uniform_are_loops_over_the_models_own_modules(
    family: str,
    how: str,
    change: Callable[..., Tensor],
    exact: Exact,
    plain_of: Callable[[str], Plain],
) -> None:
    plain, text = plain_of(family), text_for(family)
    with exact(family) as encoder:
        found = off(encoder, named(family), how, text)
        with changed(plain.model, family, change):
            close(found, plain_hidden(plain, plain.model, text))
        assert not torch.allclose(found, plain_hidden(plain, plain.model, text))


@pytest.mark.numeric
def test_one_switches_off_all_others_of_the_layer(exact: Exact) -> None:
    with exact("bert") as encoder:
        assert torch.equal(off(encoder, "1:0,1:2,2:3", "one"), off(encoder, "1:1,1:3,2:0-2"))


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("family", "how"),
    [("bert", "mean"), ("bert", "uniform"), ("modernbert", "mean"), ("modernbert", "uniform"), ("longformer", "mean")],
)  # Longformer pads texts to its window
def test_padding_and_neighbours_count_for_nothing(family: str, how: str, exact: Exact) -> None:
    with exact(family) as encoder:
        texts = sorted((encoder.tokenize(text)[0] for text in TEXTS), key=len)
        with encoder.heads_off("1:1,2:*", how=how):
            for together, text in zip(run(encoder, texts), texts, strict=True):
                close(together, run(encoder, [text])[0])


# 1 - cos of the mean-pooled vectors, by an ablation of the model's own modules in float64.
KNOWN = {("5:11", "zero"): 0.0380093, ("0:4", "mean"): 0.0143573, ("4:5", "uniform"): 0.0382412}


def test_known_changes_of_the_pooled_vector(minilm: Encoder) -> None:
    tokens = minilm.tokenize(PROBED)
    plain = run(minilm, tokens)[0].double().mean(0)
    for (heads, how), expected in KNOWN.items():
        pooled = off(copy.copy(minilm), heads, how, PROBED).double().mean(0)
        assert 1 - float(torch.cosine_similarity(plain, pooled, 0)) == pytest.approx(expected, rel=1e-4)


# Blocks


@pytest.fixture
def bert(encoder_of: Callable[[str], Encoder]) -> Encoder:
    return copy.copy(encoder_of("bert"))


class GivenUpError(Exception):
    """Ends a block in the middle."""


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_what_a_block_changes_is_restored(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = copy.copy(encoder_of(family))
    tokens = encoder.tokenize(TEXT)
    [plain], more = run(encoder, tokens), "2:0"

    def fail(layer: int, texts: slice, context: Tensor) -> Tensor:
        raise GivenUpError

    with encoder.heads_off("1:*") as switched:
        assert switched is encoder
        [outer] = run(encoder, tokens)
        with pytest.raises(GivenUpError), encoder.heads_off(more):
            run(encoder, tokens, edit=Edit(context=fail))
        assert torch.equal(run(encoder, tokens)[0], outer)
        with encoder.heads_off(more):
            [inner] = run(encoder, tokens)
        assert torch.equal(run(encoder, tokens)[0], outer)
    assert torch.equal(run(encoder, tokens)[0], plain)
    assert torch.equal(off(encoder, f"1:*,{more}"), inner)
    assert not torch.equal(inner, outer)
    assert not torch.equal(outer, plain)
    assert encoder.off is None


def test_inner_block_says_how_a_head_is_off(bert: Encoder) -> None:
    with bert.heads_off("1:0-1"), bert.heads_off("1:1,2:0", how="mean"), bert.heads_off([(2, 0)], how="uniform"):
        assert bert.off_text == "1:0(zero),1:1(mean),2:0(uniform)"
        assert bert.off == Off(frozenset({(1, 0)}), frozenset({(1, 1)}), frozenset({(2, 0)}))


def test_blocks_of_threads_end_in_any_order(bert: Encoder) -> None:
    first, second = bert.heads_off("0:0"), bert.heads_off("1:1")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert bert.off_text == "1:1(zero)"
    second.__exit__(None, None, None)
    assert bert.off is None


def test_threads_and_replicas_made_in_a_block_see_it(bert: Encoder) -> None:
    tokens = bert.tokenize(TEXT)
    with bert.heads_off("1:*,0:2"), ThreadPoolExecutor(2) as pool:
        [inside] = run(bert, tokens)
        found = list(pool.map(lambda _: run(bert, tokens)[0], range(4)))
        replica, long = bert.replica(), bert.for_length(2000)
    assert all(torch.equal(one, inside) for one in found)
    assert (replica.off, long.compiled, long.off) == (replica.off, True, replica.off)
    for other in (replica, long):  # compiled loops round otherwise
        torch.testing.assert_close(run(other, tokens)[0], inside, rtol=1e-4, atol=1e-4)
        assert other.off_text == "0:2,1:*(zero)"
    assert not torch.allclose(run(bert, tokens)[0], inside, atol=1e-2)


@pytest.mark.parametrize("how", ["zero", "mean", "uniform"])
def test_compiled_and_spread_loops_agree(how: str, bert: Encoder) -> None:
    from dataclasses import replace

    tokens = bert.tokenize(TEXT)
    spread = replace(bert, compiled=True, spread=True)
    torch.testing.assert_close(off(spread, "1:1,2:*", how), off(bert, "1:1,2:*", how), rtol=1e-4, atol=1e-4)
    assert torch.equal(run(spread, tokens)[0], run(replace(bert, compiled=True, spread=True), tokens)[0])


def test_rows_asked_for_after_a_block_are_those_of_the_block(bert: Encoder) -> None:
    with bert.heads_off("0:*"):
        inside = attnprobe.corpus_stats(TEXTS, bert, ["entropy"]).to_frame()
        later = attnprobe.corpus_stats(TEXTS, bert, ["entropy"])
        table = attnprobe.head_stats(TEXT, bert, ["entropy"])
    assert later.to_frame().equals(inside)
    assert part_of(table.attrs["signature"], "off") == "0:*(zero)"
    assert not attnprobe.corpus_stats(TEXTS, bert, ["entropy"]).to_frame().equals(inside)


@pytest.mark.numeric
def test_off_after_a_callers_own_edit_and_for_gradients(exact: Exact) -> None:
    """What was made of a head that is off has no gradient; of all others that of the smaller model."""

    def objective(factors: Tensor, gradients: bool = False) -> Tensor:
        edit = Edit(context=lambda layer, texts, context: context * factors[layer, :, None])
        [hidden] = run(encoder, encoder.tokenize(TEXT), edit=edit, gradients=gradients)
        return hidden.mean(0).square().sum()

    with exact("bert") as encoder, encoder.heads_off("1:1,2:0"):
        ones = torch.ones(encoder.layers, HEADS, requires_grad=True)
        [found] = torch.autograd.grad(objective(ones, gradients=True), ones)
        for layer, head in [(0, 3), (1, 0), (2, 1)]:
            moved = torch.zeros(encoder.layers, HEADS)
            moved[layer, head] = 1e-4
            expected = (objective(1 + moved) - objective(1 - moved)) / 2e-4
            torch.testing.assert_close(found[layer, head], expected, rtol=1e-6, atol=1e-9)
    assert (found == 0).nonzero().tolist() == [[1, 1], [2, 0]]


def test_importance_is_that_of_the_heads_that_are_on(bert: Encoder) -> None:
    """Of a head beside those that are off: what switching it off, too, changes."""

    def pooled() -> list[Tensor]:
        return [run(bert, bert.tokenize(text))[0].double().mean(0) for text in TEXTS]

    with bert.heads_off("1:1,2:0"):
        table = attnprobe.importance(TEXTS, bert, method="mean").to_frame().set_index(["layer", "head"])
        plain = pooled()
        for head in [(0, 2), (1, 0), (2, 3)]:
            with bert.heads_off([head], how="mean"):
                changes = [1 - torch.cosine_similarity(*both, 0) for both in zip(plain, pooled(), strict=True)]
            assert table.pooled_change[head] == pytest.approx(float(torch.stack(changes).mean()), rel=1e-3)
    assert table.pooled_change[2, 0] == 0


# What is shown


@pytest.mark.numeric
@pytest.mark.parametrize("family", ["bert", "albert", "mpnet"])
def test_parts_show_a_head_as_it_computes_and_later_layers_without_it(family: str, exact: Exact) -> None:
    def weights() -> list[Tensor]:
        found: list[Tensor] = []
        visit_layers(encoder, tokens, range(encoder.layers), lambda layer: found.append(layer.weights))
        return found

    def observed() -> list[Tensor]:
        found = [torch.empty(0)] * encoder.layers
        encoder.observe([tokens], lambda layer, group: lambda block: found.__setitem__(layer, block.weights[0].clone()))
        return found

    with exact(family) as encoder:
        [tokens] = encoder.tokenize(TEXT)
        plain = weights()
        with encoder.heads_off("0:*,1:2"):
            for layer, (found, shown, before) in enumerate(zip(weights(), observed(), plain, strict=True)):
                close(found, shown)
                assert torch.allclose(found, before) == (layer == 0)
            assert attnprobe.trace(TEXT, encoder, layer=1, head=2, query=3).difference < EXACT


@pytest.mark.numeric
@pytest.mark.parametrize("how", ["zero", "mean", "uniform"])
def test_contributions_are_of_what_is_written(how: str, exact: Exact) -> None:
    """Each layer's starts from the one before, and the last layer's hidden state is the model's."""
    with exact("bert") as encoder, encoder.heads_off("0:1,1:*,2:3", how=how):
        tokens, layers = encoder.tokenize(TEXT), list[Sublayers]()
        visit_sublayers(encoder, tokens[0], range(encoder.layers), layers.append)
        close(layers[-1].made, run(encoder, tokens)[0])
        for layer in layers:
            close(layer.tail(layer.summed), layer.made)
            parts, output = layer.parts, layer.parts.output
            assert output is not None
            heads = (parts.weights @ parts.values @ parts.output_weights).sum(0)
            close(layer.x + heads + output.bias, layer.summed)
            close(layer.x + output.x @ output.weight + output.bias, layer.summed)


def test_signature_names_the_same_heads_alike(bert: Encoder, folder_of: Callable[[str], Path]) -> None:
    texts = set()
    for heads in ("1:1,2:*", " 2:0-3 , -2:1 ", "2:all,1:1,1:1", [(1, 1), (2, -1), (2, 0), (2, 1), (2, 2)]):
        with bert.heads_off(heads):
            texts.add(attnprobe.head_stats(TEXT, bert, ["entropy"]).attrs["signature"])
            assert repr(bert).startswith("<Encoder bert with heads 1:1,2:*(zero) off")
    [signature] = texts
    assert part_of(signature, "off") == "1:1,2:*(zero)"
    assert part_of(attnprobe.head_stats(TEXT, bert).attrs["signature"], "off") == ""
    loaded = load_encoder(folder_of("bert"), off="1:1,2:*")
    assert attnprobe.head_stats(TEXT, loaded, ["entropy"]).attrs["signature"] == signature


# Errors


@pytest.mark.parametrize(
    ("heads", "how", "message"),
    [
        ("3", "zero", "cannot read '3' as heads of a layer"),
        ("1:0,2", "zero", "cannot read '2' in '1:0,2' as heads of a layer"),
        ("", "zero", "cannot read '' as heads of a layer"),
        ("1:", "zero", "cannot read '1:' as heads of a layer"),
        ("1:x", "zero", "cannot read 'x' as numbers in '1:x'"),
        ("2-1:0", "zero", "'2-1' names no number in '2-1:0'"),
        ("3:0", "zero", "no layer 3: the model has 3, numbered 0 to 2"),
        ("0:-5", "zero", "no head -5: the model has 4, numbered 0 to 3"),
        ("0:0", "none", "off_how must be zero or mean or uniform or one; got 'none'"),
        ("0:0,1:*", "one", "one keeps all heads of layer 1"),
        ([], "zero", "no head is named"),
        ([(1, 2, 3)], "zero", r"heads are pairs of a layer and a head; got \(1, 2, 3\)"),
        ([("1", 2)], "zero", "heads are pairs of a layer and a head; got"),
        (3, "zero", "heads are pairs of a layer and a head; got 3"),
    ],
)
def test_what_names_no_head_is_refused(heads: Any, how: str, message: str, bert: Encoder) -> None:
    with pytest.raises(UsageError, match=message), bert.heads_off(heads, how=how):
        pass
    assert bert.off is None


def test_models_whose_heads_cannot_be_changed_are_refused_by_name(folder_of: Callable[[str], Path]) -> None:
    wrong: Mapping[str, tuple[str, str]] = {
        "mpnet": ("uniform", "weights of mpnet cannot be changed: its weights are hooked"),
        "xlnet": ("zero", "heads of xlnet cannot be changed: xlnet has relative position terms"),
    }
    for family, (how, message) in wrong.items():
        with pytest.raises(ModelError, match=message):
            load_encoder(folder_of(family), off="0:0", off_how=how)
    with pytest.raises(UsageError, match="off_how mean switches nothing off without heads"):
        load_encoder(folder_of("bert"), off_how="mean")
