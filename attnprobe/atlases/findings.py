"""Says in words what each head does: sentences from the numbers of an atlas, the strongest first.

The strength of a finding is how far a number is beyond what a head without the specialization would have, from 0, no
further, to 1, as far as can be:

- a share of the weight, or of contributions: (w − e) / (1 − e), where e is what even attention gives; of punctuation,
  what the middle head gives; of the entropy of broad heads, the threshold of their rule;
- a relation, antecedents, trees: likewise, where e is the share that the best baseline gets right;
- importance: 1 − m / i, where m is the middle head's;
- likeness: 1 − d / m, where d is the distance to the nearest head, and m the middle head's to that head's nearest.

Relations and antecedents are findings of a head only if one half of the texts chose it for them, by what it does on the
other half, and where the interval of the gain is above 0. Findings over few texts, sentences or documents have no
strength. Of a head that is off this is said first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from attnprobe.analyses.rules import OTHER_ROLE, Thresholds
from attnprobe.atlases.schemas import most_of
from attnprobe.atlases.wording import ANSWERS, GROUPS, HOW_OFF, IMPORTANCE, ORDINALS, RULES, link, percents
from attnprobe.values.text import visible

Head = Mapping[str, Any]
Atlas = Mapping[str, Any]
MOST = Thresholds().most
LEAST_TEXTS = 10  # of a finding that has strength: of fewer, what stands out may be chance
LEAST_HELD_OUT = 30  # links or mentions of a finding: of fewer, an interval says little
ALIKE = 0.02  # nats between two heads that do nearly the same; 0.693 between those that share nothing
TOLD = most_of("telling")  # heads


@dataclass(frozen=True)
class Share:
    """A share of the weight that a role is about.

    Attributes:
        column: its name, without the group.
        where: on what the weight falls.
        verb: how it falls there.
        even: computes what a head without the role would have, of the head and the atlas.
        uneven: whether that depends on the texts so much that it is said.
        of: says of which weight it is a share, around the number.
        adds: how it contributes.
    """

    column: str
    where: str
    verb: str
    even: Callable[[Head, Atlas], float]
    uneven: bool = False
    of: str = "{} of its weight"
    adds: str = "contributes"


class Over(NamedTuple):
    """Over how many texts, sentences or documents a number is, of all that were read."""

    texts: int
    all: int

    def __str__(self) -> str:
        return "" if self.texts == self.all else f" (in {self.texts:,} of {self.all:,} texts)"


def _evenly(head: Head, atlas: Atlas) -> float:
    """Returns the weight that even attention gives to one token of a text of average length."""
    read = next((section for section in atlas["sections"] if section["name"] == "texts"), None)
    return read["texts"] / read["tokens"] if read and read["tokens"] else 0.0


def _three(head: Head, atlas: Atlas) -> float:
    return min(1.0, 3 * _evenly(head, atlas))


def _of_column(column: str) -> Callable[[Head, Atlas], float]:
    return lambda head, atlas: share_of(head, column) or 0.0


def _of_middle(column: str) -> Callable[[Head, Atlas], float]:
    return lambda head, atlas: _middle([share_of(one, column) for one in atlas["heads"]])


BEFORE, AFTER, ITSELF = "the token before", "the token after", "the token itself"
CLS, SEP = "[CLS] or its like", "[SEP] or its like"
SHARES = {
    "previous token": Share("previous_share", BEFORE, "falls on", _evenly),
    "next token": Share("next_share", AFTER, "falls on", _evenly),
    "self": Share("self_share", ITSELF, "stays on", _evenly),
    "same word": Share(
        "same_token_share",
        "its other occurrences",
        "falls on",
        _of_column("same_token_even"),
        uneven=True,
        of="of a token that recurs, {} of the weight",
        adds="contribute",
    ),
    "classification token": Share("cls_share", CLS, "rests on", _evenly),
    "separator": Share("sep_share", SEP, "rests on", _evenly),
    "first token": Share("first_share", "the first token", "rests on", _evenly),
    "punctuation": Share("punctuation_share", "punctuation", "falls on", _of_middle("punctuation_share")),
    "block of a pair": Share(
        "block",
        "the query's own text",
        "stays in",
        _of_column("block_even"),
        uneven=True,
        of="{} of the weight within texts",
    ),
    "local": Share("diagonal", f"{ITSELF} and its neighbours", "falls on", _three),
}
APART = ("block of a pair", "same word", "local")  # of pairs or of tokens that recur alone, or with others as parts


def findings_of(head: Head, atlas: Atlas) -> list[dict[str, Any]]:
    """Makes the findings of a head, the strongest first, one on each subject; at least one.

    Args:
        head: one of the atlas, whose own findings are not read.
        atlas: the data, see ``schema.json``; neither findings nor ``telling`` are read.

    Returns:
        ``kind``, ``key``, ``strength`` from 0 to 1 and ``text`` of each.
    """
    if not head["values"]:
        return [_finding("role", "none", 0.0, "nothing was measured of it")]
    makers = (_off, _role, _norms, _relations, _antecedents, _trees, _importance, _likeness)
    found = [finding for make in makers for finding in make(head, atlas)]
    by_subject: dict[tuple[str, str], dict[str, Any]] = {}
    for finding in sorted(found, key=lambda finding: -float(finding["strength"])):
        by_subject.setdefault(_subject(finding), finding)
    return [*by_subject.values()] or [_finding("role", "none", 0.0, "nothing stands out")]


def telling(heads: Sequence[Head]) -> list[dict[str, int]]:
    """Chooses the most telling heads, each by one of its findings.

    Of all findings, from the strongest on, those are chosen whose head was not chosen before, nor another head for the
    same kind and key; so each role, relation and so on is told of the head that shows it most, of those still there.
    Findings of no strength, such as what mixed heads look at, are left out, and heads that are off.

    Returns:
        ``layer``, ``head`` and the number of the ``finding`` of ten at most.
    """
    found = [
        (finding, {"layer": head["layer"], "head": head["head"], "finding": at})
        for head in heads
        for at, finding in enumerate(head["findings"])
        if finding["strength"] > 0 and not head["off"]
    ]
    chosen: list[dict[str, int]] = []
    taken: set[tuple[Any, Any]] = set()
    for finding, place in sorted(found, key=lambda pair: -float(pair[0]["strength"])):
        names = {(finding["kind"], finding["key"]), (place["layer"], place["head"])}
        if len(chosen) < TOLD and not names & taken:
            taken |= names
            chosen.append(place)
    return chosen


def share_of(head: Head, column: str) -> float | None:
    """Returns a share that roles are read from, whichever group of measures has it; None if none has."""
    found = (head["values"].get(f"{group}.{column}") for group in ("patterns", "statistics"))
    return next((value[0] for value in found if value), None)


def _finding(kind: str, key: str, strength: float, text: str, over: Over | None = None) -> dict[str, Any]:
    shown = 0.0 if over and over.texts < LEAST_TEXTS else min(max(strength, 0.0), 1.0)
    return {"kind": kind, "key": key, "strength": shown, "text": f"{text}{over or ''}"}


def _over(atlas: Atlas, section: str, *measures: str) -> Over:
    """Counts the texts of a section, and those that some of its measures are over, which are counted in texts."""
    read = sum(one["texts"] for one in atlas["sections"] if one["name"] == section)
    return Over(min([read, *(one["n"] for one in atlas["measures"] if one["name"] in measures)]), read)


def _off(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    if head["off"]:
        yield _finding("off", head["off"], 1.0, HOW_OFF[head["off"]])


def _subject(finding: Mapping[str, Any]) -> tuple[str, str]:
    """Names what a finding is about: a relation with all its subtypes, mentions of all groups."""
    kind, key = finding["kind"], finding["key"]
    return kind, {"relation": key.partition(":")[0].removesuffix("+punct"), "coreference": ""}.get(kind, key)


def _beyond(share: float, even: float) -> float:
    return (share - even) / (1 - even) if even < 1 else 0.0


def _middle(values: Sequence[float | None]) -> float:
    return median([value for value in values if value is not None] or [0.0])


def _role(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    role = head["role"]
    if role == OTHER_ROLE:
        yield _finding("focus", OTHER_ROLE, 0.0, f"mixed: no role above its threshold{_most_of(head)}")
    elif role == "broad":
        entropy = share_of(head, "relative_entropy") or 0.0
        of_largest = f" ({percents(entropy)[0]} of the largest possible entropy)" if entropy else ""
        text = f"broad: it spreads its weight almost evenly{of_largest}"
        over = _over(atlas, "texts", "statistics.relative_entropy")
        yield _finding("role", role, _beyond(entropy, Thresholds().broad), text, over)
    elif role in SHARES and share_of(head, SHARES[role].column) is not None:
        yield _of_share(head, atlas, role, SHARES[role])
    elif role:
        meanings = {known["name"]: known["meaning"] for known in atlas["roles"]}
        yield _finding("role", role, 0.0, f"{visible(role)}: {meanings.get(role, 'it has this role')}")
    elif any(one["role"] for one in atlas["heads"]):
        yield _finding("role", "none", 0.0, "the positions of its layer are no tokens, so that it has no role")


def _of_share(head: Head, atlas: Atlas, role: str, share: Share) -> dict[str, Any]:
    """Says how much weight makes the role, beside even attention and contributions where these say something else."""
    weight, even = share_of(head, share.column) or 0.0, share.even(head, atlas)
    text = f"{role}: {share.of.format(percents(weight)[0])} {share.verb} {share.where}"
    norm = head["values"].get(f"norms.{share.column}")
    if norm and norm[0] < weight / 2:
        text += f", which {share.adds} only {percents(norm[0])[0]} by norm"
    elif share.uneven:
        text += f", with even attention {percents(even)[0]}"
    over = _over(atlas, "texts", f"statistics.{share.column}", f"patterns.{share.column}")
    return _finding("role", role, _beyond(weight, even), text, over)


def _most_of(head: Head) -> str:
    """Says where the most weight of a mixed head falls; nothing if that is unknown."""
    known = [(share_of(head, share.column), share) for name, share in SHARES.items() if name not in APART]
    shares = [(weight, share.where) for weight, share in known if weight is not None]
    most = sorted(shares, key=lambda pair: -pair[0])[:2]
    written = zip(percents(*(weight for weight, _ in most), MOST), most, strict=False)  # none reads as the threshold
    return f"; most weight: {', '.join(f'{where} {share}' for share, (_, where) in written)}" if most else ""


def _norms(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    """Says what a head has as its role by contributions, if its weights do not say so."""
    for name, share in SHARES.items():
        norm, weight = head["values"].get(f"norms.{share.column}"), share_of(head, share.column)
        if norm and weight is not None and weight < MOST <= norm[0] and name not in APART:
            contributed, weighs = percents(norm[0], weight)
            text = f"by norm, {share.where} contributes {contributed}, with {weighs} of its weight"
            over = _over(atlas, "texts", f"norms.{share.column}")
            yield _finding("norm", name, _beyond(norm[0], share.even(head, atlas)), text, over)


def _held_out(rows: Sequence[Mapping[str, Any]], head: Head) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yields the rows that chose a head and whose gain is beyond doubt, with the strength of the finding."""
    for row in rows:
        named = (row["layer"], row["head"]) == (head["layer"], head["head"])
        if named and row["n"] >= LEAST_HELD_OUT and (row["gain_low"] or 0) > 0:
            yield row, _beyond(row["accuracy"], row["baseline"])


def _relations(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    for row, strength in _held_out(atlas["relations"], head):
        right, baseline = percents(row["accuracy"], row["baseline"])
        text = f"{link(row['relation'], row['direction'])} {right}, the best fixed offset {baseline}"
        text += f" (held out, n {row['n']:,})"
        yield _finding("relation", row["relation"], strength, text, _over(atlas, "treebank"))


def _antecedents(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    for row, strength in _held_out(atlas["coreference"], head):
        right, baseline = percents(row["accuracy"], row["baseline"])
        whose = f"finds antecedents of {GROUPS.get(row['group'], row['group'])}{ANSWERS[row['answer']]}"
        rule = RULES.get(row["baseline_name"], row["baseline_name"])
        text = f"{whose} in {right}, {rule} {baseline} (held out, n {row['n']:,})"
        yield _finding("coreference", row["group"], strength, text, _over(atlas, "documents"))


def _trees(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    """Says how many edges a head's trees have, if their interval is above both baselines."""
    baselines = {row["head"]: row["uuas"] for row in atlas["trees"] if row["layer"] is None and row["uuas"] is not None}
    uuas, low, _ = head["values"].get("trees.uuas", (0.0, None, None))
    best = max(baselines.values(), default=1.0)
    if low is not None and low > best:
        joining = "neighbours" if baselines.get("chain") == best else "words at one distance"
        of_head, of_baseline = percents(uuas, best)
        text = f"its trees have {of_head} of the edges (UUAS), joining {joining} {of_baseline}"
        yield _finding("tree", "uuas", _beyond(uuas, best), text, _over(atlas, "treebank"))


def _importance(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    """Says the place of a head among all, if it is in the first tenth of them and among the first ten."""
    column = next((name for name in IMPORTANCE if f"importance.{name}" in head["values"]), "")
    named = f"importance.{column}"
    values = [one["values"][named][0] for one in atlas["heads"] if named in one["values"]]
    value, low, _ = head["values"].get(named, (0.0, None, None))
    place = sum(other > value for other in values)
    if place < min(math.ceil(len(values) / 10), len(ORDINALS)) and min(value, value if low is None else low) > 0:
        text = f"{IMPORTANCE[column].format(f'{value:.2g}')}, {ORDINALS[place]} of {len(values)}"
        yield _finding("importance", column, 1 - _middle(values) / value, text, _over(atlas, "texts", named))


def _likeness(head: Head, atlas: Atlas) -> Iterator[dict[str, Any]]:
    """Names the nearest head if the two do nearly the same."""
    nearest = [one["nearest"][0] for one in atlas["heads"] if one["nearest"]]
    if head["nearest"] and head["nearest"][0]["distance"] <= ALIKE:
        other = head["nearest"][0]
        middle = _middle([near["distance"] for near in nearest])
        text = f"does nearly the same as {other['layer']}.{other['head']} (distance {other['distance']:.2g})"
        over = _over(atlas, "texts", "similarity.nearest_distance")
        yield _finding("likeness", "nearest", 1 - other["distance"] / middle if middle else 0.0, text, over)
