"""Where chunks are measured: in this process, in several on this machine, or on a Ray cluster.

Whichever it is, results come in the order of the chunks and are the same, byte for byte.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

from attnprobe.corpora import Prober, Result, Settings, cores
from attnprobe.corpus.batches import Item
from attnprobe.errors import AttnprobeError, MissingExtraError
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import load_encoder

Chunk = list[Item]


@dataclass(frozen=True)
class Recipe:
    """What another process needs to measure as this one does.

    Attributes:
        loading: the arguments of :func:`attnprobe.load_encoder`.
        threads: how many batches that process computes at a time; None: one per core.
    """

    loading: dict[str, Any]
    settings: Settings
    threads: int | None = None

    def encoder(self) -> Encoder:
        """Loads the model."""
        return load_encoder(**self.loading)

    def prober(self) -> Prober:
        """Loads the model and makes ready to measure."""
        return Prober(self.encoder(), self.settings, self.threads)


def results(
    chunks: Iterable[Chunk], prober: Prober, recipe: Recipe, engine: str, workers: int, num_gpus: float = 0
) -> Iterator[Result]:
    """The chunks' results from the engine that was asked for."""
    if engine == "ray":
        return on_ray(chunks, recipe, workers, num_gpus)
    return in_processes(chunks, recipe, workers) if workers > 1 else prober.results(chunks)


def in_processes(chunks: Iterable[Chunk], recipe: Recipe, workers: int) -> Iterator[Result]:
    """Several processes on this machine, each with a model of its own and its share of the cores.

    Raises:
        AttnprobeError: a worker was killed, as by the system when memory runs out; or what a chunk itself raises.
    """
    share = Recipe(recipe.loading, recipe.settings, max(1, cores() // workers))
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_become_worker, initargs=(share,))
    try:
        yield from _in_order(chunks, lambda chunk: pool.submit(_measure, chunk).result, 2 * workers)
    except BrokenProcessPool as error:
        raise AttnprobeError("a worker process ended unexpectedly", "is there memory for so many --workers?") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def on_ray(chunks: Iterable[Chunk], recipe: Recipe, workers: int, num_gpus: float = 0) -> Iterator[Result]:
    """Actors of a Ray cluster, each with a model of its own.

    The cluster is the one that is connected to, or that RAY_ADDRESS names; else one is started on this machine.

    Args:
        workers: how many actors.
        num_gpus: how much of a GPU each one gets.

    Raises:
        MissingExtraError: ray is not installed.
        AttnprobeError: an actor died; or what a chunk itself raises.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
    share = Recipe(recipe.loading, recipe.settings, max(1, cores() // workers))
    actor = ray.remote(num_gpus=num_gpus)(_Worker)
    turns = cycle([actor.remote(share) for _ in range(workers)])
    try:
        yield from _in_order(chunks, lambda chunk: partial(ray.get, next(turns).measure.remote(chunk)), 2 * workers)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AttnprobeError):
            raise cause from error
        raise
    except ray.exceptions.RayActorError as error:
        raise AttnprobeError("a Ray actor ended unexpectedly", "its log says why: ray logs") from error
    finally:
        if started:
            ray.shutdown()


def _in_order(chunks: Iterable[Chunk], submit: Callable[[Chunk], Callable[[], Result]], most: int) -> Iterator[Result]:
    """The chunks' results in order, at most so many chunks on their way; what came before an error still comes."""
    waiting: deque[Callable[[], Result]] = deque()
    source = iter(chunks)
    ended: AttnprobeError | None = None
    while True:
        try:
            waiting.append(submit(next(source)))
        except StopIteration:
            break
        except AttnprobeError as error:
            ended = error
            break
        if len(waiting) == most:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
    if ended is not None:
        raise ended


class _Worker:
    """One process with a model."""

    def __init__(self, recipe: Recipe) -> None:
        self.prober = recipe.prober()

    def measure(self, chunk: Chunk) -> Result:
        return next(self.prober.results([chunk]))


_worker: _Worker | None = None


def _become_worker(recipe: Recipe) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says what to do
    _worker = _Worker(recipe)


def _measure(chunk: Chunk) -> Result:
    assert _worker is not None
    return _worker.measure(chunk)
