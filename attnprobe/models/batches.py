"""Several texts -> what a model is called with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attnprobe.tokens import Tokens


def make_batch(texts: Sequence[Tokens], model: Any, tokenizer: Any) -> tuple[dict[str, Tensor], list[slice]]:
    """A batch on the model's device, padded on the tokenizer's side where lengths differ.

    Only what the tokenizer gave and the model's forward takes by name is passed on, and always the attention mask.

    Returns:
        the arguments, each (batch, token), and the valid positions of each text.
    """
    longest = max(map(len, texts))
    left = tokenizer.padding_side == "left"
    fill = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    taken = inspect.signature(model.forward).parameters
    inputs = {}
    for name in [name for name in texts[0].inputs if name in taken and name != "attention_mask"]:
        rows = [_pad(text.inputs[name], fill.get(name, 0), longest, left) for text in texts]
        inputs[name] = torch.tensor(rows, device=model.device)
    rows = [_pad([1] * len(text), 0, longest, left) for text in texts]
    inputs["attention_mask"] = torch.tensor(rows, device=model.device)
    starts = [longest - len(text) if left else 0 for text in texts]
    return inputs, [slice(start, start + len(text)) for start, text in zip(starts, texts, strict=True)]


def _pad(row: Sequence[int], fill: int, length: int, left: bool) -> list[int]:
    padding = [fill] * (length - len(row))
    return [*padding, *row] if left else [*row, *padding]
