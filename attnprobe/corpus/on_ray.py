"""Measures chunks by actors of a Ray cluster.

These are plain actors, not a Ray Dataset: chunks are a stream, results must keep its order, and few chunks may be under
way, which a short queue does here. ``map_batches`` would read ahead without limit, cut other batches, and turn records
and summaries into Arrow and back.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

from attnprobe.corpus.prober import Result
from attnprobe.corpus.threads import cores
from attnprobe.corpus.workers import Chunk, Recipe, Worker, in_order
from attnprobe.errors import AttnprobeError, MissingExtraError, UsageError, first_line

RESTARTS = 3  # how often a lost Ray actor is started again; its chunks are measured again
START_SECONDS = 600  # until all Ray actors must run; a cluster may have to start machines for them


def on_ray(chunks: Iterable[Chunk], recipe: Recipe, workers: int, num_gpus: float = 0) -> Iterator[Result]:
    """Measures chunks by actors of a Ray cluster, each with a model of its own and a share of the processors.

    The cluster that this process is connected to, or that RAY_ADDRESS names, is used and left running; else one is
    started on this machine, and ended. A lost actor is started again, and its chunks are measured again.

    Args:
        workers: how many actors.
        num_gpus: how many GPUs, or what share of one, each actor gets.

    Raises:
        MissingExtraError: ray is not installed.
        AttnprobeError: the cluster is unreachable or too small, an actor failed or was lost too often, or measuring a
            chunk failed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    if num_gpus > 1 and num_gpus % 1:
        raise UsageError(f"--num-gpus must be a whole number or less than 1; got {num_gpus}")
    with _connected(ray, workers, num_gpus), _explained(ray):
        actors = _start_actors(ray, recipe.for_other_folders(), workers, num_gpus)
        turns = cycle(actors)
        try:
            _wait_for(ray, actors)
            yield from in_order(chunks, lambda chunk: partial(ray.get, next(turns).measure.remote(chunk)), 2 * workers)
        finally:
            for actor in actors:
                ray.kill(actor)


@contextmanager
def _connected(ray: Any, workers: int, num_gpus: float) -> Iterator[None]:
    """Connects to a cluster or starts one, and undoes it at the end; does nothing if the process is connected."""
    if ray.is_initialized():
        yield
        return
    with _silent(ray):
        try:
            with _handler_kept(signal.SIGTERM):
                _connect(ray, os.environ.get("RAY_ADDRESS", "local"), workers, num_gpus)
            yield
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str, workers: int, num_gpus: float) -> None:
    """Connects to the cluster at the address; "local" starts one.

    Raises:
        AttnprobeError: the connection fails, or this machine has too few GPUs.
    """
    local = {"num_cpus": max(cores(), workers), "include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        what = "Ray does not start" if local else f"cannot connect to the Ray cluster at RAY_ADDRESS={address}"
        raise AttnprobeError(f"{what}: {first_line(error)}", "`ray status` shows whether a cluster is up") from error
    gpus = ray.cluster_resources().get("GPU", 0)
    if local and workers * num_gpus > gpus:
        raise AttnprobeError(
            f"{workers} workers with {num_gpus:g} GPUs each do not fit on this machine, which has {gpus:g}",
            "give a smaller --num-gpus or fewer --workers, or set RAY_ADDRESS to a cluster",
        )


def _check_reachable(address: str) -> None:
    """Tries host:port, because Ray itself would try for minutes, and complain.

    Raises:
        OSError: nothing answers there.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def _handler_kept(number: signal.Signals) -> Iterator[None]:
    """Sets a signal's handler as it was before the block; Ray's would end the process without a word."""
    before = signal.getsignal(number)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, before)


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Keeps Ray from printing to standard output, among the rows, that actors were lost; such errors are raised."""
    worker = ray._private.worker
    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *args, **options: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _explained(ray: Any) -> Iterator[None]:
    """Turns Ray's errors into the error of the worker, or into one that says how the worker ended."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AttnprobeError):
            raise cause from error
        raise AttnprobeError(f"a Ray worker failed: {type(cause).__name__}: {first_line(cause)}") from error
    except ray.exceptions.RayActorError as error:
        if "failed to import" in str(error):
            reason = str(error).strip().splitlines()[-1]
            raise AttnprobeError(
                f"a Ray worker cannot load attnprobe: {reason}", "it must be installed on every machine of the cluster"
            ) from error
        hint = "is there memory for so many --workers? Ray's logs say more"
        raise AttnprobeError(f"a Ray worker ended unexpectedly, and so did {RESTARTS} in its place", hint) from error


def _start_actors(ray: Any, recipe: Recipe, workers: int, num_gpus: float) -> list[Any]:
    """Starts the actors, each with as many processors as fit everywhere; an actor with a GPU gets one."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    share = 1 if num_gpus else _share(nodes, workers)
    actor = ray.remote(num_cpus=share, num_gpus=num_gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS)(Worker)
    return [actor.remote(replace(recipe, threads=share)) for _ in range(workers)]


def _share(nodes: Sequence[int], workers: int) -> int:
    """Finds how many processors each worker can get at most, given how many each machine has.

    >>> _share([8, 8], 2), _share([8, 8], 3), _share([2], 3)
    (8, 4, 1)
    """
    sizes = range(1, max(nodes, default=1) + 1)
    return max((size for size in sizes if sum(node // size for node in nodes) >= workers), default=1)


def _wait_for(ray: Any, actors: Sequence[Any]) -> None:
    """Waits until all actors run and have loaded the model.

    Raises:
        AttnprobeError: some do not run after ten minutes.
    """
    loading = [actor.load.remote() for actor in actors]
    done, missing = ray.wait(loading, num_returns=len(loading), timeout=START_SECONDS)
    ray.get(done)
    if missing:
        raise AttnprobeError(
            f"after {START_SECONDS} seconds Ray runs {len(done)} of {len(actors)} workers",
            "`ray status` shows what is free; give fewer --workers or a smaller --num-gpus",
        )
