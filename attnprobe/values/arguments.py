"""Checks arguments, and refuses invalid ones in one sentence; imports nothing heavy."""

from __future__ import annotations

import difflib
import numbers
import operator
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attnprobe.errors import UsageError


def as_integer(value: Any) -> int | None:
    """Converts a whole number of Python, numpy or torch to an int; None for any other value.

    >>> as_integer(3), as_integer(1.5), as_integer(True)
    (3, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError):
        return None


def listed(given: Any) -> list[str]:
    """Lists the names that are given, one alone or several together; none for None.

    >>> listed("cat"), listed(3), listed(["cat", 3]), listed(None)
    (['cat'], ['3'], ['cat', '3'], [])
    """
    if given is None:
        return []
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return [str(name) for name in given] if several else [str(given)]


def check_whole(name: str, value: Any, least: int = 0) -> None:
    """Refuses a value that is not a whole number, or below ``least``.

    Raises:
        UsageError: the value is refused.
    """
    number = as_integer(value)
    if number is None:
        raise UsageError(f"{name} must be a whole number; got {shown(value)}")
    if number < least:
        raise UsageError(f"{name} must be at least {least}; got {shown(value)}")


def check_share(name: str, value: Any) -> None:
    """Refuses a value that is not a number from 0 to 1.

    Raises:
        UsageError: the value is refused.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= 1:
        raise UsageError(f"{name} must be a number from 0 to 1; got {shown(value)}")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuses a value that is not among the choices.

    Raises:
        UsageError: the value is refused.
    """
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} must be {' or '.join(choices)}; got {shown(value)}")


def check_text(name: str, value: Any) -> None:
    """Refuses a value that is not a text.

    Raises:
        UsageError: the value is refused.
    """
    if not isinstance(value, str):
        raise UsageError(f"the {name} must be a str; got {shown(value)}")


def check_one(text: Any) -> None:
    """Refuses a value that is not a single text.

    Raises:
        UsageError: the value is refused; of several texts, the message names the function that takes them.
    """
    several = hasattr(text, "__iter__") and not isinstance(text, str | bytes)
    if several:
        raise UsageError(f"the text must be a str; got {shown(text)}; many texts: corpus_stats")
    check_text("text", text)


def check_given(name: str, value: Any) -> None:
    """Refuses a value that is neither a text nor a list of words.

    Raises:
        UsageError: the value is refused.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        check_text(name, value)


def check_column(name: str, values: Any) -> None:
    """Refuses a value that is not a column of items, such as a single text, which would be read by characters.

    Raises:
        UsageError: the value is refused.
    """
    several = hasattr(values, "__iter__") or hasattr(values, "__getitem__")
    single = isinstance(values, str | bytes | Mapping) or getattr(values, "ndim", 1) != 1
    if single or not several:
        raise UsageError(f"{name} must be a list, or another iterable; got {shown(values)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggests the known name that is most like a wrong one; empty if none is near.

    >>> nearest("layer", ["layers", "heads"])
    "; did you mean 'layers'?"
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: Any) -> str:
    """Shows a value in a message: cut if it is long, as its type if it takes several lines."""
    text = reprlib.repr(value)
    return text if text.isprintable() else type(value).__name__
