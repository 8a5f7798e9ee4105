"""Errors of other libraries about a model or its files -> a ModelError in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from attnprobe.errors import AttnprobeError, ModelError, TextError, first_line


@contextmanager
def explained(what: str, hint: str = "") -> Iterator[None]:
    """Turns any error inside into a ModelError of these words and the reason; passes on an AttnprobeError.

    A panic in Rust, in which tokenizers are written, is no Exception, but is also turned.
    """
    try:
        yield
    except AttnprobeError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"{what}: {in_one_line(error)}", hint) from error


def in_one_line(error: BaseException) -> str:
    """Returns an exception's message in one line of at most 200 characters; its type if the message is empty."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


@contextmanager
def explained_run(model: Any) -> Iterator[None]:
    """Names the model in an error from inside transformers, as CANINE raises on texts of fewer than four characters."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TextError(f"{type(model).__name__} runs out of memory on this text", "--max-length N cuts it") from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise TextError(
            f"{type(model).__name__} fails on this text: {first_line(error)}",
            "is the text too short, or too long, for this model?",
        ) from error
