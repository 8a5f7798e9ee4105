"""Tables of what can be chosen by name: our own rows, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from attnprobe.errors import AttnprobeError, first_line

Row = tuple[str, str]
"""``module:object``, and its meaning."""


def with_plugins(group: str, built_in: Mapping[str, Row]) -> dict[str, Row]:
    """Adds the rows of other packages, whose entry points are in a group, after our own; ours keep their names."""
    found = {
        entry.name: (entry.value, f"from {entry.dist.name if entry.dist else entry.value}")
        for entry in entry_points(group=group)
    }
    return {**built_in, **{name: row for name, row in sorted(found.items()) if name not in built_in}}


def load(target: str) -> Any:
    """Imports the object of ``module:object``.

    Raises:
        AttnprobeError: another package names a module or object that cannot be imported.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if module.partition(".")[0] == "attnprobe":
            raise
        raise AttnprobeError(f"{target!r} cannot be loaded: {first_line(error)}", "install its package anew") from error
