"""Measures chunks in this process, in several on this machine, or on a Ray cluster.

Results come in the order of the chunks and are the same everywhere, byte for byte.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import resource_tracker

from attnprobe.corpus.on_ray import on_ray
from attnprobe.corpus.prober import Prober, Result
from attnprobe.corpus.threads import cores
from attnprobe.corpus.workers import Chunk, Recipe, Worker, in_order
from attnprobe.errors import AttnprobeError, UsageError
from attnprobe.values.options import Engine


def results(chunks: Iterable[Chunk], prober: Prober, recipe: Recipe | None, engine: Engine) -> Iterator[Result]:
    """Yields the chunks' results from the engine; the prober's ``on_batch`` is called for each.

    Args:
        recipe: how other processes load the model; None if they cannot.

    Raises:
        AttnprobeError: an engine failed, or another process measures otherwise than this one would.
        UsageError: other processes cannot load the model.
    """
    if engine.is_here:
        return prober.results(chunks)
    if recipe is None:
        raise UsageError("other processes cannot share a model in memory", "give the model's name or folder")
    if engine.engine == "ray":
        return _reported(on_ray(chunks, recipe, engine.workers, engine.num_gpus), prober)
    return _reported(in_processes(chunks, recipe, engine.workers), prober)


def _reported(found: Iterable[Result], prober: Prober) -> Iterator[Result]:
    """Checks the results from elsewhere and reports them to the prober's ``on_batch``."""
    for result in found:
        here, there = prober.empty.signature, result.summary.signature
        if there != here:
            hint = "install the same versions everywhere, and give every worker the same model"
            raise AttnprobeError(f"a worker measures otherwise; here: {here}; there: {there}", hint)
        if prober.on_batch:
            prober.on_batch(result.n_texts, result.n_tokens)
        yield result


def in_processes(chunks: Iterable[Chunk], recipe: Recipe, workers: int) -> Iterator[Result]:
    """Measures chunks in several processes on this machine, each with a model of its own and a share of the cores.

    Raises:
        AttnprobeError: no worker can be started; a worker was killed, as by the system when memory runs out; or
            measuring a chunk failed.
    """
    share = replace(recipe, threads=max(1, cores() // workers))
    pool = _pool(workers, share)
    try:
        yield from in_order(chunks, partial(_submit, pool), 2 * workers)
    except BrokenProcessPool as error:
        raise AttnprobeError("a worker process ended unexpectedly", "is there memory for so many --workers?") from error
    finally:
        for process in list((pool._processes or {}).values()):  # nobody waits for their last results
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, chunk: Chunk) -> Callable[[], Result]:
    """Lets the pool measure a chunk, perhaps in a new process, which has no signals: the main process decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return pool.submit(_measure, chunk).result
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pool(workers: int, recipe: Recipe) -> ProcessPoolExecutor:
    """Opens a pool of processes.

    Raises:
        AttnprobeError: the system lets none be made.
    """
    try:
        with _tracked_quietly():
            spawn = multiprocessing.get_context("spawn")
            return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_become_worker, initargs=(recipe,))
    except OSError as error:
        hint = "they need a /dev/shm that can be written to; without --workers, none is needed"
        raise AttnprobeError(f"workers cannot be started: {error.strerror or error}", hint) from error


@contextmanager
def _tracked_quietly() -> Iterator[None]:
    """Starts Python's process that removes what a killed run leaves in memory, without its warning that it does."""
    silence, before = "ignore::UserWarning:multiprocessing.resource_tracker", os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, silence)))
    try:
        resource_tracker.ensure_running()
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


_worker: Worker | None = None


def _become_worker(recipe: Recipe) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(recipe)


def _end_with_parent() -> None:
    """Ends this process when the main one is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _measure(chunk: Chunk) -> Result:
    assert _worker is not None
    return _worker.measure(chunk)
