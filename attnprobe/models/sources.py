"""Where each layer's values are, and the map that writes them into the hidden states, for contributions of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnprobe.attention.value_norms import value_norms
from attnprobe.errors import CHANGED, ModelError
from attnprobe.models.linear import matrix


@dataclass(frozen=True)
class Source:
    """The maps that make and read the values of one layer, by the names of their modules.

    Attributes:
        output: the map that reads all heads side by side, W_O.
        d_v: the width of each head there.
        values: of hooked layers, the module whose output holds the values; empty: the attention is given them.
        axis: of that output, (0 or 1) the tokens; the other of the two is the texts.
    """

    output: str
    d_v: int
    values: str = ""
    axis: int = 1


@dataclass
class ValueNorms:
    """Computes ‖v(k)·W_O‖ in one run, with the model's weights as they are now.

    Attributes:
        sources: by layer.
        maps: by layer, the rows of W_O that read each head.
        shown: whether observers are shown contributions instead of weights.
        of_hooked: by layer, the norms of values that came out of hooked modules.
    """

    sources: Sequence[Source]
    maps: Sequence[Float[Tensor, "head d_v d_out"]]
    shown: bool
    of_hooked: dict[int, Float[Tensor, "text head key"]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module, sources: Sequence[Source], heads: int, shown: bool) -> ValueNorms | None:
        """Takes the maps of a model; None if its sources are unknown.

        Raises:
            ModelError: a map is gone.
        """
        modules = dict(model.named_modules())
        if not {source.output for source in sources} <= modules.keys():
            raise ModelError("some of the model's output maps are gone", CHANGED)
        matrices = (matrix(modules[source.output])[: heads * source.d_v] for source in sources)
        maps = [torch.unflatten(rows, 0, (heads, -1)) for rows in matrices]
        return cls(sources, maps, shown) if sources else None

    def of_values(self, layer: int, value: Float[Tensor, "text head_kv key d_v"]) -> Float[Tensor, "text head key"]:
        """Computes the norms of one layer's values."""
        return value_norms(value, self.maps[layer])

    @contextmanager
    def kept(self, model: nn.Module, layer: Callable[[], int | None]) -> Iterator[None]:
        """Keeps the norms of values that come out of modules inside the with-block.

        Args:
            layer: returns the number of the layer that is computed now; None if the model runs for somebody else.
        """
        modules, names = dict(model.named_modules()), {source.values for source in self.sources if source.values}
        if not names <= modules.keys():
            raise ModelError("some of the modules that make values are gone", CHANGED)
        handles = [modules[name].register_forward_hook(self._keeping(name, layer)) for name in names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keeping(self, name: str, layer: Callable[[], int | None]) -> Callable[..., None]:
        """Makes a hook that keeps the norms of what a module returns for a layer that takes its values from there."""

        def hook(module: nn.Module, arguments: Any, made: Tensor) -> None:
            number = layer()
            if number is None or number >= len(self.sources) or self.sources[number].values != name:
                return
            source = self.sources[number]
            values = torch.unflatten(made.movedim(source.axis, 1), -1, (-1, source.d_v)).transpose(1, 2)
            self.of_hooked = {number: self.of_values(number, values)}

        return hook
