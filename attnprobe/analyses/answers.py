"""The number that a model answers a text with, whose reasons are asked for: a label's logit, or a vector's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.errors import UsageError
from attnprobe.models.encoder import Encoder
from attnprobe.models.running import Output
from attnprobe.models.tasks import SEQUENCE, TOKEN, Task
from attnprobe.values.arguments import shown
from attnprobe.values.text import visible
from attnprobe.values.tokens import Role, Tokens

# What the logits of labels say, by what the model answers: one label, each label by itself, or a number.
MEASURES: Mapping[str, Callable[[Float[Tensor, " label"]], Float[Tensor, " label"]]] = {
    "single": lambda logits: logits.softmax(-1),
    "multiple": torch.sigmoid,
    "number": lambda logits: logits,
}


class Answer(Protocol):
    """The answer to one text.

    Attributes:
        name: of F in signatures.
        sentence: says what F is, and what it is of the text.
        measure: what is measured of the text with tokens left out.
        fixed: the positions without which there is no such answer.
    """

    @property
    def name(self) -> str:
        """Names F."""

    @property
    def sentence(self) -> str:
        """Says what F is."""

    @property
    def measure(self) -> str:
        """Names what is measured."""

    @property
    def fixed(self) -> Sequence[int]:
        """Lists positions that stay."""

    def number(self, output: Output) -> Float[Tensor, ""]:
        """Computes F of what the model gives for the text, with its gradient."""

    def value(self, output: Output, row_of: Mapping[int, int]) -> float:
        """Computes what is measured of what the model gives for the text with tokens left out.

        Args:
            row_of: the row of each position that is left.
        """


@dataclass(frozen=True)
class LabelAnswer:
    """The logit of a label, of the text or of some of its tokens.

    Attributes:
        task: what the logits mean.
        label: the number of the label.
        fixed: the positions whose logits are averaged; empty: the text has one label.
        whose: says which token's label it is; empty if it is the text's.
        chosen: whether the label was asked for; if not, it is the one that the model predicts.
        now: the probability of the label, or the number.
    """

    task: Task
    label: int
    fixed: tuple[int, ...]
    whose: str
    chosen: bool
    now: float

    @property
    def name(self) -> str:
        """The logit, of which label and token."""
        return f"logit of {visible(self.task.labels[self.label])}{self.whose}"

    @property
    def sentence(self) -> str:
        """Says which label it is, and how sure the model is."""
        what = f"{self.now:.3f}" if self.is_number else f"with a probability of {self.now:.3f}"
        how = "" if self.chosen or len(self.task.labels) == 1 else "predicted "
        return f"F is the {self.name}, {how}{what}"

    @property
    def measure(self) -> str:
        """The label's probability; or the logit, where that is the model's answer."""
        return f"{'logit' if self.is_number else 'probability'} of {visible(self.task.labels[self.label])}{self.whose}"

    @property
    def is_number(self) -> bool:
        """Whether the logit is the model's answer."""
        return self.task.answer == "number"

    def number(self, output: Output) -> Float[Tensor, ""]:
        """Returns the label's logit."""
        return _logits(output, self.fixed)[self.label]

    def value(self, output: Output, row_of: Mapping[int, int]) -> float:
        """Returns the label's probability, or the logit."""
        rows = [row_of[at] for at in self.fixed]
        return MEASURES[self.task.answer](_logits(output, rows))[self.label].item()


@dataclass(frozen=True)
class VectorAnswer:
    """Half the squared norm of a text's vector, of a model without a head.

    Attributes:
        fixed: the position of the classification token, whose vector it is; empty: the mean of all vectors is.
        whole: the vector of the whole text.
    """

    fixed: tuple[int, ...]
    whole: Float[Tensor, " d_model"]

    measure = "cosine with the vector of the whole text"

    @property
    def name(self) -> str:
        """The number, of which vector."""
        return f"half squared norm of {'cls' if self.fixed else 'mean'}"

    @property
    def sentence(self) -> str:
        """Says whose norm it is."""
        what = "the vector of the classification token" if self.fixed else "the mean of all vectors"
        return f"without a classifier's head, F is ½‖h‖², h {what}"

    def number(self, output: Output) -> Float[Tensor, ""]:
        """Computes half the squared norm."""
        return _vector(output, self.fixed).square().sum() / 2

    def value(self, output: Output, row_of: Mapping[int, int]) -> float:
        """Computes the cosine with the vector of the whole text."""
        vector = _vector(output, [row_of[at] for at in self.fixed])
        return torch.cosine_similarity(vector, self.whole, 0).item()


def answer_of(encoder: Encoder, tokens: Tokens, label: str | int | None, at: Sequence[int]) -> Answer:
    """Runs the model once on a text, and finds the answer whose reasons are asked for.

    Args:
        label: the name of a label, or its number; None: the one that the model predicts.
        at: the positions of the token whose label it is, of a token classifier.

    Raises:
        UsageError: the model has no such label, or no labels; or a token is named of a classifier of texts, or none of
            a classifier of tokens.
    """
    [output] = encoder.run([tokens], lambda layer, group: None)
    task = None if encoder.task is None else Task.of(encoder.task)
    labels_tokens = task is not None and task.kind == TOKEN
    if labels_tokens and not at:
        raise UsageError("a token classifier labels each token: which one?", "name it: --query TOKEN")
    if at and not labels_tokens:
        raise UsageError(f"{encoder.location.short_name} labels no tokens", "--query is for token classifiers")
    if task is None or task.kind not in (SEQUENCE, TOKEN):
        if label is not None:
            raise UsageError(
                f"no label {shown(label)}: {encoder.location.short_name} has no classifier",
                "labels are those of a sequence or token classifier",
            )
        cls = tuple(tokens.positions(Role.CLS)[:1]) if output.hidden.ndim > 1 else ()
        return VectorAnswer(cls, _vector(output, cls))
    logits, fixed = _logits(output, at), tuple(at)
    number = _predicted(task, logits) if label is None else find_label(task, label)
    whose = f" at {visible(tokens.strings[at[0]])}" if at else ""
    return LabelAnswer(task, number, fixed, whose, label is not None, MEASURES[task.answer](logits)[number].item())


def find_label(task: Task, label: str | int) -> int:
    """Finds the number of a label by its name, in any case if it is found in no other, or by its number.

    Raises:
        UsageError: there is no such label.
    """
    names, wanted = list(task.labels), str(label)
    for known, given in ((names, wanted), ([name.casefold() for name in names], wanted.casefold())):
        if given in known:
            return known.index(given)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise UsageError(f"no label {shown(label)}", _named(task))


def _named(task: Task) -> str:
    some = ", ".join(map(visible, task.labels[:8]))
    return f"one of {some}{', …' if len(task.labels) > 8 else ''}, or a number, 0 to {len(task.labels) - 1}"


def _predicted(task: Task, logits: Float[Tensor, " label"]) -> int:
    """Returns the label with the largest logit.

    Raises:
        UsageError: the logits are several numbers, of which none is predicted.
    """
    if task.answer == "number" and len(task.labels) > 1:
        raise UsageError(f"the model answers with {len(task.labels)} numbers: which one?", f"--label: {_named(task)}")
    return int(logits.argmax())


def _logits(output: Output, rows: Sequence[int]) -> Float[Tensor, " label"]:
    """Returns the logits of all labels, their mean over these rows if there are any."""
    assert output.logits is not None
    return output.logits[list(rows)].mean(0) if rows else output.logits


def _vector(output: Output, rows: Sequence[int]) -> Float[Tensor, " d_model"]:
    """Returns the hidden state of these rows' first, or the mean of all."""
    if output.hidden.ndim == 1:
        return output.hidden
    return output.hidden[rows[0]] if rows else output.hidden.mean(0)
