"""The steps of attention, kept for all heads of a text: what a page shows a class, number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from attnprobe.analyses.trace import made_by
from attnprobe.attention.textbook import linear
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.heads import HeadParts, LayerParts
from attnprobe.models.parts import visit_heads
from attnprobe.values.tokens import Tokens

MOST_NUMBERS = 2**24  # of steps in a page: about 40 MB


@dataclass(frozen=True)
class HeadSteps:
    """The numbers that one head computes its attention from, in float32; the names are those of a trace.

    Attributes:
        q, k, v: (token, d), as they enter the scores and the weighted sum.
        x: (token, d_model) the input of the linear map that makes q; None if the map was not found.
        made_by: the steps from a token's vector to q, k and v.
        scale: the factor of q·k.
        softcap: c of c·tanh(score / c); None if scores are not capped.
        sink: one more score in the softmax of each query; None if there is none.
        terms: the terms added to the scaled scores, by name, each (query, key).
        allowed: (query, key) True where a query may see a key; None: everywhere.
        value_output: (key,) ‖v·W_O‖ with the head's rows of W_O; None if W_O was not found.
    """

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    x: np.ndarray | None
    made_by: Mapping[str, tuple[str, ...]]
    scale: float
    softcap: float | None
    sink: float | None
    terms: Mapping[str, np.ndarray]
    allowed: np.ndarray | None
    value_output: np.ndarray | None

    def arrays(self) -> Iterator[np.ndarray]:
        """Yields all that is kept by token."""
        found = (self.q, self.k, self.v, self.x, *self.terms.values(), self.allowed, self.value_output)
        yield from (array for array in found if array is not None)


@dataclass(frozen=True)
class LayerSteps:
    """The steps of a layer.

    Attributes:
        heads: the chosen ones.
        projected: (head, query) ‖z·W_O‖ of all heads of the layer, what each adds to the attention's output; None if
            W_O was not found.
    """

    heads: tuple[HeadSteps, ...]
    projected: np.ndarray | None


@dataclass(frozen=True)
class Steps:
    """The steps of all chosen heads, by layer.

    Attributes:
        n_heads: how many heads a layer has.
        missing: why there are no layers, in a sentence without its full stop; empty if there are.
    """

    layers: tuple[LayerSteps, ...] = ()
    n_heads: int = 0
    missing: str = ""


def keep_steps(encoder: Encoder, tokens: Tokens, layers: Sequence[int], heads: Sequence[int]) -> Steps:
    """Keeps the steps of some heads of a text in one pass of the model, or the reason why there are none.

    They are left out where a trace refuses the model, and where they, or the weights of one layer from which they are
    separated, are more than MOST_NUMBERS.
    """
    found: list[LayerSteps] = []

    def keep(parts: LayerParts) -> None:
        found.append(_of_layer(parts, heads))
        if len(found) == 1:
            _check_count(len(layers) * _count(found[0]))

    try:
        _check_count(encoder.heads * len(tokens) ** 2)
        visit_heads(encoder, tokens, layers, keep)
    except ModelError as error:
        return Steps(missing=str(error))
    return Steps(tuple(found), encoder.heads)


def _count(layer: LayerSteps) -> int:
    """Counts the numbers of a layer; arrays that heads share count once."""
    arrays = {id(array): array.size for head in layer.heads for array in head.arrays()}
    return sum(arrays.values())


def _check_count(count: int) -> None:
    """Checks how many numbers are needed.

    Raises:
        ModelError: there are too many.
    """
    if count > MOST_NUMBERS:
        raise ModelError(
            f"this text needs {count:,} numbers for them, and {MOST_NUMBERS:,} are the most: -l or --max-length makes"
            " them fewer"
        )


def _of_layer(parts: LayerParts, heads: Sequence[int]) -> LayerSteps:
    shared: dict[int, np.ndarray] = {}  # by tensor: what heads share is kept once
    return LayerSteps(tuple(_of_head(parts.heads[head], shared) for head in heads), _projected(parts))


def _projected(parts: LayerParts) -> np.ndarray | None:
    if parts.output is None:
        return None
    lengths = [
        linear(head.weights @ head.v.final, head.output_weight).norm(dim=1)
        for head in parts.heads
        if head.output_weight is not None
    ]
    return np.stack([length.numpy() for length in lengths]).astype(np.float32)


def _of_head(head: HeadParts, shared: dict[int, np.ndarray]) -> HeadSteps:
    def kept(tensor: Tensor) -> np.ndarray:
        return shared.setdefault(id(tensor), tensor.float().contiguous().numpy())

    values, rows = head.v.final, head.output_weight
    return HeadSteps(
        kept(head.q.final),
        kept(head.k.final),
        kept(values),
        None if head.q.x is None else kept(head.q.x),
        {name: made_by(name, getattr(head, name)) for name in "qkv"},
        head.scale,
        head.softcap,
        head.sink,
        {name: kept(term) for name, term in head.terms.items()},
        None if head.allowed is None else kept(head.allowed),
        None if rows is None else linear(values, rows).norm(dim=1).float().numpy(),
    )
