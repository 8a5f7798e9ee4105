"""Heads in words: what each number says, how strong that is, what is never said; the most telling heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from attnprobe.atlases.findings import findings_of, telling
from attnprobe.atlases.wording import percents
from tests.atlases import SECTIONS, fabricated

LENGTH = 20  # tokens of a text: even attention gives 5 % to each


def head_of(layer: int = 0, head: int = 0, role: str | None = "mixed", **about: Any) -> dict[str, Any]:
    values = {name.replace("__", "."): number for name, number in about.items() if "__" in name}
    rest = {name: value for name, value in about.items() if "__" not in name}
    whole = {name: value if isinstance(value, list) else [value, None, None] for name, value in values.items()}
    plain: dict[str, Any] = {"role": role, "off": None, "nearest": [], "findings": []}
    return {"layer": layer, "head": head, **plain, "values": whole, **rest}


def atlas_of(*heads: dict[str, Any], **about: Any) -> dict[str, Any]:
    sections = [{"name": name, "texts": 10, "tokens": 10 * LENGTH} for name in SECTIONS]
    rows = ("measures", "relations", "trees", "coreference")
    empty: dict[str, Any] = {**{name: [] for name in rows}, "roles": fabricated(1, 1)["roles"]}
    return {"sections": sections, "heads": list(heads), **empty, **about}


def said(head: dict[str, Any], *others: dict[str, Any], **about: Any) -> dict[str, Any]:
    """The strongest finding of a head among others."""
    return findings_of(head, atlas_of(head, *others, **about))[0]


@pytest.mark.parametrize(
    ("head", "strength", "text"),
    [
        (
            head_of(role="previous token", statistics__previous_share=0.943),
            (0.943 - 0.05) / 0.95,
            "previous token: 94 % of its weight falls on the token before",
        ),
        (
            head_of(role="separator", statistics__sep_share=0.81, norms__sep_share=0.12),
            0.8,
            "separator: 81 % of its weight rests on [SEP] or its like, which contributes only 12 % by norm",
        ),
        (
            head_of(role="separator", statistics__sep_share=0.81, norms__sep_share=0.5),
            0.8,
            "separator: 81 % of its weight rests on [SEP] or its like",
        ),
        (
            head_of(role="same word", patterns__same_token_share=0.28, patterns__same_token_even=0.1),
            0.2,
            "same word: of a token that recurs, 28 % of the weight falls on its other occurrences, with even attention "
            "10 %",
        ),
        (
            head_of(role="same word", statistics__same_token_share=0.28, norms__same_token_share=0.1),
            0.28,
            "same word: of a token that recurs, 28 % of the weight falls on its other occurrences, which contribute "
            "only 10 % by norm",
        ),
        (
            head_of(statistics__same_token_share=0.49, statistics__cls_share=0.3, statistics__sep_share=0.2),
            0,
            "mixed: no role above its threshold; most weight: [CLS] or its like 30 %, [SEP] or its like 20 %",
        ),
        (
            head_of(role="block of a pair", patterns__block=0.998, patterns__block_even=0.52),
            0.478 / 0.48,
            "block of a pair: > 99 % of the weight within texts stays in the query's own text, with even attention "
            "52 %",
        ),
        (
            head_of(role="local", patterns__diagonal=0.66),
            0.6,
            "local: 66 % of its weight falls on the token itself and its neighbours",
        ),
        (
            head_of(role="broad", statistics__relative_entropy=0.95),
            0.75,
            "broad: it spreads its weight almost evenly (95 % of the largest possible entropy)",
        ),
        (head_of(role="broad", statistics__entropy=2.0), 0, "broad: it spreads its weight almost evenly"),
        (
            head_of(statistics__sep_share=0.31, statistics__previous_share=0.22, statistics__self_share=0.1),
            0,
            "mixed: no role above its threshold; most weight: [SEP] or its like 31 %, the token before 22 %",
        ),
        (
            head_of(statistics__sep_share=0.497),
            0,
            "mixed: no role above its threshold; most weight: [SEP] or its like 49.7 %",
        ),
        (head_of(statistics__entropy=2.0), 0, "mixed: no role above its threshold"),
        (head_of(role="first token", statistics__entropy=2.0), 0, "first token: it rests on the first token, "),
        (head_of(role="一致", statistics__entropy=2.0), 0, "一致: it has this role"),
        (head_of(role=None), 0, "nothing was measured of it"),
    ],
)
def test_roles_in_words(head: dict[str, Any], strength: float, text: str) -> None:
    [finding] = findings_of(head, atlas_of(head))
    assert finding["text"].startswith(text) if text.endswith(", ") else finding["text"] == text
    assert finding["strength"] == pytest.approx(strength)


def test_punctuation_is_held_against_the_middle_head() -> None:
    heads = [head_of(head=at, role="punctuation", statistics__punctuation_share=at / 10) for at in (1, 2, 6)]
    assert said(heads[2], *heads[:2])["strength"] == pytest.approx(0.5)


def test_a_layer_that_pools_has_no_role() -> None:
    pooled = head_of(1, 0, role=None, statistics__entropy=1.0)
    with_role = head_of(role="self", statistics__self_share=0.9)
    assert said(pooled, with_role)["text"] == "the positions of its layer are no tokens, so that it has no role"
    assert said(pooled)["text"] == "nothing stands out"


def test_contributions_may_say_what_weights_do_not() -> None:
    head = head_of(statistics__previous_share=0.33, norms__previous_share=0.6, norms__sep_share=0.5)
    first, *rest = findings_of(head, atlas_of(head))
    assert first["text"] == "by norm, the token before contributes 60 %, with 33 % of its weight"
    assert (first["kind"], first["key"]) == ("norm", "previous token")
    assert first["strength"] == pytest.approx(0.55 / 0.95)
    assert [finding["kind"] for finding in rest] == ["focus"]


ROW = {"layer": 0, "head": 0, "n": 1200, "direction": "dep->head", "accuracy": 0.75, "baseline": 0.37}
GAIN = {"gain": 0.38, "gain_low": 0.2, "gain_high": 0.5}


def relation(name: str, **about: Any) -> dict[str, Any]:
    return {"relation": name, **ROW, **GAIN, **about}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (relation("obj"), "obj → its verb 75 %, the best fixed offset 37 % (held out, n 1,200)"),
        (relation("det", direction="head->dep"), "noun → its det 75 %, "),
        (relation("all"), "any word → its head word 75 %, "),
        (relation("all+punct"), "any word or punctuation mark → its head word 75 %, "),
        (relation("all+punct", direction="head->dep"), "head word → its dependent or punctuation mark 75 %, "),
        (relation("obj", accuracy=0.374), "obj → its verb 37.4 %, the best fixed offset 37.0 % "),
        (relation("主语:a\x1b"), "主语:a␛ → its head word 75 %, "),
        (relation("obj", gain_low=-0.01), None),
        (relation("obj", gain_low=None), None),
        (relation("obj", n=29), None),
        (relation("obj", head=1), None),
    ],
)
def test_relations_are_said_of_the_head_that_was_chosen(row: dict[str, Any], text: str | None) -> None:
    head = head_of(relations__obj=0.99)
    finding = said(head, relations=[row])
    assert finding["text"].startswith(text) if text else finding["kind"] == "focus"
    if text and row["accuracy"] == 0.75:
        assert (finding["kind"], finding["key"]) == ("relation", row["relation"])
        assert finding["strength"] == pytest.approx(0.38 / 0.63)


def mentions(group: str, answer: str, **about: Any) -> dict[str, Any]:
    return {"group": group, "answer": answer, "baseline_name": "nearest", **ROW, **GAIN, **about}


def test_antecedents_are_said_once() -> None:
    rows = [mentions("all", "mentions"), mentions("pronoun", "words", accuracy=0.8), mentions("proper", "back", n=9)]
    first, second = findings_of(head_of(coreference__all=0.9), atlas_of(coreference=rows))
    assert first["text"] == (
        "finds antecedents of pronouns among all earlier words in 80 %, the nearest mention 37 % (held out, n 1,200)"
    )
    assert second["kind"] == "focus"


TREES = [{"layer": None, "head": "chain", "uuas": 0.38}, {"layer": None, "head": "offset", "uuas": 0.38}]


def test_trees_are_said_where_their_interval_is_above_the_baselines() -> None:
    means = [{"layer": 0, "head": "mean", "uuas": 0.5}]
    better, unsure = ([0.41, low, 0.44] for low in (0.385, 0.375))
    finding = said(head_of(trees__uuas=better), trees=[*means, *TREES])
    assert finding["text"] == "its trees have 41 % of the edges (UUAS), joining neighbours 38 %"
    assert finding["strength"] == pytest.approx(0.03 / 0.62)
    for value in (unsure, 0.9):
        assert said(head_of(trees__uuas=value), trees=TREES)["kind"] == "focus"


def test_importance_is_a_place_among_all_heads() -> None:
    heads = [head_of(head=at, importance__pooled_change=0.001 * at, importance__importance=0.5) for at in range(39)]
    findings = [said(head, *heads[:at], *heads[at + 1 :]) for at, head in enumerate(heads)]
    assert [finding["kind"] for finding in findings].count("importance") == 4
    assert findings[36]["text"] == "switching it off changes the pooled vector by 0.036 (1 − cosine), third of 39"
    assert findings[36]["strength"] == pytest.approx(1 - 19 / 36)
    gradients = [head_of(head=at, importance__importance=[1.0 + at, low, 9.0]) for at, low in enumerate((0.5, 0.4))]
    assert said(gradients[1], gradients[0])["text"] == "by gradients its importance is 2, first of 2"
    gradients[1]["values"]["importance.importance"][1] = -0.1
    assert said(gradients[1], gradients[0])["kind"] == "focus"


def test_twins_are_said_against_how_near_heads_usually_are() -> None:
    distances = [0.004, 0.01, 0.1, 0.2, 0.021]
    heads = [
        head_of(head=at, nearest=[{"layer": 3, "head": 1, "distance": distance}], statistics__entropy=1.0)
        for at, distance in enumerate(distances)
    ]
    finding = said(heads[0], *heads[1:])
    assert finding["text"] == "does nearly the same as 3.1 (distance 0.004)"
    assert finding["strength"] == pytest.approx(1 - 0.004 / 0.021)
    assert [said(head, *heads)["kind"] for head in heads] == ["likeness", "likeness", "focus", "focus", "focus"]


@pytest.mark.parametrize(
    ("shares", "written"),
    [
        ((0.0,), "0 %"),
        ((0.0049,), "< 1 %"),
        ((0.005,), "< 1 %"),
        ((0.0051,), "1 %"),
        ((0.9949,), "99 %"),
        ((0.995,), "> 99 %"),
        ((1.0,), "100 %"),
        ((1.0000001,), "100 %"),
        ((0.5, 0.5), "50 % 50 %"),
        ((0.996, 0.9995), "99.6 % > 99.9 %"),
    ],
)
def test_no_share_is_rounded_to_all_or_none(shares: tuple[float, ...], written: str) -> None:
    assert " ".join(percents(*shares)) == written


def shown(layer: int, *findings: tuple[str, str, float]) -> Mapping[str, Any]:
    made = [{"kind": kind, "key": key, "strength": by, "text": f"{kind} {key}"} for kind, key, by in findings]
    return {"layer": layer, "head": 0, "off": None, "findings": made}


def test_telling_heads_are_the_strongest_of_each_kind() -> None:
    heads = [
        shown(0, ("role", "self", 0.8), ("relation", "obj", 0.7)),
        shown(1, ("role", "self", 0.9), ("relation", "obj", 0.2)),
        shown(2, ("relation", "obj", 0.6), ("relation", "det", 0.5)),
        shown(3, ("relation", "det", 0.4), ("role", "mixed", 0.0)),
        *(shown(at, ("tree", str(at), 1 / at)) for at in range(4, 14)),
    ]
    chosen = telling(heads)
    assert [(one["layer"], one["finding"]) for one in chosen[:4]] == [(1, 0), (0, 1), (2, 1), (4, 0)]
    assert len(chosen) == len({one["layer"] for one in chosen}) == 10


NUMBERS = {  # what is found of each, in which section
    "statistics.previous_share": (0.9, "role", "texts"),
    "norms.next_share": (0.7, "norm", "texts"),
    "importance.importance": (2.0, "importance", "texts"),
    "similarity.nearest_distance": (0.001, "likeness", "texts"),
    "trees.uuas": ([0.8, 0.7, 0.9], "tree", "treebank"),
    "relations.obj": (0.9, "relation", "treebank"),
    "coreference.all": (0.9, "coreference", "documents"),
}


@pytest.mark.parametrize("measure", NUMBERS)
@pytest.mark.parametrize("few", [10, 9])
def test_what_rests_on_few_texts_is_said_and_not_told(measure: str, few: int) -> None:
    value, kind, section = NUMBERS[measure]
    about: dict[str, Any] = {"role": "previous token", "statistics__next_share": 0.1, "off": None}
    near = [{"layer": 0, "head": 1, "distance": 0.001}] if kind == "likeness" else []
    head = head_of(**about, **{measure.replace(".", "__"): value}, nearest=near)
    others = [head_of(head=at, importance__importance=0.1, nearest=[{"distance": 0.5}]) for at in (1, 2)]
    rows = {"relations": [relation("obj")], "trees": TREES, "coreference": [mentions("all", "mentions")]}
    atlas = atlas_of(head, *others, **{name: made for name, made in rows.items() if measure.startswith(name)})
    for read in atlas["sections"]:
        read |= {"texts": few if read["name"] == section != "texts" else 2000, "tokens": 2000 * LENGTH}
    atlas["measures"] = [{"name": measure, "n": few}] if section == "texts" else []
    head["findings"] = findings_of(head, atlas)
    found = next(finding for finding in head["findings"] if finding["kind"] == kind)
    assert found["text"].endswith(f" (in {few} of 2,000 texts)") == (section == "texts")
    assert (found["strength"] > 0) == (few == 10)
    assert telling([head]) == ([{"layer": 0, "head": 0, "finding": 0}] if few == 10 else [])


@pytest.mark.parametrize("how", ["zero", "mean", "uniform"])
def test_a_head_that_is_off_says_so_first_and_is_never_told(how: str) -> None:
    head = head_of(role="previous token", statistics__previous_share=0.9999, off=how)
    head["findings"] = findings_of(head, atlas_of(head))
    assert head["findings"][0]["text"].startswith(f"this head is off ({how}): ")
    assert [finding["kind"] for finding in head["findings"]] == ["off", "role"]
    assert telling([head]) == []


def test_findings_of_a_whole_atlas_follow_the_rules() -> None:
    atlas = fabricated()
    for head in atlas["heads"]:
        findings = findings_of(head, atlas)
        strengths = [finding["strength"] for finding in findings]
        assert strengths == sorted(strengths, reverse=True)
        assert 0 <= strengths[-1] <= strengths[0] <= 1
        assert all({*finding} == {"kind", "key", "strength", "text"} for finding in findings)
