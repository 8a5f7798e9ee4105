"""Lets other processes measure as this one does, and returns results in the order of the chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from attnprobe.corpus.chunks import Item, UntilError
from attnprobe.corpus.prober import Prober, Result
from attnprobe.corpus.settings import Settings
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import load_encoder

Chunk = list[Item]


@dataclass(frozen=True)
class Recipe:
    """The arguments with which another process measures as this one does.

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
        """Loads the model and makes a prober."""
        return Prober(self.encoder(), self.settings, self.threads)

    def for_other_folders(self) -> Recipe:
        """Resolves the paths of folders, for processes that run in another folder."""
        names = {key: self.loading[key] for key in ("model", "tokenizer") if self.loading.get(key) is not None}
        folders = {key: str(Path(name).resolve()) for key, name in names.items() if Path(name).is_dir()}
        return replace(self, loading={**self.loading, **folders})


def in_order(chunks: Iterable[Chunk], submit: Callable[[Chunk], Callable[[], Result]], most: int) -> Iterator[Result]:
    """Yields the chunks' results in order, also those before an error, with at most ``most`` chunks under way."""
    waiting: deque[Callable[[], Result]] = deque()
    source = UntilError(chunks)
    for chunk in source:
        waiting.append(submit(chunk))
        if len(waiting) == most:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
    source.reraise()


class Worker:
    """One process with a model, which is loaded at first use so that an error is raised there."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @cached_property
    def prober(self) -> Prober:
        """The prober, with the model loaded."""
        return self.recipe.prober()

    def load(self) -> None:
        """Loads the model."""
        self.prober  # noqa: B018

    def measure(self, chunk: Chunk) -> Result:
        """Measures one chunk."""
        return next(self.prober.results([chunk]))
