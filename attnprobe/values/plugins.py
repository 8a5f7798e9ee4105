"""Tables of what can be chosen by name: our own rows, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

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
    """Imports the object of ``module:object``."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
