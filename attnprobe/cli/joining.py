"""Turns groups of options in a command's signature into flags for typer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, get_type_hints

import typer

from attnprobe.values.options import group_of, spelled

Command = Callable[..., None]
AS_TYPER_HAS_IT = ("help", "metavar", "envvar", "autocompletion", "min", "max")


def joined(command: Command) -> Command:
    """Decorates a command whose parameters are groups of options with a flag for each option."""
    hints = get_type_hints(command, include_extras=True)
    return join({name: hint for name, hint in hints.items() if name != "return"}, command)


def join(parameters: Mapping[str, Any], command: Command) -> Command:
    """Makes a command for typer that calls another command with groups of options; those of one name share a flag.

    Args:
        parameters: the groups by name, see :func:`attnprobe.values.options.group_of`.

    Raises:
        UsageError: when the command is called, an option has an invalid value.
    """
    groups = {name: group_of(annotation) for name, annotation in parameters.items()}
    flags = {
        option.name: flag(option, get_type_hints(group)[option.name], group.panel)
        for group, chosen in groups.values()
        for option in chosen
    }

    def run(**given: Any) -> None:
        made = {
            name: group(**{option.name: _value(option, given[option.name]) for option in chosen})
            for name, (group, chosen) in groups.items()
        }
        command(**made)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = Signature([*flags.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flags.values()}
    return run


def flag(option: Field[Any], kind: Any, panel: str) -> Parameter:
    """Makes the parameter from which typer makes an option's flag.

    Args:
        kind: the type of the option's value.
        panel: the part of the help that lists it.
    """
    about = option.metadata
    default = Parameter.empty if option.default is MISSING else _value(option, option.default)
    if "choices" in about:
        kind = Literal[about["choices"]] if default is not None else Literal[about["choices"]] | None
    elif "indices" in about:
        kind = str
    said = {name: about[name] for name in AS_TYPER_HAS_IT if name in about} | dict(_limits(about))
    said |= {"show_default": default is not None, "rich_help_panel": panel}
    if about.get("argument"):
        shown: Any = typer.Argument(**said)
    else:
        shown = typer.Option(*spelled(option), **said)
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, shown])


def _value(option: Field[Any], given: Any) -> Any:
    """Turns what a flag says into the value of its option, and back: it turns off what is on by default."""
    return not given if option.default is True else given


def _limits(about: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Finds the least and the largest value of a number, if there are such."""
    if "share" in about:
        yield from {"min": 0, "max": 1}.items()
    if "least" in about:
        yield "min", about["least"]
