"""What terminals, figures and model cards say of an atlas alike."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attnprobe.atlases.changes import OFF, HeadChange, NumberChange, RoleChange, changed_most, changes, largest, role_of
from attnprobe.atlases.wording import NOUNS
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.signature import part_of
from attnprobe.values.switches import with_off

Data = Mapping[str, Any]
Changed = TypeVar("Changed", HeadChange, NumberChange)
FEW = 3  # files in a name
NO_ROLE = "no role"
SAMPLE = "the sample that comes with attnprobe"
NOT_COMPARED = "Roles are not compared: one of the two atlases has none."
MOST = 10  # changed heads, and changed numbers, that are listed
FLAGS = {"texts": (), "treebank": ("--conllu",), "documents": ("--coref",)}  # before each file
AGAIN = (
    "Absolute paths are cut to their ends; --limit, --sample and the like, and what only the signature names, are not "
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


def name_on(data: Data) -> str:
    """Names the model and the files that were read, the first few of them."""
    sources = [
        source for section in data["sections"] for source in ([SAMPLE] if section["sample"] else section["sources"])
    ]
    more = " …" if len(sources) > FEW else ""
    return f"{model_name(data)} on {', '.join(sources[:FEW]) or 'texts in memory'}{more}"


def names_of(data: Data) -> list[str]:
    """Names this atlas, and the other if there is one: by their models, of one model also by what was read."""
    both = [data, data["against"]] if "against" in data else [data]
    names = [*map(model_name, both)]
    return names if len({*names}) == len(names) else [*map(name_on, both)]


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
    """Returns the role of each head by its layer and number, see :func:`role_of`."""
    return {(head["layer"], head["head"]): role_of(head) for head in data["heads"]}


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
    """Yields what changed since another atlas: a sentence each, with the label and the words of what it announces.

    A label is ``layer.head``, or how many heads changed from one role to another.
    """
    found = changes(data)
    yield (NOT_COMPARED, []) if found.roles is None else _of_roles(data, found.roles)
    if not found.numbers:
        yield "No number with an interval has changed by more than its intervals.", []
        return
    heads = changed_most(found)[:MOST]
    yield "The heads that changed most, by how many of their numbers changed:", _named(data, heads, _of_head)
    count = len(found.numbers)
    have = "number has" if count == 1 else "numbers have"
    numbers = largest(found.numbers, most=1)[:MOST]
    yield (
        f"{count:,} {have} changed so much that the two intervals are apart; the largest changes:",
        _named(data, numbers, _of_number),
    )


def _of_roles(data: Data, found: Sequence[RoleChange]) -> tuple[str, list[tuple[str, str]]]:
    """Groups heads by what their roles were and are, most heads first."""
    groups: dict[str, list[str]] = {}
    for one in found:
        groups.setdefault(_of_role(one), []).append(f"{one.layer}.{one.head}")
    have = "has" if len(found) == 1 else "have"
    said = f"{len(found)} of {len(data['against']['heads'])} heads {have} another role{':' if found else '.'}"
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return said, [(str(len(heads)), f"{role}: {', '.join(heads)}") for role, heads in ordered]


def _of_role(one: RoleChange) -> str:
    return f"{one.before or NO_ROLE} → {one.now or NO_ROLE}"


def _of_head(one: HeadChange, titles: Mapping[str, str]) -> str:
    numbers = "1 number: " if one.changed == 1 else f"{one.changed} numbers, most of all "
    role = f"; {_of_role(one.role)}" if one.role else ""
    return f"{numbers}{_of_number(one.largest, titles)}{role}"


def _of_number(one: NumberChange, titles: Mapping[str, str]) -> str:
    return f"{titles[one.measure]} {one.before:.3g} → {one.now:.3g} ({one.change:+.3g})"


def _named(
    data: Data, changed: Sequence[Changed], written: Callable[[Changed, Mapping[str, str]], str]
) -> list[tuple[str, str]]:
    """Writes changes of heads behind ``layer.head``, with the titles of measures."""
    titles = {measure["name"]: measure["title"] for measure in data["measures"]}
    return [(f"{one.layer}.{one.head}", written(one, titles)) for one in changed]
