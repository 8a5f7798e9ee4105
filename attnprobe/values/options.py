"""The options of measuring, each stated once: default, allowed values, and whether numbers depend on it.

To add an option: one field here. Functions, flags, checks and the signature take it from its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self, TypeVar

from attnprobe.errors import UsageError
from attnprobe.values.arguments import as_integer, check_choice, check_share, check_whole, nearest


def choice(default: str, *others: str, **about: Any) -> Any:
    """Declares an option that is one of these words."""
    return field(default=default, metadata={"choices": (default, *others), **about})


def whole(default: int | None, *, least: int = 0, **about: Any) -> Any:
    """Declares an option that is a whole number of at least ``least``, or None if that is its default."""
    return field(default=default, metadata={"least": least, **about})


def share(default: float | None, **about: Any) -> Any:
    """Declares an option that is a number from 0 to 1, or None if that is its default."""
    return field(default=default, metadata={"share": True, **about})


@dataclass(frozen=True)
class Options:
    """A group of options.

    Raises:
        UsageError: an option has an invalid value.
    """

    def __post_init__(self) -> None:
        for option in fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))

    @classmethod
    def names(cls) -> list[str]:
        """The names of the options."""
        return [option.name for option in fields(cls)]

    @classmethod
    def choices(cls, name: str) -> tuple[str, ...]:
        """The allowed words of an option, the default first."""
        words: tuple[str, ...] = cls.__dataclass_fields__[name].metadata["choices"]
        return words

    @classmethod
    def of(cls, given: Mapping[str, Any], *, without: Iterable[str] = ()) -> Self:
        """Makes the group from options that all belong to it; see :func:`take`."""
        group: Self = take(given, cls, without=without)[0]
        return group

    def signed(self) -> dict[str, object]:
        """The options that numbers depend on, for the signature; None for a value that changes nothing."""
        values = {option.name: (option, getattr(self, option.name)) for option in fields(self)}
        return {
            name: None if value == option.metadata.get("silent") else value
            for name, (option, value) in values.items()
            if option.metadata.get("signed", True)
        }


@dataclass(frozen=True)
class Reading(Options):
    """How a text is read.

    Attributes:
        max_length: how many tokens are read at most, a longer text is cut; None: as many as the model reads.
        stride: reads a longer text in windows that overlap by this many tokens instead of cutting it; None: cuts it.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's.
        global_attention: which tokens Longformer and LED let see and be seen by all: "none" (as the bare model does),
            "cls" (as their classifiers do), or "first", those of the first text (as their question answerers do).
    """

    max_length: int | None = whole(None, least=1)
    stride: int | None = whole(None)
    level: str = choice("token", "word")
    global_attention: str = choice("none", "cls", "first", silent="none")


@dataclass(frozen=True)
class Averaging(Options):
    """The queries that a mean is taken over, and what counts as long range.

    Attributes:
        queries: "all", or "content": only tokens of the text, not those that the tokenizer added.
        long_range: the distance in tokens from which long_range_share counts.
    """

    queries: str = choice("all", "content")
    long_range: int = whole(10)


@dataclass(frozen=True)
class Running(Options):
    """How a run over many texts proceeds; no number depends on it.

    Attributes:
        batch_tokens: how many tokens are run at once.
        on_error: "skip" leaves out a record that cannot be used, "fail" ends the run at it.
        max_unknown: a record with a larger share of tokens that the model's vocabulary lacks cannot be used; None: any.
    """

    batch_tokens: int = whole(2048, least=1, signed=False)
    on_error: str = choice("skip", "fail", signed=False)
    max_unknown: float | None = share(None, signed=False)


Group = TypeVar("Group", bound=Options)


def take(
    given: Mapping[str, Any], *groups: type[Group], beside: Iterable[str] = (), without: Iterable[str] = ()
) -> list[Any]:
    """Makes each group from those of the options that belong to it.

    Args:
        beside: names that are allowed, too, but belong to none of the groups.
        without: names of options that do not apply here.

    Raises:
        UsageError: an option belongs to none of the groups, does not apply, or has an invalid value.
    """
    known = [*beside, *(name for group in groups for name in group.names() if name not in without)]
    for name in given:
        if name not in known:
            raise UsageError(f"no option {name!r}{nearest(name, known)}")
    return [group(**{name: given[name] for name in group.names() if name in given}) for group in groups]


def _checked(option: Field[Any], value: Any) -> Any:
    """Returns the value if the option allows it.

    Raises:
        UsageError: the option does not allow the value.
    """
    about = option.metadata
    if value is None and option.default is None:
        return None
    if "choices" in about:
        check_choice(option.name, value, about["choices"])
        return str(value)
    if "least" in about:
        check_whole(option.name, value, about["least"])
        return as_integer(value)
    if "share" in about:
        check_share(option.name, value)
    return value
