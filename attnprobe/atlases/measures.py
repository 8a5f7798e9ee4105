"""The numbers that heads have in an atlas: what each means, which command measures it alone, and its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnprobe.analyses.coreference import COREFERENCE
from attnprobe.analyses.coreferences import GROUPED, Coreferences
from attnprobe.analyses.importance import IMPORTANCE
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.likeness import Similarity
from attnprobe.analyses.patterns import COLUMNS as PATTERN_COLUMNS
from attnprobe.analyses.related import ALL, ALL_AND_PUNCT, Relations
from attnprobe.analyses.shares import Patterns
from attnprobe.analyses.similarity import SIMILARITY
from attnprobe.analyses.tree_scores import TreeScores
from attnprobe.analyses.trees import TREES
from attnprobe.atlases.pointed import best_of
from attnprobe.atlases.wording import GROUPS as MENTIONS
from attnprobe.metrics import METRICS, load_metrics
from attnprobe.values.signature import part_of
from attnprobe.values.summary import Summary

Place = tuple[int, int]
"""Layer and head."""
Number = tuple[float, float | None, float | None]
"""A value, and the ends of its 95 % interval where there is one."""
FEWEST = 20  # occurrences of a relation that is a measure
ANSWER = "mentions"  # of the answers of coreference, the one that is a measure


@dataclass(frozen=True)
class Measure:
    """A number of heads.

    Attributes:
        name, section, title, meaning, unit, command, n: as schema.json describes them.
        values: of the heads for which it has a meaning.
    """

    name: str
    section: str
    title: str
    meaning: str
    unit: str
    command: str
    n: int
    values: Mapping[Place, Number]

    def entry(self) -> dict[str, Any]:
        """Returns all but the values, as the atlas has it."""
        about = {name: value for name, value in vars(self).items() if name != "values"}
        return {**about, "diverging": any(value < 0 for value, _, _ in self.values.values())}


def of_statistics(summary: Summary) -> Iterator[Measure]:
    """Makes the measures of head statistics."""
    yield from _of_metrics(summary, "statistics", "{}", "{}", "attnprobe corpus FILES --summary FILE")


def of_norms(summary: Summary) -> Iterator[Measure]:
    """Makes the measures of statistics of contributions."""
    command = "attnprobe corpus FILES --of norms --summary FILE"
    meaning = "{}, of contributions: weights times the length of what they add"
    yield from _of_metrics(summary, "norms", "{} of contributions", meaning, command)


def _of_metrics(summary: Summary, group: str, title: str, meaning: str, command: str) -> Iterator[Measure]:
    found = _means(summary)
    for name, metric in load_metrics(summary.metrics).items():
        about = title.format(_words(name)), meaning.format(METRICS[name][1]), _unit(metric.unit)
        yield Measure(f"{group}.{name}", "texts", *about, command, *found[name])


def of_patterns(patterns: Patterns) -> Iterator[Measure]:
    """Makes the measures of the shares that patterns and roles are read from, which no statistic is."""
    for name, found in _means(patterns.shares).items():
        if name not in METRICS:
            command = "attnprobe patterns FILES"
            yield Measure(f"patterns.{name}", "texts", _words(name), PATTERN_COLUMNS[name], "share", command, *found)


def of_similarity(similarity: Similarity) -> Iterator[Measure]:
    """Makes the measure of the distance to the nearest head."""
    near = zip(similarity.labels, similarity.nearest(), strict=True)
    values = {place: (found[1], None, None) for place, found in near if found}
    name = "nearest_distance"
    about = "distance to the nearest head", SIMILARITY.columns[name], "nats"
    yield Measure(f"similarity.{name}", "texts", *about, "attnprobe similarity FILES", int(similarity.n_texts), values)


def of_importance(importance: Importances) -> Iterator[Measure]:
    """Makes the measures of what changes when a head is switched off, or changed a little.

    Of a head that is switched off its importance is the change of the pooled vector, which has a column of its own.
    """
    method = part_of(importance.signature, "method")
    command, unit = f"attnprobe importance FILES --method {method}", "gradient" if method == "gradient" else "change"
    for name, found in _means(importance.sums).items():
        if (name, unit) != ("importance", "change"):
            yield Measure(f"importance.{name}", "texts", _words(name), IMPORTANCE.columns[name], unit, command, *found)


def of_relations(relations: Relations) -> Iterator[Measure]:
    """Makes the measures of how often heads find relations: of all together, and of each that is not rare."""
    command = "attnprobe relations FILES --all-heads FILE"
    for label, heads in best_of(relations).items():
        count = max((best.n for best in heads.values()), default=0)
        if count and label != ALL_AND_PUNCT and (label == ALL or count >= FEWEST):
            which = "any relation but punctuation" if label == ALL else label
            meaning = (
                f"how often the largest weight between words falls where {which} links them, in the better of the two "
                "directions; on all sentences"
            )
            values: dict[Place, Number] = {place: (best.accuracy, None, None) for place, best in heads.items()}
            about = f"finds {'relations' if label == ALL else label}", meaning, "share"
            yield Measure(f"relations.{label}", "treebank", *about, command, count, values)


def of_trees(trees: TreeScores) -> Iterator[Measure]:
    """Makes the measure of how much of annotated trees those of heads have."""
    rows: Sequence[Sequence[Any]] = trees.intervals().rows
    values = {
        (layer, head): (uuas, low, high)
        for layer, head, uuas, low, high, *_ in rows
        if layer is not None and head != "mean" and uuas is not None
    }
    about = "draws trees (UUAS)", TREES.columns["uuas"], "share", "attnprobe trees FILES --intervals FILE"
    yield Measure("trees.uuas", "treebank", *about, int(trees.edges), values)


def of_coreference(coreference: Coreferences) -> Iterator[Measure]:
    """Makes the measures of how often heads find antecedents, for each group of mentions."""
    rows: Sequence[Sequence[Any]] = coreference.table().rows
    found: dict[str, dict[Place, Number]] = {group: {} for group in GROUPED}
    counts: dict[str, int] = {}
    for layer, head, answer, group, accuracy, n in rows:
        if answer == ANSWER and accuracy is not None:
            found[group][layer, head], counts[group] = (accuracy, None, None), n
    for group, values in found.items():
        answer = "of the words that stand for earlier mentions, the answer has the largest weight from the mention"
        meaning = f"of {MENTIONS[group]}: {COREFERENCE.columns['accuracy']}; {answer}"
        about = f"antecedents of {MENTIONS[group]}", meaning, "share", "attnprobe coreference FILES"
        yield Measure(f"coreference.{group}", "documents", *about, counts.get(group, 0), values)


GROUPS: Mapping[str, Callable[[Any], Iterator[Measure]]] = {
    "statistics": of_statistics,
    "patterns": of_patterns,
    "norms": of_norms,
    "similarity": of_similarity,
    "importance": of_importance,
    "relations": of_relations,
    "trees": of_trees,
    "coreference": of_coreference,
}
"""The measures of each summary, by the name of its field."""


def measures_of(summary: Any) -> list[Measure]:
    """Makes all measures that some head has a value of."""
    found = [
        measure
        for name, make in GROUPS.items()
        if (part := getattr(summary, name)) is not None
        for measure in make(part)
    ]
    return [measure for measure in found if measure.values]


def _means(summary: Summary) -> dict[str, tuple[int, dict[Place, Number]]]:
    """Returns by metric how many texts have it, and the means over texts with their intervals, by head.

    What has no meaning is left out.
    """
    counts = dict(zip(summary.metrics, summary.n_texts.max(0, initial=0).astype(int).tolist(), strict=True))
    found: dict[str, dict[Place, Number]] = {name: {} for name in summary.metrics}
    rows: Sequence[Sequence[Any]] = summary.table().rows
    for layer, head, metric, mean, _, low, high, *_ in rows:
        if mean is not None:
            found[metric][layer, head] = (mean, low, high)
    return {metric: (counts[metric], values) for metric, values in found.items()}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _unit(unit: str) -> str:
    """Leaves out what a unit says of the range."""
    return unit.replace(";", ",").partition(",")[0]
