"""Says in words what differs between two runs, from their manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

MOST = 4  # differences that are named
LONGEST = 60  # characters of a value that are shown


def differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """Lists what differs between two manifests in words; empty if they describe the same work.

    Raises:
        TypeError, AttributeError: a manifest is not as a run wrote it.

    >>> run = {"signature": "dtype:float32|stride:8", "input": {"a.txt": "1"}, "options": {"limit": None}}
    >>> differences(run, run | {"input": {"a.txt": "2"}, "options": {"limit": 9}})
    ['a.txt has other content', 'limit: none, before: 9']
    """
    inputs = now.get("input", {}), then.get("input", {})
    signatures = [dict(map(_named, run["signature"].split("|"))) for run in (now, then)]
    options = [_flat(run.get("options", {})) for run in (now, then)]
    found = list(chain(_of_inputs(*inputs), _of_values(*signatures), _of_values(*options)))
    return found if len(found) <= MOST else [*found[:MOST], f"and {len(found) - MOST} more"]


def _named(part: str) -> tuple[str, str]:
    name, _, value = part.partition(":")
    return name, value


def _of_inputs(now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[str]:
    """Compares the fingerprints of sources by name."""
    if list(now) != list(then):
        yield f"input: {_shown(list(now))}, before: {_shown(list(then))}"
    elif changed := [name for name in now if now[name] != then[name]]:
        yield f"{_shown(changed)} {'has' if len(changed) == 1 else 'have'} other content"


def _of_values(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*now, *then]):
        if now.get(name) != then.get(name):
            yield f"{name.replace('_', ' ')}: {_shown(now.get(name))}, before: {_shown(then.get(name))}"


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the columns, which are named by what they hold, among the other options."""
    columns = {f"{name} column": column for name, column in options.get("columns", {}).items()}
    return columns | {name: value for name, value in options.items() if name != "columns"}


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    text = ", ".join(map(str, words))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
