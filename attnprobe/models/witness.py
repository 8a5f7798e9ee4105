"""Hears what runs around one layer's attention: its arguments, one head's weights, the modules beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.attention.blocks import Block, Observer
from attnprobe.attention.rows import check_probabilities
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.models.hooks import lock_of
from attnprobe.models.interface import Call, present_listener
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Step:
    """A module without submodules that ran.

    Attributes:
        name: what its parent calls it.
        given, made: its first argument and its output.
    """

    name: str
    module: nn.Module
    given: Tensor
    made: Tensor

    def by_token(self, length: int) -> Iterator[tuple[Float[Tensor, "token d_in"], Float[Tensor, "token d_out"]]]:
        """Both with the tokens first and all else side by side, in float64; for each axis that may be the tokens'."""
        for axis in range(self.made.ndim - 1):
            if self.given.shape[: axis + 1] == self.made.shape[: axis + 1] and self.made.shape[axis] >= length:
                yield _token_first(self.given, axis, length), _token_first(self.made, axis, length)


def _token_first(tensor: Tensor, axis: int, length: int) -> Tensor:
    return tensor.movedim(axis, 0)[:length].flatten(1).double().cpu()


class Witness:
    """What was heard of one layer.

    Attributes:
        call: the arguments of our own attention; None where weights are hooked.
        arguments: by name, those of the module that returned the hooked weights.
        weights: (query, key) of the head.
        steps: what ran from the attention before to the attention after.
        n_before: how many of them ran before the weights were there.
    """

    def __init__(self, encoder: Encoder, tokens: Tokens, layer: int, head: int) -> None:
        self.layer, self.head, self.length = layer, head, len(tokens)
        self.call: Call | None = None
        self.arguments: dict[str, Any] = {}
        self.weights = torch.zeros(len(tokens), len(tokens), dtype=torch.float64)
        self.steps: list[Step] = []
        self.n_before = 0
        self._seen = -1  # the last layer whose attention was computed
        self._dtype = encoder.dtype
        with lock_of(encoder.model), self._hooked(encoder):
            encoder.observe([tokens], self._observe, witness=self._hear)

    def _hear(self, call: Call) -> None:
        if call.layer == self.layer:
            self.call = call

    def _observe(self, layer: int, group: int) -> Observer | None:
        self._seen = layer
        if layer < self.layer:
            self.steps.clear()
        if layer != self.layer:
            return None
        self.n_before = len(self.steps)
        return self._keep

    def _keep(self, block: Block) -> None:
        if block.pooled:
            raise ModelError(
                f"layer {self.layer} attends to pools of several tokens, so that no score belongs to a token",
                "choose another layer with -l",
            )
        check_probabilities(block.weights, self._dtype, self.layer, complete=block.complete)
        ours = range(*(block.heads or slice(None)).indices(self.head + 1))
        if self.head in ours:
            self.weights[block.rows, block.keys] = block.weights[0, self.head - ours.start].double().cpu()

    @contextmanager
    def _hooked(self, encoder: Encoder) -> Iterator[None]:
        modules = dict(encoder.model.named_modules())
        handles = [
            module.register_forward_hook(self._module_hook(name.rpartition(".")[2]))
            for name, module in modules.items()
            if not any(module.children())
        ]
        for name in modules.keys() & (encoder.tap.outputs if encoder.tap else ()):
            handles.append(modules[name].register_forward_pre_hook(self._keep_arguments, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _module_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, made: Any) -> None:
            if not self._is_meant():
                return
            given = arguments[0] if arguments else None
            if self._seen > self.layer or not isinstance(given, Tensor) or not isinstance(made, Tensor):
                return
            if given.is_floating_point() and given.data_ptr() != made.data_ptr():  # equal for dropout
                self.steps.append(Step(name, module, given.clone(), made.clone()))  # Longformer writes into them

        return hook

    def _is_meant(self) -> bool:
        """Whether a module runs for this witness, and not for someone else who uses the model."""
        listener = present_listener()
        return listener is not None and listener.witness == self._hear

    def _keep_arguments(self, module: nn.Module, arguments: Any, options: Any) -> None:
        if self._is_meant() and self._seen < self.layer:
            self.arguments = inspect.signature(module.forward).bind_partial(*arguments, **options).arguments
