"""Capture through forward hooks on eager modules: for models whose attention is not behind AttentionInterface.

Where a model's weights come out is found out once, by running a short example: each tensor in ``attentions`` is traced
to the module output that shares its storage. Later runs read the weights there and put an empty tensor in their place,
so that nothing accumulates over layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attnprobe.attention.blocks import Block, exact, row_blocks
from attnprobe.errors import ModelError
from attnprobe.models.interface import Listener

Path = tuple[Any, ...]
NOT_WEIGHTS = (0, "context_layer", "last_hidden_state", "hidden_states")


@dataclass(frozen=True)
class Tap:
    """Where the weights of a model come out.

    Attributes:
        outputs: module name -> places in its output, each with the permutation that brings its axes to (batch, head,
            query, key).
        global_layers: whether every query is known to reach every key.
    """

    outputs: Mapping[str, Mapping[Path, tuple[int, ...]]]
    global_layers: bool


def eager_weights(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
    """The weights that an eager model itself returns, one (batch, head, query, key) per layer; and its output.

    Raises:
        ModelError: it returns none, or of another shape; or it does not run on a plain text.
    """
    try:
        with torch.inference_mode():
            output = model(**inputs, output_attentions=True)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        usual = next(model.parameters()).dtype == torch.float32
        raise ModelError(
            f"{type(model).__name__} does not run on a plain text: {error}",
            "attnprobe measures encoders that read token ids and an attention mask" if usual else "try --dtype float32",
        ) from error
    return check_layout(getattr(output, "attentions", None), inputs["input_ids"].shape), output[0]


def find_tap(model: nn.Module, inputs: Mapping[str, Tensor], *, global_layers: bool) -> Tap:
    """Runs an eager model on a short example and finds which module output carries each layer's weights.

    Raises:
        ModelError: the weights are not (batch, head, query, key) of one module output each.
    """
    seen: list[tuple[str, Path, Tensor]] = []  # keeps every tensor alive, so that equal storage means the same tensor

    def record(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            seen.extend((name, path, tensor) for path, tensor in _walk(output) if path and path[0] not in NOT_WEIGHTS)

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in model.named_modules() if name]
    try:
        weights, _ = eager_weights(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    outputs: dict[str, dict[Path, tuple[int, ...]]] = {}
    for layer, tensor in enumerate(weights):
        name, path, source = next((place for place in seen if _same_storage(place[2], tensor)), ("", (), tensor))
        axes = next(
            (p for p in itertools.permutations(range(4)) if source.ndim == 4 and _same_view(source.permute(p), tensor)),
            None,
        )
        if not name or axes is None:
            raise ModelError(f"layer {layer}: the weights cannot be traced to a module's output")
        outputs.setdefault(name, {})[path] = axes
    return Tap(outputs, global_layers)


def check_layout(attentions: Any, shape: Sequence[int]) -> list[Tensor]:
    """The weights a model returned, if they are (batch, head, query, key) over its own tokens.

    Raises:
        ModelError: they are not.
    """
    batch, length = shape
    if not attentions:
        raise ModelError("this model returns no attention weights", "attnprobe measures models that compute them")
    for layer, tensor in enumerate(attentions):
        expected = isinstance(tensor, Tensor) and tensor.ndim == 4
        if not expected or (tensor.shape[0], *tensor.shape[2:]) != (batch, length, length):
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ModelError(
                f"layer {layer}: attention of shape {found}, not (batch, head, query, key) for {length} tokens",
                "banded, pooled and block-sparse layouts are not supported yet",
            )
    heads = [tensor.shape[1] for tensor in attentions]
    if len(set(heads)) > 1:
        raise ModelError(f"the layers have {heads} heads; layers of unequal numbers are not supported yet")
    return list(attentions)


@contextmanager
def tapped(model: nn.Module, tap: Tap, listener: Listener) -> Iterator[None]:
    """Shows the weights of the forward passes inside the with-block to the listener, and drops them layer by layer."""
    modules = dict(model.named_modules())

    def hook_for(places: Mapping[Path, tuple[int, ...]]) -> Callable[..., Any]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
            for path, axes in places.items():
                weights = _get(output, path)
                _show(weights.permute(axes), listener, tap.global_layers)
                output = _put(output, path, weights.new_empty((0,) * weights.ndim))
            return output

        return hook

    handles = [
        modules[name].register_forward_hook(hook_for(places), prepend=True) for name, places in tap.outputs.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _show(weights: Tensor, listener: Listener, reach_known: bool) -> None:
    """One layer's (batch, head, query, key) weights to the listener, text by text in blocks of rows."""
    layer, listener.calls = listener.calls, listener.calls + 1
    for text, span in enumerate(listener.spans):
        observe = listener.observe(layer, text)
        if observe is None:
            continue
        valid = weights[text, :, span, span]
        valid = valid.to(exact(valid.dtype))
        heads, queries, keys = valid.shape
        for rows in row_blocks(queries, heads * keys, listener.starts[text] if listener.starts else None):
            observe(Block(rows, slice(0, keys), valid[:, rows], reach_known=reach_known))


def _same_storage(tensor: Tensor, other: Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _same_view(tensor: Tensor, other: Tensor) -> bool:
    return tensor.shape == other.shape and tensor.stride() == other.stride()


def _walk(output: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor inside a module's output, with the way to it."""
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
    """A copy of the output, in kind, with another value at the path."""
    if not path:
        return value
    inner = _put(output[path[0]], path[1:], value)
    if isinstance(output, dict):
        return type(output)({**output, path[0]: inner})
    items = [inner if index == path[0] else item for index, item in enumerate(output)]
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
