"""Runs the model once, and measures weights while they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from attnprobe.attention.blocks import Observer
from attnprobe.measure.kinds import Found, Measurement
from attnprobe.models.batches import neighbours
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Tokens


def measure(texts: Sequence[Tokens], encoder: Encoder, measurement: Measurement) -> Found:
    """Runs one batch of texts and measures their weights while the model computes them.

    Where no layer's weights are measured the model is not run: the listeners run it themselves, when they finish.

    Returns:
        the result of each text, in the order of ``texts``, and of all together.
    """
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    by_length = [texts[index] for index in order]
    groups = _groups(by_length, encoder, measurement)
    listeners = [measurement.begin(by_length[group], encoder) for group in groups]

    def observe(layer: int, group: int) -> Observer | None:
        return listeners[group].start_layer(layer) if layer in measurement.layers else None

    if not any(getattr(listener, "reads_values", True) for listener in listeners):
        encoder = replace(encoder, sources=())
    if measurement.layers:
        encoder.observe(by_length, observe, groups, [listener.starts for listener in listeners])
    found = [listener.finish() for listener in listeners]
    by_index = dict(zip(order, (result for group in found for result in group.texts), strict=True))
    return Found([by_index[index] for index in range(len(texts))], added(group.together for group in found))


def _groups(texts: Sequence[Tokens], encoder: Encoder, measurement: Measurement) -> list[slice]:
    """Groups neighbouring texts that a listener gets together: of one length, of hooked weights each alone."""
    if measurement.alone:
        return [slice(index, index + 1) for index in range(len(texts))]
    return encoder.groups(texts) if measurement.layers else neighbours(texts)


def added(partial: Any) -> Any:
    """Adds up partial results; None stands for nothing."""
    known = [result for result in partial if result is not None]
    return reduce(add, known) if known else None
