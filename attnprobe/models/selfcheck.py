"""How a model's weights are captured, decided by a short run when it is loaded.

The model's own eager attention is the reference. Attention in blocks through AttentionInterface is used only where it
gives the same weights and the same output on a padded batch and on a single text; hooks on the eager modules otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.errors import ModelError
from attnprobe.metrics.reduce import ROW_SUM_TOLERANCE, check_rows
from attnprobe.models import hooks
from attnprobe.models.batches import make_batch
from attnprobe.models.interface import NAME, Listener, listening
from attnprobe.models.tokenizing import cut, encode
from attnprobe.tokens import Tokens

SAMPLE = "A short text , read twice to check that what is measured is what the model does . "
SHORT, LONG, LONGEST = 12, 24, 600
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 5e-3}


def choose_capture(model: Any, tokenizer: Any, max_length: int | None) -> dict[str, Any]:
    """How to capture a freshly loaded eager model, as the fields of an Encoder.

    Raises:
        ModelError: the model returns no attention weights, or none that are probabilities over its tokens.
    """
    if model.config._attn_implementation != "eager":
        raise ModelError(f"the model runs {model.config._attn_implementation!r} attention although eager was asked for")
    if getattr(model.config, "attention_type", None) == "block_sparse":
        raise ModelError(
            f"{type(model).__name__} computes block-sparse attention, which is not supported yet",
            'with "attention_type": "original_full" in its config.json it computes all of it',
        )
    texts = _sample_texts(model, tokenizer, max_length)
    tolerance = TOLERANCE[model.dtype]
    padded, single = _run_eagerly(model, tokenizer, texts), _run_eagerly(model, tokenizer, texts[1:])
    reason = _why_not_blocks(model, [padded, single], tolerance)
    tap = None
    if reason:
        if model._can_set_attn_implementation():
            model.set_attn_implementation("eager")
        tap = hooks.find_tap(model, padded.inputs, global_layers=not _has_local_layers(model.config, padded.weights[0]))
    return {
        "layers": len(padded.weights[0]),
        "heads": padded.weights[0][0].shape[0],
        "tap": tap,
        "tap_reason": reason,
        "padding_invariant": _difference(padded.weights[1], single.weights[0]) <= tolerance,
    }


def _sample_texts(model: Any, tokenizer: Any, max_length: int | None) -> list[Tokens]:
    """A longer and a shorter text; the longer one exceeds a local window, so that a lost window mask would show."""
    window = getattr(model.config, "sliding_window", None) or 0
    length = min(max(LONG, window + 8), LONGEST, max_length or LONGEST)
    text = SAMPLE * (1 + length // 8)
    whole = encode(tokenizer, [text])
    return [cut(whole, length) if len(whole) > length else whole, cut(whole, min(SHORT, length - 1))]


@dataclass(frozen=True)
class EagerRun:
    """A batch and what the model's own eager attention makes of it.

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
    layers, output = hooks.eager_weights(model, inputs)
    weights = [[layer[text, :, span, span] for layer in layers] for text, span in enumerate(spans)]
    for text in weights:
        for layer, rows in enumerate(text):
            check_rows(rows, ROW_SUM_TOLERANCE[model.dtype], layer)
    return EagerRun(inputs, spans, weights, output)


def _why_not_blocks(model: Any, runs: Sequence[EagerRun], tolerance: float) -> str:
    """Repeats eager runs with attention in blocks; says what is wrong with that, or nothing if all is equal."""
    if not model._can_set_attn_implementation():
        return "the model does not use AttentionInterface"
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        return "the model does not accept another attention function"
    for run in runs:
        seen = [[torch.zeros_like(layer, dtype=exact(layer.dtype)) for layer in text] for text in run.weights]
        listener = Listener(run.spans, partial(_fill, seen))
        try:
            with torch.inference_mode(), listening(listener):
                output = model(**run.inputs)[0]
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            return f"attention in blocks fails: {error}"
        if listener.calls != len(run.weights[0]):
            return f"{listener.calls} attention calls for {len(run.weights[0])} layers"
        difference = max(_difference(ours, theirs) for ours, theirs in zip(seen, run.weights, strict=True))
        if not difference <= tolerance:
            return f"weights computed in blocks differ from the model's own by {difference:.1e}"
        difference = max(
            _relative_difference(output[text, span], run.output[text, span]) for text, span in enumerate(run.spans)
        )
        if not difference <= 10 * tolerance:
            return f"with attention in blocks the model's output differs by {difference:.1e}"
    return ""


def _fill(texts: list[list[Tensor]], layer: int, text: int) -> Observer:
    """An observer that writes the blocks into that text's and layer's weights."""

    def keep(block: Block) -> None:
        texts[text][layer][:, block.rows, block.keys] = block.weights

    return keep


def _relative_difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference between two texts' weights over all layers; infinite where their shapes differ."""
    if [layer.shape for layer in ours] != [layer.shape for layer in theirs]:
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


def _has_local_layers(config: Any, weights: Sequence[Tensor]) -> bool:
    """Whether some query may not see some key: by the config, or because every head of a layer gives it exactly 0."""
    declared = any("full" not in kind for kind in getattr(config, "layer_types", None) or ())
    return declared or any(bool((layer == 0).all(0).any()) for layer in weights)
