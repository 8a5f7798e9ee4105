"""What other libraries raise over a model's files -> a ModelError in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attnprobe.errors import AttnprobeError, ModelError


@contextmanager
def explained(what: str, hint: str = "") -> Iterator[None]:
    """Turns whatever goes wrong inside into a ModelError of these words and the reason; what is explained stays.

    A panic in Rust, where tokenizers are written, is no Exception, and is turned too.
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
    """What an exception says, in one line of at most 200 characters; its type where it says nothing."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
