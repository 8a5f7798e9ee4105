"""Errors of other libraries about a model's files -> a ModelError in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attnprobe.errors import AttnprobeError, ModelError


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
