"""Reads docstrings for the reference: roles such as ``:func:`` become names, ``a, b: text`` a row for each argument."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`~?([^`]+)`")
ARGUMENTS = re.compile(r"^( {4})(\w+(?:, \w+)+): (.*(?:\n {5,}.*)*)$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of an object."""
        if obj.docstring:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = ARGUMENTS.sub(_row_each, text)


def _row_each(entry: re.Match[str]) -> str:
    margin, names, meaning = entry.groups()
    return "\n".join(f"{margin}{name}: {meaning}" for name in names.split(", "))
