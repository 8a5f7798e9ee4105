"""Runs an encoder without one head at a time, from the head's layer on.

    a whole run of some texts   each layer's output is kept
    layer l alone               its output map is given a copy of the texts for each head, in which that head's context
                                is replaced: q, k, v and weights are computed once for all copies
    the layers after it         one batch of all copies, which goes on from what layer l made of them

Layers that are not computed are passed by, and return what was kept. What else a model makes, masks and position
biases, it makes for each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.models.outlets import Outlet
from attnprobe.models.passing import AtLayer, Layers, hidden_of, layers_replaced, passed, standing_in, with_hidden
from attnprobe.models.running import Output
from attnprobe.models.switching import averaged, even, zeroed
from attnprobe.models.tasks import WORD, Task
from attnprobe.values.tokens import Tokens

AT_ONCE = 2**12  # tokens of all copies in one run
LOGITS_AT_ONCE = 2**25  # numbers: 128 MiB in float32
CONTEXTS = {"zero": zeroed, "mean": averaged}
Compute = Callable[..., Any]


def tokens_at_once(encoder: Encoder) -> int:
    """Counts the tokens of all copies of texts that are run at once: fewer if each has a logit for every word."""
    words = encoder.task.config.vocab_size if encoder.task is not None and Task.of(encoder.task).kind == WORD else 1
    return min(AT_ONCE, LOGITS_AT_ONCE // words)


class OneOff:
    """Runs an encoder on texts of one length without one head at a time.

    Args:
        how: "zero", "mean" or "uniform", see :mod:`attnprobe.models.switching`.
        layers: the modules to go on from; without any, every run is whole.

    Attributes:
        outputs: of each text, with all heads.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[Tokens], how: str, layers: Layers) -> None:
        self.encoder, self.texts, self.how, self.layers = encoder, texts, how, layers
        self.kept: list[Any] = []  # what each layer returned
        self.outputs = self._run(1, self._keep)

    def without(self, layer: int, heads: Sequence[int]) -> list[list[Output]]:
        """Runs without each of these heads of a layer, which are switched off in a copy of the texts each.

        Returns:
            by head, the outputs of the texts.
        """
        texts = len(self.texts)
        made = self._from_layer(layer, heads) if self.layers.modules else self._whole(layer, heads)
        return [made[start : start + texts] for start in range(0, len(made), texts)]

    def _whole(self, layer: int, heads: Sequence[int]) -> list[Output]:
        """Runs all layers of all copies."""
        return self._run(len(heads), edit=one_in_each_copy(layer, heads, len(self.texts), self.how))

    def _from_layer(self, layer: int, heads: Sequence[int]) -> list[Output]:
        """Computes the layer itself from its contexts on, then the layers after it."""
        made = with_hidden(self.kept[layer], self._made_without(layer, heads).flatten(0, 1), len(heads))
        return self._run(len(heads), lambda at, compute: compute() if at > layer else passed(made))

    def _made_without(self, layer: int, heads: Sequence[int]) -> Float[Tensor, "head text token d_model"]:
        """Computes what one layer makes without each of the heads."""
        even_contexts = self._even_contexts(layer) if self.how == "uniform" else None

        def copies(forward: Compute, given: Tensor) -> Tensor:
            copied = given.expand(len(heads), *given.shape).clone()
            contexts, plain = self._contexts(copied, layer), self._contexts(given, layer)
            off = CONTEXTS[self.how](plain, range(plain.shape[2])) if even_contexts is None else even_contexts
            for copy, head in enumerate(heads):
                contexts[copy, :, :, head] = off[:, :, head]
            made: Tensor = forward(copied)
            return made

        return hidden_of(self._alone(layer, copies))

    def _even_contexts(self, layer: int) -> Float[Tensor, "text token head d_v"]:
        """Computes the contexts of a layer if all of its weights are even."""
        every, found = range(self.encoder.heads), list[Tensor]()

        def keep(forward: Compute, given: Tensor) -> Any:
            found.append(self._contexts(given, layer))
            return forward(given)

        self._alone(layer, keep, Edit(weights=lambda at, some, block: even(block, every) if at == layer else None))
        return found[0]

    def _contexts(self, given: Float[Tensor, "*copy text position d_in"], layer: int) -> Tensor:
        """Views the contexts, (*copy, text, token, head, d_v), in the input of a layer's output map."""
        outlet = self._outlet(layer)
        tokens = given[..., : len(self.texts[0]), : outlet.heads * outlet.d_v]
        return tokens.view(*tokens.shape[:-1], outlet.heads, outlet.d_v)

    def _outlet(self, layer: int) -> Outlet:
        return self.layers.outlets[layer]

    def _alone(self, layer: int, at_outlet: Compute, edit: Edit | None = None) -> Any:
        """Computes one layer alone, from what it was given in the whole run, with something else as its output map."""
        outlet, made = self.encoder.model.get_submodule(self._outlet(layer).module), list[Any]()

        def at_layer(at: int, compute: Callable[[], Any]) -> Any:
            if at != layer:
                return passed(self.kept[min(at, layer)])
            with standing_in(outlet, at_outlet):
                made.append(compute())
            return self.kept[layer]

        self._run(1, at_layer, edit)
        return made[0]

    def _keep(self, layer: int, compute: Callable[[], Any]) -> Any:
        self.kept.append(compute())
        return self.kept[-1]

    def _run(self, copies: int, at_layer: AtLayer | None = None, edit: Edit | None = None) -> list[Output]:
        """Runs copies of the texts, one after another in one batch."""
        encoder, texts = self.encoder, list(self.texts) * copies
        with layers_replaced(encoder.model, self.layers.modules if at_layer else (), at_layer or self._keep):
            return encoder.run(texts, _nobody, encoder.groups(texts), edit=edit)


def one_in_each_copy(layer: int, heads: Sequence[int], texts: int, how: str) -> Edit:
    """Makes the edit of a run of copies of some texts, one for each head of a layer, which is off in it."""

    def each(some: slice, tensor: Tensor, change: Callable[[Tensor, list[int]], Tensor | None]) -> Tensor:
        copies = zip(tensor[:, None], range(some.start, some.stop), strict=True)
        changed = [(one, change(one, [heads[number // texts]])) for one, number in copies]
        return torch.cat([one if new is None else new for one, new in changed])

    def context(at: int, some: slice, whole: Tensor) -> Tensor:
        return each(some, whole, CONTEXTS[how]) if at == layer else whole

    def weights(at: int, some: slice, block: Block) -> Tensor | None:
        if at != layer:
            return None
        return each(some, block.weights, lambda one, head: even(replace(block, weights=one), head))

    return Edit(weights=weights) if how == "uniform" else Edit(context=context)


def _nobody(layer: int, group: int) -> None:
    """Observes nothing."""
