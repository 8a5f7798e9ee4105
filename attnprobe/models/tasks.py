"""Models with their task head: which class has it, whether it can be run, what its logits mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import transformers
from torch import Tensor, nn

from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.config import texts
from attnprobe.models.encoder import Encoder
from attnprobe.models.families import Family
from attnprobe.models.locate import Location
from attnprobe.models.running import Output
from attnprobe.models.selfcheck import SAMPLE
from attnprobe.values.tokens import Tokens

SEQUENCE, TOKEN, WORD = "sequence", "token", "word"
ENDINGS = {"ForSequenceClassification": SEQUENCE, "ForTokenClassification": TOKEN, "ForMaskedLM": WORD}
SERVED = f"loaded are heads of classes ...{', ...'.join(ENDINGS)}"
LABELS_OF = {"single_label_classification": "single", "multi_label_classification": "multiple", "regression": "number"}


@dataclass(frozen=True)
class Task:
    """What the logits of a model with a head mean.

    Attributes:
        kind: "sequence" (a label of the text), "token" (a label of each token) or "word" (the word at each token).
        labels: their names, in the order of the logits; empty for "word".
        answer: "single" (one label is right), "multiple" (each label by itself) or "number" (the logit is the answer).
    """

    kind: str
    labels: Sequence[str]
    answer: str

    @classmethod
    def of(cls, task: Any) -> Task:
        """Describes a transformers model with a head."""
        kind, config = kind_of(type(task)), task.config
        if kind == WORD:
            return cls(WORD, (), "single")
        labels = [str(config.id2label.get(number, number)) for number in range(config.num_labels)]
        stated = LABELS_OF.get(str(getattr(config, "problem_type", None)))
        return cls(kind, labels, stated or ("single" if len(labels) > 1 else "number"))


def kind_of(model_class: type) -> str:
    """Names what kind of task head a class has; empty if none that is loaded."""
    return next((kind for ending, kind in ENDINGS.items() if class_named(model_class).endswith(ending)), "")


def named_class(location: Location) -> str:
    """Returns the name of the class that config.json names; empty if there is none."""
    return next(iter(texts(location.config.get("architectures"))), "")


def class_named(model_class: type) -> str:
    """Returns the name of a class, or that of the one with a task head that it is derived from."""
    names: list[str] = [base.__name__ for base in model_class.__mro__]
    return next((name for name in names if name.endswith(tuple(ENDINGS))), names[0])


def head_class(name: str, location: Location, family: Family | None, task: bool | None) -> str:
    """Returns the name of the class with the task head if a head is to be loaded, else nothing.

    Args:
        name: the class of the whole model.
        task: whether there must be a head; None: a classifier's, where there is one that can be loaded.

    Raises:
        ModelError: there must be a head, and there is none, or none that is loaded.
    """
    if task is False:
        return ""
    refusal = _refusal(name, location, family)
    if task and refusal:
        raise ModelError(f"{location.name!r} has no task head: {refusal}", SERVED)
    return "" if refusal or (task is None and name.endswith("ForMaskedLM")) else name


def _refusal(name: str, location: Location, family: Family | None) -> str:
    """Says why a checkpoint's head is not loaded; empty if it can be."""
    if not name.endswith(tuple(ENDINGS)):
        return f"its architecture is {name}" if name else "config.json names no architecture"
    if location.adapter:
        return "it is an adapter, whose head is not loaded: merge it, and save the whole model"
    if not hasattr(transformers, name):
        return f"transformers has no class {name}"
    if location.config.get("is_encoder_decoder") or (family and (family.model_class or family.part or family.adapter)):
        return f"that of {name} reads more than an encoder of text"
    return ""


def check_head(encoder: Encoder) -> Encoder:
    """Checks by a short run that a model with its head runs the encoder as it is measured.

    Returns:
        the encoder; whose texts are not padded if padding changes the logits.

    Raises:
        ModelError: the head does not run, or runs the encoder in another way.
    """
    long, short = (encoder.tokenize(SAMPLE * times, max_length=encoder.max_length)[0] for times in (2, 1))
    name = type(encoder.task).__name__
    plain = encoder.observe([short], _nobody)[0]
    if not _close(encoder.run([short], _nobody)[0].hidden, plain, encoder, short):
        raise ModelError(
            f"the head of {name} runs its encoder otherwise than the bare model is run", "load it without its head"
        )
    alone = _logits(encoder.run([short], _nobody)[0], name)
    padded = encoder.run([long, short], _nobody)[1].logits
    if not encoder.padding_invariant or (padded is not None and _close(padded, alone, encoder, long)):
        return encoder
    return replace(encoder, padding_invariant=False)


def _logits(output: Output, name: str) -> Tensor:
    if output.logits is None or output.logits.ndim == 0:
        raise ModelError(f"the head of {name} gives no logits")
    return output.logits


def _close(found: Tensor, expected: Tensor, encoder: Encoder, tokens: Tokens) -> bool:
    tolerance = rounding(encoder.dtype, terms(encoder.layers, int(expected.shape[-1]), len(tokens)))
    return bool((found - expected).abs().max() <= tolerance * (1 + expected.abs().max()))


def _nobody(layer: int, group: int) -> None:
    """Observes nothing."""


def name_of_part(whole: nn.Module, part: nn.Module) -> str:
    """Finds the name of a module within another.

    Raises:
        ModelError: it is not in it.
    """
    names: list[str] = [name for name, module in whole.named_modules() if module is part]
    if not names or whole is part:
        raise ModelError(f"{type(whole).__name__} has no task head", SERVED)
    return names[0]
