"""Trees drawn from weights: the algorithm against two others, and the shares of right edges against plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import t as student

from attnprobe import Encoder, Record, trees
from attnprobe.analyses.spanning import TreeCounts
from attnprobe.analyses.tree_scores import APART, TreeScores
from attnprobe.attention.trees import spanning_trees
from attnprobe.errors import InputError, UsageError
from attnprobe.measure.kinds import Measured
from attnprobe.render.figure import draw
from attnprobe.render.trees import write_figure
from tests.exact import float64
from tests.plain import Plain
from tests.treebank import ENGLISH, GERMAN

pytestmark = pytest.mark.numeric
Edges = set[tuple[int, int]]


def records_of(treebank: str) -> list[Record]:
    """The sentences of a treebank, by no more than its words' lines."""
    records = []
    for sentence in treebank.strip().split("\n\n"):
        lines = [line.split("\t") for line in sentence.splitlines() if line.split("\t")[0].isdigit()]
        relations = [[int(line[0]) - 1, int(line[6]) - 1, line[7]] for line in lines if line[6] != "0"]
        labels = {"relations": relations, "upos": [line[3] for line in lines]}
        records.append(Record(str(len(records)), words=[line[1] for line in lines], labels=labels))
    return records


def kruskal(weights: np.ndarray, kept: Sequence[int]) -> Edges:
    """The heaviest edges that close no circle (Kruskal 1956)."""
    group, tree = {word: word for word in kept}, set()
    for one, other in sorted(combinations(kept, 2), key=lambda pair: -weights[pair]):
        if group[one] != group[other]:
            tree.add((one, other))
            group = {word: group[one] if of == group[other] else of for word, of in group.items()}
    return tree


def edges_of(joined: np.ndarray) -> Edges:
    return {(min(pair), max(pair)) for pair in enumerate(joined.tolist()) if pair[0] != pair[1]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trees_are_those_of_kruskal_and_scipy(dtype: str) -> None:
    chance = np.random.default_rng(0)
    weights = chance.random((3, 4, 12, 12)).astype(dtype)
    weights += weights.swapaxes(2, 3)
    kept = chance.random((3, 12)) < 0.7
    kept[2] = True
    joined = spanning_trees(weights, kept)
    for text, words in enumerate(map(np.flatnonzero, kept)):
        for head in range(4):
            found = edges_of(joined[text, head])
            assert found == kruskal(weights[text, head], words.tolist())
            distances = np.triu(2.0 - weights[text, head, words][:, words], 1)  # to scipy 0 is no edge
            one, other = minimum_spanning_tree(distances).nonzero()
            assert found == {*zip(words[one].tolist(), words[other].tolist(), strict=True)}


def test_equal_edges_the_first_word_first() -> None:
    weights = np.zeros((1, 1, 5, 5), dtype=np.float32)
    every = np.ones((1, 5), dtype=bool)
    assert spanning_trees(weights, every)[0, 0].tolist() == [0, 0, 0, 0, 0]
    weights[0, 0, 3, 4] = weights[0, 0, 4, 3] = 1
    assert spanning_trees(weights, every)[0, 0].tolist() == [0, 0, 0, 0, 3]
    assert spanning_trees(weights, np.isin(np.arange(5), [1, 3, 4])[None])[0, 0].tolist() == [0, 1, 2, 1, 3]
    assert spanning_trees(weights, ~every)[0, 0].tolist() == [0, 1, 2, 3, 4]


def maps_of(plain: Plain, encoder: Encoder, words: Sequence[str]) -> np.ndarray:
    """(layer, head, word, word) weights between words: the sum over the key's pieces, the mean over the query's."""
    [tokens] = encoder.tokenize(words)
    encoding = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
    owners = dict.fromkeys(owner for owner, role in zip(tokens.words, tokens.roles, strict=True) if not role)
    pieces = [np.flatnonzero(np.array(tokens.words) == owner) for owner in owners]
    return np.array(
        [
            [[[head[np.ix_(q, k)].sum() / len(q) for k in pieces] for q in pieces] for head in layer.weights]
            for layer in plain.layers(encoding)
        ]
    )


def looped(
    plain: Plain, encoder: Encoder, records: Sequence[Record], symmetric: str
) -> tuple[np.ndarray, list[int], int]:
    """Right edges by layer and head, the mean last, then those 1, 2 ... apart, and how many there are."""
    right, apart, n = 0, [0] * APART, 0
    for record in records:
        tags = record.labels.get("upos", ["X"] * len(record.words))
        kept = [word for word, tag in enumerate(tags) if tag != "PUNCT"]
        gold = {(min(one, other), max(one, other)) for one, other, _ in record.labels["relations"]}
        gold = {pair for pair in gold if {*pair} <= {*kept}}
        maps = maps_of(plain, encoder, record.words)
        maps = np.concatenate([maps, maps.mean(1, keepdims=True)], 1)
        back = maps.swapaxes(2, 3)
        weights = maps + back if symmetric == "sum" else np.where(maps > back, maps, back)
        right = right + np.array([[len(gold & kruskal(head, kept)) for head in layer] for layer in weights])
        for one, other in gold:
            distance = kept.index(other) - kept.index(one)
            if distance <= APART:
                apart[distance - 1] += 1
        n += len(gold)
    return np.asarray(right), apart, n


@pytest.mark.parametrize(("family", "symmetric"), [("bert", "sum"), ("bert", "max"), ("modernbert", "sum")])
def test_shares_are_those_of_plain_loops(
    family: str, symmetric: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """With punctuation, with words of which a part of speech is unknown, and with ranges."""
    records = [*records_of(ENGLISH), *records_of(GERMAN)[:2]]
    records[1] = replace(records[1], labels={"relations": records[1].labels["relations"]})
    encoder, plain = exact_of(family), plain_of(family)
    with float64():
        scores = trees(records, encoder, symmetric=symmetric)
        right, apart, n = looped(plain, encoder, records, symmetric)
    table = scores.table()
    layers, heads = right.shape
    named = [(layer, head) for layer in range(layers) for head in (*range(heads - 1), "mean")]
    assert [*zip(*(table.column(name) for name in ("layer", "head")), strict=True)] == [
        *named,
        (None, "chain"),
        (None, "offset"),
    ]
    assert {*table.column("n")} == {n}
    expected = [*right.ravel(), apart[0], max(apart)]
    np.testing.assert_allclose(np.array(table.column("uuas"), dtype=float) * n, expected, atol=1e-9)
    assert scores.best_offset == 1 + apart.index(max(apart))
    assert scores.remarks == ["no UPOS, so that punctuation counts as other words do (sentences: 1)"]


def measured(chance: np.random.Generator, count: int) -> list[Any]:
    sentences = []
    for number in range(count):
        edges = int(chance.integers(0, 9))
        right = chance.integers(0, edges + 1, (2, 3))
        sentences.append(TreeCounts(right, chance.multinomial(edges, [0.2] * 5), edges, tagged=True))
        sentences[-1] = Measured(str(number), (), sentences[-1])
    return sentences


def test_intervals_of_ratios_and_sums() -> None:
    texts = measured(np.random.default_rng(1), 40)
    empty = TreeScores.empty([0, 1], [3, 5], "s")
    scores = empty.of_texts(texts, None)
    halves = empty.of_texts(texts[:13], None) + empty.of_texts(texts[13:], None)
    assert halves.intervals().rows == scores.intervals().rows
    assert scores.restored(scores.arrays()).table().rows == scores.table().rows
    found = [text.found for text in texts if text.found.edges]
    n = np.array([one.edges for one in found])
    for row in scores.intervals().rows[:6]:
        layer, head = [0, 1].index(row[0]), [3, 5, "mean"].index(row[1])
        right = np.array([one.right[layer, head] for one in found])
        chain = np.array([one.apart[0] for one in found])
        for numbers, (value, low, high) in ((right, row[2:5]), (right - chain, row[5:8])):
            ratio = numbers.sum() / n.sum()
            residual = numbers - ratio * n
            error = np.sqrt(residual.var(ddof=1) / len(n)) / n.mean()
            margin = student.ppf(0.975, len(n) - 1) * error
            np.testing.assert_allclose([value, low, high], [ratio, ratio - margin, ratio + margin], rtol=1e-9)
    with pytest.raises(UsageError, match="unlike heads"):
        scores + TreeScores.empty([0, 1], [3, 6], "s")


def test_figure_marks_the_baselines_on_its_scale() -> None:
    texts = measured(np.random.default_rng(1), 9)
    scores = TreeScores.empty([0, 1], [3, 5], "model:a@1|edges:sum").of_texts(texts, None)
    higher = np.concatenate([scores.right[:-APART], [3.0, 4.0, 0.0, 0.0, 0.0]])
    for changed, names in ((scores, {}), (replace(scores, right=higher), {"chain": 3.0, "offset": 4.0})):
        grid, scale = draw(changed.picture()).axes
        assert [label.get_text() for label in grid.get_xticklabels()] == ["3", "5", "mean"]
        marks = {text.get_text(): float(text.get_position()[1]) for text in scale.texts}
        levels = {name: right / float(scores.edges) for name, right in names.items()}
        assert marks == pytest.approx(levels or {"chain, offset": scores.uuas[-APART]})


def test_nothing_to_draw() -> None:
    scores = TreeScores.empty([0], [0], "model:a@1|edges:sum")
    assert scores.table().column("uuas") == [None] * 4
    assert {cell for row in scores.intervals().rows for cell in row[2:8]} == {None}
    with pytest.raises(InputError, match="no sentence has edges"):
        write_figure(scores, None, "png")  # type: ignore[arg-type]
