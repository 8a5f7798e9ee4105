"""What terminals, figures and model cards say of an atlas alike."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import pstdev
from typing import Any

from attnprobe.atlases.changes import NumberChange, RoleChange, changes
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.signature import part_of
from attnprobe.values.switches import with_off

Data = Mapping[str, Any]
NOUNS = {
    "texts": ("text", "texts"),
    "treebank": ("sentence of a treebank", "sentences of a treebank"),
    "documents": ("document", "documents"),
}
NO_ROLE = "no role"
OFF = "off"  # in place of the role of a head that is off
SAMPLE = "the sample that comes with attnprobe"
NOT_COMPARED = "Roles are not compared: one of the two atlases has none."
MOST = 10  # changes that are listed
FLAGS = {"texts": (), "treebank": ("--conllu",), "documents": ("--coref",)}  # before each file
AGAIN = (
    "Files are named without their folders; --limit, --sample and the like, and what only the signature names, are not "
    "repeated."
)
LIMITS = (
    "A head's weights say where it looks, not that the model needs what is there. The heads named here were chosen "
    "among all for what they show, and shares of weight were measured on the texts that chose them; only what is "
    "called held out was not."
)


def model_name(data: Data) -> str:
    """Names the model, and which of its heads are off."""
    off = part_of(data["signature"], "off")
    return with_off(data["model"]["name"], None if off in ("", "none") else off)


def read_of(data: Data) -> Iterator[str]:
    """Counts what was read, section by section."""
    for section in data["sections"]:
        of_sample = f" of {SAMPLE}" if section["sample"] else ""
        yield f"{count_of(section)}{of_sample} ({section['tokens']:,} tokens)"


def count_of(section: Data) -> str:
    """Counts the texts of a section.

    >>> count_of({"name": "documents", "texts": 1}), count_of({"name": "texts", "texts": 1200})
    ('1 document', '1,200 texts')
    """
    count = section["texts"]
    return f"{count:,} {NOUNS[section['name']][count != 1]}"


def size_of(data: Data) -> str:
    """Counts layers and heads."""
    layers, heads = len(data["model"]["layers"]), len(data["model"]["heads"])
    return f"{layers} layer{'' if layers == 1 else 's'} × {heads} head{'' if heads == 1 else 's'}"


def shorts_of(data: Data) -> dict[str, str]:
    """Returns the short name of each role, and of heads that are off."""
    return {**{role["name"]: role["short"] for role in data["roles"]}, OFF: OFF}


def roles_of(data: Data) -> dict[tuple[int, int], str | None]:
    """Returns the role of each head by its layer and number; OFF of a head that is off, whatever its weights do."""
    return {(head["layer"], head["head"]): OFF if head["off"] else head["role"] for head in data["heads"]}


def counts_of(data: Data) -> dict[str, int]:
    """Counts the heads of each role that any has, in the order of their rules, those that are off or have none last."""
    counts = Counter(role or NO_ROLE for role in roles_of(data).values())
    return {name: counts[name] for name in (*(role["name"] for role in data["roles"]), OFF, NO_ROLE) if counts[name]}


def command_of(data: Data) -> str:
    """Writes the command that measures all of it again, but for what AGAIN says.

    FILES stand for texts that came from memory, without which the command would read the built-in sample; MODEL for a
    model from there.
    """
    read = [section for section in data["sections"] if not section["sample"]]
    named = [(FLAGS[section["name"]], source) for section in read for source in section["sources"] or ["FILES"]]
    files = [word for flag, source in named for word in (*flag, source)]
    return shlex.join(
        ["attnprobe", "atlas", *files, *_importance(data), *_model(data), *_off(data), "-o", "atlas.html"]
    )


def _model(data: Data) -> list[str]:
    """Names the model, if it is not the one that is taken without a name."""
    source = data["model"]["source"]
    return [] if source == DEFAULT_MODEL else ["-m", source or "MODEL"]


def _off(data: Data) -> list[str]:
    """Repeats which heads are off; the one way that a command names, the signature names behind them."""
    heads, _, how = part_of(data["signature"], "off").partition("(")
    return ["--off", heads, *([] if how == "zero)" else ["--off-how", how.rstrip(")")])] if how else []


def _importance(data: Data) -> list[str]:
    """Says how importance was measured: only heads switched off one at a time change the pooled vector."""
    names = {measure["name"] for measure in data["measures"]}
    if "importance.pooled_change" in names:
        return ["--importance", "zero"]
    return ["--importance", "sensitivity"] if "importance.importance" in names else []


def told(data: Data) -> Iterator[tuple[str, str]]:
    """Yields ``layer.head`` and the finding of each telling head."""
    heads = {(head["layer"], head["head"]): head for head in data["heads"]}
    for place in data["telling"]:
        layer, head = place["layer"], place["head"]
        yield f"{layer}.{head}", heads[layer, head]["findings"][place["finding"]]["text"]


def changes_in_words(data: Data) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields what changed since another atlas: a sentence each, with ``layer.head`` and the change of heads."""
    found = changes(data, most=1)
    yield (NOT_COMPARED, []) if found.roles is None else _of_roles(data, found.roles)
    numbers = [(f"{one.layer}.{one.head}", _written(data, one)) for one in _largest(data, found.numbers)]
    yield (
        (
            "Numbers whose intervals are apart, the head that changed most of each:"
            if numbers
            else "No number with an interval has changed by more than its intervals."
        ),
        numbers,
    )


def _of_roles(data: Data, found: Sequence[RoleChange]) -> tuple[str, list[tuple[str, str]]]:
    roles = [(f"{one.layer}.{one.head}", f"{one.before or NO_ROLE} → {one.now or NO_ROLE}") for one in found]
    more = f", and {len(roles) - MOST} more than these" if len(roles) > MOST else ""
    have = "has" if len(roles) == 1 else "have"
    of_all = f"{len(roles)} of {len(data['against']['heads'])} heads {have} another role"
    return f"{of_all}{more}{':' if roles else '.'}", roles[:MOST]


def _largest(data: Data, found: Sequence[NumberChange]) -> list[NumberChange]:
    """Chooses the largest changes, as the page does: beside the spread of the measure over the other's heads."""

    def relative(one: NumberChange) -> float:
        heads = data["against"]["heads"]
        spread = pstdev(head["values"][one.measure][0] for head in heads if one.measure in head["values"])
        return abs(one.change) / spread if spread else 0.0

    return sorted(found, key=relative, reverse=True)[:MOST]


def _written(data: Data, one: NumberChange) -> str:
    titles = {measure["name"]: measure["title"] for measure in data["measures"]}
    return f"{titles[one.measure]} {one.before:.3g} → {one.now:.3g} ({one.change:+.3g})"
