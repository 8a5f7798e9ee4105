"""Tests values of JSON against a JSON Schema (2020-12), of which the keywords that schema.json uses are known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from attnprobe.values.arguments import shown

Check = Callable[[Any], None]
LONGEST = 9  # items of a list that are shown
TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "string": ("a text", lambda value: isinstance(value, str)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "integer": ("a whole number", lambda value: type(value) is int),
    "number": ("a number", lambda value: type(value) is int or (type(value) is float and math.isfinite(value))),
    "null": ("null", lambda value: value is None),
}


class Wrong(Exception):  # noqa: N818
    """A value that breaks a rule.

    Attributes:
        what: the rule, and the value.
        where: the steps to the value, the last one first.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.where: list[str] = []

    def within(self, step: str) -> Wrong:
        """Adds a step on the way to the value."""
        self.where.append(step)
        return self

    def __str__(self) -> str:
        return f"{''.join(reversed(self.where)).lstrip('.')} {self.what}".strip()


@cache
def schema() -> dict[str, Any]:
    """Reads the schema of an atlas."""
    found: dict[str, Any] = json.loads((files("attnprobe.atlases") / "schema.json").read_text(encoding="utf-8"))
    return found


def most_of(field: str, of: str | None = None) -> int:
    """Returns how many items a field holds at most, of the whole atlas or of one of the objects in ``$defs``."""
    rules = schema() if of is None else schema()["$defs"][of]
    return int(rules["properties"][field]["maxItems"])


@cache
def follows_schema() -> Check:
    """Makes the check that a value follows the schema, which raises :class:`Wrong`."""
    return _made(schema())


@cache
def _defined(reference: str) -> Check:
    return _made(schema()["$defs"][reference.removeprefix("#/$defs/")])


def _made(rules: Mapping[str, Any]) -> Check:
    """Makes one check of the keywords that say what a value must be."""
    checks = [KEYWORDS[word](argument, rules) for word, argument in rules.items() if word in KEYWORDS]
    if len(checks) == 1:
        return checks[0]

    def all_of(value: Any) -> None:
        for one in checks:
            one(value)

    return all_of


def _is_type(argument: str | list[str], rules: Mapping[str, Any]) -> Check:
    names = [argument] if isinstance(argument, str) else argument
    tests, wanted = [TYPES[name][1] for name in names], " or ".join(TYPES[name][0] for name in names)

    def typed(value: Any) -> None:
        for test in tests:
            if test(value):
                return
        raise Wrong(f"must be {wanted}; got {_brief(value)}")

    return typed


def _has_properties(argument: Mapping[str, Any], rules: Mapping[str, Any]) -> Check:
    known = {name: _made(rule) for name, rule in argument.items()}

    def each(value: Any) -> None:
        for name in known.keys() & value.keys() if isinstance(value, dict) else ():
            _at(f".{name}", known[name], value[name])

    return each


def _has_others(argument: bool | Mapping[str, Any], rules: Mapping[str, Any]) -> Check:
    known = rules.get("properties", {})
    rest = _made(argument) if isinstance(argument, dict) else _unknown

    def each(value: Any) -> None:
        for name in value if isinstance(value, dict) else ():
            if name not in known:
                _at(f".{name}", rest, value[name])

    return each


def _unknown(value: Any) -> None:
    raise Wrong("is no field of an atlas")


def _requires(argument: list[str], rules: Mapping[str, Any]) -> Check:
    def present(value: Any) -> None:
        for name in argument if isinstance(value, dict) else ():
            if name not in value:
                raise Wrong("is missing").within(f".{name}")

    return present


def _has_items(argument: Mapping[str, Any], rules: Mapping[str, Any]) -> Check:
    item, first = _made(argument), len(rules.get("prefixItems", ()))

    def each(value: Any) -> None:
        for index in range(first, len(value)) if isinstance(value, list) else ():
            _at(f"[{index}]", item, value[index])

    return each


def _begins_with(argument: list[Mapping[str, Any]], rules: Mapping[str, Any]) -> Check:
    items = list(map(_made, argument))

    def each(value: Any) -> None:
        for index, item in enumerate(items[: len(value)] if isinstance(value, list) else ()):
            _at(f"[{index}]", item, value[index])

    return each


def _at(step: str, one: Check, value: Any) -> None:
    try:
        one(value)
    except Wrong as wrong:
        raise wrong.within(step) from None


def _must(kind: type | tuple[type, ...], holds: Callable[[Any, Any], bool], text: str) -> Callable[..., Check]:
    """Makes a keyword about values of one kind."""

    def keyword(argument: Any, rules: Mapping[str, Any]) -> Check:
        def test(value: Any) -> None:
            if isinstance(value, kind) and not holds(value, argument):
                raise Wrong(f"must {text.format(_brief(argument))}; got {_brief(value)}")

        return test

    return keyword


def _is_among(value: Any, known: Collection[Any]) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in known)


KEYWORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Check]] = {
    "$ref": lambda argument, rules: _defined(argument),
    "type": _is_type,
    "required": _requires,
    "properties": _has_properties,
    "additionalProperties": _has_others,
    "prefixItems": _begins_with,
    "items": _has_items,
    "minItems": _must(list, lambda value, least: len(value) >= least, "hold at least {}"),
    "uniqueItems": _must(list, lambda value, on: len(set(map(json.dumps, value))) == len(value), "hold nothing twice"),
    "maxItems": _must(list, lambda value, most: len(value) <= most, "hold at most {}"),
    "maxLength": _must(str, lambda value, most: len(value) <= most, "have at most {} characters"),
    "pattern": _must(str, lambda value, pattern: bool(re.search(pattern, value)), "match {}"),
    "minimum": _must((int, float), lambda value, least: bool(value >= least), "be at least {}"),
    "maximum": _must((int, float), lambda value, most: bool(value <= most), "be at most {}"),
    "enum": _must(object, _is_among, "be one of {}"),
    "const": _must(object, lambda value, only: _is_among(value, [only]), "be {}"),
}


def _brief(value: Any) -> str:
    """Shows a value of JSON, or says what kind it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        is_short = len(value) <= LONGEST and not any(isinstance(item, dict | list) for item in value)
        return ", ".join(map(_brief, value)) if value and is_short else f"a list of {len(value)}"
    return json.dumps(value) if value is None or isinstance(value, bool) else shown(value)
