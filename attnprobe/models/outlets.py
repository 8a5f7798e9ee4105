"""Changes the heads' contexts of hooked models, in the input of each layer's output map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.errors import CHANGED, ModelError
from attnprobe.models.edits import Edit
from attnprobe.models.interface import Listener, present_listener


@dataclass(frozen=True)
class Outlet:
    """The linear map that reads the heads of one layer.

    Attributes:
        module: the name of the map in the model.
        heads: how many contexts lie side by side at the beginning of each input vector.
        d_v: the width of a context.
    """

    module: str
    heads: int
    d_v: int


def check_edit(encoder: Any, edit: Edit) -> None:
    """Refuses an edit that an encoder with hooked weights cannot carry out.

    Raises:
        ModelError: the edit changes weights, or contexts of a model whose output maps are unknown.
    """
    if encoder.tap and (edit.weights or len(encoder.outlets) != encoder.layers):
        what = "weights" if edit.weights else "heads"
        raise ModelError(
            f"{what} of {encoder.kind} cannot be changed: its weights are hooked ({encoder.tap_reason})",
            "attnprobe models lists the types that are measured through blocks, where they can",
        )


@contextmanager
def edited(model: nn.Module, outlets: Sequence[Outlet], listener: Listener) -> Iterator[None]:
    """Changes contexts as the listener's edit says, in the forward passes inside the with-block.

    Args:
        outlets: by layer; empty for a model whose attention is computed in blocks, where contexts are changed.

    Raises:
        ModelError: a map is missing, is called more often than before, or gets another input.
    """
    names = {outlet.module for outlet in outlets if listener.edit and listener.edit.context}
    modules, handles = dict(model.named_modules()) if names else {}, []
    try:
        for name in names:
            if name not in modules:
                raise ModelError("some of the model's output maps are gone", CHANGED)
            calls = iter([(layer, outlet) for layer, outlet in enumerate(outlets) if outlet.module == name])
            handles.append(modules[name].register_forward_pre_hook(_changing(calls, listener)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _changing(calls: Iterator[tuple[int, Outlet]], listener: Listener) -> Callable[..., Any]:
    """Makes a hook that changes the input of a map, call by call."""

    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if present_listener() is not listener:
            return None
        layer, outlet = next(calls, (None, None))
        if layer is None or outlet is None:
            raise ModelError("an output map is called more often than there are layers", CHANGED)
        return _changed(arguments[0], layer, outlet, listener), *arguments[1:]

    return hook


def _changed(
    given: Float[Tensor, "batch token d_in"], layer: int, outlet: Outlet, listener: Listener
) -> Float[Tensor, "batch token d_in"]:
    """Changes the contexts of all texts in the input of a map.

    Raises:
        ModelError: the input is not one vector for each token of each text.
    """
    texts = listener.groups[-1].texts.stop
    if given.ndim != 3 or len(given) != texts or given.shape[1] < max(group.span.stop for group in listener.groups):
        raise ModelError(f"the output map is given {tuple(given.shape)}, and not (text, token, d)")
    changed, width = given.clone(), outlet.heads * outlet.d_v
    for group in listener.groups:
        at = (group.texts, group.span, slice(0, width))
        context = given[at].reshape(*given[at].shape[:2], outlet.heads, outlet.d_v)
        changed[at] = listener.changed(layer, group.texts, context).flatten(2)
    return changed
