"""Records the modules that run around chosen layers' attention, its arguments and its weights, in one forward pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
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
class Ran:
    """A module that ran, with what it was given and made: tokens first, the rest side by side.

    Attributes:
        name: the name in the parent module.
        given, made: the first argument and the output.
    """

    name: str
    module: nn.Module
    given: Float[Tensor, "token d_in"]
    made: Float[Tensor, "token d_out"]


@dataclass(frozen=True)
class Step:
    """A module that ran.

    Attributes:
        name: the name in the parent module.
        given, made: the first argument and the output.
        length: how many tokens the text has.
    """

    name: str
    module: nn.Module
    given: Tensor
    made: Tensor
    length: int

    @cached_property
    def as_computed(self) -> list[Ran]:
        """Lists the step for each axis that may be the tokens', in the dtype and on the device of the model."""
        return [
            Ran(
                self.name,
                self.module,
                _token_first(self.given, axis, self.length),
                _token_first(self.made, axis, self.length),
            )
            for axis in range(self.made.ndim - 1)
            if self.given.shape[: axis + 1] == self.made.shape[: axis + 1] and self.made.shape[axis] >= self.length
        ]

    @cached_property
    def by_token(self) -> list[Ran]:
        """Lists the same in float64."""
        return [replace(ran, given=in_float64(ran.given), made=in_float64(ran.made)) for ran in self.as_computed]


def _token_first(tensor: Tensor, axis: int, length: int) -> Tensor:
    return tensor.movedim(axis, 0)[:length].flatten(1)


def in_float64(tensor: Tensor) -> Tensor:
    """Copies the numbers to float64 in the main memory."""
    return tensor.double().cpu()


@dataclass
class Record:
    """The record of one layer.

    Attributes:
        layer: the number of the layer.
        heads: the heads whose weights are kept.
        weights: (head, query, key) of these heads, in float64.
        before: the steps between the attention before and this layer's weights.
        after: the steps between these weights and the attention after.
        wholes: the modules with submodules that ended between these weights and the attention after, if asked for.
        call: the arguments of the attention in blocks; None if weights are hooked.
        arguments: by name, those of the module that returned the hooked weights.
    """

    layer: int
    heads: Sequence[int]
    weights: Float[Tensor, "head query key"]
    before: Sequence[Step]
    after: Sequence[Step] = ()
    wholes: list[Step] = field(default_factory=list)
    call: Call | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How many tokens the text has."""
        return self.weights.shape[-1]

    @property
    def steps(self) -> list[Step]:
        """Lists the steps from the attention before to the attention after."""
        return [*self.before, *self.after]


class Recorder:
    """Records layers of an encoder; holds one at a time.

    Args:
        layers: the layers to record.
        heads: the heads whose weights are kept.
        finish: called with each layer's record after the next layer's weights came.
        wholes: whether to record modules with submodules too.
    """

    def __init__(
        self,
        encoder: Encoder,
        layers: Sequence[int],
        heads: Sequence[int],
        finish: Callable[[Record], None],
        *,
        wholes: bool = False,
    ) -> None:
        self.encoder, self.layers, self.heads, self.finish, self.wholes = encoder, layers, heads, finish, wholes
        self._seen = -1  # the last layer whose weights came
        self._steps: list[Step] = []  # what ran since
        self._record: Record | None = None  # of that layer
        self._arguments: dict[str, Any] = {}

    def run(self, tokens: Tokens) -> None:
        """Runs the encoder on a text.

        Raises:
            ModelError: a layer's weights are not over the text's tokens.
        """
        self._length = len(tokens)
        with lock_of(self.encoder.model), self._hooked():
            replace(self.encoder, of="attention").observe([tokens], self._observe, on_call=self._keep_call)
        self._close_layer()

    def _close_layer(self) -> None:
        if self._record:
            self._record.after = self._steps
            with torch.inference_mode(False), torch.no_grad():  # so that what is made of it can be used anywhere
                self.finish(self._record)
        self._record = None

    def _observe(self, layer: int, group: int) -> Observer | None:
        self._close_layer()
        self._seen, before, self._steps = layer, self._steps, []
        if layer not in self.layers:
            return None
        weights = torch.zeros(len(self.heads), self._length, self._length, dtype=torch.float64)
        self._record = record = Record(layer, self.heads, weights, before, arguments=self._arguments)
        return lambda block: self._keep(block, record)

    def _keep_call(self, call: Call) -> None:
        if self._record:
            self._record.call = call

    def _keep(self, block: Block, record: Record) -> None:
        if block.pooled:
            raise ModelError(
                f"layer {record.layer} attends to pools of several tokens, so that no score belongs to a token",
                "choose another layer with -l",
            )
        check_probabilities(block.weights, self.encoder.dtype, record.layer, complete=block.complete)
        present = range(*(block.heads or slice(None)).indices(self.encoder.heads))
        if len(self.heads) == self.encoder.heads:
            record.weights[present.start : present.stop, block.rows, block.keys] = block.weights[0]
            return
        for place, head in enumerate(self.heads):
            if head in present:
                record.weights[place, block.rows, block.keys] = block.weights[0, head - present.start]

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        modules, tap = dict(self.encoder.model.named_modules()), self.encoder.tap
        handles = [
            module.register_forward_hook(self._module_hook(name.rpartition(".")[2]))
            for name, module in modules.items()
            if self.wholes or not any(module.children())
        ]
        for name in modules.keys() & (tap.outputs if tap else ()):
            handles.append(modules[name].register_forward_pre_hook(self._keep_arguments, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _module_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, made: Any) -> None:
            if not self._is_meant() or not (self._record or self._seen + 1 in self.layers):
                return
            is_whole = any(module.children())
            given, made = arguments[0] if arguments else None, first_of(made) if is_whole else made
            if not isinstance(given, Tensor) or not isinstance(made, Tensor):
                return
            if given.is_floating_point() and given.data_ptr() != made.data_ptr():  # equal for dropout
                step = Step(name, module, given.clone(), made.clone(), self._length)  # Longformer writes
                if not is_whole:
                    self._steps.append(step)
                elif self._record:
                    self._record.wholes.append(step)

        return hook

    def _is_meant(self) -> bool:
        """Tests whether a module runs for this recorder, and not for another user of the model."""
        listener = present_listener()
        return listener is not None and listener.on_call == self._keep_call

    def _keep_arguments(self, module: nn.Module, arguments: Any, options: Any) -> None:
        if self._is_meant():
            self._arguments = inspect.signature(module.forward).bind_partial(*arguments, **options).arguments


def first_of(output: Any) -> Any:
    """Returns the output of a module that returns one, or the first of several."""
    return next(iter(output), None) if isinstance(output, tuple | list) else output
