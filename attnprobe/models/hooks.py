"""Captures weights by forward hooks on eager modules, for models whose attention is not behind AttentionInterface.

A short example, run once, shows which outputs hold the weights: each tensor in ``attentions`` is traced to the module
output that shares its storage. Later runs read the weights there and put an empty tensor in their place,
so that nothing accumulates over layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from attnprobe.attention.blocks import Block
from attnprobe.attention.rows import check_probabilities
from attnprobe.errors import CHANGED, ModelError, first_line
from attnprobe.models.interface import Listener, listening, present_listener
from attnprobe.models.layouts import LAYOUTS, Layout, Path, Reach, Returned
from attnprobe.models.sources import ValueNorms

FIELDS = ("attentions", "encoder_attentions", "language_attentions")
NOT_WEIGHTS = (0, "context_layer", "last_hidden_state", "hidden_states")


_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_making_lock = Lock()


@dataclass(frozen=True)
class Tap:
    """The module outputs that hold the weights of a model, and how to read them.

    Attributes:
        outputs: by module name, the paths in the output, each with the permutation that brings the axes to those of the
            model's ``attentions``.
        layout: how the weights are laid out there.
        reach: by layer, which keys a query may see; None if unknown.
    """

    outputs: Mapping[str, Mapping[Path, tuple[int, ...]]]
    layout: Layout
    reach: tuple[Reach | None, ...] = ()


def lock_of(model: nn.Module) -> RLock:
    """Returns the lock to hold while a model is run or hooked, since hooks on its modules act on all of its runs."""
    with _making_lock:
        return _locks.setdefault(model, RLock())


def eager_attentions(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[list[Any], Tensor]:
    """Runs an eager model; returns the attention that it reports, layer by layer, and the output.

    Raises:
        ModelError: the model returns no attention, or does not run on a plain text.
    """
    try:
        with torch.inference_mode():
            output = model(**inputs, output_attentions=True)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        usual = {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        raise ModelError(
            f"{type(model).__name__} does not run on a plain text: {first_line(error)[:200]}",
            "attnprobe measures encoders that read token ids and an attention mask" if usual else "try --dtype float32",
        ) from error
    attentions = next((list(getattr(output, field)) for field in FIELDS if getattr(output, field, None)), None)
    if not attentions:
        raise ModelError("this model returns no attention weights", "attnprobe measures models that compute them")
    return [layer["local"] if isinstance(layer, Mapping) else layer for layer in attentions], output[0]


def check_square(attentions: Sequence[Any], shape: Sequence[int]) -> None:
    """Checks that weights are (batch, head, query, key) over the model's tokens.

    Raises:
        ModelError: the weights have another shape.
    """
    batch, length = shape
    for layer, tensor in enumerate(attentions):
        expected = isinstance(tensor, Tensor) and tensor.ndim == 4
        if not expected or (tensor.shape[0], *tensor.shape[2:]) != (batch, length, length):
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ModelError(
                f"layer {layer}: attention of shape {found}, not (batch, head, query, key) for {length} tokens",
                "attnprobe models lists the families whose other layouts it reads",
            )
    heads = [tensor.shape[1] for tensor in attentions]
    if len(set(heads)) > 1:
        raise ModelError(f"the layers have {heads} heads; layers of unequal numbers are not supported yet")


def find_tap(model: nn.Module, inputs: Mapping[str, Tensor], layout_name: str) -> Tap:
    """Runs an eager model on a short example and finds which module output carries each layer's weights.

    Raises:
        ModelError: a layer's weights are not the output of one module.
    """
    seen: list[tuple[str, Path, Tensor]] = []  # keeps every tensor alive, so that equal storage means the same tensor

    def record(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            seen.extend((name, path, tensor) for path, tensor in _walk(output) if path and path[0] not in NOT_WEIGHTS)

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in model.named_modules() if name]
    try:
        weights, _ = eager_attentions(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    outputs: dict[str, dict[Path, tuple[int, ...]]] = {}
    for layer, tensor in enumerate(weights):
        name, path, source = next((place for place in seen if _same_storage(place[2], tensor)), ("", (), tensor))
        axes = next(
            (p for p in itertools.permutations(range(source.ndim)) if _same_view(source.permute(p), tensor)), None
        )
        if not name or axes is None:
            raise ModelError(f"layer {layer}: the weights cannot be traced to a module's output")
        outputs.setdefault(name, {})[path] = axes
    layout = LAYOUTS[layout_name]
    reach = tuple(layout.reach(model.config, layer) for layer in range(len(weights))) if layout.reach else ()
    return Tap(outputs, layout, reach)


@contextmanager
def tapped(model: nn.Module, tap: Tap, listener: Listener, inputs: Mapping[str, Tensor]) -> Iterator[None]:
    """Shows the weights of the forward passes inside the with-block to the listener, and drops them layer by layer.

    Raises:
        ModelError: a module is missing or returns no weights, or more weights come than there are layers.
    """
    modules = dict(model.named_modules())
    if not tap.outputs.keys() <= modules.keys():
        raise ModelError("some of the model's attention modules are gone", CHANGED)
    held: list[Tensor] = []  # what the calls of the present layer returned so far
    length = inputs["input_ids"].shape[1]
    keeping = (
        listener.value_norms.kept(model, lambda: listener.calls if present_listener() is listener else None)
        if listener.value_norms
        else nullcontext()
    )

    def hook_for(places: Mapping[Path, tuple[int, ...]]) -> Callable[..., Any]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
            if present_listener() is not listener:
                return output
            if tap.reach and listener.calls == len(tap.reach):
                raise ModelError(f"attention came from more layers than the model's {listener.calls}", CHANGED)
            whole = output
            for path, axes in places.items():
                weights = _get(whole, path)
                if not isinstance(weights, Tensor):
                    raise ModelError(f"{type(module).__name__} returns no attention weights any more", CHANGED)
                if listener.on_returned:
                    listener.on_returned(listener.calls, weights, axes)
                held.append(weights.permute(axes))
                output = _put(output, path, weights.new_empty((0,) * weights.ndim))
                if len(held) == tap.layout.calls(model.config, listener.calls, length):
                    reach = tap.reach[listener.calls] if tap.reach else None
                    _show(
                        Returned(tuple(held), whole, listener.calls, model.config, reach, inputs), tap.layout, listener
                    )
                    held.clear()
            return _without(output, tap.layout.beside)

        return hook

    handles = [
        modules[name].register_forward_hook(hook_for(places), prepend=True) for name, places in tap.outputs.items()
    ]
    try:
        with listening(listener), keeping:
            yield
    finally:
        for handle in handles:
            handle.remove()
    if held:
        raise ModelError(f"weights came that belong to none of the {listener.calls} layers", CHANGED)


def _show(returned: Returned, layout: Layout, listener: Listener) -> None:
    """Shows one layer's weights to the listener, text by text in blocks of rows."""
    listener.calls += 1
    for group in listener.groups:
        observe = listener.observe(returned.layer, group.number)
        if observe is None:
            continue
        for place, text in enumerate(range(group.texts.start, group.texts.stop)):
            for block in layout.rows(returned, text, group.span.stop, group.starts):
                block = replace(block, texts=slice(place, place + 1))
                observe(_with_norms(block, text, group.span, returned, listener.value_norms))


def _with_norms(block: Block, text: int, span: slice, returned: Returned, norms: ValueNorms | None) -> Block:
    """Adds the norms of a text's values to a block, and shows contributions instead of weights if these are asked for.

    Raises:
        TextError: the rows are not probabilities.
    """
    if norms is None:
        return block
    of_text = norms.of_hooked[returned.layer][text : text + 1, block.heads or slice(None), span]
    block = replace(block, value_norms=of_text)
    if not norms.shown:
        return block
    check_probabilities(block.weights, returned.weights[0].dtype, returned.layer, complete=block.complete)
    return block.as_contributions()


def _without(output: Any, path: Path | None) -> Any:
    """Returns the output with an empty tensor at the path, if it has a tensor there."""
    if path is not None:
        with suppress(LookupError):
            beside = _get(output, path)
            return _put(output, path, beside.new_empty((0,) * beside.ndim))
    return output


def _same_storage(tensor: Tensor, other: Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _same_view(tensor: Tensor, other: Tensor) -> bool:
    """Tests whether the other is this tensor, or a slice of it."""
    inside = all(size >= part for size, part in zip(tensor.shape, other.shape, strict=True))
    return inside and tensor.stride() == other.stride()


def _walk(output: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Yields the tensors inside a module's output, each with the path to it."""
    if isinstance(output, Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _walk(value, (*path, key))
    elif isinstance(output, tuple | list):
        for index, value in enumerate(output):
            yield from _walk(value, (*path, index))


def _get(output: Any, path: Path) -> Any:
    for key in path:
        output = output[key]
    return output


def _put(output: Any, path: Path, value: Any) -> Any:
    """Copies the output, keeping types, with another value at the path."""
    if not path:
        return value
    inner = _put(output[path[0]], path[1:], value)
    if isinstance(output, dict):
        return type(output)({**output, path[0]: inner})
    items = [inner if index == path[0] else item for index, item in enumerate(output)]
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
