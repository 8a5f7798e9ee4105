"""The numbers of a text that heads can be important for, each with its formula and source.

To add one: a subclass of Objective, a row in OBJECTIVES, and the name among the choices in ``importance.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from attnprobe.analyses.losses import loss_of
from attnprobe.errors import ModelError, TextError
from attnprobe.measure.reading import read_apart, read_text, tokenize
from attnprobe.models.encoder import Encoder
from attnprobe.models.running import Output
from attnprobe.models.tasks import WORD, Task
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Role, Tokens

TOKENS_AT_ONCE = 2**11  # of masked copies of texts
LOGITS_AT_ONCE = 2**25  # numbers: 128 MiB in float32


@dataclass(frozen=True)
class Part:
    """Some texts that the model reads, and what of each measured text these give; parts of one text add up.

    Attributes:
        reads: the tokens that the model reads.
        owners: by what is read, the index of the measured text it belongs to.
        of: the outputs -> the numbers that are added up.
        numbered: by number, the index of the measured text.
    """

    reads: Sequence[Tokens]
    owners: Sequence[int]
    of: Callable[[Sequence[Output]], Tensor]
    numbered: Sequence[int]


def pooled(output: Output) -> Float[Tensor, " d_model"]:
    """Returns the mean of the last hidden states over all tokens, or the one vector of a model that gives no more."""
    return output.hidden.mean(0) if output.hidden.ndim > 1 else output.hidden


@dataclass(frozen=True)
class Objective:
    """One number of each text; or a vector, whose change is measured by its length. Made by :func:`objective_of`.

    Attributes:
        formula, source: what it computes, and where it is from.
        needs_head: whether logits are needed.
        read: how records become the tokens that are measured.
    """

    formula: ClassVar[str]
    source: ClassVar[str]
    needs_head: ClassVar[bool] = False
    read = staticmethod(read_text)

    @classmethod
    def of_model(cls, encoder: Encoder, reading: Reading, label_column: str | None) -> Self:
        """Makes the objective for a model and texts that are read like this.

        Raises:
            ModelError: the model lacks something.
        """
        return cls()

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text *d"]:
        """Computes the number, or the vector, of each text.

        Raises:
            TextError: a text lacks something.
        """
        raise NotImplementedError

    def parts(self, texts: Sequence[Tokens], encoder: Encoder) -> Iterator[Part]:
        """Yields what the model reads for texts of one length; by default these alone."""
        indices = range(len(texts))
        yield Part(texts, indices, lambda outputs: self.of(outputs, texts), indices)


@dataclass(frozen=True)
class Sensitivity(Objective):
    """The mean hidden state, a vector."""

    formula = "J_h = ‖∂o/∂ξ_h‖₂, o the mean of the last hidden states over all tokens"
    source = "attnprobe: how far the text's vector moves when a head is scaled; needs neither labels nor a head"

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text d"]:
        """Computes the mean hidden state of each text."""
        return torch.stack(list(map(pooled, outputs)))


@dataclass(frozen=True)
class HalfSquaredNorm(Objective):
    """Half the squared norm of the mean hidden state."""

    formula = "½‖o‖², o the mean of the last hidden states over all tokens"
    source = "attnprobe: needs neither labels nor a head, but sees only what moves o along itself"

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the number of each text."""
        return torch.stack([pooled(output).square().sum() / 2 for output in outputs])


@dataclass(frozen=True)
class HalfSquaredClsNorm(Objective):
    """Half the squared norm of the classification token's hidden state."""

    formula = "½‖h_CLS‖², h_CLS the last hidden state of the classification token"
    source = "attnprobe: almost constant after a LayerNorm, so that its gradient says little"

    @classmethod
    def of_model(cls, encoder: Encoder, reading: Reading, label_column: str | None) -> Self:
        """Makes the objective; raises ModelError if the tokenizer adds no classification token."""
        if not encoder.tokenize("a", words=False)[0].positions(Role.CLS):
            raise ModelError(
                f"the tokenizer of {encoder.location.short_name} adds no classification token",
                "choose another objective, such as norm",
            )
        return cls()

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the number of each text."""
        return torch.stack(
            [_of_cls(output, text).square().sum() / 2 for output, text in zip(outputs, texts, strict=True)]
        )


def _of_cls(output: Output, text: Tokens) -> Float[Tensor, " d_model"]:
    return output.hidden[text.positions(Role.CLS)[0]] if output.hidden.ndim > 1 else output.hidden


@dataclass(frozen=True)
class Similarity(Objective):
    """The cosine of the vectors of a pair's two texts.

    Attributes:
        reading: how the second text is read.
    """

    formula = "cos(o_1, o_2), o the mean hidden states of the two texts of a pair, each read by itself"
    source = "what sentence encoders are trained for (Reimers & Gurevych 2019)"
    read = staticmethod(read_apart)

    reading: Reading

    @classmethod
    def of_model(cls, encoder: Encoder, reading: Reading, label_column: str | None) -> Self:
        """Makes the objective."""
        return cls(reading)

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " pair"]:
        """Computes the cosine of each pair, from the outputs of all first texts and then of all second ones."""
        first, second = torch.stack(list(map(pooled, outputs))).chunk(2)
        return cosine_similarity(first, second)

    def parts(self, texts: Sequence[Tokens], encoder: Encoder) -> Iterator[Part]:
        """Yields both texts of each pair: the head's factor is one, so that what it changes in both adds up."""
        given = [text.given[1] for text in texts if text.given and text.given[1]]
        second = [tokenize(encoder, text, None, self.reading, words=False)[0] for text in given]
        reads, pairs = [*texts, *second], range(len(texts))
        yield Part(reads, [*pairs, *pairs], lambda outputs: self.of(outputs, reads), pairs)


@dataclass(frozen=True)
class PseudoLoss(Objective):
    """The loss of a masked language model over a text, each token of which is masked in turn.

    Attributes:
        mask: the number of the mask token.
        words: how many logits a token has.
    """

    formula = "−1/m Σ_t ln p(t | the text with t masked), over the m tokens of the text itself"
    source = "Salazar et al. 2020"
    needs_head = True

    mask: int
    words: int

    @classmethod
    def of_model(cls, encoder: Encoder, reading: Reading, label_column: str | None) -> Self:
        """Makes the objective; raises ModelError if the head of a masked language model or the mask is missing."""
        if encoder.task is None or Task.of(encoder.task).kind != WORD:
            raise ModelError(f"{encoder.location.short_name} has no head of a masked language model")
        if encoder.tokenizer.mask_token_id is None:
            raise ModelError(f"the tokenizer of {encoder.location.short_name} has no mask token")
        return cls(encoder.tokenizer.mask_token_id, encoder.task.config.vocab_size)

    def parts(self, texts: Sequence[Tokens], encoder: Encoder) -> Iterator[Part]:
        """Yields a copy of each text for each token of its own, in batches; raises TextError if there is none."""
        masked = [(owner, at) for owner, text in enumerate(texts) for at in text.positions(Role.CONTENT)]
        if len({owner for owner, _ in masked}) < len(texts):
            raise TextError("there is no token to mask")
        length = len(texts[0])
        at_once = max(1, min(TOKENS_AT_ONCE // length, LOGITS_AT_ONCE // (length * self.words)))
        for start in range(0, len(masked), at_once):
            some = masked[start : start + at_once]
            copies = [_masked(texts[owner], at, self.mask) for owner, at in some]
            owners, surprise = [owner for owner, _ in some], _Surprise([(texts[owner], at) for owner, at in some])
            yield Part(copies, owners, surprise, owners)


@dataclass(frozen=True)
class _Surprise:
    """Computes how unlikely the masked token of each copy is, divided by the number of the text's own tokens."""

    masked: Sequence[tuple[Tokens, int]]

    def __call__(self, outputs: Sequence[Output]) -> Float[Tensor, " copy"]:
        return torch.stack([self._of(output, *masked) for output, masked in zip(outputs, self.masked, strict=True)])

    def _of(self, output: Output, text: Tokens, at: int) -> Float[Tensor, ""]:
        assert output.logits is not None
        log_p = output.logits[at].log_softmax(-1)[text.inputs["input_ids"][at]]
        return -log_p / len(text.positions(Role.CONTENT))


def _masked(text: Tokens, at: int, mask: int) -> Tokens:
    ids = list(text.inputs["input_ids"])
    ids[at] = mask
    return replace(text, inputs={**text.inputs, "input_ids": ids})


@dataclass(frozen=True)
class Loss(Objective):
    """The loss of a classifier.

    Attributes:
        label_column: which of a record's labels says what the model should say.
        task: what the logits mean.
    """

    formula = "cross-entropy with the label; of several labels binary, of numbers squared error, of words their mean"
    source = "Michel et al. 2019"
    needs_head = True

    label_column: str
    task: Task

    @classmethod
    def of_model(cls, encoder: Encoder, reading: Reading, label_column: str | None) -> Self:
        """Makes the objective; raises ModelError if the model has no head of a classifier."""
        task = Task.of(encoder.task) if encoder.task else None
        if task is None or task.kind == WORD or label_column is None:
            raise ModelError(f"{encoder.location.short_name} has no head of a classifier", "choose another objective")
        return cls(label_column, task)

    def of(self, outputs: Sequence[Output], texts: Sequence[Tokens]) -> Float[Tensor, " text"]:
        """Computes the loss of each text; raises TextError if one has no label, or one that does not fit."""
        return torch.stack([self._of(output, text) for output, text in zip(outputs, texts, strict=True)])

    def _of(self, output: Output, text: Tokens) -> Float[Tensor, ""]:
        label = text.labels.get(self.label_column)
        if label is None or label == "":
            raise TextError(f"the text has no label {self.label_column!r}")
        assert output.logits is not None
        return loss_of(output.logits, label, self.task, text)


OBJECTIVES: Mapping[str, type[Objective]] = {
    "sensitivity": Sensitivity,
    "norm": HalfSquaredNorm,
    "cls-norm": HalfSquaredClsNorm,
    "similarity": Similarity,
    "mlm": PseudoLoss,
    "loss": Loss,
}


def objective_of(name: str, encoder: Encoder, reading: Reading, label_column: str | None = None) -> Objective:
    """Makes the objective of that name for a model and texts that are read like this.

    Args:
        label_column: of the loss, see :class:`Loss`.

    Raises:
        ModelError: the model lacks what the objective needs.
    """
    return OBJECTIVES[name].of_model(encoder, reading, label_column)
