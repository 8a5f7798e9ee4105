"""Limits a model to the size of its weight files while transformers builds it, to save memory and time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from attnprobe.errors import ModelError
from attnprobe.models.checkpoint import dtypes_in
from attnprobe.models.locate import Location

# A model has more weights than its files where some are tied, fused in the files, or new (a pooler).
ROOM = 4
SPARE, SPARE_TENSORS = 2**26, 2**9
TENSORS_OF_A_PICKLE = 2**12  # which cannot be counted unread


@contextmanager
def held_to_size(location: Location) -> Iterator[None]:
    """Refuses a model, while it is built, that has far more weights than its files could hold.

    Raises:
        ModelError: the model is far larger, so that its config.json is that of another model, or of none.
    """
    most = ROOM * sum(path.stat().st_size for path in location.weight_files) + SPARE
    counts = [len(dtypes_in(location.name, path)) for path in location.weight_files if location.safetensors]
    most_tensors = ROOM * (sum(counts) or TENSORS_OF_A_PICKLE) + SPARE_TENSORS
    thread, size, tensors = threading.get_ident(), 0, 0

    def measure(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal size, tensors
        if tensor is None or not tensor.is_meta or threading.get_ident() != thread:
            return
        size, tensors = size + tensor.numel(), tensors + 1
        if size > most or tensors > most_tensors:
            raise ModelError(
                f"config.json of {location.name!r} describes a model far larger than its weight files",
                "is this the right checkpoint for its config.json?",
            )

    handles = [
        register_module_parameter_registration_hook(measure),
        register_module_buffer_registration_hook(measure),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
