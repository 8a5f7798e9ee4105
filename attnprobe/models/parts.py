"""Separates a layer's attention: each head's q, k and v, the maps that made them, added terms, the output map.

No family is known here by the names of its modules: the module whose output holds the head's q (or k, or v) made it.
Through AttentionInterface q, k and v are the arguments of the attention in blocks. If weights are hooked, q and k are
made by the linear maps whose softmax gives the weights, and v by the one whose weighted sum enters a linear map; if
none do, the model is refused. One forward pass serves all heads of any number of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, permutations, product
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.rounding import rounding, rounding_of_weights, terms
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.heads import HeadParts, LayerParts, OutputMap, check_parts
from attnprobe.models.interface import Call
from attnprobe.models.layouts import Reach
from attnprobe.models.linear import LINEAR, matrix
from attnprobe.models.origins import Vectors, close, few, is_map, mapped, origins, split
from attnprobe.models.recorder import Ran, Record, Recorder, Step, in_float64
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Tokens

KNOWN = "trace knows q·k with position bias, rotary positions, mask, soft cap and sinks"


def visit_layers(encoder: Encoder, tokens: Tokens, layers: Sequence[int], visit: Callable[[LayerParts], None]) -> None:
    """Runs the encoder once on a text and shows the numbers that each layer computes attention from, layer by layer.

    They are compared with the model's: weights with those captured, linear maps with their outputs, and the heads'
    outputs together with that of the output map.

    Args:
        layers: counted from 0.
        visit: called with the layers in ascending order, while the model computes the next one.

    Raises:
        ModelError: the scores have a term that is not separated here, the heads' outputs do not go through a linear
            map, or the numbers do not add up.
    """

    visit_heads(encoder, tokens, layers, lambda parts: visit(_with_output(parts, encoder)))


def visit_heads(encoder: Encoder, tokens: Tokens, layers: Sequence[int], visit: Callable[[LayerParts], None]) -> None:
    """Does as :func:`visit_layers`, also where the heads' outputs go through no linear map: ``output`` is then None."""
    _visit(encoder, tokens, layers, range(encoder.heads), lambda record, parts: visit(parts))


def visit_records(
    encoder: Encoder, tokens: Tokens, layers: Sequence[int], visit: Callable[[Record, LayerParts], None]
) -> None:
    """Does as :func:`visit_layers`, and shows each layer's record too, with the modules that have submodules."""

    def visit_whole(record: Record, parts: LayerParts) -> None:
        visit(record, _with_output(parts, encoder))

    _visit(encoder, tokens, layers, range(encoder.heads), visit_whole, wholes=True)


def layer_parts(encoder: Encoder, tokens: Tokens, layer: int) -> LayerParts:
    """Finds the numbers that one layer computes attention from, see :func:`visit_layers`."""
    found: list[LayerParts] = []
    visit_layers(encoder, tokens, [layer], found.append)
    return found[0]


def head_parts(encoder: Encoder, tokens: Tokens, layer: int, head: int) -> HeadParts:
    """Finds the numbers that one head computes attention from, even if its output goes through no linear map.

    Raises:
        ModelError: as :func:`visit_layers` does.
    """
    found: list[LayerParts] = []
    _visit(encoder, tokens, [layer], [head], lambda record, parts: found.append(parts))
    return found[0].heads[0]


def _with_output(parts: LayerParts, encoder: Encoder) -> LayerParts:
    if parts.output is None:
        _refuse(f"{encoder.kind}: the heads' outputs go through something else before W_O", "")
    return parts


def _visit(
    encoder: Encoder,
    tokens: Tokens,
    layers: Sequence[int],
    heads: Sequence[int],
    visit: Callable[[Record, LayerParts], None],
    *,
    wholes: bool = False,
) -> None:
    """Records the layers in one run, or where heads are off in one for each of their layers, which shows these on."""
    if encoder.family and encoder.family.untraced:
        _refuse(f"{encoder.kind} has {encoder.family.untraced}, which trace does not separate yet")

    def finish(record: Record) -> None:
        visit(record, _separated(record, encoder))

    off = encoder.off or Off()
    for below, some in groupby(sorted(layers), off.below):
        Recorder(replace(encoder, off=below or None), list(some), heads, finish, wholes=wholes).run(tokens)


def _refuse(message: str, hint: str = KNOWN) -> NoReturn:
    raise ModelError(message, hint)


def _separated(record: Record, encoder: Encoder) -> LayerParts:
    """Separates the parts of a recorded layer, and compares them with the model's numbers."""
    tolerance = tolerance_of(record, encoder)
    if record.call:
        heads = _of_call(record.call, record, tolerance)
        output, rows = output_map(record, [head.v for head in heads], tolerance)
    else:
        heads, output, rows = _of_weights(record, encoder, tolerance)
    heads = [replace(head, output_weight=weight) for head, weight in zip(heads, rows, strict=True)] if output else heads
    parts = LayerParts(record.layer, tuple(heads), record.weights, output)
    check_parts(parts, encoder, tolerance, _checked(record))
    return parts


def tolerance_of(record: Record, encoder: Encoder) -> float:
    """Bounds what rounding explains of a sum in a recorded layer, relative to the size of its terms."""
    width = max((step.given.shape[-1] for step in record.steps if isinstance(step.module, LINEAR)), default=0)
    return rounding(encoder.dtype, terms(1, width, record.length))


def _of_call(call: Call, record: Record, tolerance: float) -> list[HeadParts]:
    """Takes the chosen heads from the arguments of the attention in blocks."""
    at_once = call.query.shape[1] // call.key.shape[1]  # query heads that share keys: grouped-query attention
    shared = sorted({head // at_once for head in record.heads})
    queries, keys, values = (
        dict(zip(heads, origins(in_float64(tensor[0, heads]), record.before, tolerance), strict=True))
        for tensor, heads in ((call.query, list(record.heads)), (call.key, shared), (call.value, shared))
    )
    allowed = None if call.allowed is None else call.allowed.cpu().expand(record.length, record.length)
    return [
        HeadParts(
            queries[head],
            keys[head // at_once],
            values[head // at_once],
            call.scale,
            weights,
            call.softcap,
            {} if call.bias is None else {"position_bias": _of_head(call.bias, head, record.length)},
            allowed,
            None if call.sinks is None else float(call.sinks[head]),
        )
        for head, weights in zip(record.heads, record.weights, strict=True)
    ]


def _of_weights(record: Record, encoder: Encoder, tolerance: float) -> tuple[list[HeadParts], OutputMap, list[Tensor]]:
    """Finds the linear maps that give the hooked weights, and the one whose weighted sum goes on.

    They are found by the first head; the weights of the other heads are checked afterwards.

    Raises:
        ModelError: no maps fit, or several, as with a text of one token, whose only weight is 1 whatever its score.
    """
    maps = maps_of(record.before, encoder.heads)
    added = [_added(record, head, encoder) for head in record.heads]
    pairs = []
    for (q_map, k_map), is_scaled in product(permutations(maps, 2), (True, False)):
        d = q_map.made.shape[1] // encoder.heads
        if q_map.made.shape != k_map.made.shape:
            continue
        scale, columns = d**-0.5 if is_scaled else 1.0, _columns(record.heads[:1], d)
        query, key = Vectors(q_map.made[:, columns]), Vectors(k_map.made[:, columns])
        first = HeadParts(query, key, key, scale, record.weights[0], None, *added[0])
        if first.difference() <= rounding_of_weights(encoder.dtype, query.final, key.final, scale):
            pairs.append((q_map, k_map, scale))
    if len(pairs) > 1:
        _refuse(
            f"{encoder.kind}: the weights of this text do not tell which linear maps they come from",
            "try a longer text",
        )
    for (q_map, k_map, scale), v_map in product(pairs, maps):
        values = vectors_of(v_map, record, encoder.heads)
        output, rows = output_map(record, values, tolerance)
        if output:
            queries, keys = (vectors_of(ran, record, encoder.heads) for ran in (q_map, k_map))
            of_heads = zip(queries, keys, values, record.weights, added, strict=True)
            heads = [HeadParts(q, k, v, scale, weights, None, *more) for q, k, v, weights, more in of_heads]
            return heads, output, rows
    _refuse(
        f"{encoder.kind}: no linear maps of the layer give its weights as softmax(q·k) and its output from them",
        KNOWN if encoder.dtype in (torch.float32, torch.float64) else "try --dtype float32",
    )


def maps_of(steps: Sequence[Step], heads: int) -> list[Ran]:
    """Lists the linear maps whose output may be split among the heads."""
    linear = (step for step in steps if isinstance(step.module, LINEAR) and step.made.shape[-1] % heads == 0)
    return [ran for step in linear for ran in step.by_token if is_map(ran)]


def vectors_of(ran: Ran, record: Record, heads: int) -> list[Vectors]:
    """Takes the chosen heads' columns of a linear map's output."""
    d = ran.made.shape[1] // heads
    return mapped(ran, _columns(record.heads, d), d)


def _columns(heads: Sequence[int], d: int) -> slice:
    """Returns the columns of neighbouring heads."""
    return slice(heads[0] * d, (heads[-1] + 1) * d)


def _added(record: Record, head: int, encoder: Encoder) -> tuple[dict[str, Tensor], Tensor | None]:
    """Finds the attention module's arguments over queries and keys: terms of the scores, and the mask."""
    length, added = record.length, {}
    everything = slice(0, length)
    allowed = (encoder.reach[record.layer] or Reach()).mask(everything, everything, torch.device("cpu"))
    shapes = {(1, heads, queries, length) for heads in (1, encoder.heads) for queries in (1, length)}
    for name, value in record.arguments.items():
        if isinstance(value, Tensor) and value.is_floating_point() and tuple(value.shape) in shapes:
            term = _of_head(value, head, length)
            seen = term > torch.finfo(value.dtype).min / 2
            allowed = allowed & seen
            if term[seen].any():
                added[name] = term.masked_fill(~seen, 0)
    return added, None if allowed.all() else allowed


def _of_head(term: Tensor, head: int, length: int) -> Float[Tensor, "query key"]:
    """Takes one head of (1, head or 1, query or 1, key)."""
    return in_float64(term[0, head if term.shape[1] > 1 else 0].expand(length, length))


def _checked(record: Record) -> slice:
    """Returns the queries that are checked: all if weights are hooked, since global tokens have maps of their own."""
    return few(record.length) if record.call else slice(None)


def output_map(
    record: Record, values: Sequence[Vectors], tolerance: float
) -> tuple[OutputMap | None, list[Float[Tensor, "d_v d_out"]]]:
    """Finds the linear map that reads all heads' weights·values, and the rows of each head; None if there is none."""
    d = values[0].final.shape[1]
    columns = _columns(record.heads, d)
    queries = _checked(record)
    contexts = record.weights[:, queries] @ torch.stack([vectors.final for vectors in values])
    for ran in (ran for step in record.steps if isinstance(step.module, LINEAR) for ran in step.by_token):
        reads_heads = is_map(ran) and ran.given.shape[1] >= columns.stop
        if reads_heads and close(contexts, split(ran.given[queries, columns], d), tolerance):
            assert isinstance(ran.module, LINEAR)
            bias = None if ran.module.bias is None else in_float64(ran.module.bias)
            output = OutputMap(ran.given, in_float64(matrix(ran.module)), bias, ran.made, ran.module)
            return output, list(output.weight[columns].view(len(values), d, -1))
    return None, []
