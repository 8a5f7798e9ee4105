"""Decides by a short run at load how a model's weights are captured.

The model's own eager attention is the reference. Attention in blocks through AttentionInterface is used only where it
gives the same weights and the same output on a padded batch and on a single text; hooks on the eager modules otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rounding import rounding, terms
from attnprobe.attention.rows import check_probabilities
from attnprobe.errors import ModelError
from attnprobe.models import hooks
from attnprobe.models.batches import make_batch
from attnprobe.models.config import count
from attnprobe.models.encoding import encode
from attnprobe.models.families import HOOKS, Family
from attnprobe.models.interface import NAME, Listener, each_alone, listening
from attnprobe.models.layouts import Reach
from attnprobe.models.tokenizing import cut
from attnprobe.values.tokens import Role, Tokens

SAMPLE = "A short text , read twice to check that what is measured is what the model does . "
SHORT, LONG, LONGEST = 12, 24, 600


@dataclass(frozen=True)
class Capture:
    """How a model's weights are captured, and what the run at load has shown.

    Attributes:
        layers, heads: how many.
        tap: the outputs where weights are hooked; None: they are captured in blocks.
        tap_reason: why they are not captured in blocks.
        padding_invariant: whether a text's weights are the same in a padded batch.
        reach: by layer, which keys a query may see; None if unknown.
    """

    layers: int
    heads: int
    tap: hooks.Tap | None
    tap_reason: str
    padding_invariant: bool
    reach: tuple[Reach | None, ...]


def choose_capture(model: Any, tokenizer: Any, max_length: int | None, family: Family | None = None) -> Capture:
    """Finds out how to capture a freshly loaded eager model.

    Raises:
        ModelError: the model returns no attention weights, or they are no probabilities over the tokens.
    """
    if getattr(model.config, "_attn_implementation", "eager") != "eager":
        raise ModelError(f"the model runs {model.config._attn_implementation!r} attention although eager was asked for")
    texts = _sample_texts(model, tokenizer, max_length)
    if family and family.layout != "square":
        return _choose_layout(model, tokenizer, texts, family)
    padded, single = _run_eagerly(model, tokenizer, texts), _run_eagerly(model, tokenizer, texts[1:])
    tolerance = _tolerance(model, padded.weights[0], padded.output)
    reach = [_measured_reach(layer) for layer in padded.weights[0]]
    if family and family.through == HOOKS:
        reason = "as the table of families says"
        declared: list[Reach | None] = []
    else:
        reason, declared = _why_not_blocks(model, [padded, single], tolerance)
    tap = None
    if reason:
        if isinstance(model, PreTrainedModel) and model._can_set_attn_implementation():
            model.set_attn_implementation("eager")
        for layer, rows in enumerate(padded.weights[0]):
            check_probabilities(rows, model.dtype, layer)
        if family is None and _may_be_local(model.config):
            reach = [None if layer is None or layer.everything else layer for layer in reach]
        tap = replace(hooks.find_tap(model, padded.inputs, "square"), reach=tuple(reach))
    else:
        reach = [known or measured for known, measured in zip(declared, reach, strict=True)]
    return Capture(
        layers=len(padded.weights[0]),
        heads=padded.weights[0][0].shape[0],
        tap=tap,
        tap_reason=reason,
        padding_invariant=_difference(padded.weights[1], single.weights[0]) <= tolerance,
        reach=tuple(reach),
    )


def _choose_layout(model: Any, tokenizer: Any, texts: Sequence[Tokens], family: Family) -> Capture:
    """Finds out the same for a family with a special layout, whose weights come through hooks."""
    alone, _ = make_batch(texts[:1], model, tokenizer)
    tap = hooks.find_tap(model, alone, family.layout)
    runs = [_run_tapped(model, tokenizer, [text], tap) for text in texts]
    weights = runs[0][0][0]
    invariant = not tap.layout.pools and "attention_mask" in alone
    if invariant:
        padded, output = _run_tapped(model, tokenizer, texts, tap)
        differences = [_difference(single, both) for ([single], _), both in zip(runs, padded, strict=True)]
        invariant = max(differences) <= _tolerance(model, padded[0], output)
    reach = tap.reach or tuple(_measured_reach(layer) for layer in weights)
    return Capture(
        layers=len(weights),
        heads=weights[0].shape[0],
        tap=replace(tap, reach=reach),
        tap_reason=f"{family.layout} layout",
        padding_invariant=invariant,
        reach=reach,
    )


def _sample_texts(model: Any, tokenizer: Any, max_length: int | None) -> list[Tokens]:
    """Makes a longer and a shorter text; the longer one exceeds a local window, so that a lost mask would show."""
    length = min(max(LONG, _widest_window(model.config) + 8), LONGEST, max_length or LONGEST)
    text = SAMPLE * (1 + length // 8)
    whole = encode(tokenizer, [text])
    if not whole.positions(Role.CONTENT):
        raise ModelError("the tokenizer finds no token in a plain text")
    added = len(whole) - len(whole.positions(Role.CONTENT))
    if added >= min(SHORT, length - 1):
        raise ModelError(f"no room for a text: {length} tokens are read at once, {added} are added to any text")
    return [cut(whole, length) if len(whole) > length else whole, cut(whole, min(SHORT, length - 1))]


def _widest_window(config: Any) -> int:
    """Finds the largest local window that the configuration declares, for all layers or layer by layer."""
    try:
        return count(getattr(config, "sliding_window", None)) or 0
    except RuntimeError:  # transformers' way to say that it differs between layers
        return max(count(getattr(layer, "sliding_window", None)) or 0 for layer in config.per_layer_config)


def _may_be_local(config: Any) -> bool:
    """Tests whether a model of unknown type may have local layers wider than the sample text."""
    return any(value and ("window" in name or "local" in name) for name, value in vars(config).items())


@dataclass(frozen=True)
class EagerRun:
    """A batch and the results of the model's eager attention.

    Attributes:
        spans: the valid positions of each text.
        weights: by text and layer, (head, query, key) over the valid positions.
        output: the last hidden states.
    """

    inputs: dict[str, Tensor]
    spans: list[slice]
    weights: list[list[Tensor]]
    output: Tensor


def _run_eagerly(model: Any, tokenizer: Any, texts: Sequence[Tokens]) -> EagerRun:
    inputs, spans = make_batch(texts, model, tokenizer)
    layers, output = hooks.eager_attentions(model, inputs)
    hooks.check_square(layers, inputs["input_ids"].shape)
    weights = [[layer[text, :, span, span] for layer in layers] for text, span in enumerate(spans)]
    return EagerRun(inputs, spans, weights, output)


def _run_tapped(
    model: Any, tokenizer: Any, texts: Sequence[Tokens], tap: hooks.Tap
) -> tuple[list[list[Tensor]], Tensor]:
    """Captures by hooks (head, query, key) by text and layer, and the last hidden states."""
    inputs, spans = make_batch(texts, model, tokenizer)
    parts: list[list[list[Block]]] = [[] for _ in texts]

    def observe(layer: int, text: int) -> Observer:
        parts[text].append([])
        return parts[text][-1].append

    with torch.inference_mode(), hooks.tapped(model, tap, Listener(each_alone(spans), observe), inputs):
        output = model(**inputs, output_attentions=True)[0]
    return [[_joined(layer, index, model.dtype) for index, layer in enumerate(text)] for text in parts], output


def _joined(blocks: Sequence[Block], layer: int, dtype: torch.dtype) -> Tensor:
    """Joins one layer's blocks to (head, query, key)."""
    heads = max(block.heads.stop for block in blocks if block.heads)
    whole = blocks[0].weights.new_zeros(heads, blocks[-1].rows.stop, max(block.keys.stop for block in blocks))
    for block in blocks:
        check_probabilities(block.weights, dtype, layer, complete=block.complete)
        whole[block.heads, block.rows, block.keys] = block.weights[0]
    return whole


def _why_not_blocks(model: Any, runs: Sequence[EagerRun], tolerance: float) -> tuple[str, list[Reach | None]]:
    """Repeats eager runs with attention in blocks, and says what differs; empty if all is equal.

    Returns:
        the reason, and by layer which keys a query may see, as far as the model's masks show it.
    """
    if not model._can_set_attn_implementation():
        return "the model does not use AttentionInterface", []
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        return "the model does not accept another attention function", []
    for run in runs:
        seen = [[torch.zeros_like(layer, dtype=exact(layer.dtype)) for layer in text] for text in run.weights]
        listener = Listener(each_alone(run.spans), partial(_fill, seen, model.dtype), finds_reach=run is runs[-1])
        try:
            with torch.inference_mode(), listening(listener):
                output = model(**run.inputs)[0]
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            return f"attention in blocks fails: {error}", []
        if listener.calls != len(run.weights[0]):
            return f"{listener.calls} attention calls for {len(run.weights[0])} layers", []
        difference = max(_difference(found, eager) for found, eager in zip(seen, run.weights, strict=True))
        if not difference <= tolerance:
            return f"weights computed in blocks differ from the model's own by {difference:.1e}", []
        difference = max(
            _relative_difference(output[text, span], run.output[text, span]) for text, span in enumerate(run.spans)
        )
        if not difference <= tolerance:
            return f"with attention in blocks the model's output differs by {difference:.1e}", []
    return "", listener.reach


def _fill(texts: list[list[Tensor]], dtype: torch.dtype, layer: int, text: int) -> Observer:
    """Makes an observer that writes the blocks into that text's and layer's weights."""

    def keep(block: Block) -> None:
        check_probabilities(block.weights, dtype, layer, complete=block.complete)
        texts[text][layer][block.heads, block.rows, block.keys] = block.weights[0]

    return keep


def _tolerance(model: Any, layers: Sequence[Float[Tensor, "head query key"]], output: Tensor) -> float:
    """Bounds how far rounding may move the weights of the last of these layers.

    Args:
        output: the model's output, whose last axis has the width of hidden states.
    """
    tokens = max(weights.shape[-1] for weights in layers)
    return rounding(model.dtype, terms(len(layers), output.shape[-1], tokens))


def _relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Finds the largest difference between two texts' weights over all layers; infinite if their shapes differ."""
    if [layer.shape for layer in found] != [layer.shape for layer in expected]:
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def _measured_reach(weights: Float[Tensor, "head query key"]) -> Reach | None:
    """Finds the band of keys around queries that get any weight; None if they are no band."""
    seen = (weights > 0).any(0)
    if not seen.any():
        return None
    places = torch.arange(len(seen), device=seen.device)
    offset = places - places[:, None]
    right, left = int(offset[seen].max()), int(-offset[seen].min())
    far = len(seen) - 1
    if not torch.equal(seen, (offset <= right) & (offset >= -left)):
        return Reach() if right == left == far else None
    return Reach(None if left == far else left, None if right == far else right)
