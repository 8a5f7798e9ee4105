"""Atlases made up from random numbers, for all that is made of an atlas and needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnprobe.analyses.rules import OTHER_ROLE, ROLES, SHORT

SECTIONS = ("texts", "treebank", "documents")
STATISTICS = {"entropy": "nats", "sep_share": "share", "previous_share": "share", "offset": "tokens"}
RELATIONS = ("all", "nsubj", "obj", "amod")
GROUPS = ("all", "pronoun", "proper", "nominal")
TOKENS = (
    ["[CLS]", "the", "animal", "didn", "'", "t", "cross", "the", "street", ".", "[SEP]"],
    ["[CLS]", "它们", "<b>", "un", "##rem", "##ark", "##ably", "tired", "</script>", "[SEP]"],
)


def fabricated(
    layers: int = 6, heads: int = 12, against: bool = False, sections: tuple[str, ...] = SECTIONS, seed: int = 0
) -> dict[str, Any]:
    """An atlas that follows ``attnprobe/atlases/schema.json``; equal arguments, equal atlas."""
    draw = np.random.default_rng(seed)
    measures = _measures(sections)
    places = [(layer, head) for layer in range(layers) for head in range(heads)]
    made = [_head(draw, place, places, measures, sections) for place in places]
    atlas = {
        "format": "attnprobe-atlas",
        "version": 1,
        "attnprobe": "0.0.0",
        "model": {
            **{"name": "made-up", "source": "org/made-up", "type": "bert"},
            **{"layers": [*range(layers)], "heads": [*range(heads)]},
        },
        "signature": f"model:made-up|seed:{seed}",
        "sections": [
            {"name": name, "sources": [f"{name}.txt"], "sample": False, "texts": 40, "tokens": 900} for name in sections
        ],
        "measures": measures,
        "roles": _roles(),
        "heads": made,
        "texts": [
            {"id": str(at), "tokens": tokens, "special": _special(tokens), "n_tokens": len(tokens) + 40 * at}
            for at, tokens in enumerate(TOKENS)
        ],
        "relations": [_relation(draw, name, places) for name in RELATIONS] if "treebank" in sections else [],
        "trees": _trees(draw, layers) if "treebank" in sections else [],
        "coreference": [_coreference(draw, group, places) for group in GROUPS] if "documents" in sections else [],
        "telling": [{"layer": layer, "head": head, "finding": 0} for layer, head in places[:10]],
        "remarks": ["contributions cannot be measured: no values of layer 0 are found"],
    }
    if against:
        other = fabricated(layers, heads, False, sections, seed + 1)
        kept = ("layer", "head", "role", "pattern", "off", "values", "findings")
        atlas["against"] = {
            **{name: other[name] for name in ("attnprobe", "model", "signature", "sections")},
            "heads": [{name: head[name] for name in kept} for head in other["heads"]],
            "remarks": ["the two have other texts"],
        }
    return atlas


def make_alike(data: dict[str, Any], measure: str) -> None:
    """Gives all heads of either of two atlases one value of a measure but for rounding; intervals are apart."""
    for atlas, value in ((data, 0.02), (data["against"], 0.01)):
        for at, head in enumerate(atlas["heads"]):
            near = value + 1e-17 * (at % 3)
            head["values"][measure] = [near, near - 1e-4, near + 1e-4]


def _roles() -> list[dict[str, str]]:
    known = [{"name": rule.name, "short": rule.short, "meaning": rule.meaning} for rule in ROLES]
    return [*known, {"name": OTHER_ROLE, "short": SHORT[OTHER_ROLE], "meaning": "none of these"}]


def _special(tokens: list[str]) -> list[bool]:
    return [token in ("[CLS]", "[SEP]") for token in tokens]


def _measures(sections: tuple[str, ...]) -> list[dict[str, Any]]:
    named = [(f"statistics.{name}", "texts", unit) for name, unit in STATISTICS.items()]
    named += [("norms.sep_share", "texts", "share"), ("similarity.nearest_distance", "texts", "nats")]
    named += [("importance.importance", "texts", "cosine distance")]
    named += [(f"relations.{name}", "treebank", "share") for name in RELATIONS]
    named += [("trees.uuas", "treebank", "share")]
    named += [(f"coreference.{name}", "documents", "share") for name in GROUPS]
    return [
        {
            "name": name,
            "section": section,
            "title": _title(name),
            "meaning": f"what {name} means",
            "unit": unit,
            "command": f"attnprobe {name}",
            "n": 40,
            "diverging": name == "statistics.offset",
        }
        for name, section, unit in named
        if section in sections
    ]


def _title(name: str) -> str:
    """Titles a measure as ``attnprobe/atlases/measures.py`` does."""
    group, _, column = name.partition(".")
    return column.replace("_", " ") + " of contributions" * (group == "norms")


def _head(
    draw: np.random.Generator,
    place: tuple[int, int],
    places: list[tuple[int, int]],
    measures: list[dict[str, Any]],
    sections: tuple[str, ...],
) -> dict[str, Any]:
    role = ["previous token", "separator", "same word", "broad", OTHER_ROLE][int(draw.integers(5))]
    values = {}
    for measure in measures:
        value = float(draw.normal(0, 4) if measure["diverging"] else draw.random())
        has_interval = measure["name"].startswith(("statistics", "importance"))
        values[measure["name"]] = [value, value - 0.1, value + 0.1] if has_interval else [value, None, None]
    nearest = [places[at] for at in draw.permutation(len(places))[:5] if places[at] != place]
    findings = [
        {"kind": "role", "key": role, "strength": 0.8, "text": f"{role}: 80 % of its weight <falls> there"},
        {"kind": "relation", "key": "obj", "strength": 0.3, "text": "obj → its verb 75 %, the best offset 37 %"},
    ]
    pointed = {
        "direction": "dep->head",
        "accuracy": 0.75,
        "baseline": 0.4,
        "baseline_offset": -1,
        "gain": 0.35,
        "n": 30,
    }
    return {
        "layer": place[0],
        "head": place[1],
        "role": role,
        "pattern": "heterogeneous",
        "cluster": int(draw.integers(4)),
        "place": [float(draw.normal()), float(draw.normal())],
        "off": None,
        "values": values,
        "findings": findings,
        "nearest": [{"layer": layer, "head": head, "distance": 0.01 * at} for at, (layer, head) in enumerate(nearest)],
        "relations": [{"relation": name, **pointed} for name in RELATIONS[1:]] if "treebank" in sections else [],
        "examples": [_example(draw, 0, "clearest", role), _example(draw, 1, "random", None)],
    }


def _example(draw: np.random.Generator, text: int, why: str, role: str | None) -> dict[str, Any]:
    scores = draw.gamma(0.3, size=(len(TOKENS[text]), len(TOKENS[text])))
    weights = (scores / scores.sum(1, keepdims=True)).round(4).tolist()
    return {"text": text, "why": why, "role": role, "share": 0.97 if role else None, "weights": weights}


def _relation(draw: np.random.Generator, name: str, places: list[tuple[int, int]]) -> dict[str, Any]:
    layer, head = places[int(draw.integers(len(places)))]
    where = {"layer": layer, "head": head, "direction": "dep->head", "accuracy": 0.7, "baseline_offset": 1}
    return {
        "relation": name,
        "n": 100,
        **where,
        "baseline": 0.4,
        "gain": 0.3,
        "gain_low": 0.2,
        "gain_high": 0.4,
    }


def _trees(draw: np.random.Generator, layers: int) -> list[dict[str, Any]]:
    means = [{"layer": layer, "head": "mean", "uuas": float(draw.random()), "n": 900} for layer in range(layers)]
    return [*means, *({"layer": None, "head": name, "uuas": 0.38, "n": 900} for name in ("chain", "offset"))]


def _coreference(draw: np.random.Generator, group: str, places: list[tuple[int, int]]) -> dict[str, Any]:
    layer, head = places[int(draw.integers(len(places)))]
    return {
        "group": group,
        "answer": "mentions",
        "n": 60,
        "layer": layer,
        "head": head,
        "accuracy": 0.62,
        "baseline_name": "nearest",
        "baseline": 0.4,
        "gain": 0.22,
        "gain_low": None,
        "gain_high": None,
    }
