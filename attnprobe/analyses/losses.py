"""The loss of a classifier with what the label of a record says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from attnprobe.errors import TextError
from attnprobe.models.tasks import TOKEN, Task
from attnprobe.values.arguments import shown
from attnprobe.values.tokens import Role, Tokens

UNLABELLED = (None, "", -100, "-100")


def loss_of(logits: Float[Tensor, "*token label"], label: Any, task: Task, text: Tokens) -> Float[Tensor, ""]:
    """Computes a classifier's loss on one text.

    Of token classifiers it is the mean over words that have a label, read off each word's first token.

    Args:
        label: a name of ``task.labels`` or its number; a list of such, of words or where several labels are right; or
            the number, or the list of them, that the model should give.

    Raises:
        TextError: the label does not fit the model or the text.
    """
    if task.kind == TOKEN:
        labelled = [(at, task_label) for at, task_label in _by_word(text, label) if task_label not in UNLABELLED]
        if not labelled:
            raise TextError("no word has a label")
        return torch.stack([_single(logits[at], one, task) for at, one in labelled]).mean()
    if task.answer == "number":
        return (logits - logits.new_tensor(_numbers(label, len(logits)))).square().mean()
    if task.answer == "multiple":
        right = torch.zeros_like(logits)
        right[[_index(one, task.labels) for one in (label if isinstance(label, list | tuple) else [label])]] = 1
        return binary_cross_entropy_with_logits(logits, right)
    return _single(logits, label, task)


def _single(logits: Float[Tensor, " label"], label: Any, task: Task) -> Float[Tensor, ""]:
    return cross_entropy(logits, torch.tensor(_index(label, task.labels), device=logits.device))


def is_right(logits: Float[Tensor, " label"] | None, label: Any, task: Task) -> bool:
    """Tests whether a classifier of which one label is right finds that one the most likely."""
    return logits is not None and int(logits.argmax()) == _index(label, task.labels)


def _index(label: Any, labels: Sequence[str]) -> int:
    """Finds the number of a label by name, or else by its number.

    Raises:
        TextError: there is no such label.
    """
    named = str(label)
    if named in labels:
        return labels.index(named)
    if named.isdecimal() and int(named) < len(labels):
        return int(named)
    raise TextError(f"the label {shown(label)} is none of {', '.join(labels)}")


def _numbers(label: Any, count: int) -> list[float]:
    """Reads the numbers that a model should give.

    Raises:
        TextError: they are no numbers, or not so many.
    """
    given = label if isinstance(label, list | tuple) else [label]
    try:
        numbers = [float(number) for number in given]
    except (TypeError, ValueError) as error:
        raise TextError(f"the label {shown(label)} is no number") from error
    if len(numbers) != count:
        raise TextError(f"the label has {len(numbers)} numbers, the model gives {count}")
    return numbers


def _by_word(text: Tokens, label: Any) -> list[tuple[int, Any]]:
    """Pairs the first token of each word as given with the word's label.

    Raises:
        TextError: the text is not given as words, or has not as many labels.
    """
    words = text.given[0] if text.given else ""
    if isinstance(words, str) or text.words is None:
        raise TextError("labels of words take a text that is given as a list of words")
    if not isinstance(label, list | tuple) or len(label) != len(words):
        raise TextError(f"there is not one label for each of {len(words)} words")
    of_text = [at for at, role in enumerate(text.roles) if role == Role.CONTENT and text.segments[at] == 1]
    first = [at for at in of_text if at == of_text[0] or text.words[at] != text.words[at - 1]]
    return list(zip(first, label, strict=False))
