"""Finds what surrounds a layer's attention: residual, norms, feed-forward sublayer, the hidden state after the layer.

No family is known here by the names of its modules. Some norm is given the sum of the output map's output and of what
the residual adds. The feed-forward sublayer made what is then added to the norm's output (post-LN), or to that sum
(pre-LN). What is found is compared with the model's numbers; a layer built in another way is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.feed_forward import FeedForward, Inner, feed_forward_of, same
from attnprobe.models.heads import LayerParts
from attnprobe.models.norms import Norm, norm_of
from attnprobe.models.origins import sample
from attnprobe.models.parts import visit_records
from attnprobe.models.recorder import Ran, Record, in_float64
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Tokens

__all__ = ["FeedForward", "Inner", "Norm", "Sublayers", "visit_sublayers"]

HINT = "known are layers that add x to attention, then to a feed-forward sublayer, with one norm before or after each"


@dataclass(frozen=True)
class Sublayers:
    """One layer's attention and what surrounds it, for one text, in float64.

    Attributes:
        parts: the heads and the output map.
        x: (token, d), what the residual connection adds to the attention's output.
        placement: "post": y = norm(x + attention), then output_norm(y + feed_forward(y));
            "pre": s = x + attention, then s + feed_forward(feed_forward_norm(s)).
        norm: post: the norm of x + attention; pre: None.
        feed_forward: the feed-forward sublayer.
        output_norm: post: the norm after the feed-forward sublayer; pre: None.
        summed: (token, d), x + attention with b_O, as the model computed it.
        last_sum: (token, d), the sum that ends the layer: what ``output_norm`` is given; pre: the hidden state.
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
    summed: Float[Tensor, "token d"]
    last_sum: Float[Tensor, "token d"]
    made: Float[Tensor, "token d"]
    attention_norm: Norm | None = None
    feed_forward_norm: Norm | None = None

    def with_heads_off(self, off: Off) -> Sublayers:
        """Computes the layer without heads that were on when it was found."""
        parts = self.parts.with_heads_off(off)
        assert self.parts.output is not None
        assert parts.output is not None
        summed = self.summed + parts.output.made - self.parts.output.made
        made = last_sum = self.tail(summed)
        if self.norm is not None:
            y = self.norm(summed)
            last_sum = y + self.feed_forward(y)
        return replace(self, parts=parts, summed=summed, last_sum=last_sum, made=made)

    def tail(self, summed: Float[Tensor, "*batch token d"]) -> Float[Tensor, "*batch token d"]:
        """Computes the hidden state after the layer from x + attention with b_O."""
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
        ModelError: as :func:`attnprobe.models.parts.visit_layers`, or a layer is built in another way.
    """
    before: dict[int, Tensor] = {}
    off = encoder.off or Off()

    def visit_found(record: Record, parts: LayerParts) -> None:
        search = _Search(record, parts, encoder)
        found = search.found()
        search.check_start(found.x, before.pop(record.layer - 1, found.x))
        found = found.with_heads_off(off) if record.layer in off.layers else found
        before[record.layer] = found.made
        visit(found)

    visit_records(encoder, tokens, layers, visit_found)


class _Search:
    """Searches one layer's record. Tensors are compared by token, in the dtype and on the device of the model.

    Args:
        parts: the layer's attention.
    """

    def __init__(self, record: Record, parts: LayerParts, encoder: Encoder) -> None:
        assert parts.output is not None
        self.layer, self.parts, self.encoder = record.layer, parts, encoder
        widest = max(max(step.made.shape[-1], step.given.shape[-1]) for step in record.after)
        self.tolerance = rounding(encoder.dtype, terms(1, widest, record.length))
        self.before, self.after, self.wholes = (
            [ran for step in steps for ran in step.as_computed]
            for steps in (record.before, record.after, record.wholes)
        )
        self.attention = parts.output.made.to(record.after[0].made)

    def found(self) -> Sublayers:
        """Finds what surrounds the attention.

        Raises:
            ModelError: the layer is built in another way.
        """
        for x, reader in self._inputs():
            for place, normed in enumerate(self.after):
                if self._same(normed.given, x + self.attention):
                    later = self.after[place + 1 :]
                    found = None if reader else self._post(x, normed, later)
                    found = found or self._pre(x, reader, normed, later)
                    if found is None:
                        raise self._error("no feed-forward sublayer is found whose output is added to its input")
                    return found
        raise self._error(self._what_else())

    def check_start(self, x: Tensor, before: Tensor) -> None:
        """Checks that the layer starts from the hidden state after the one before.

        Raises:
            ModelError: it does not.
        """
        if not self._same(x, before):
            raise self._error("it does not start from the hidden state after the layer before")

    def _inputs(self) -> list[tuple[Tensor, Ran | None]]:
        """Lists what the residual may add: what v is made of, or what a norm before was given, with that norm."""
        if self.parts.x is None:
            return []
        read = self.parts.x.to(self.attention)
        readers = [ran for ran in self.before if ran.given.shape == read.shape and self._same(ran.made, read)]
        return [(read, None), *((ran.given, ran) for ran in reversed(readers))]

    def _post(self, x: Tensor, normed: Ran, later: Sequence[Ran]) -> Sublayers | None:
        """Finds a feed-forward sublayer whose output is added to what the norm made, and the norm of that sum."""
        for made, place in self._sums(normed.made, later, [ran.given for ran in later]):
            last = later[place]
            self._check_end(last.made, later[place + 1 :])
            norm, output_norm = self._norm(normed), self._norm(last)
            feed_forward = self._feed_forward(normed, made, later)
            x, summed, last_sum, made = map(in_float64, (x, normed.given, last.given, last.made))
            return Sublayers(self.parts, x, "post", norm, feed_forward, output_norm, summed, last_sum, made)
        return None

    def _pre(self, x: Tensor, reader: Ran | None, normed: Ran, later: Sequence[Ran]) -> Sublayers | None:
        """Finds a feed-forward sublayer that reads the sum through a norm, and whose output is added to that sum."""
        ends = self._ends(later)
        for made, place in self._sums(normed.given, later, ends):
            self._check_end(ends[place], later[place:])
            norm, feed_forward = self._norm(normed), self._feed_forward(normed, made, later)
            x, summed, end = map(in_float64, (x, normed.given, ends[place]))
            attention_norm = self._norm(reader) if reader else None
            return Sublayers(self.parts, x, "pre", None, feed_forward, None, summed, end, end, attention_norm, norm)
        return None

    def _sums(self, base: Tensor, later: Sequence[Ran], ends: Sequence[Tensor]) -> Iterator[tuple[Tensor, int]]:
        """Yields what some module made that gives one of the ends when it is added to the base, and the end's place."""
        made = [ran.made for ran in (*later, *self.wholes) if ran.made.shape == base.shape]
        places = [place for place, end in enumerate(ends) if end.shape == base.shape]
        if not made or not places:
            return
        few_sums = sample(base) + torch.stack([sample(some) for some in made])
        few_ends = torch.stack([sample(ends[place]) for place in places])
        apart = (few_sums[:, None] - few_ends).abs().amax((2, 3))
        for of_made, of_end in (apart <= self.tolerance * few_ends.abs().amax((1, 2))).nonzero().tolist():
            if self._same(ends[places[of_end]], base + made[of_made]):
                yield made[of_made], places[of_end]

    def _check_end(self, made: Tensor, later: Sequence[Ran]) -> None:
        """Checks that nothing is added to the hidden state after the layer, as adapters do, before it is read.

        Raises:
            ModelError: something is.
        """
        known, ends = [made], [ran.made for ran in self.wholes]
        for ran in later:
            if ran.given.shape == made.shape and not any(self._same(ran.given, some) for some in known):
                ends.append(ran.given)
                break  # what follows may be another attention's
            known.append(ran.made)
        others = [end for end in ends if not self._same(end, made)]
        if next(self._sums(made, later, others), None):
            raise self._error("more is added after its feed-forward sublayer, as by adapters")

    def _ends(self, later: Sequence[Ran]) -> list[Tensor]:
        """Lists what modules were given, and what those with submodules made."""
        return [*(ran.given for ran in later), *(ran.made for ran in self.wholes)]

    def _norm(self, ran: Ran) -> Norm:
        found = norm_of(ran, self.encoder.dtype)
        if found is None:
            raise self._error(f"{type(ran.module).__name__} is no LayerNorm or RMSNorm of these numbers")
        return found

    def _feed_forward(self, normed: Ran, made: Tensor, later: Sequence[Ran]) -> FeedForward:
        found = feed_forward_of(normed.made, made, later, self.wholes, self.tolerance)
        if found is None:
            raise self._error("its feed-forward sublayer is no module that reads hidden states alone")
        return found

    def _what_else(self) -> str:
        """Says how the layer is built where no module is given the sum of its input and the attention's output."""
        if any(self._same(ran.given, self.attention) and norm_of(ran, self.encoder.dtype) for ran in self.after):
            return "a norm of the attention's output comes before the residual"
        ends = [end for end in self._ends(self.after) if end.shape == self.attention.shape]
        for x, _ in self._inputs():
            if next(self._sums(x + self.attention, self.after, ends), None):
                return "its feed-forward sublayer stands beside the attention, not after it"
            for end in ends:
                factor = float(((end - x) * self.attention).sum() / self.attention.square().sum())
                if abs(factor) > self.tolerance and self._same(end, x + factor * self.attention):
                    return f"the attention's output is multiplied by {factor:.4g} before the residual"
        made = [ran.made for ran in self.before]
        if any(self._same(end - self.attention, other) for end in ends for other in made):
            return "the residual adds another input than the one that v is made of"
        return "no module is given the sum of what the attention reads and of its output"

    def _same(self, found: Tensor, expected: Tensor) -> bool:
        return same(found, expected, self.tolerance)

    def _error(self, message: str) -> ModelError:
        return ModelError(f"{self.encoder.kind}, layer {self.layer}: {message}", HINT)
