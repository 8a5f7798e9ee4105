"""How a model's weights are captured, decided by a short run when it is loaded.

The model's own eager attention is the reference. Attention in blocks through AttentionInterface is used only where it
gives the same weights and the same output on a padded batch and on a single text; hooks on the eager modules otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer
from attnprobe.errors import ModelError
from attnprobe.metrics.reduce import ROW_SUM_TOLERANCE, check_rows
from attnprobe.models import hooks
from attnprobe.models.batches import make_batch
from attnprobe.models.interface import NAME, Listener, listening
from attnprobe.models.tokenizing import cut, encode
from attnprobe.tokens import Tokens

SAMPLE = "A short text , read twice to check that what is measured is what the model does . "
SHORT, LONG, LONGEST = 12, 24, 600
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 5e-3}


def choose_capture(model: Any, tokenizer: Any, max_length: int | None) -> dict[str, Any]:
    """How to capture a freshly loaded eager model, as the fields of an Encoder.

    Raises:
        ModelError: the model returns no attention weights, or none that are probabilities over its tokens.
    """
    if model.config._attn_implementation != "eager":
        raise ModelError(f"the model runs {model.config._attn_implementation!r} attention although eager was asked for")
    texts = _sample_texts(model, tokenizer, max_length)
    tolerance = TOLERANCE[model.dtype]
    padded, spans = make_batch(texts, model, tokenizer)
    single, _ = make_batch(texts[1:], model, tokenizer)
    weights, alone = hooks.eager_weights(model, padded), hooks.eager_weights(model, single)
    expected = [[layer[text, :, span, span] for layer in weights] for text, span in enumerate(spans)]
    for text in expected:
        for layer, rows in enumerate(text):
            check_rows(rows, ROW_SUM_TOLERANCE[model.dtype], layer)
    short = [layer[0] for layer in alone]
    reason = _why_not_blocks(model, [(padded, spans, expected), (single, [slice(0, len(texts[1]))], [short])], tolerance)
    tap = None
    if reason:
        if model._can_set_attn_implementation():
            model.set_attn_implementation("eager")
        local = _declares_local_layers(model.config) or any(bool((rows == 0).any()) for rows in expected[0])
        tap = hooks.find_tap(model, padded, global_layers=not local)
    return {
        "layers": len(weights),
        "heads": weights[0].shape[1],
        "tap": tap,
        "tap_reason": reason,
        "padding_invariant": _difference(expected[1], short) <= tolerance,
    }


def _sample_texts(model: Any, tokenizer: Any, max_length: int | None) -> list[Tokens]:
    """A longer and a shorter text; the longer one exceeds a local window, so that a lost window mask would show."""
    window = getattr(model.config, "sliding_window", None) or 0
    length = min(max(LONG, window + 8), LONGEST, max_length or LONGEST)
    text = SAMPLE * (1 + length // 8)
    whole = encode(tokenizer, [text])
    return [cut(whole, length) if len(whole) > length else whole, cut(whole, min(SHORT, length - 1))]


Run = tuple[dict[str, Tensor], list[slice], list[list[Tensor]]]  # inputs, valid spans, eager weights by text and layer


def _why_not_blocks(model: Any, runs: Sequence[Run], tolerance: float) -> str:
    """Repeats eager runs with attention in blocks; says what is wrong with that, or nothing if all is equal."""
    if not model._can_set_attn_implementation():
        return "the model does not use AttentionInterface"
    outputs = [_run(model, inputs) for inputs, _, _ in runs]
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        return "the model does not accept another attention function"
    for (inputs, spans, expected), eager in zip(runs, outputs, strict=True):
        seen = [[torch.zeros_like(layer, dtype=torch.promote_types(layer.dtype, torch.float32)) for layer in text] for text in expected]
        listener = Listener(spans, lambda layer, text, seen=seen: _fill(seen[text][layer]))
        try:
            with listening(listener):
                output = _run(model, inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            return f"attention in blocks fails: {error}"
        if listener.calls != len(expected[0]):
            return f"{listener.calls} attention calls for {len(expected[0])} layers"
        error = max(_difference(ours, theirs) for ours, theirs in zip(seen, expected, strict=True))
        if not error <= tolerance:
            return f"weights computed in blocks differ from the model's own by {error:.1e}"
        error = max(_relative_difference(output[text, span], eager[text, span]) for text, span in enumerate(spans))
        if not error <= 10 * tolerance:
            return f"with attention in blocks the model's output differs by {error:.1e}"
    return ""


def _fill(weights: Tensor) -> Observer:
    def keep(block: Block) -> None:
        weights[:, block.rows, block.keys] = block.weights

    return keep


def _run(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        output: Tensor = model(**inputs)[0]
    return output


def _relative_difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference between two texts' weights over all layers; infinite where their shapes differ."""
    if [layer.shape for layer in ours] != [layer.shape for layer in theirs]:
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


def _declares_local_layers(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None) or ()
    return any("sliding" in kind or "chunked" in kind for kind in kinds)
