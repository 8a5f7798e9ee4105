"""A worker of Ray that measures nothing, so that it starts in a moment: what becomes of its chunks is Ray's affair."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from attnprobe.errors import InputError, ModelError

LOADING = ModelError("there is no model 'nowhere'", "look for it elsewhere")
MEASURING = InputError("texts:9: the text is empty", "--on-error skip leaves it out")


@dataclass(frozen=True)
class ToyRecipe:
    """What the worker is to do: raise an error when it loads the model, or not."""

    fails: bool = False
    threads: int | None = None

    def for_other_folders(self) -> ToyRecipe:
        return self


class ToyWorker:
    def __init__(self, recipe: ToyRecipe) -> None:
        self.recipe = recipe

    def load(self) -> None:
        if self.recipe.fails:
            raise LOADING

    def measure(self, chunk: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Gives its process and the chunk, later if that starts with an even number; raises an error for an empty one.

        Raises:
            InputError: the chunk is empty.
        """
        if not chunk:
            raise MEASURING
        time.sleep(0.1 * (chunk[0] % 2 == 0))
        return os.getpid(), chunk
