"""A layer's feed-forward sublayer in float64: any vectors in, the sublayer's output without residual and norm."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from attnprobe.attention.textbook import linear
from attnprobe.models.linear import LINEAR, matrix
from attnprobe.models.origins import close, is_map, sample
from attnprobe.models.recorder import Ran, first_of, in_float64

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": nn.functional.gelu,
    "relu": nn.functional.relu,
    "gelu_tanh": lambda z: nn.functional.gelu(z, approximate="tanh"),
    "silu": nn.functional.silu,
    "quick_gelu": lambda z: z * torch.sigmoid(1.702 * z),
    "relu2": lambda z: nn.functional.relu(z).square(),
    "tanh": torch.tanh,
}
CROWD = 256  # equal tokens, all for one expert


@dataclass(frozen=True)
class Inner:
    """A feed-forward sublayer of two linear maps with a function of each number between them.

    Attributes:
        first, last: the maps' modules of the model.
        activation: the function.
        name: its name in ``FUNCTIONS``; of another, that of the model's class.
    """

    first: nn.Linear | Conv1D
    activation: Callable[[Tensor], Tensor]
    name: str
    last: nn.Linear | Conv1D

    @cached_property
    def weight_in(self) -> Float[Tensor, "d d_ff"]:
        """W of the first map."""
        return in_float64(matrix(self.first))

    @cached_property
    def bias_in(self) -> Float[Tensor, " d_ff"] | None:
        """The bias of the first map; None if there is none."""
        return None if self.first.bias is None else in_float64(self.first.bias)

    @cached_property
    def weight_out(self) -> Float[Tensor, "d_ff d"]:
        """W of the last map."""
        return in_float64(matrix(self.last))

    @cached_property
    def bias_out(self) -> Float[Tensor, " d"] | None:
        """The bias of the last map; None if there is none."""
        return None if self.last.bias is None else in_float64(self.last.bias)

    def __call__(self, vectors: Float[Tensor, "*batch token d"]) -> Float[Tensor, "*batch token d"]:
        """Computes the sublayer's output."""
        inside = self.activation(linear(vectors, self.weight_in, self.bias_in))
        return linear(inside, self.weight_out, self.bias_out)


@dataclass(frozen=True)
class FeedForward:
    """A feed-forward sublayer: its own map, in float64, without residual and norm.

    Attributes:
        inner: the two linear maps and the function between them; None if it is gated, or has experts.
        module: the model's module that computes it where there is no ``inner``.
    """

    inner: Inner | None = None
    module: nn.Module | None = None

    def __call__(self, vectors: Float[Tensor, "*batch token d"]) -> Float[Tensor, "*batch token d"]:
        """Computes the sublayer's output."""
        if self.inner is not None:
            return self.inner(vectors)
        assert self.module is not None
        return _run(self._doubled, vectors)

    @cached_property
    def _doubled(self) -> nn.Module:
        assert self.module is not None
        return _without_hooks(copy.deepcopy(self.module)).double().cpu()


def feed_forward_of(
    given: Float[Tensor, "token d"],
    made: Float[Tensor, "token d"],
    leaves: Sequence[Ran],
    wholes: Sequence[Ran],
    tolerance: float,
) -> FeedForward | None:
    """Finds what made the sublayer's output of its input: two linear maps, or a module; None if nothing did.

    Args:
        leaves, wholes: the modules that ran meanwhile, without submodules and with them.
    """
    for inner in _inners(given, made, leaves, tolerance):
        return FeedForward(inner)
    for ran in wholes:
        if (
            same(ran.given, given, tolerance)
            and same(ran.made, made, tolerance)
            and _reads_one(ran.module)
            and _treats_tokens_alike(_shared(ran.module), sample(given), sample(made), tolerance)
        ):
            return FeedForward(module=ran.module)
    return None


def same(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Tests whether two tensors have one shape and, but for rounding, the same numbers."""
    if found.shape != expected.shape or not close(sample(found), sample(expected), tolerance):
        return False
    return close(found, expected, tolerance)


def _inners(given: Tensor, made: Tensor, leaves: Sequence[Ran], tolerance: float) -> Iterator[Inner]:
    """Yields pairs of linear maps with a function between them that make the one of the other."""
    maps = [ran for ran in leaves if is_map(ran)]
    for last in (ran for ran in maps if same(ran.made, made, tolerance) and _holds(ran, tolerance)):
        for first in (ran for ran in maps if same(ran.given, given, tolerance) and _holds(ran, tolerance)):
            if first.made.shape == last.given.shape:
                for name, function in functions_between(first.made, last.given, leaves, tolerance):
                    yield Inner(first.module, function, name, last.module)


def _holds(ran: Ran, tolerance: float) -> bool:
    """Recomputes a linear map for a few tokens."""
    module = ran.module
    assert isinstance(module, LINEAR)
    return close(linear(sample(ran.given), matrix(module), module.bias), sample(ran.made), tolerance)


def functions_between(
    given: Tensor, made: Tensor, leaves: Sequence[Ran], tolerance: float
) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """Yields what makes the one of the other, number by number: a known function, or a module of the model."""
    few, made_of_few = sample(given), sample(made)
    errors = {name: float((function(few) - made_of_few).abs().max()) for name, function in FUNCTIONS.items()}
    name = min(errors, key=errors.__getitem__)  # GELU and its approximation differ by less than a wide layer's rounding
    if same(FUNCTIONS[name](given), made, tolerance):
        yield name, FUNCTIONS[name]
    for ran in leaves:
        if _has_no_numbers(ran.module) and same(ran.given, given, tolerance) and same(ran.made, made, tolerance):
            yield type(ran.module).__name__, _shared(ran.module)


def _reads_one(module: nn.Module) -> bool:
    """Tests whether a module can be called with hidden states alone."""
    try:
        inspect.signature(module.forward).bind(None)
    except TypeError:
        return False
    return True


def _has_no_numbers(module: nn.Module) -> bool:
    return next(module.parameters(), None) is None


def _treats_tokens_alike(module: nn.Module, given: Tensor, made: Tensor, tolerance: float) -> bool:
    """Tests whether a module makes the same of a token whatever others it reads; experts may take only so many."""
    if not close(_run(module, given), made, tolerance):
        return False
    has_experts = any(isinstance(part, nn.ModuleList | nn.ModuleDict) for part in module.modules())
    if not has_experts and all(parameter.ndim < 3 for parameter in module.parameters()):
        return True
    return close(_run(module, given[:1].expand(CROWD, -1)), made[:1].expand(CROWD, -1), tolerance)


def _run(module: nn.Module, vectors: Float[Tensor, "*batch token d"]) -> Float[Tensor, "*batch token d"]:
    """Runs a module on vectors, as on one text."""
    with torch.no_grad():
        made: Tensor = first_of(module(vectors.reshape(1, -1, vectors.shape[-1])))
    return made.reshape(vectors.shape)


def _shared(module: nn.Module) -> nn.Module:
    """Copies a module with the same tensors, without the hooks of the model's present run."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return _without_hooks(copy.deepcopy(module, shared))


def _without_hooks(module: nn.Module) -> nn.Module:
    for part in module.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return module
