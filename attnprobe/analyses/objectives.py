"""The numbers of one text that heads can be important for, each with its formula and source.

To add one: a subclass of Objective and a row in OBJECTIVES, and its name in ``importance.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.errors import ModelError, TextError
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Role, Tokens


class Output(Protocol):
    """What a model computes of one text: (token, d) last hidden states, and what its head makes of them."""

    @property
    def hidden(self) -> Float[Tensor, "*token d_model"]:
        """The last hidden states; or the one vector of a model that gives no more."""

    @property
    def logits(self) -> Tensor | None:
        """(label,), (token, label) or (token, vocabulary); None without a head."""


def pooled(output: Output) -> Float[Tensor, " d_model"]:
    """Returns the mean of the last hidden states over all tokens, or the one vector of a model that gives no more."""
    return output.hidden.mean(0) if output.hidden.ndim > 1 else output.hidden


class Objective:
    """One number of each text.

    Attributes:
        formula, source: what it computes, and where it is from.
    """

    formula: ClassVar[str]
    source: ClassVar[str]

    def check(self, encoder: Encoder) -> None:
        """Refuses a model of which the number cannot be computed.

        Raises:
            ModelError: the model lacks something.
        """

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the number of each text.

        Raises:
            TextError: a text lacks something.
        """
        raise NotImplementedError


class HalfSquaredNorm(Objective):
    """Half the squared norm of the mean hidden state."""

    formula = "½‖o‖², o the mean of the last hidden states over all tokens"
    source = "attnprobe: needs neither labels nor a head"

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the number of each text."""
        return torch.stack([pooled(output).square().sum() / 2 for output in outputs])


class HalfSquaredClsNorm(Objective):
    """Half the squared norm of the classification token's hidden state."""

    formula = "½‖h_CLS‖², h_CLS the last hidden state of the classification token"
    source = "attnprobe: almost constant after a LayerNorm, so that its gradient says little"

    def check(self, encoder: Encoder) -> None:
        """Refuses a tokenizer that adds no classification token.

        Raises:
            ModelError: there is none.
        """
        if not encoder.tokenize("a", words=False)[0].positions(Role.CLS):
            raise ModelError(f"{encoder.location.short_name} has no classification token", "choose --objective norm")

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the number of each text.

        Raises:
            TextError: a text has no classification token.
        """
        return torch.stack([_of_cls(*each).square().sum() / 2 for each in zip(outputs, texts, strict=True)])


def _of_cls(output: Output, text: Tokens) -> Float[Tensor, " d_model"]:
    at = text.positions(Role.CLS)
    if not at:
        raise TextError("the text has no classification token")
    return output.hidden[at[0]] if output.hidden.ndim > 1 else output.hidden


OBJECTIVES: Mapping[str, Objective] = {
    "norm": HalfSquaredNorm(),
    "cls-norm": HalfSquaredClsNorm(),
}
