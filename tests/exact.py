"""A world in which every float32 is float64, so that rounding explains no difference of more than EXACT.

Other processors round in other orders: what is equal to the last digit of float32 on one is not on the next. So
equality is proven here, and numbers in float32 are held to ``attnprobe.attention.rounding``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from attnprobe import Encoder

EXACT = 1e-9  # relative to the size of what is added up


@contextmanager
def float64() -> Iterator[None]:
    """Also what transformers itself computes in float32 (norms, rotations, softmaxes) is computed in float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "float32", torch.float64)
        patch.setattr(torch, "float", torch.float64)
        patch.setattr(torch.Tensor, "float", lambda tensor, **options: tensor.double(**options))
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def doubled(encoder: Encoder) -> Encoder:
    """The encoder with weights in float64, captured as it was decided for float32."""
    model, task = copy.deepcopy((encoder.model, encoder.task))
    (model if task is None else task).double()
    return replace(encoder, model=model, task=task)
