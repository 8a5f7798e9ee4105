"""Builds an atlas from the summaries of all that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import PurePath
from typing import Any

import numpy as np

from attnprobe.analyses.coreferences import HALVES
from attnprobe.analyses.likeness import Similarity
from attnprobe.analyses.related import ALL, ALL_AND_PUNCT, Relations
from attnprobe.analyses.related import COLUMNS as RELATION_COLUMNS
from attnprobe.analyses.rules import OTHER_ROLE, ROLES, SHORT
from attnprobe.analyses.shares import COLUMNS as PATTERN_COLUMNS
from attnprobe.analyses.shares import Patterns
from attnprobe.analyses.tree_scores import COLUMNS as TREE_COLUMNS
from attnprobe.analyses.tree_scores import TreeScores
from attnprobe.atlases.checking import VERSION
from attnprobe.atlases.data import Atlas
from attnprobe.atlases.examples import examples_of
from attnprobe.atlases.findings import findings_of, telling
from attnprobe.atlases.measures import FEWEST, Measure, Place, measures_of
from attnprobe.atlases.pointed import best_of
from attnprobe.atlases.schemas import most_of
from attnprobe.atlases.wording import NOUNS
from attnprobe.values.table import Table
from attnprobe.version import __version__

NEAREST, POINTED = most_of("nearest", "head"), most_of("relations", "head")
FEW = {"texts": 30, "treebank": 30, "documents": 10}  # of fewer a reader is warned
SAMPLE = "built-in sample"  # how the names of the sentences begin that come with attnprobe
Facts = Mapping[Place, Mapping[str, Any]]
"""Of each head, some of the fields that an atlas has of it."""


def build_atlas(summary: Any) -> Atlas:
    """Builds an atlas; equal summaries give equal atlases.

    Args:
        summary: an AtlasSummary, of which what was not measured is None.
    """
    measures = measures_of(summary)
    texts, examples = _examples(summary)
    facts = [make(part) for name, make in FACTS.items() if (part := getattr(summary, name)) is not None]
    data = {
        "format": "attnprobe-atlas",
        "version": VERSION,
        "attnprobe": __version__,
        "model": _model(summary.model),
        "signature": summary.signature,
        "sections": [_section(name, source) for name, source in summary.sources.items()],
        "measures": [measure.entry() for measure in measures],
        "roles": _roles(),
        "heads": [
            _head(place, summary.model["off"].how(*place), measures, [*facts, examples])
            for place in product(summary.model["layers"], summary.model["heads"])
        ],
        "texts": texts,
        "relations": _objects(summary.relations.table(), RELATION_COLUMNS) if summary.relations else [],
        "trees": _trees(summary.trees) if summary.trees else [],
        "coreference": _objects(summary.coreference.halves(), HALVES) if summary.coreference else [],
        "telling": [],
        "remarks": [*_doubtful(summary.sources), *_unread(summary.sources), *summary.remarks],
    }
    return Atlas(_told(data))


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Says which model was measured."""
    source = model["source"] and _end(model["source"])
    return {**{name: model[name] for name in ("name", "source", "type", "layers", "heads")}, "source": source}


def _end(path: str) -> str:
    """Returns only the end of a path from the root, so that a page does not tell where its maker works."""
    return PurePath(path).name if PurePath(path).is_absolute() else path


def _section(name: str, source: Any) -> dict[str, Any]:
    """Says what was read."""
    names = [*map(_end, source.names)]
    sample = any(one.startswith(SAMPLE) for one in names)
    return {"name": name, "sources": names, "sample": sample, "texts": source.texts, "tokens": source.tokens}


def _doubtful(sources: Mapping[str, Any]) -> Iterator[str]:
    """Warns of sections with few texts or none, and with texts that the vocabulary does not know."""
    for name, source in sources.items():
        _, what = NOUNS[name]
        if not source.texts:
            yield f"{what}: none was measured, so that no number is about them"
        elif source.texts < FEW[name]:
            yield f"{what}: only {source.texts:,}, so that much of what stands out may be chance"
        if source.unknown:
            yield f"{what} with more than a third of their tokens unknown to the vocabulary: {source.unknown:,}"


def _unread(sources: Any) -> Iterator[str]:
    """Says how many texts were cut, and how many records were skipped."""
    for name, source in sources.items():
        if source.cut:
            were = "was" if source.cut == 1 else "were"
            yield f"{source.cut:,} of {source.texts:,} {NOUNS[name][1]} {were} cut after {source.read:,} tokens"
    if sources.skipped:
        were, count = "was" if sources.skipped == 1 else "were", sources.skipped
        count += sum(source.texts for source in sources.values())
        yield f"{sources.skipped:,} of {count:,} records {were} skipped; the first: {sources.reason}"


def _roles() -> list[dict[str, str]]:
    meanings = {**{rule.name: rule.meaning for rule in ROLES}, OTHER_ROLE: "no rule of a role is met"}
    return [{"name": name, "short": SHORT[name], "meaning": meaning} for name, meaning in meanings.items()]


def _head(place: Place, off: str | None, measures: Sequence[Measure], facts: Sequence[Facts]) -> dict[str, Any]:
    found: dict[str, Any] = {**dict.fromkeys(("role", "pattern", "cluster", "place")), "off": off}
    found["values"] = {measure.name: [*measure.values[place]] for measure in measures if place in measure.values}
    found |= {"findings": [], "nearest": [], "relations": [], "examples": []}
    for fact in facts:
        found |= fact.get(place, {})
    return {"layer": place[0], "head": place[1], **found}


def _told(data: dict[str, Any]) -> dict[str, Any]:
    """Adds what stands out, in words."""
    for head in data["heads"]:
        head["findings"] = findings_of(head, data)
    data["telling"] = telling(data["heads"])
    return data


def _of_patterns(patterns: Patterns) -> Facts:
    """Names the pattern and role of each head."""
    rows = _objects(patterns.table(), PATTERN_COLUMNS)
    return {(row["layer"], row["head"]): {"role": row["role"], "pattern": row["pattern"]} for row in rows}


def _of_similarity(similarity: Similarity) -> Facts:
    """Gives the cluster and place of each head, and the heads that are nearest to it."""
    if not similarity.n_texts:
        return {}
    facts = zip(similarity.labels, similarity.clusters.tolist(), similarity.places.tolist(), strict=True)
    return {
        label: {"cluster": cluster, "place": place, "nearest": _nearest(similarity, index)}
        for index, (label, cluster, place) in enumerate(facts)
    }


def _nearest(similarity: Similarity, index: int) -> list[dict[str, Any]]:
    distances = similarity.distances[index]
    order = [other for other in np.argsort(distances, kind="stable").tolist() if other != index]
    named = [(*similarity.labels[other], float(distances[other])) for other in order[:NEAREST]]
    return [{"layer": layer, "head": head, "distance": distance} for layer, head, distance in named]


def _of_relations(relations: Relations) -> Facts:
    """Lists the relations that each head finds more often than the best offset does, of those that are not rare."""
    found: dict[Place, list[dict[str, Any]]] = {}
    for label, heads in best_of(relations).items():
        for place, pointed in heads.items():
            if label not in (ALL, ALL_AND_PUNCT) and pointed.n >= FEWEST and pointed.gain > 0:
                found.setdefault(place, []).append(pointed._asdict())
    return {place: {"relations": sorted(rows, key=lambda row: -row["gain"])[:POINTED]} for place, rows in found.items()}


FACTS: Mapping[str, Callable[[Any], Facts]] = {
    "patterns": _of_patterns,
    "similarity": _of_similarity,
    "relations": _of_relations,
}
"""What is known of heads besides numbers, by the field of the summary that knows it."""


def _examples(summary: Any) -> tuple[list[dict[str, Any]], Facts]:
    """Returns the texts that examples show, and the examples of each head."""
    if summary.examples is None or summary.patterns is None:
        return [], {}
    texts, by_head = examples_of(summary.examples, summary.patterns.roles())
    places = product(summary.examples.layers, summary.examples.heads)
    return texts, {place: {"examples": found} for place, found in zip(places, by_head, strict=True)}


def _trees(trees: TreeScores) -> list[dict[str, Any]]:
    """Lists the means of layers, and the baselines."""
    return [row for row in _objects(trees.table(), TREE_COLUMNS) if isinstance(row["head"], str)]


def _objects(table: Table, columns: Sequence[str]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in table.rows]
