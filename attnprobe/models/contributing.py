"""Finds what contributions of keys take: each layer's values and its output map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import nn

from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.heads import check_output
from attnprobe.models.origins import Vectors
from attnprobe.models.parts import maps_of, output_map, tolerance_of, vectors_of
from attnprobe.models.recorder import Record, Recorder, in_float64
from attnprobe.models.selfcheck import SAMPLE
from attnprobe.models.sources import Source

_found: WeakKeyDictionary[nn.Module, tuple[Source, ...]] = WeakKeyDictionary()


def contributing(encoder: Encoder) -> Encoder:
    """Adds to an encoder where its values are and which maps read them.

    A short run finds them, once for each model, and checks that what all keys contribute is the output of these maps.

    Raises:
        ModelError: they are not found, so that contributions of keys cannot be measured.
    """
    if encoder.model not in _found:
        try:
            _found[encoder.model] = tuple(_sources(encoder))
        except ModelError as error:
            raise ModelError(f"contributions of {encoder.kind} cannot be measured: {error}", error.hint) from error
    return replace(encoder, sources=_found[encoder.model])


def _sources(encoder: Encoder) -> list[Source]:
    names = {id(module): name for name, module in encoder.model.named_modules()}
    found: list[Source] = []

    def keep(record: Record) -> None:
        tolerance = tolerance_of(record, encoder)
        for source, vectors in _values(record, encoder, names):
            output, rows = output_map(record, vectors, tolerance)
            if output:
                values = torch.stack([of_head.final for of_head in vectors])
                check_output(record.layer, record.weights, values, torch.stack(rows), output, tolerance)
                found.append(replace(source, output=names[id(output.module)]))
                return
        raise ModelError(
            f"no values of layer {record.layer} go straight into a linear map, weighted by its attention",
            "without --of norms, attention itself is measured",
        )

    recorder = Recorder(replace(encoder, off=None), range(encoder.layers), range(encoder.heads), keep)
    recorder.run(encoder.tokenize(SAMPLE)[0])
    return found


def _values(record: Record, encoder: Encoder, names: dict[int, str]) -> Iterator[tuple[Source, list[Vectors]]]:
    """Yields each head's values: those that the attention was given; or if weights are hooked, what may be them."""
    if record.call:
        value = record.call.value[0]
        shared = encoder.heads // len(value)
        vectors = [Vectors(in_float64(value[head // shared])) for head in record.heads]
        yield Source("", value.shape[-1]), vectors
        return
    for step in reversed(record.before):
        if step.made.ndim == 3:
            axis = max((0, 1), key=lambda axis: step.made.shape[axis])
            for ran in maps_of([step], encoder.heads):
                vectors = vectors_of(ran, record, encoder.heads)
                yield Source("", vectors[0].final.shape[1], names[id(step.module)], axis), vectors
