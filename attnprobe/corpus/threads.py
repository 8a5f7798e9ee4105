"""Threads that compute batches side by side, each on one core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread

import torch

from attnprobe.models.encoder import Encoder

_setting_counts = Lock()


def cores() -> int:
    """Counts the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Replicas:
    """Encoders that share their weights, one for each batch computed at a time."""

    def __init__(self, encoder: Encoder, count: int) -> None:
        self._free: SimpleQueue[Encoder] = SimpleQueue()
        for _ in range(count):
            self._free.put(encoder.replica())

    @contextmanager
    def one(self) -> Iterator[Encoder]:
        """Lends a replica that no other thread uses meanwhile."""
        encoder = self._free.get()
        try:
            yield encoder
        finally:
            self._free.put(encoder)


@contextmanager
def pool_of(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Opens a pool of threads for batches; batches that have not begun at the end are cancelled."""
    pool = ThreadPoolExecutor(threads, initializer=_compute_alone)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _compute_alone() -> None:
    """Sets torch to compute in this thread without helpers, and leaves all other threads as they were.

    torch keeps a thread count for each thread. But setting one also sets that of threads started later, which another
    thread sets back here.
    """
    with _setting_counts:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        other = Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
