"""Heads that find relations: plain loops over eager attention, a choice and its interval by hand, and what is shown."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy import stats

import attnprobe
from attnprobe import Encoder, Record
from attnprobe.analyses.link_weights import LinkWeights
from attnprobe.analyses.related import DIRECTIONS, OFFSETS, Relations
from attnprobe.attention import blocks
from attnprobe.attention.pointing import BY_COLUMN, BY_ROW, Pointing, Questions
from attnprobe.errors import InputError, UsageError
from attnprobe.render.relation_map import draw_relations, write_png, write_svg
from attnprobe.render.relations import relations_view
from attnprobe.values.bootstrap import draw_counts
from attnprobe.values.outcomes import Outcomes
from attnprobe.values.relations import Relation, Sentence
from attnprobe.values.words import Words
from tests.exact import float64
from tests.plain import Plain

WORDS = ("the", "cat", "and", "the", "unbelievable", "dog", "sat", "on", "a", "mat")
GROUPS = [[[0, 1], 6, "agent"], [[3, 4, 5], [6, 7], "agent"], [8, [9], "det"], [[0, 9], [1, 3], "apart"]]
TREEBANK = [
    Record("a", words=WORDS, labels={"relations": [*GROUPS, [0, 1, "det"], [2, 5, "cc"], [7, 6, "punct"]]}),
    Record("b", words=["the", "dog", "sat"], labels={"relations": [[0, 1, "det"], [1, 2, "agent:pass"]]}),
    Record(
        "c",
        words=("the", "cat", "sat", "on", "the", "mat", "."),
        labels={"relations": [[4, 5, "det"], [6, 2, "punct"]]},
    ),
    Record("d", words=WORDS[::-1], labels={"relations": [[8, 9, "det"], [3, 2, "agent"], [4, 3, "cc"]]}),
    Record("e", words=["dog", "cat"], labels={"relations": []}),
    Record("f", words=(*WORDS[2:], *WORDS[:2]), labels={"relations": GROUPS}),
]


def word_maps(plain: Plain, words: Sequence[str]) -> tuple[list[np.ndarray], list[int]]:
    """The weights of each layer between words, by loops over the pieces, and how many pieces each word has."""
    text = "".join(f" {word}" for word in words)
    encoding = plain.encode([text])
    ends = [end if end > start else 0 for start, end in encoding["offset_mapping"][0].tolist()]
    pieces = [[at for at, end in enumerate(ends) if text[:end].count(" ") == n] for n in range(1, len(words) + 1)]
    return [
        np.array([[[sum(head[q, k] for q in a for k in b) / len(a) for b in pieces] for a in pieces] for head in each])
        for each in (layer.weights for layer in plain.layers(encoding))
    ], [*map(len, pieces)]


def side(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]


def looped(plain: Plain, records: Sequence[Record]) -> Iterator[tuple[int, str, tuple[Any, ...], bool, float | None]]:
    """Of each text, relation and candidate: whether it is right, and the weight of the link."""
    for number, record in enumerate(records):
        maps, pieces = word_maps(plain, record.words or ())
        for given in record.labels["relations"]:
            dependent, head, label = side(given[0]), side(given[1]), given[2].partition(":")[0]
            others = [word for word in range(len(pieces)) if word not in dependent]
            for layer, of_layer in enumerate(maps):
                for index, a in enumerate(of_layer):
                    size = {False: sum(pieces[d] for d in dependent), True: sum(pieces[h] for h in head)}
                    row = {j: sum(pieces[d] * a[d, j] for d in dependent) / size[False] for j in range(len(pieces))}
                    column = {j: sum(a[j, d] for d in dependent) for j in range(len(pieces))}
                    found = [max(others, key=lambda word, by=by: (by[word], -word)) for by in (row, column)]
                    weights = [sum(row[h] for h in head), sum(pieces[h] * column[h] for h in head) / size[True]]
                    for way, answer, weight in zip(DIRECTIONS, found, weights, strict=True):
                        yield number, label, (layer, index, way), answer in head, weight
            for offset in range(-5, 6):
                answer = (min(dependent) if offset < 0 else max(dependent)) + offset
                if offset:
                    yield number, label, (None, f"offset{offset:+d}", None), answer in head, None


def interval(by_text: dict[int, list[float]]) -> tuple[float | None, float | None]:
    """The ratio estimator's interval: of the mean over links, where those of one text belong together."""
    mean, texts = fmean(weight for of_text in by_text.values() for weight in of_text), len(by_text)
    if texts < 2:
        return None, None
    residues = [sum(of_text) - mean * len(of_text) for of_text in by_text.values()]
    count = sum(map(len, by_text.values()))
    error = (texts / (texts - 1) * sum(residue**2 for residue in residues)) ** 0.5 / count
    margin = stats.t.ppf(0.975, texts - 1) * error
    return mean - margin, mean + margin


@pytest.mark.parametrize("family", ["bert", "xlnet", "mistral"])
def test_every_head_is_that_of_loops_over_eager_attention(
    family: str,
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pieces, groups of words that ask or are asked for, texts of one length; whole, and in blocks of rows."""
    encoder, plain = exact_of(family), plain_of(family)
    with float64():
        results: list[Relations] = [attnprobe.relations(TREEBANK, encoder)]
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 40)
        results.append(attnprobe.relations(TREEBANK, encoder))
        expected = defaultdict(list)
        for text, label, candidate, *found in looped(plain, TREEBANK):
            expected[candidate].append((text, label, *found))
    every = {"agent", "apart", "cc", "det", "punct"}
    groups = {"all+punct": every, "all": every - {"punct"}, **{label: {label} for label in every}}
    tables = [{(row[0], *row[1:4]): row[4:] for row in result.all_heads().rows} for result in results]
    assert len(tables[0]) == len(groups) * (2 * encoder.layers * encoder.heads + len(OFFSETS))
    for name, candidate in product(groups, expected):
        some = [row for row in expected[candidate] if row[1] in groups[name]]
        accuracy, weight, by_text = fmean(row[2] for row in some), (None, None, None), defaultdict(list)
        for text, _, _, each in some:
            by_text[text].append(each)
        if candidate[0] is not None:
            weight = fmean(row[3] for row in some), *interval(by_text)
        for table in tables:
            assert table[name, *candidate] == pytest.approx((accuracy, len(some), *weight), abs=1e-7)


@pytest.mark.numeric
def test_blocks_of_any_size_find_the_first_of_equal_words() -> None:
    """Weights of few different values, in float32, whole and in blocks that end where no group of words is cut."""
    chance = np.random.default_rng(0)
    relations = (Relation((4,), (0,), ""), Relation((0,), (4,), ""), Relation((5, 6), (1, 2), ""))
    sentence = Sentence(Words((*"abcdefgh",), (0, 1, 2, 3, 4, 5, 6, 6, 6)), relations)
    questions = Questions.of([sentence, sentence], torch.device("cpu"))
    weights = torch.tensor(chance.integers(0, 3, (2, 2, 3, 8, 8)) / 8.0, dtype=torch.float32)
    weights[:, :, :, 7] = weights[..., 7] = 0  # a word without pieces
    whole, parts = (Pointing(questions, 2, 3, torch.device("cpu")) for _ in range(2))
    for layer in range(2):
        whole.add(layer, slice(0, 2), slice(0, 3), slice(0, 8), weights[layer])
        for text in range(2):
            for heads in (slice(0, 1), slice(1, 3)):
                for rows in (slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 8)):
                    some = weights[layer, text : text + 1, heads, rows]
                    parts.add(layer, slice(text, text + 1), heads, rows, some)
    a = weights.double().numpy()
    for text in range(2):
        for number, (dependent, head, _) in enumerate(relations):
            shares = {5: 0.25, 6: 0.75} if len(dependent) > 1 else {dependent[0]: 1.0}
            others = [word for word in range(8) if word not in dependent]
            for layer, index in np.ndindex(2, 3):
                m = a[layer, text, index]
                row = sum(share * m[word] for word, share in shares.items())
                column = sum(m[:, word] for word in dependent)
                answers = [max(others, key=lambda word, by=by: (by[word], -word)) for by in (row, column)]
                links = [row[list(head)].sum(), column[list(head)].mean()]
                for pointing in (whole, parts):
                    where = (layer, slice(None), 3 * text + number, index)
                    assert pointing.answers[where].tolist() == answers
                    assert pointing.weights[where].tolist() == pytest.approx(links, abs=1e-12)
    assert (BY_ROW, BY_COLUMN) == (0, 1)


def summary_of(*relations: tuple[int, str, Sequence[int]], seed: int = 0) -> Relations:
    """A summary of one layer with two heads: of each relation its text, its label, and which candidates are right."""
    made = Relations.empty((3,), (0, 5), seed, "model:tiny@1")
    right = np.zeros((len(relations), made.outcomes.candidates), bool)
    for row, (_, _, candidates) in enumerate(relations):
        right[row, list(candidates)] = True
    outcomes = Outcomes.of([one[0] for one in relations], [one[1] for one in relations], right)
    return replace(made, outcomes=outcomes, n_texts=10)


# Candidates: 0 and 1 are the heads 3.0 and 3.5 by rows, 2 and 3 by columns; 4 to 13 the offsets 1, -1, 2, -2, ...
BY_HAND = [
    *((0, "obj", [1, 2, 5]), (2, "obj", [2, 5]), (4, "obj", [1, 4])),  # the first of the best: 3.5 by rows, offset -1
    *((1, "obj", [1]), (1, "obj", [1, 5]), (3, "obj", [5]), (3, "nsubj", [0]), (3, "punct", [4])),
    *((0, "punct", [0, 3, 4]), (6, "det:x", [3, 13])),
]


def test_a_choice_and_its_gain_by_hand() -> None:
    """obj: head and offset are right in 2 of 3; the gain of text 1 is 1 of 2 relations, that of text 3 −1 of 1."""
    summary = summary_of(*BY_HAND)
    rows = {row[0]: row[1:] for row in summary.table().rows}
    assert list(rows) == ["all+punct", "all", "obj", "punct", "nsubj", "det:x"]
    a, b = draw_counts(["1", "3"], 0)
    gains = [(x - y) / (2 * x + y) for x, y in zip(a, b, strict=True) if x or y]
    low, high = np.quantile(gains, [0.025, 0.975])
    assert rows["obj"] == (3, 3, 5, "dep->head", 2 / 3, -1, 2 / 3, 0.0, low, high)
    assert rows["nsubj"] == (1, *[None] * 9)  # no even text has one
    assert rows["punct"] == (1, 3, 0, "dep->head", 0.0, 1, 1.0, -1.0, None, None)  # one odd text has no interval
    assert rows["det:x"] == (0, 3, 5, "head->dep", None, -5, *[None] * 4)  # no odd text has one
    assert rows["all"][:4] == (4, 3, 5, "dep->head")
    assert rows["all+punct"][:4] == (5, 3, 5, "dep->head")
    assert summary.counts() == [("all+punct", 10), ("all", 8), ("obj", 6), ("punct", 2), ("nsubj", 1), ("det:x", 1)]


def test_relations_named_as_all_are_still_one_relation() -> None:
    summary = summary_of((0, "all", [0]), (1, "all", [0]), (1, "obj", []))
    assert [row[:2] for row in summary.table().rows] == [("all", 2), ("all", 1), ("obj", 1)]


def test_a_seed_changes_intervals_alone() -> None:
    tables = [summary_of(*BY_HAND * 3, seed=seed).table() for seed in (0, 0, 1)]
    assert tables[0].rows == tables[1].rows
    assert [row[:9] for row in tables[0].rows] == [row[:9] for row in tables[2].rows]


def test_a_summary_is_restored() -> None:
    weights = LinkWeights.of(["=obj", "all", "=obj"], np.array([0, 0, 1]), np.arange(12.0).reshape(3, 4))
    summary = replace(summary_of(*BY_HAND), weights=weights)
    empty = summary_of()
    again = empty.restored(summary.arrays())
    assert again.arrays().keys() == summary.arrays().keys()
    assert all((array == summary.arrays()[name]).all() for name, array in again.arrays().items())
    assert again.all_heads().rows == summary.all_heads().rows
    for name in summary.arrays():
        with pytest.raises(ValueError, match="wrong names"):
            empty.restored({key: array for key, array in summary.arrays().items() if key != name})
    for name in ("weight_names", "weight_texts", "weight_sums"):
        with pytest.raises(ValueError, match=r"wrong weights|Expecting|Extra"):
            empty.restored({**summary.arrays(), name: summary.arrays()[name][1:]})
    with pytest.raises(UsageError, match="heads do not add up"):
        summary + Relations.empty((3,), (0, 1), 0, "model:tiny@1")


def shown(summary: Relations, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(relations_view(summary, width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_shows_what_is_sure() -> None:
    many = [(text, "的", [0, *([5] if text % 3 else [])]) for text in range(300)]
    text = shown(summary_of(*many, *BY_HAND), 80)
    lines = {line.split()[0]: line.rstrip() for line in text.splitlines() if line.strip()}
    assert max(map(len, text.splitlines())) <= 80
    assert lines["的"].endswith("%") is False
    assert not {"few", "unsure"} & set(lines["的"].replace(",", " ").split())
    assert "+33.3" in lines["的"]
    assert lines["obj"].endswith("few, unsure")
    assert lines["det:x"].split() == ["det:x", "0", "3.5", "head->dep", "-5", "few,", "unsure"]
    assert "No text was measured." in shown(Relations.empty((0,), (0,), 0, "model:tiny@1"), 80)


def test_a_figure_frames_what_was_chosen() -> None:
    summary = summary_of(*BY_HAND)
    axes = draw_relations(summary).axes[0]
    frames = [(round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)) for patch in axes.patches]  # type: ignore[attr-defined]
    assert frames == [(1, 0), (1, 1), (1, 2), (0, 3), (1, 5)]  # nsubj has none
    gains = np.array(axes.images[0].get_array())
    assert gains[2].tolist() == pytest.approx([100 * (2 - 4) / 6, 100 * (4 - 4) / 6])
    for write in (write_png, write_svg):
        files = [io.BytesIO(), io.BytesIO()]
        for file in files:
            write(summary, file)
        assert files[0].getvalue() == files[1].getvalue() != b""
    with pytest.raises(InputError, match="nothing to draw"):
        draw_relations(summary_of())
