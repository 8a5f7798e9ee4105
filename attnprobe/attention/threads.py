"""Threads that compute side by side, each on one core, so that no number depends on how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, Thread

import torch

_setting_counts = Lock()


class Pool(ThreadPoolExecutor):
    """Threads in which torch computes alone."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, initializer=_compute_alone)

    def each(self, count: int, compute: Callable[[int], object]) -> None:
        """Calls ``compute`` with each number below ``count``, in any order, and waits for all.

        Raises:
            Exception: the first one that a call raised.
        """
        inference = torch.is_inference_mode_enabled()  # which torch keeps for each thread

        def run(number: int) -> None:
            with torch.inference_mode(inference):
                compute(number)

        for _ in self.map(run, range(count)):
            pass


@contextmanager
def pool_of(threads: int) -> Iterator[Pool]:
    """Opens a pool of threads; what has not begun at the end is cancelled."""
    pool = Pool(threads)
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
