"""Memory that is used again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import get_ident

import torch
from torch import Tensor


class Memory:
    """Reuses memory for tensors that are needed one after another; new memory for each block costs page faults.

    Each thread has memory of its own.
    """

    def __init__(self, like: Tensor) -> None:
        self.like, self.rooms = like, dict[tuple[str, int], Tensor]()

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Returns a tensor of arbitrary content, which overwrites the one taken under this name before."""
        size, place = math.prod(shape), (name, get_ident())
        room = self.rooms.get(place)
        if room is None or len(room) < size or room.dtype != dtype:
            room = self.rooms[place] = self.like.new_empty(size, dtype=dtype)
        return room[:size].view(*shape)
