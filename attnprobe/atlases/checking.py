"""Checks that values of JSON are an atlas: by schema.json, and by what fits together, which a schema cannot state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from attnprobe.atlases.schemas import Wrong, follows_schema
from attnprobe.errors import InputError

VERSION = 1
HINT = "attnprobe atlas FILES -o atlas.json makes one"


def check(data: Mapping[str, Any], name: str) -> None:
    """Checks that values are an atlas that this version reads.

    Args:
        name: of the file, as messages show it.

    Raises:
        InputError: they are not; the message says which field is wrong, and how.
    """
    version = data.get("version")
    if type(version) is int and version > VERSION:
        made = f"is an atlas of version {version}, which a newer attnprobe made; this one reads version {VERSION}"
        raise InputError(f"{name} {made}", "pip install -U attnprobe")
    try:
        follows_schema()(data)
        for where, what in _misfits(data):
            raise Wrong(what).within(where)
    except Wrong as wrong:
        raise InputError(f"{name} is not a sound atlas: {wrong}", HINT) from None


def _misfits(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Finds what names something that is not there, or not once: where, and what is wrong."""
    places = [*product(data["model"]["layers"], data["model"]["heads"])]
    if [place_of(head) for head in data["heads"]] != places:
        yield "heads", "are not those of model.layers and model.heads, layer by layer"
    for field in ("sections", "measures", "roles"):
        counts = Counter(one["name"] for one in data[field])
        yield from ((field, f"has {name!r} {count} times") for name, count in counts.items() if count > 1)
    sections = {section["name"] for section in data["sections"]}
    for at, measure in enumerate(data["measures"]):
        if measure["section"] not in sections:
            yield f"measures[{at}].section", f"names {measure['section']!r}, which sections do not have"
    yield from _of_heads(data, data["heads"], "heads")
    for at, head in enumerate(data["heads"]):
        yield from _of_examples(data, head, f"heads[{at}]")
        for number, near in enumerate(head["nearest"]):
            if place_of(near) not in places:
                yield f"heads[{at}].nearest[{number}]", "is not among the heads"
    yield from _of_telling(data)
    for at, text in enumerate(data["texts"]):
        if len(text["special"]) != len(text["tokens"]):
            yield f"texts[{at}].special", "has not as many values as there are tokens"
    if "against" in data:
        yield from _of_against(data, places)


def place_of(one: Mapping[str, Any]) -> tuple[int, int]:
    """Returns the layer and head that something is about."""
    return one["layer"], one["head"]


def _of_heads(data: Mapping[str, Any], heads: list[dict[str, Any]], where: str) -> Iterator[tuple[str, str]]:
    measures, roles = ({one["name"] for one in data[field]} for field in ("measures", "roles"))
    for at, head in enumerate(heads):
        if head["role"] is not None and head["role"] not in roles:
            yield f"{where}[{at}].role", f"is {head['role']!r}, which is not among roles"
        for name in head["values"].keys() - measures:
            yield f"{where}[{at}].values", f"has {name!r}, which is not among measures"
        for name, (_, low, high) in head["values"].items():
            if low is not None and high is not None and low > high:
                yield f"{where}[{at}].values.{name}", f"has an interval whose lower end {low} is above {high}"


def _of_examples(data: Mapping[str, Any], head: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for at, example in enumerate(head["examples"]):
        if example["text"] >= len(data["texts"]):
            yield f"{where}.examples[{at}].text", f"is {example['text']}, but there are {len(data['texts'])} texts"
            continue
        size = len(data["texts"][example["text"]]["tokens"])
        if [len(row) for row in example["weights"]] != [size] * size:
            yield f"{where}.examples[{at}].weights", f"are not {size} rows of {size}, the tokens of the text"


def _of_telling(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    findings = {place_of(head): len(head["findings"]) for head in data["heads"]}
    for at, told in enumerate(data["telling"]):
        if told["finding"] >= findings.get(place_of(told), 0):
            yield f"telling[{at}]", "is not among the findings of the heads"


def _of_against(data: Mapping[str, Any], places: list[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    heads = data["against"]["heads"]
    found = [place_of(head) for head in heads]
    if found != [place for place in places if place in found]:
        yield "against.heads", "are not some of the heads, in their order"
    yield from _of_heads(data, heads, "against.heads")
