"""The linear maps of transformers' models."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

LINEAR = (nn.Linear, Conv1D)


def matrix(module: nn.Linear | Conv1D) -> Float[Tensor, "d_in d_out"]:
    """Returns the W of a linear map xW + b; GPT-2's maps hold W, others its transpose."""
    return module.weight if isinstance(module, Conv1D) else module.weight.T
