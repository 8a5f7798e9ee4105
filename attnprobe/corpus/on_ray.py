"""Chunks measured by actors of a Ray cluster.

These are plain actors, not a Ray Dataset: chunks are a stream, their results must come back in its order and few may
be under way, which is a short queue here. ``map_batches`` would read ahead as it sees fit, cut batches of its own, and
turn records and summaries into Arrow and back.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

from attnprobe.corpus.prober import Result
from attnprobe.corpus.threads import cores
from attnprobe.corpus.workers import Chunk, Recipe, Worker, in_order
from attnprobe.errors import AttnprobeError, MissingExtraError, UsageError

RESTARTS = 3  # how often a Ray actor is started again whose process or machine was lost; its chunks are measured again
START_SECONDS = 600  # by when every Ray actor must run; a cluster may have to start machines for them


def on_ray(chunks: Iterable[Chunk], recipe: Recipe, workers: int, num_gpus: float = 0) -> Iterator[Result]:
    """Actors of a Ray cluster, each with a model of its own and its share of the processors.

    The cluster is the one that this process is connected to, or that RAY_ADDRESS names, and it stays; else one is
    started on this machine, and ended. An actor that is lost is started again, and its chunks are measured again.

    Args:
        workers: how many actors.
        num_gpus: how much of a GPU each one gets.

    Raises:
        MissingExtraError: ray is not installed.
        AttnprobeError: there is no such cluster, or no room in it; an actor failed, or was lost too often; or what a
            chunk itself raises.
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
    """Connects to a cluster or starts one, and undoes it at the end; nothing where the process is connected already."""
    if ray.is_initialized():
        yield
        return
    with _silent(ray):
        try:
            _connect(ray, os.environ.get("RAY_ADDRESS", "local"), workers, num_gpus)
            yield
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str, workers: int, num_gpus: float) -> None:
    """Connects to the cluster at the address; "local" starts one.

    Raises:
        AttnprobeError: that fails, or this machine has too few GPUs.
    """
    local = {"num_cpus": max(cores(), workers), "include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        what = "Ray does not start" if local else f"cannot connect to the Ray cluster at RAY_ADDRESS={address}"
        raise AttnprobeError(f"{what}: {_first_line(error)}", "`ray status` shows whether a cluster is up") from error
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
def _silent(ray: Any) -> Iterator[None]:
    """Keeps Ray from reporting lost actors on standard output, among the rows; what matters of it is raised."""
    worker = ray._private.worker
    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *args, **options: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _explained(ray: Any) -> Iterator[None]:
    """Turns what Ray raises into what a worker raised, or into a word on what became of it."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AttnprobeError):
            raise cause from error
        raise AttnprobeError(f"a Ray worker failed: {type(cause).__name__}: {_first_line(cause)}") from error
    except ray.exceptions.RayActorError as error:
        if "failed to import" in str(error):
            reason = str(error).strip().splitlines()[-1]
            raise AttnprobeError(
                f"a Ray worker cannot load attnprobe: {reason}", "it must be installed on every machine of the cluster"
            ) from error
        hint = "is there memory for so many --workers? Ray's logs say more"
        raise AttnprobeError(f"a Ray worker ended unexpectedly, and so did {RESTARTS} in its place", hint) from error


def _start_actors(ray: Any, recipe: Recipe, workers: int, num_gpus: float) -> list[Any]:
    """Asks Ray for as many actors, each as large as fits everywhere; a GPU's actor computes nothing on processors."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    share = 1 if num_gpus else _share(nodes, workers)
    actor = ray.remote(num_cpus=share, num_gpus=num_gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS)(Worker)
    return [actor.remote(replace(recipe, threads=share)) for _ in range(workers)]


def _share(nodes: Sequence[int], workers: int) -> int:
    """The most processors that each of so many workers can have on machines with so many.

    >>> _share([8, 8], 2), _share([8, 8], 3), _share([2], 3)
    (8, 4, 1)
    """
    sizes = range(1, max(nodes, default=1) + 1)
    return max((size for size in sizes if sum(node // size for node in nodes) >= workers), default=1)


def _wait_for(ray: Any, actors: Sequence[Any]) -> None:
    """Waits until every actor has a place and a model.

    Raises:
        AttnprobeError: some have none in ten minutes.
    """
    loading = [actor.load.remote() for actor in actors]
    done, missing = ray.wait(loading, num_returns=len(loading), timeout=START_SECONDS)
    ray.get(done)
    if missing:
        raise AttnprobeError(
            f"after {START_SECONDS} seconds Ray runs {len(done)} of {len(actors)} workers",
            "`ray status` shows what is free; give fewer --workers or a smaller --num-gpus",
        )


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), "")
