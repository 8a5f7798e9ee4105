"""Puts one atlas beside another: what changed is this one minus the other, and remarks say what else may explain it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter
from statistics import pstdev
from typing import Any, NamedTuple

from attnprobe.errors import UsageError
from attnprobe.values.signature import ORDER, part_of

Data = Mapping[str, Any]
OFF = "off"  # in place of the role of a head that is off
NAMED = 4  # things that a remark names
KEPT = ("layer", "head", "role", "pattern", "off", "findings")
ALIKE = 1e-6  # of the largest magnitude: heads that differ by less differ by rounding


def role_of(head: Data) -> str | None:
    """Returns the role of a head; OFF of one that is off, whatever its weights do; None: it has none."""
    return OFF if head["off"] else head["role"]


class RoleChange(NamedTuple):
    """A head that has another role; None: it has none."""

    layer: int
    head: int
    before: str | None
    now: str | None


class NumberChange(NamedTuple):
    """A number of a head that changed by more than its intervals explain.

    Attributes:
        spread: of the measure over heads, see :func:`spread_of`.
    """

    measure: str
    layer: int
    head: int
    before: float
    now: float
    spread: float

    @property
    def change(self) -> float:
        """This one minus the other."""
        return self.now - self.before

    @property
    def size(self) -> float:
        """The change in spreads of its measure; 0 if there is no other head to compare to."""
        return abs(self.change) / self.spread if self.spread else 0.0


class Changes(NamedTuple):
    """What changed from the other atlas to this one.

    Attributes:
        roles: None where only one of the two has any.
        numbers: measure by measure, of each the largest change first.
    """

    roles: list[RoleChange] | None
    numbers: list[NumberChange]


class HeadChange(NamedTuple):
    """A head with the count of its numbers that changed, the largest of these in spreads, and its role if another."""

    layer: int
    head: int
    changed: int
    largest: NumberChange
    role: RoleChange | None


def compared(one: Data, other: Data) -> dict[str, Any]:
    """Reduces the other atlas to heads and measures that both have, with remarks on how the two differ.

    Raises:
        UsageError: there is no head, or no measure, that both have.
    """
    places = {(head["layer"], head["head"]) for head in one["heads"]}
    measures = _shared(one["measures"], other["measures"])
    roles = {None, *_shared(one["roles"], other["roles"])}
    heads = [head for head in other["heads"] if (head["layer"], head["head"]) in places]
    if not heads:
        raise UsageError(
            "the two atlases have no head in common, by its layer and number", "-l and --head choose heads"
        )
    if not measures:
        raise UsageError("the two atlases have no measure in common", "make both with the same kinds of FILES")
    return {
        **{name: other[name] for name in ("attnprobe", "model", "signature", "sections")},
        "heads": [
            {
                **{name: head[name] for name in KEPT},
                "role": head["role"] if head["role"] in roles else None,
                "values": {name: head["values"][name] for name in measures if name in head["values"]},
            }
            for head in heads
        ],
        "remarks": [
            *_of_models(one, other),
            *_of_sections(one, other),
            *_of_signatures(one, other),
            *_left(one, other),
        ],
    }


def _shared(one: Sequence[Data], other: Sequence[Data]) -> list[str]:
    """Lists the names that both have."""
    names = {entry["name"] for entry in other}
    return [entry["name"] for entry in one if entry["name"] in names]


def _of_models(one: Data, other: Data) -> Iterator[str]:
    names, shapes = ([make(atlas) for atlas in (one, other)] for make in (_model, _shape))
    if names[0] != names[1]:
        yield (
            f"two models, {names[0]} and {names[1]}: heads of one number are the same head only where one model was "
            "trained on from the other"
        )
    if shapes[0] != shapes[1]:
        yield f"only heads whose numbers both have are compared: {shapes[0]} here, {shapes[1]} in the other"


def _model(atlas: Data) -> str:
    """Names the model as its signature does, with its fingerprint."""
    return part_of(atlas["signature"], "model") or str(atlas["model"]["name"])


def _shape(atlas: Data) -> str:
    layers, heads = (len(atlas["model"][axis]) for axis in ("layers", "heads"))
    return f"{layers} layers × {heads} heads"


def _of_sections(one: Data, other: Data) -> Iterator[str]:
    """Says which inputs differ; equal names and sizes are taken for equal texts."""
    here, there = ({section["name"]: section for section in it["sections"]} for it in (one, other))
    for name in here.keys() & there.keys():
        if here[name] != there[name]:
            found = f"{_section(here[name])} here, {_section(there[name])} in the other"
            yield f"other {name}, which alone may change numbers: {found}"


def _section(section: Data) -> str:
    names = ", ".join(section["sources"][:NAMED]) + (" …" if len(section["sources"]) > NAMED else "")
    return f"{names} ({section['texts']:,}, {section['tokens']:,} tokens)"


def _of_signatures(one: Data, other: Data) -> Iterator[str]:
    """Says how reading and measuring differ; what only one of the two measured has parts that the other lacks."""
    here, there = (dict(part.partition(":")[::2] for part in it["signature"].split("|")) for it in (one, other))
    shared = [name for name in {**here, **there} if name in ORDER or (name in here and name in there)]
    said = [
        f"{name.replace('_', ' ')} {here.get(name, 'none')} here, {there.get(name, 'none')} there"
        for name in shared
        if name != "model" and here.get(name) != there.get(name)
    ]
    if said:
        yield f"measured in other ways: {_some(said, '; ')}"


def _left(one: Data, other: Data) -> Iterator[str]:
    both = _shared(one["measures"], other["measures"])
    left = [entry["name"] for it in (one, other) for entry in it["measures"] if entry["name"] not in both]
    if left:
        yield f"in one of the two only, and not compared: {_some(left, ', ')}"


def _some(names: Sequence[str], between: str) -> str:
    more = f"{between}and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return between.join(names[:NAMED]) + more


def changes(atlas: Data) -> Changes:
    """Finds what changed from the other atlas to this one; nothing if there is no other one.

    Numbers changed where their two intervals are apart; those without an interval, and measures in which heads are
    alike, are not tested.
    """
    others = {(head["layer"], head["head"]): head for head in atlas.get("against", {}).get("heads", ())}
    pairs = [
        (head, others[head["layer"], head["head"]])
        for head in atlas["heads"]
        if (head["layer"], head["head"]) in others
    ]
    numbers = []
    for name in (measure["name"] for measure in atlas["measures"] if pairs):
        spread = spread_of(atlas, name)
        found = [
            _change(name, now, before, spread)
            for now, before in pairs
            if _apart(now["values"].get(name), before["values"].get(name))
        ]
        if spread or len(atlas["heads"]) == 1:
            numbers += sorted(found, key=lambda one: -abs(one.change))
    return Changes(_of_roles(pairs), numbers)


def spread_of(atlas: Data, measure: str) -> float:
    """Returns the standard deviation over heads of the other atlas, or of this one if those are alike.

    0 says that heads are alike in both atlases but for rounding, so that the measure says nothing of heads.
    """
    return _spread(atlas["against"]["heads"], measure) or _spread(atlas["heads"], measure)


def _spread(heads: Sequence[Data], measure: str) -> float:
    values = [head["values"][measure][0] for head in heads if measure in head["values"]]
    spread = pstdev(values) if values else 0.0
    return spread if spread > ALIKE * max(map(abs, values), default=0.0) else 0.0


def largest(numbers: Sequence[NumberChange], most: int) -> list[NumberChange]:
    """Chooses the first heads of each measure, and orders them by the size of their change, largest first."""
    chosen = [one for _, of_measure in groupby(numbers, attrgetter("measure")) for one in islice(of_measure, most)]
    return sorted(chosen, key=lambda one: -one.size)


def changed_most(found: Changes) -> list[HeadChange]:
    """Orders heads by how many of their numbers changed, most first; of equal counts, those with another role."""
    roles = {(one.layer, one.head): one for one in found.roles or ()}
    by_head: dict[tuple[int, int], list[NumberChange]] = {}
    for one in found.numbers:
        by_head.setdefault((one.layer, one.head), []).append(one)
    heads = [
        HeadChange(*place, len(of_head), max(of_head, key=attrgetter("size")), roles.get(place))
        for place, of_head in sorted(by_head.items())
    ]
    return sorted(heads, key=lambda head: (-head.changed, head.role is None))


def _of_roles(pairs: Sequence[tuple[Data, Data]]) -> list[RoleChange] | None:
    """Finds heads that have another role; None if only one of the two atlases has roles."""
    now_any, before_any = (any(pair[at]["role"] for pair in pairs) for at in (0, 1))
    if now_any != before_any:
        return None
    return [
        RoleChange(now["layer"], now["head"], role_of(before), role_of(now))
        for now, before in pairs
        if role_of(now) != role_of(before)
    ]


def _change(name: str, now: Data, before: Data, spread: float) -> NumberChange:
    return NumberChange(name, now["layer"], now["head"], before["values"][name][0], now["values"][name][0], spread)


def _apart(now: Sequence[Any] | None, before: Sequence[Any] | None) -> bool:
    """Tests whether two intervals are known and share no number."""
    if now is None or before is None or None in (*now, *before):
        return False
    return bool(now[1] > before[2] or now[2] < before[1])
