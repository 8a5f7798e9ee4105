"""Finds the modules that are a model's layers, and lets something else stand in for them during one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.hooks import lock_of
from attnprobe.models.interface import present_listener
from attnprobe.models.outlets import Outlet
from attnprobe.values.tokens import Tokens

AtLayer = Callable[[int, Callable[[], Any]], Any]


@dataclass(frozen=True)
class Layers:
    """The modules of an encoder's layers.

    Attributes:
        outlets: by layer, the map that reads the heads' contexts.
        modules: by layer, the name of the module that makes the next layer's hidden states; empty if there are no such
            modules, or others cannot be passed by.
        reason: why there are none.
    """

    outlets: tuple[Outlet, ...]
    modules: tuple[str, ...] = ()
    reason: str = ""


@contextmanager
def standing_in(module: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    """Calls a function in place of a module's forward in this run, inside the with-block.

    Args:
        function: called with the module's forward and the arguments.
    """
    own, forward = "forward" in vars(module), module.forward

    def in_this_run(*arguments: Any, **options: Any) -> Any:
        return function(forward, *arguments, **options) if present_listener() else forward(*arguments, **options)

    module.forward = in_this_run
    try:
        yield
    finally:
        if own:
            module.forward = forward
        else:
            del module.forward


@contextmanager
def layers_replaced(model: nn.Module, modules: Sequence[str], at_layer: AtLayer) -> Iterator[None]:
    """Lets ``at_layer`` decide what each layer returns in the one run inside the with-block.

    The model's lock is held, so that no other run meets this one's layers.

    Args:
        modules: by layer, the names of the modules; a name that comes again is called again.
        at_layer: called with the layer and a function that computes it.
    """
    with lock_of(model), ExitStack() as stack:
        for name in dict.fromkeys(modules):
            calls = iter([layer for layer, other in enumerate(modules) if other == name])
            stack.enter_context(standing_in(model.get_submodule(name), _numbered(calls, at_layer)))
        yield


def _numbered(calls: Iterator[int], at_layer: AtLayer) -> Callable[..., Any]:
    def function(forward: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return at_layer(next(calls), lambda: forward(*arguments, **options))

    return function


def passed(output: Any) -> Any:
    """Returns the output of a layer that is passed by, and counts the layer."""
    listener = present_listener()
    assert listener
    listener.calls += 1
    return output


def hidden_of(output: Any) -> Tensor:
    """Returns the hidden states of what a layer returned."""
    hidden: Tensor = output if isinstance(output, Tensor) else output[0]
    return hidden


def with_hidden(output: Any, hidden: Tensor, copies: int) -> Any:
    """Puts other hidden states into what a layer returned, and repeats the rest for copies of the texts."""
    if isinstance(output, Tensor):
        return hidden
    texts = len(output[0])
    rest = [
        item.repeat(copies, *[1] * (item.ndim - 1)) if isinstance(item, Tensor) and len(item) == texts > 1 else item
        for item in output[1:]
    ]
    return type(output)((hidden, *rest))


def layer_modules(encoder: Encoder, tokens: Tokens) -> tuple[str, ...]:
    """Finds each layer's module: the outermost that computes one attention, and hands hidden states on.

    Raises:
        ModelError: some layer is no such module.
    """
    found: dict[int, tuple[str, Tensor, Tensor]] = {}

    def of(name: str) -> Callable[..., Any]:
        def function(forward: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            listener = present_listener()
            assert listener
            before = listener.calls
            output = forward(*arguments, **options)
            given = arguments[0] if arguments else options.get("hidden_states")
            if listener.calls == before + 1 and isinstance(given, Tensor) and _hands_on(given, output):
                found[before] = name, given, hidden_of(output)  # the outermost ends last
            return output

        return function

    with lock_of(encoder.model), ExitStack() as stack:
        for name, module in encoder.model.named_modules():
            if name and any(module.children()):
                stack.enter_context(standing_in(module, of(name)))
        encoder.observe([tokens], lambda layer, group: None)
    places = [found.get(layer) for layer in range(encoder.layers)]
    for layer, (below, above) in enumerate(zip([None, *places], places, strict=False)):
        if above is None or (below and below[2] is not above[1]):
            raise ModelError(f"layer {layer} is no module that hands hidden states on")
    return tuple(place[0] for place in places if place)


def _hands_on(given: Tensor, output: Any) -> bool:
    """Tests whether a module turns hidden states into hidden states."""
    made = output[0] if isinstance(output, tuple) and output else output
    alike = isinstance(made, Tensor) and made.shape == given.shape
    return alike and given.is_floating_point() and given.ndim == 3
