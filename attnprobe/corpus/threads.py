"""Replicas of a model, one for each thread that computes batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue

from attnprobe.models.encoder import Encoder


def cores() -> int:
    """Counts the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Replicas:
    """Encoders that share their weights, one for each batch computed at a time, made when it is first needed."""

    def __init__(self, encoder: Encoder, count: int) -> None:
        self._encoder = encoder
        self._free: LifoQueue[Encoder | None] = LifoQueue()  # the last one used comes first; None: not made yet
        for _ in range(count):
            self._free.put(None)

    @contextmanager
    def one(self) -> Iterator[Encoder]:
        """Lends a replica that no other thread uses meanwhile."""
        encoder = self._free.get()
        try:
            encoder = encoder or self._encoder.replica()
            yield encoder
        finally:
            self._free.put(encoder)
