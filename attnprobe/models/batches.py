"""Several texts -> the arguments of a model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor

from attnprobe.models.embeddings import check_embedded
from attnprobe.values.tokens import Tokens


def make_batch(texts: Sequence[Tokens], model: Any, tokenizer: Any) -> tuple[dict[str, Tensor], list[slice]]:
    """Makes a batch on the model's device, padded at the end if lengths differ.

    Padding at the end, whatever the tokenizer's side, leaves every token at the position it has alone: rotary models
    round differently elsewhere. Only what the tokenizer gave and the model's forward takes by name is passed on, and
    the attention mask.

    Returns:
        the arguments, each (batch, token), and the valid positions of each text.

    Raises:
        TextError: the model has no embedding for a token.
    """
    longest = max(map(len, texts))
    fill = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    taken = inspect.signature(model.forward).parameters
    names = [name for name in texts[0].inputs if name in taken and name != "attention_mask"]
    rows = {name: [_pad(text.inputs[name], fill.get(name, 0), longest) for text in texts] for name in names}
    if "attention_mask" in taken:
        rows["attention_mask"] = [_pad([1] * len(text), 0, longest) for text in texts]
    check_embedded(rows, model, tokenizer)
    inputs = {name: torch.tensor(numbers, device=model.device) for name, numbers in rows.items()}
    return inputs, [slice(0, len(text)) for text in texts]


def neighbours(texts: Sequence[Tokens]) -> list[slice]:
    """Groups neighbouring texts of equal length."""
    sizes = [len(list(alike)) for _, alike in groupby(texts, len)]
    return [slice(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True)]


def _pad(row: Sequence[Any], fill: int, length: int) -> list[Any]:
    """Fills up a row of numbers, or of lists of numbers (TAPAS gives each token seven types), to a length."""
    last = [fill] * len(row[0]) if isinstance(row[0], list) else fill
    return [*row, *[last] * (length - len(row))]
