"""The probe of head words: its loss and its optimum, and that it is tested on other sentences than it learns from."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import attnprobe
from attnprobe import Encoder, Record
from attnprobe.analyses import load_analysis
from attnprobe.analyses.gathering import Gathered
from attnprobe.analyses.probed import PENALTY, Fit, Probed, penalized
from attnprobe.attention.fitting import fit
from attnprobe.attention.threads import pool_of
from attnprobe.attention.word_pairs import Choices, WordPairs
from attnprobe.corpus.again import completed
from attnprobe.corpus.estimate import estimate
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.errors import InputError
from attnprobe.render.probe import write_figure
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.readers.reading import read
from tests.treebank import TREEBANK

NUMERIC = pytest.mark.numeric
HEADS = 3
Arcs = list[tuple[int, int]]
Sentences = Sequence[tuple[np.ndarray, Arcs]]


def squares(weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the squared distance from (3, -1, 0.2), in axes of unlike steepness."""
    steepness, distance = np.array([1.0, 10.0, 0.1]), weights - np.array([3.0, -1.0, 0.2])
    return float(0.5 * steepness @ distance**2), steepness * distance


def lasso(both: np.ndarray) -> tuple[float, np.ndarray]:
    """The same of the difference of two vectors, with the penalty 0.05 · |w|."""
    loss, gradient = squares(both[:3] - both[3:])
    return loss + 0.05 * float(both.sum()), np.concatenate([gradient, -gradient]) + 0.05


@NUMERIC
def test_a_search_ends_at_the_optimum() -> None:
    found = fit(squares, 3)
    assert found.converged
    np.testing.assert_allclose(found.weights, [3.0, -1.0, 0.2], atol=1e-6)


@NUMERIC
def test_a_penalty_of_sizes_leaves_weights_at_zero() -> None:
    """The optimum is 3 - 0.05 / 1, -1 + 0.05 / 10, and 0, since 0.1 · 0.2 < 0.05."""
    found = fit(lasso, 6, nonnegative=True)
    assert found.converged
    np.testing.assert_allclose(found.weights[:3] - found.weights[3:], [2.95, -0.995, 0.0], atol=1e-6)


def test_a_search_that_is_cut_short_says_so() -> None:
    assert not fit(squares, 3, steps=1).converged


def sentences_at_random(count: int, longest: int, seed: int = 0) -> Sentences:
    """Rows of attention, and a head word for most words, whatever the rows say."""
    chance = np.random.default_rng(seed)
    found = []
    for size in chance.integers(1, longest + 1, count):
        arcs = [(i, int(chance.choice([j for j in range(size) if j != i]))) for i in range(size - 1)]
        found.append((chance.dirichlet(np.full(size, 0.5), (HEADS, size)), arcs))
    return found


def gathered(train: Sentences, test: Sentences = (), dtype: torch.dtype = torch.float64) -> Gathered:
    parts = [
        [WordPairs.of_sentence(torch.tensor(maps, dtype=dtype), arcs) for maps, arcs in of] for of in (train, test)
    ]
    return Gathered("", (), *(tuple(part for part in of if part.gold) for of in parts))


def questions(sentences: Sentences) -> Iterator[tuple[np.ndarray, int, int]]:
    """What each dependent chooses among: (candidate, weight) features, which candidate is right, and how far it is."""
    for maps, arcs in sentences:
        for i, head in arcs:
            others = [j for j in range(maps.shape[1]) if j != i]
            yield np.array([[*maps[:, i, j], *maps[:, j, i]] for j in others]), others.index(head), head - i


def plainly(sentences: Sentences, weights: np.ndarray) -> tuple[float, float]:
    """The mean negative log-likelihood, and the share that is right."""
    losses, right = [], []
    for features, gold, _ in questions(sentences):
        scores = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in features]
        losses.append(math.log(sum(map(math.exp, scores))) - scores[gold])
        right.append(scores.index(max(scores)) == gold)
    return float(np.mean(losses)), float(np.mean(right))


def by_newton(sentences: Sentences) -> np.ndarray:
    """The weights at which the penalized loss is least, by Newton's method, each step halved until the loss falls."""
    asked = list(questions(sentences))
    weights = np.zeros(asked[0][0].shape[1])

    def at(weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        loss, gradient, curvature = PENALTY / 2 * weights @ weights, PENALTY * weights, PENALTY * np.eye(len(weights))
        for features, gold, _ in asked:
            odds = np.exp(features @ weights - (features @ weights).max())
            share = odds / odds.sum()
            mean = share @ features
            loss = loss - np.log(share[gold]) / len(asked)
            gradient = gradient + (mean - features[gold]) / len(asked)
            curvature = curvature + (features.T @ (share[:, None] * features) - np.outer(mean, mean)) / len(asked)
        return float(loss), gradient, curvature

    for _ in range(50):
        loss, gradient, curvature = at(weights)
        step = np.linalg.solve(curvature, gradient)
        while np.abs(gradient).max() > 1e-10 and at(weights - step)[0] > loss:
            step /= 2
        weights = weights - step
    return weights


@NUMERIC
def test_loss_gradient_and_choices_are_those_of_plain_loops() -> None:
    sentences = sentences_at_random(8, 6)
    weights = np.random.default_rng(1).normal(size=2 * HEADS)
    parts = gathered(sentences).train
    with pool_of(2) as pool:
        choices = Choices([WordPairs.joined(parts[:3]), *parts[3:]], HEADS, pool)
        loss, gradient = penalized(choices, weights)
        steps = 1e-6 * np.eye(len(weights))
        slopes = [(penalized(choices, weights + e)[0] - penalized(choices, weights - e)[0]) / 2e-6 for e in steps]
        right = choices.right(weights).mean()
    expected, share = plainly(sentences, weights)
    assert abs(loss - expected - PENALTY / 2 * weights @ weights) < EXACT
    assert right == share
    assert choices.distances.tolist() == [distance for _, _, distance in questions(sentences)]
    assert choices.candidates.tolist() == [len(features) for features, _, _ in questions(sentences)]
    np.testing.assert_allclose(gradient, slopes, atol=1e-7)


@NUMERIC
def test_several_head_words_of_one_dependent_all_count() -> None:
    maps, arcs = max(sentences_at_random(6, 6), key=lambda sentence: len(sentence[1]))
    more = [(maps, [*arcs, (arcs[0][0], next(j for j in range(len(maps[0])) if j not in arcs[0]))])]
    weights = np.random.default_rng(1).normal(size=2 * HEADS)
    with pool_of(1) as pool:
        loss, _ = Choices(gathered(more).train, HEADS, pool).loss(weights)
    assert abs(loss - plainly(more, weights)[0]) < EXACT


@NUMERIC
def test_the_probe_is_the_optimum_that_newton_finds() -> None:
    train, test = sentences_at_random(12, 7), sentences_at_random(6, 7, seed=2)
    found, weights = Fit.to(gathered(train, test), HEADS), by_newton(train)
    assert found.converged
    np.testing.assert_allclose(found.weights.ravel(), weights, atol=1e-4)
    for part, sentences in ((found.train, train), (found.test, test)):
        assert part
        loss, share = plainly(sentences, weights)
        assert abs(part.nll - loss) < 1e-6
        assert part.uas == share
        assert part.n == sum(len(arcs) for _, arcs in sentences)


@pytest.mark.parametrize("direction", [0, 1])
def test_a_head_that_looks_at_the_head_word_gets_the_weight(direction: int) -> None:
    sentences = sentences_at_random(60, 9)
    for maps, arcs in sentences:
        maps[1] = 0.5 / maps.shape[1]
        for pair in arcs:
            maps[(1, *(pair if direction == 0 else pair[::-1]))] += 0.5
    found = Fit.to(gathered(sentences[:40], sentences[40:]), HEADS)
    assert found.test
    assert found.test.uas == 1
    assert np.abs(found.weights).argmax() == direction * HEADS + 1


def test_head_words_at_random_are_found_by_chance_only() -> None:
    sentences = sentences_at_random(200, 12)
    found = Fit.to(gathered(sentences[:100], sentences[100:], torch.float32), HEADS)
    assert found.test
    chance = found.test.chance
    assert abs(found.test.uas - chance) < 4 * math.sqrt(chance * (1 - chance) / found.test.n)
    assert found.test.nll > found.test.chance_nll - 0.01


def treebank() -> list[Record]:
    records = read(TREEBANK.encode(), "conllu")
    assert all(isinstance(record, Record) for record in records)
    return records


@pytest.fixture(scope="module")
def probed(encoder_of: Callable[[str], Encoder]) -> Probed:
    found: Probed = attnprobe.probe(treebank(), encoder_of("bert"))
    return found


def arcs_of(record: Record) -> Arcs:
    return [(i, head) for i, head, label in record.labels["relations"] if label.split(":")[0] != "punct"]


def measured(plain: Plain, records: Sequence[Record]) -> Sentences:
    """The weights between words as eager attention has them: the sum over the key's pieces, the mean of the query's."""
    found = []
    for record in records:
        encoding = plain.tokenizer(list(record.words or ()), is_split_into_words=True, return_tensors="pt")
        owners = [-1 if word is None else word for word in encoding.word_ids()]
        owned = (np.array(owners) == np.arange(len(record.words or ()))[:, None]).astype(float)
        mean = owned / owned.sum(1, keepdims=True)
        weights = np.concatenate([np.asarray(layer.weights) for layer in plain.layers(encoding)])
        found.append((mean @ weights @ owned.T, arcs_of(record)))
    return found


@NUMERIC
def test_numbers_are_those_of_plain_loops_over_the_outputs_of_transformers(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    records, plain, encoder = treebank(), plain_of("bert"), exact_of("bert")
    with float64():
        found = attnprobe.probe(records, encoder)
    sentences = measured(plain, records)
    train, test = ([of for number, of in enumerate(sentences) if (number % 5 == 4) is tests] for tests in (False, True))
    weights = by_newton(train)
    np.testing.assert_allclose(found.fit.weights.ravel(), weights, atol=1e-4)
    offsets = [offset for offset in range(-5, 6) if offset]
    distances = [distance for _, _, distance in questions(train)]
    best = max(offsets, key=distances.count)
    for row, part in zip(found.to_frame().itertuples(), (train, test), strict=True):
        loss, share = plainly(part, weights)
        asked = [distance for _, _, distance in questions(part)]
        assert (row.n, row.uas, row.baseline_offset) == (len(asked), share, best)
        assert abs(row.nll - loss) < 1e-6
        assert row.baseline == asked.count(best) / len(asked)
    rows = list(found.weights().rows)
    assert [row[:3] for row in rows[:2]] == [(0, 0, "dep->head"), (0, 0, "head->dep")]
    np.testing.assert_array_equal([row[3] for row in rows], found.fit.weights.T.ravel())


def test_each_sentence_trains_or_tests(probed: Probed, encoder_of: Callable[[str], Encoder]) -> None:
    records = treebank()
    numbers = range(len(records))
    first_seven = attnprobe.probe(records, encoder_of("bert"), train=7)
    for found, train in ((probed, [n for n in numbers if n % 5 < 4]), (first_seven, [*range(7)])):
        counts = {"train": 0, "test": 0}
        for number in numbers:
            counts["train" if number in train else "test"] += len(arcs_of(records[number]))
        assert dict(found.to_frame()[["part", "n"]].to_numpy()) == counts
        measurement, kept = replace(found, fit=None).asks["summary"]()
        assert [record.number for record in kept] == list(numbers)
        assert [number for number in numbers if measurement.trains[number]] == train


def summaries(encoder: Encoder, records: Sequence[Record], **options: object) -> list[Probed]:
    """The probe of each chunk of three records, before it is fitted."""
    settings = Settings.of_analysis(load_analysis("probe"), encoder, **options)
    numbered = [record for chunk in settings.chunks(records) for record in chunk]
    chunks = [numbered[start : start + 3] for start in range(0, len(numbered), 3)]
    return [result.summary for result in Prober(encoder, settings).results(chunks)]  # type: ignore[misc]


def test_the_sample_depends_on_the_seed_alone(encoder_of: Callable[[str], Encoder]) -> None:
    encoder, records = encoder_of("bert"), treebank()
    parts = summaries(encoder, records, sentences=6, seed=1)
    found = completed(sum(parts), encoder)
    assert sum(parts[::-1]).kept == found.kept
    assert len(found.kept.texts) == found.fit.n_texts == 6
    assert found.remarks[0] == f"fitted and tested on 6 of {len(records)} sentences, at random (--sentences)"
    others = {tuple(one.texts) for one in (sum(summaries(encoder, records, sentences=6, seed=s)).kept for s in (1, 2))}
    assert len(others) == 2
    assert {record.id for record in found.kept.records()} < {record.id for record in records}


def test_state_is_restored(probed: Probed, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("bert")
    before = sum(summaries(encoder, treebank()))
    again = replace(before, kept=replace(before.kept, texts=()), n_texts=0).restored(before.arrays())
    assert again == before
    assert completed(again, encoder).tables()["weights_out"]().rows == probed.weights().rows
    with pytest.raises(ValueError, match="names"):
        before.restored({"kept": before.kept.array()})


def test_what_is_left_out_is_said(encoder_of: Callable[[str], Encoder]) -> None:
    """Relations between several words, and all that trains or tests if there is none."""
    words = ["the", "cat", "sat", "on", "the", "mat"]
    relations = [[0, 1, "det"], [[4, 5], 2, "obl"], [1, [2, 3], "nsubj"], [3, 5, "case"], [5, 2, "punct"]]
    record = Record("1", words=words, labels={"relations": relations})
    found = attnprobe.probe([record], encoder_of("bert"))
    assert found.to_frame().n.tolist() == [2, 0]
    assert found.remarks == [
        "relations between several words, which are left out: 2",
        "no sentence is left to test the probe on",
    ]
    nothing = attnprobe.probe([replace(record, labels={"relations": []})], encoder_of("bert"))
    assert nothing.to_frame().uas.isna().all()
    assert nothing.remarks == ["no sentence trains the probe"]
    with pytest.raises(InputError, match="nothing to draw"):
        write_figure(nothing, io.BytesIO(), "png")


def test_some_heads_are_probed_alone(probed: Probed, encoder_of: Callable[[str], Encoder]) -> None:
    """Their weights alone come out, and fit worse than those of all."""
    some = attnprobe.probe(treebank(), encoder_of("bert"), layers=[1], heads=[0, 2])
    assert [row[:2] for row in some.weights().rows[::2]] == [(1, 0), (1, 2)]
    assert some.fit.train.nll > probed.fit.train.nll  # type: ignore[union-attr]
    assert all(name in some.signature for name in ("layers:1|", "heads:0,2|", "train:4/5", "penalty:0.001"))


def test_pictures_are_equal(probed: Probed) -> None:
    streams = [io.BytesIO() for _ in range(2)]
    for stream in streams:
        write_figure(probed, stream, "svg")
    first, second = (stream.getvalue() for stream in streams)
    assert first == second
    assert b"<svg" in first


def test_an_estimate_counts_the_time_of_what_is_measured_again(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that stands still but for the fit, which takes a second for each sentence."""
    now = [0.0]

    def fitted(gathered: Gathered, heads: int) -> str:
        now[0] += gathered.n_texts
        return "a probe"

    monkeypatch.setattr(Fit, "to", fitted)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    settings = Settings.of_analysis(load_analysis("probe"), encoder_of("bert"), sentences=9)
    rows = dict(estimate(Prober(encoder_of("bert"), settings), treebank(), "csv").rows)
    assert rows["time"] == "about 9 s, with one worker, once the model is loaded"
