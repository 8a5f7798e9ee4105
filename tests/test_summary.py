"""Summaries against numpy, pandas and scipy.stats, computed from the texts' own values."""

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprobe import Summary
from attnprobe.errors import UsageError

LAYERS, HEADS, METRICS = (0, 2), (1, 3, 5), ("entropy", "cross_share")
NOTHING = Summary.empty(LAYERS, HEADS, METRICS, "here")
NUMBERS = ["mean", "std", "ci_low", "ci_high", "token_mean", "n_texts", "n_tokens"]
SEEDS = st.integers(0, 2**32 - 1)

Corpus = tuple[np.ndarray, np.ndarray]


def corpus(n_texts: int, seed: int, missing: float = 0.3) -> Corpus:
    """Sums (text, layer, head, metric) and counts of queries (text, layer, metric); some have no meaning."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 200, (n_texts, len(LAYERS), len(METRICS))).astype(float)
    counts[draw.random(counts.shape) < missing] = 0
    values = draw.normal(3, 2, (n_texts, len(LAYERS), len(HEADS), len(METRICS)))
    return values * counts[:, :, None], counts


def part(texts: Corpus, places: slice) -> Summary:
    return NOTHING.of(texts[0][places], texts[1][places])


def expected(texts: Corpus) -> pd.DataFrame:
    """The table, one cell after another."""
    rows = []
    for i, layer in enumerate(LAYERS):
        for j, head in enumerate(HEADS):
            for k, metric in enumerate(METRICS):
                known = texts[1][:, i, k] > 0
                total, count = texts[0][known, i, j, k], texts[1][known, i, k]
                values = pd.Series(total / count, dtype=float)
                low, high = np.nan, np.nan
                if len(values) > 1:
                    low, high = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), values.sem(ddof=1))
                micro = total.sum() / count.sum() if len(values) else np.nan
                means = [values.mean(), values.std(ddof=1), low, high, micro]
                rows.append([layer, head, metric, *means, len(values), int(count.sum())])
    return pd.DataFrame(rows, columns=["layer", "head", "metric", *NUMBERS])


def check(summary: Summary, texts: Corpus) -> None:
    pd.testing.assert_frame_equal(summary.to_frame(), expected(texts), check_dtype=False, rtol=1e-12, atol=1e-12)


def check_same(one: Summary, other: Summary) -> None:
    for name, array in one.arrays().items():
        np.testing.assert_allclose(other.arrays()[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("n_texts", [1, 2, 3, 50, 1000])
def test_table(n_texts: int) -> None:
    texts = corpus(n_texts, n_texts)
    check(part(texts, slice(None)), texts)


def test_one_text_has_no_deviation() -> None:
    frame = part(corpus(1, 0, missing=0), slice(None)).to_frame()
    assert frame[["std", "ci_low", "ci_high"]].isna().all(axis=None)
    assert frame[["mean", "token_mean"]].notna().all(axis=None)
    assert frame["n_texts"].eq(1).all()


def test_no_text() -> None:
    frame = NOTHING.to_frame()
    assert frame[["mean", "std", "ci_low", "ci_high", "token_mean"]].isna().all(axis=None)
    assert frame[["n_texts", "n_tokens"]].eq(0).all(axis=None)
    assert len(frame) == len(LAYERS) * len(HEADS) * len(METRICS)


def test_metric_without_meaning_is_empty() -> None:
    totals, counts = corpus(5, 1, missing=0)
    totals[..., 1], counts[..., 1] = 0, 0
    frame = part((totals, counts), slice(None)).to_frame().set_index("metric").loc["cross_share"]
    assert frame[["mean", "std", "ci_low", "ci_high", "token_mean"]].isna().all(axis=None)
    assert frame[["n_texts", "n_tokens"]].eq(0).all(axis=None)


def test_means_as_a_table_of_heads() -> None:
    texts = corpus(7, 2, missing=0.6)
    table = part(texts, slice(None)).means().to_frame()
    wide = expected(texts).pivot(index=["layer", "head"], columns="metric", values="mean")
    wide = wide[list(METRICS)].reset_index().rename_axis(columns=None)
    pd.testing.assert_frame_equal(table, wide, check_dtype=False, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(n_texts=st.integers(0, 40), cuts=st.lists(st.integers(0, 40), max_size=5), seed=SEEDS)
def test_pieces_add_up_in_any_order(n_texts: int, cuts: list[int], seed: int) -> None:
    texts = corpus(n_texts, seed)
    edges = [0, *sorted(min(cut, n_texts) for cut in cuts), n_texts]
    pieces = [part(texts, slice(start, stop)) for start, stop in pairwise(edges)]
    random.Random(seed).shuffle(pieces)
    whole = part(texts, slice(None))
    check_same(whole, sum(pieces, NOTHING))
    check_same(whole, sum(pieces))  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(n_texts=st.integers(0, 20), seed=SEEDS)
def test_nothing_changes_nothing(n_texts: int, seed: int) -> None:
    whole = part(corpus(n_texts, seed), slice(None))
    for same in (whole + NOTHING, NOTHING + whole):
        for name, array in whole.arrays().items():
            np.testing.assert_array_equal(same.arrays()[name], array, err_msg=name)


def test_values_that_hardly_differ_keep_their_deviation() -> None:
    """Where a sum of squares less a squared sum would have lost all digits."""
    draw = np.random.default_rng(0)
    counts = np.ones((1000, len(LAYERS), len(METRICS)))
    totals = 1e6 + draw.normal(0, 1e-3, (1000, len(LAYERS), len(HEADS), len(METRICS)))
    each = sum((part((totals, counts), slice(i, i + 10)) for i in range(0, 1000, 10)), NOTHING)
    std = each.to_frame()["std"].to_numpy().reshape(totals.shape[1:])
    np.testing.assert_allclose(std, totals.std(0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layers": (0, 1)}, "layers"),
        ({"heads": (1, 3, 4)}, "heads"),
        ({"metrics": ("entropy", "distance")}, "metrics"),
        ({"signature": "elsewhere"}, "elsewhere"),
    ],
)
def test_unlike_summaries_do_not_add_up(change: dict[str, object], word: str) -> None:
    other = replace(NOTHING, **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=word):
        NOTHING + other
    with pytest.raises(UsageError, match=word):
        sum([NOTHING, other])


def test_only_summaries_add_up() -> None:
    with pytest.raises(TypeError):
        1 + NOTHING


@settings(max_examples=40, deadline=None)
@given(sides=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=SEEDS)
def test_profiles_of_unequal_lengths_add_up_by_offset(sides: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    total = Counter[tuple[int, int, int]]()
    pieces = []
    for side in sides:
        offsets = draw.random((len(LAYERS), len(HEADS), 2 * side + 1))
        pieces.append(NOTHING.with_profile(offsets, side + 1))
        for (i, j, place), share in np.ndenumerate(offsets):
            total[LAYERS[i], HEADS[j], place - side] += share
    queries = sum(side + 1 for side in sides)
    profile = sum(pieces, NOTHING).profile().to_frame()
    found = {(row.layer, row.head, row.offset): row.share for row in profile.itertuples()}
    assert found == pytest.approx({key: share / queries for key, share in total.items()}, rel=1e-12)
    assert list(found) == sorted(found)


def test_profile_of_nothing() -> None:
    profile = NOTHING.profile().to_frame()
    assert profile["offset"].eq(0).all()
    assert profile["share"].eq(0).all()


@settings(max_examples=40, deadline=None)
@given(n_texts=st.integers(0, 20), seed=SEEDS)
def test_arrays_make_it_again(n_texts: int, seed: int) -> None:
    whole = part(corpus(n_texts, seed), slice(None)).with_profile(np.ones((len(LAYERS), len(HEADS), 5)), 9)
    again = replace(NOTHING, **whole.arrays())
    pd.testing.assert_frame_equal(again.to_frame(), whole.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(again.profile().to_frame(), whole.profile().to_frame(), check_exact=True)
    assert again.table().sign is not None
    assert again.signature == "here"
