"""Encoders that transformers does not let run on token ids and a mask alone, made callable with just these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Inputs = dict[str, Tensor]
Arguments = Callable[[Inputs, Any, torch.dtype], Inputs]


class Adapter(nn.Module):
    """An encoder whose arguments are made from the usual ones, with the attributes of a transformers model.

    Args:
        encoder: the part of a model that reads the text.
        arguments: (usual arguments, configuration, dtype) -> the encoder's own arguments.
    """

    def __init__(self, config: Any, encoder: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.config, self.encoder, self.arguments = config, encoder, arguments
        self.train(encoder.training)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        output_attentions: bool = False,
    ) -> Any:
        """Runs the encoder on arguments made from the usual ones."""
        usual = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            usual["token_type_ids"] = token_type_ids
        return self.encoder(**self.arguments(usual, self.config, self.dtype), output_attentions=output_attentions)


def fsmt(usual: Inputs, config: Any, dtype: torch.dtype) -> Inputs:
    """Passes FSMT's encoder, a plain module, only the two arguments it takes."""
    return {name: usual[name] for name in ("input_ids", "attention_mask")}


def lxmert(usual: Inputs, config: Any, dtype: torch.dtype) -> Inputs:
    """Adds an empty picture for LXMERT, whose language layers come before those that see the picture."""
    ids = usual["input_ids"]
    return usual | {
        "visual_feats": ids.new_zeros(len(ids), 1, config.visual_feat_dim, dtype=dtype),
        "visual_pos": ids.new_zeros(len(ids), 1, config.visual_pos_dim, dtype=dtype),
    }


def bros(usual: Inputs, config: Any, dtype: torch.dtype) -> Inputs:
    """Adds the same box for all words, for BROS."""
    return usual | {"bbox": usual["input_ids"].new_zeros(*usual["input_ids"].shape, 4)}


def speecht5(usual: Inputs, config: Any, dtype: torch.dtype) -> Inputs:
    """Names token ids as SpeechT5 names sound."""
    return {"input_values": usual["input_ids"], "attention_mask": usual["attention_mask"]}


def vits(usual: Inputs, config: Any, dtype: torch.dtype) -> Inputs:
    """Adds the mask once more as a column of numbers, for VITS."""
    mask = usual["attention_mask"]
    return {"input_ids": usual["input_ids"], "attention_mask": mask, "padding_mask": mask[..., None].to(dtype)}


ADAPTERS = {adapter.__name__: adapter for adapter in (fsmt, lxmert, bros, speecht5, vits)}
