"""What one head's attention is made of: its q, k and v, where they come from, and what is added to its scores.

No family is known here by the names of its modules: the module whose output holds the head's q (or k, or v) made it.
Through AttentionInterface q, k and v are the arguments of our own attention. Where weights are hooked, q and k are
those of the linear maps whose softmax gives the weights, and v is what, summed by them, enters a linear map; where none
do, the model is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from attnprobe.attention.rounding import rounding, rounding_of_weights, terms
from attnprobe.attention.textbook import attention_scores, linear, mask_scores, softmax
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.interface import Call
from attnprobe.models.layouts import Reach
from attnprobe.models.recorder import Recorder, Step
from attnprobe.tokens import Tokens

LINEAR = (nn.Linear, Conv1D)
KNOWN = "trace knows q·k with position bias, rotary positions, mask, soft cap and sinks"
ROTATED = "rotated by its position"


@dataclass(frozen=True)
class Vectors:
    """The q, k or v of one head, by token, in float64.

    Attributes:
        final: (token, d), as they enter the scores, or the weighted sum.
        x: (token, d_in), what the linear map is given; None where the map was not found.
        projected: (token, d), xW + b as the model computed it.
        weight, bias: W (d_in, d) and b (d,), the head's columns of the map; b may be None.
        changes: what is done to ``projected`` on the way to ``final``, in words and in order.
    """

    final: Float[Tensor, "token d"]
    x: Float[Tensor, "token d_in"] | None = None
    projected: Float[Tensor, "token d"] | None = None
    weight: Float[Tensor, "d_in d"] | None = None
    bias: Float[Tensor, " d"] | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadParts:
    """What one head computes its attention from, for one text.

    Attributes:
        scale: the factor of q·k.
        weights: (query, key), as captured.
        softcap: c of c·tanh(score / c); None: there is none.
        terms: what is added to the scaled scores, by name, each (query, key).
        allowed: True where a query may see a key; None: everywhere.
        sink: one more score in every row; None: there is none.
        output_weight: (d_v, d_out), the rows of W_O that read this head; None where they were not found.
    """

    q: Vectors
    k: Vectors
    v: Vectors
    scale: float
    weights: Float[Tensor, "query key"]
    softcap: float | None = None
    terms: Mapping[str, Float[Tensor, "query key"]] = field(default_factory=dict)
    allowed: Bool[Tensor, "query key"] | None = None
    sink: float | None = None
    output_weight: Float[Tensor, "d_v d_out"] | None = None


def head_parts(encoder: Encoder, tokens: Tokens, layer: int, head: int) -> HeadParts:
    """Runs the encoder on a text and keeps what one head of one layer computes its attention from.

    Raises:
        ModelError: the scores have something that is not separated here, named with the model's type; or a linear map
            does not give what the model computed.
    """
    kind = str(encoder.location.config.get("model_type", type(encoder.model).__name__))
    if encoder.family and encoder.family.untraced:
        _refuse(f"{kind} has {encoder.family.untraced}, which trace does not separate yet")
    recorder = Recorder(encoder, tokens, layer, head)
    width = max((step.given.shape[-1] for step in recorder.steps if isinstance(step.module, LINEAR)), default=0)
    tolerance = rounding(encoder.dtype, terms(1, width, len(tokens)))
    if recorder.call:
        parts = _of_call(recorder.call, recorder, tolerance)
    else:
        parts = _of_weights(recorder, encoder, tolerance, kind)
    for name, vectors in {"q": parts.q, "k": parts.k, "v": parts.v}.items():
        _check_map(vectors, name, tolerance)
    return parts


def _refuse(message: str, hint: str = KNOWN) -> NoReturn:
    raise ModelError(message, hint)


def _of_call(call: Call, recorder: Recorder, tolerance: float) -> HeadParts:
    """From the arguments of our own attention."""
    head, length = recorder.head, recorder.length
    shared = head // (call.query.shape[1] // call.key.shape[1])  # grouped-query attention
    final = [_exact(call.query[0, head]), _exact(call.key[0, shared]), _exact(call.value[0, shared])]
    q, k, v = (_origin(vectors, recorder.steps[: recorder.n_before], tolerance) for vectors in final)
    added = {} if call.bias is None else {"position_bias": _of_head(call.bias, head, length)}
    allowed = None if call.allowed is None else call.allowed.cpu().expand(length, length)
    return HeadParts(
        q, k, v, call.scale, recorder.weights, call.softcap, added, allowed,
        None if call.sinks is None else float(call.sinks[head]),
        _output_rows(recorder, v.final, tolerance),
    )  # fmt: skip


def _origin(vectors: Float[Tensor, "token d"], steps: Sequence[Step], tolerance: float) -> Vectors:
    """Which linear map made these vectors, and what was done to them since; by themselves where none did."""
    d = vectors.shape[1]
    for place, step in reversed(list(enumerate(steps))):
        for given, made in step.by_token(len(vectors)):
            for columns in (slice(start, start + d) for start in range(0, made.shape[1] - d + 1, d)):
                changes = _changes(made[:, columns], vectors, tolerance)
                if changes is None:
                    continue
                if isinstance(step.module, LINEAR):
                    return replace(_mapped(step.module, given, made, columns), final=vectors, changes=changes)
                if given.shape != made.shape:
                    continue
                before = _origin(given[:, columns], steps[:place], tolerance)  # a norm
                if before.x is not None:
                    return replace(before, final=vectors, changes=(*before.changes, f"after {step.name}", *changes))
    return Vectors(vectors)


def _mapped(module: nn.Linear | Conv1D, given: Tensor, made: Tensor, columns: slice) -> Vectors:
    bias = None if module.bias is None else _exact(module.bias[columns])
    return Vectors(made[:, columns], given, made[:, columns], _exact(_matrix(module)[:, columns]), bias)


def _matrix(module: nn.Linear | Conv1D) -> Float[Tensor, "d_in d_out"]:
    """The W of a linear map xW + b; GPT-2's maps hold it like that, others transposed."""
    return module.weight if isinstance(module, Conv1D) else module.weight.T


def _changes(
    before: Float[Tensor, "token d"], after: Float[Tensor, "token d"], tolerance: float
) -> tuple[str, ...] | None:
    """What was done to all vectors alike: nothing, a factor, a rotation of pairs of numbers; None: something else."""
    factor = float(after.norm() / before.norm()) if before.any() else 0.0
    scaled = () if abs(factor - 1) < tolerance else (f"times {factor:.4g}",)
    if _close(before * factor, after, tolerance):
        return scaled
    kept = zip(_kept_by_rotation(before * factor), _kept_by_rotation(after), strict=True)
    return (*scaled, ROTATED) if any(_close(ours, theirs, tolerance) for ours, theirs in kept) else None


def _kept_by_rotation(vectors: Float[Tensor, "token d"]) -> Iterator[Float[Tensor, "token kept"]]:
    """What a rotary embedding (Su et al. 2021) leaves as it is, in each of its usual forms.

    It turns pairs of numbers, a half against the other or neighbours, whose lengths stay; in some models only those of
    the first half or quarter of the vector.
    """
    d = vectors.shape[1]
    for turned in (size for size in (d, d // 2, d // 4) if size > 1 and size % 2 == 0):
        first, rest = vectors[:, :turned].contiguous(), vectors[:, turned:]
        yield torch.cat([first.view(-1, 2, turned // 2).norm(dim=1), rest], 1)
        yield torch.cat([first.view(-1, turned // 2, 2).norm(dim=2), rest], 1)


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return bool((ours - theirs).abs().max() <= tolerance * theirs.abs().max())


def _of_weights(recorder: Recorder, encoder: Encoder, tolerance: float, kind: str) -> HeadParts:
    """The linear maps that give the hooked weights, and the one whose weighted sum goes on.

    Raises:
        ModelError: none do, or several, as with a text of one token, whose only weight is 1 whatever its score.
    """
    maps = [each for step in recorder.steps[: recorder.n_before] for each in _of_heads(step, recorder, encoder.heads)]
    added, allowed = _added(recorder, encoder)
    found = []
    for (q, k), is_scaled in product(permutations(maps, 2), (True, False)):
        if q.final.shape != k.final.shape:
            continue
        scale = q.final.shape[1] ** -0.5 if is_scaled else 1.0
        scores = attention_scores(q.final, k.final, scale) + sum(added.values())
        weights = softmax(scores if allowed is None else mask_scores(scores, allowed))
        if (weights - recorder.weights).abs().max() <= rounding_of_weights(encoder.dtype, q.final, k.final, scale):
            found.append((q, k, scale))
    if len(found) > 1:
        _refuse(f"{kind}: the weights of this text do not tell which linear maps they come from", "try a longer text")
    for (q, k, scale), v in product(found, maps):
        rows = _output_rows(recorder, v.final, tolerance)
        if rows is not None:
            return HeadParts(q, k, v, scale, recorder.weights, None, added, allowed, None, rows)
    _refuse(
        f"{kind}: no linear maps of the layer give its weights as softmax(q·k) and its output from them",
        KNOWN if encoder.dtype in (torch.float32, torch.float64) else "try --dtype float32",
    )


def _of_heads(step: Step, recorder: Recorder, heads: int) -> Iterator[Vectors]:
    """The head's columns of what a linear map made for all heads."""
    if isinstance(step.module, LINEAR) and step.made.shape[-1] % heads == 0:
        d = step.made.shape[-1] // heads
        for given, made in step.by_token(recorder.length):
            yield _mapped(step.module, given, made, slice(recorder.head * d, (recorder.head + 1) * d))


def _added(recorder: Recorder, encoder: Encoder) -> tuple[dict[str, Tensor], Tensor | None]:
    """What the attention module was given for every query and key: terms of the scores, and the mask."""
    length, added = recorder.length, {}
    every = slice(0, length)
    allowed = (encoder.reach[recorder.layer] or Reach()).mask(every, every, torch.device("cpu"))
    shapes = {(1, heads, queries, length) for heads in (1, encoder.heads) for queries in (1, length)}
    for name, value in recorder.arguments.items():
        if isinstance(value, Tensor) and value.is_floating_point() and tuple(value.shape) in shapes:
            term = _of_head(value, recorder.head, length)
            seen = term > torch.finfo(value.dtype).min / 2
            allowed = allowed & seen
            if term[seen].any():
                added[name] = term.masked_fill(~seen, 0)
    return added, None if allowed.all() else allowed


def _of_head(term: Tensor, head: int, length: int) -> Float[Tensor, "query key"]:
    """One head's part of (1, head or 1, query or 1, key)."""
    return _exact(term[0, head if term.shape[1] > 1 else 0].expand(length, length))


def _output_rows(recorder: Recorder, values: Tensor, tolerance: float) -> Float[Tensor, "d_v d_out"] | None:
    """The rows of W_O that read the head's output: those of the linear map that is given weights·values."""
    output, d = recorder.weights @ values, values.shape[1]
    columns = slice(recorder.head * d, (recorder.head + 1) * d)
    for step in recorder.steps:
        if isinstance(step.module, LINEAR):
            for given, _ in step.by_token(recorder.length):
                if given.shape[1] >= columns.stop and _close(output, given[:, columns], tolerance):
                    return _exact(_matrix(step.module)[columns])
    return None


def _check_map(vectors: Vectors, name: str, tolerance: float) -> None:
    """Holds xW + b to what the model computed, relative to the sum of what is added up.

    Raises:
        ModelError: they differ.
    """
    if vectors.x is None or vectors.weight is None or vectors.projected is None:
        return
    bias = vectors.bias
    size = linear(vectors.x.abs(), vectors.weight.abs(), None if bias is None else bias.abs())
    difference = (linear(vectors.x, vectors.weight, bias) - vectors.projected).abs()
    if bool((difference > tolerance * size).any()):
        raise ModelError(
            f"{name} differs by {difference.max():.1e} from the layer's input times the weights of its map"
        )


def _exact(tensor: Tensor) -> Tensor:
    return tensor.double().cpu()
