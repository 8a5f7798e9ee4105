"""Finds what surrounds a layer's attention: residual, norms, feed-forward sublayer, the hidden state after the layer.

No family is known here by the names of its modules. Of two tensors whose sum some norm is given, one was made by the
output map, and the other is what the residual adds. The feed-forward sublayer made what is added, after the norm, to
the norm's output (post-LN) or to that sum (pre-LN). What is found is recomputed and compared with the model's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.feed_forward import FeedForward, Inner, apart, name_of
from attnprobe.models.heads import LayerParts
from attnprobe.models.linear import LINEAR, matrix
from attnprobe.models.norms import Norm, norm_of
from attnprobe.models.origins import close, in_float64
from attnprobe.models.parts import visit_records
from attnprobe.models.recorder import Record, Step
from attnprobe.values.tokens import Tokens

__all__ = ["FeedForward", "Inner", "Norm", "Sublayers", "visit_sublayers"]

HINT = "known are layers that add x to the attention's output, then to the feed-forward's, with a norm before or after"


@dataclass(frozen=True)
class Sublayers:
    """One layer's attention and what surrounds it, for one text, in float64.

    Attributes:
        parts: the heads and the output map.
        x: (token, d), what the residual connection adds to the attention's output.
        placement: "post": norm(x + attention), then output_norm(y + feed-forward(y)) of that y;
            "pre": x + attention, then s + feed-forward(feed_forward_norm(s)) of that s.
        norm: post: the norm of x + attention; pre: None.
        feed_forward: the feed-forward sublayer.
        output_norm: post: the norm after the feed-forward sublayer; pre: None.
        made: (token, d), the hidden state after the layer.
        attention_norm: pre: the norm that the attention reads x through; None: it reads x.
        feed_forward_norm: pre: the norm that the feed-forward sublayer reads the sum through; post: None.
    """

    parts: LayerParts
    x: Float[Tensor, "token d"]
    placement: str
    norm: Norm | None
    feed_forward: FeedForward
    output_norm: Norm | None
    made: Float[Tensor, "token d"]
    attention_norm: Norm | None = None
    feed_forward_norm: Norm | None = None

    def tail(self, summed: Float[Tensor, "*token d"]) -> Float[Tensor, "*token d"]:
        """Computes the hidden state after the layer from x + attention, with b_O."""
        if self.feed_forward_norm is not None:
            return summed + self.feed_forward(self.feed_forward_norm(summed))
        assert self.norm is not None
        assert self.output_norm is not None
        y = self.norm(summed)
        return self.output_norm(y + self.feed_forward(y))


def visit_sublayers(
    encoder: Encoder, tokens: Tokens, layers: Sequence[int], visit: Callable[[Sublayers], None]
) -> None:
    """Runs the encoder once on a text and shows each layer's attention and what surrounds it, layer by layer.

    Args:
        layers: counted from 0.
        visit: called with the layers in ascending order, while the model computes the next one.

    Raises:
        ModelError: as :func:`attnprobe.models.parts.visit_layers`, or the layer is built in another way, or its
            numbers do not add up.
    """
    visit_records(encoder, tokens, layers, lambda record, parts: visit(_surrounded(record, parts, encoder)))


@dataclass(frozen=True)
class _Found:
    """A module that ran, with what it was given and made, by token and in float64."""

    place: int
    module: nn.Module
    given: Float[Tensor, "token d_in"]
    made: Float[Tensor, "token d_out"]


def _of_steps(steps: Sequence[Step]) -> Iterator[_Found]:
    for place, step in enumerate(steps):
        for given, made in step.by_token:
            yield _Found(place, step.module, given, made)


def _surrounded(record: Record, parts: LayerParts, encoder: Encoder) -> Sublayers:
    """Finds what surrounds a layer's attention, and compares it with the model's numbers."""
    assert parts.output is not None
    attention = parts.output.made
    widest = max(max(step.made.shape[-1], step.given.shape[-1]) for step in record.after)
    tolerance = rounding(encoder.dtype, terms(1, widest, record.length))
    kind = f"{encoder.kind}, layer {record.layer}"

    def refuse(message: str) -> NoReturn:
        raise ModelError(f"{kind}: {message}", HINT)

    after = [found for found in _of_steps(record.after) if found.given.shape[0] == record.length]
    inputs = _inputs(record, parts, tolerance)
    summed = next(
        (
            (x, reader, found)
            for x, reader in inputs
            for found in after
            if found.given.shape == attention.shape and close(found.given, x + attention, tolerance)
        ),
        None,
    )
    if summed is None:
        refuse("no module is given the sum of the layer's input and the attention's output")
    x, reader, first = summed
    norm = norm_of(first.module, first.given, first.made, encoder.dtype)
    if norm is None:
        refuse(f"{type(first.module).__name__} after the attention is no LayerNorm or RMSNorm")
    later = [found for found in after if found.place > first.place]
    wholes = list(_of_steps(record.wholes))
    for out in [*later, *wholes]:
        if out.made.shape != attention.shape:
            continue
        for follower in later:
            if follower.given.shape == attention.shape and close(follower.given, first.made + out.made, tolerance):
                output_norm = norm_of(follower.module, follower.given, follower.made, encoder.dtype)
                if output_norm is None:
                    refuse(f"{type(follower.module).__name__} after its feed-forward sublayer is no norm")
                feed_forward = _feed_forward(first, out, later, wholes, tolerance) or refuse("no feed-forward")
                found = Sublayers(parts, x, "post", norm, feed_forward, output_norm, follower.made)
                return _checked(found, first.given, tolerance, refuse)
        ends = [
            end
            for end in (*(f.given for f in later if f.place > out.place), *(whole.made for whole in wholes))
            if end.shape == attention.shape and close(end, first.given + out.made, tolerance)
        ]
        if ends:
            feed_forward = _feed_forward(first, out, later, wholes, tolerance) or refuse("no feed-forward")
            before = None if reader is None else norm_of(reader.module, reader.given, reader.made, encoder.dtype)
            found = Sublayers(parts, x, "pre", None, feed_forward, None, ends[0], before, norm)
            return _checked(found, first.given, tolerance, refuse)
    raise ModelError(f"{kind}: no feed-forward sublayer is found whose output is added to its input", HINT)


def _inputs(record: Record, parts: LayerParts, tolerance: float) -> list[tuple[Tensor, _Found | None]]:
    """Lists what the residual may add: what the maps of q, k and v read, or what a norm before them was given."""
    if parts.x is None:
        return []
    readers = [
        found
        for found in _of_steps(record.before)
        if found.made.shape == parts.x.shape == found.given.shape and close(found.made, parts.x, tolerance)
    ]
    return [(parts.x, None), *((found.given, found) for found in reversed(readers))]


def _feed_forward(
    norm: _Found, out: _Found, later: Sequence[_Found], wholes: Sequence[_Found], tolerance: float
) -> FeedForward | None:
    """Finds what makes the sublayer's output of the norm's: two linear maps, or a module of the model."""
    module = next(
        (
            whole.module
            for whole in wholes
            if whole.given.shape == whole.made.shape == norm.made.shape
            and close(whole.given, norm.made, tolerance)
            and close(whole.made, out.made, tolerance)
        ),
        None,
    )
    inner = _inner(norm, out, later, tolerance)
    return FeedForward(module, inner) if module is not None or inner is not None else None


def _inner(norm: _Found, out: _Found, later: Sequence[_Found], tolerance: float) -> Inner | None:
    """Finds two linear maps with a function between them."""
    maps = [found for found in later if isinstance(found.module, LINEAR)]
    for first in maps:
        if first.given.shape != norm.made.shape or not close(first.given, norm.made, tolerance):
            continue
        for last in maps:
            if last.made.shape != out.made.shape or not close(last.made, out.made, tolerance):
                continue
            for between in later:
                if (
                    between.given.shape == first.made.shape == last.given.shape == between.made.shape
                    and close(between.given, first.made, tolerance)
                    and close(between.made, last.given, tolerance)
                ):
                    name = name_of(between.module, between.given, between.made, tolerance)
                    return Inner(*_map(first.module), apart(between.module), name, *_map(last.module))
    return None


def _map(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    assert isinstance(module, LINEAR)
    return in_float64(matrix(module)), None if module.bias is None else in_float64(module.bias)


def _checked(
    found: Sublayers, summed: Float[Tensor, "token d"], tolerance: float, refuse: Callable[[str], NoReturn]
) -> Sublayers:
    """Compares the hidden state after the layer with the model's."""
    difference = (found.tail(summed) - found.made).abs().max()
    if not difference <= 4 * tolerance * found.made.abs().max():
        refuse(f"the hidden state recomputed after the layer differs by {difference:.1e} from the model's")
    return found
