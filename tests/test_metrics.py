"""Every metric against its loop twin, known values, and what must not change it."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprobe.attention.blocks import Block
from attnprobe.attention.diagonals import sum_diagonals
from attnprobe.attention.memory import Memory
from attnprobe.attention.rounding import rounding
from attnprobe.attention.rows import merge_pieces
from attnprobe.errors import ModelError, UsageError
from attnprobe.metrics import BUILT_IN, METRICS, check_names, load_metrics, reference
from attnprobe.metrics.reduce import Reducer
from attnprobe.values.tokens import Role, Tokens
from tests.cli.commandline import exit_code

ROLES = [Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.CLS, Role.SEP, Role.OTHER]


def make_tokens(roles: list[Role], second_text_from: int | None = None, texts: list[str] | None = None) -> Tokens:
    n = len(roles)
    segments = [
        0 if role != Role.CONTENT else 2 if second_text_from is not None and at >= second_text_from else 1
        for at, role in enumerate(roles)
    ]
    texts = texts or ["." if at % 3 == 1 else "word" for at in range(n)]
    texts = [text if segment else "" for text, segment in zip(texts, segments, strict=True)]
    read_as = [None if at % 7 == 4 else f"t{at % 4}" for at in range(n)]  # tokens that recur, and unknown ones
    return Tokens([f"t{at}" for at in range(n)], texts, roles, segments, read_as=read_as)


def plain(n: int) -> Tokens:
    return make_tokens([Role.CLS, *[Role.CONTENT] * (n - 2), Role.SEP])


def measure(
    weights: torch.Tensor, tokens: Tokens, cuts: list[int] | None = None, *, complete: bool = True, **options
) -> dict[str, np.ndarray]:
    """Head means of (head, query, key) weights, fed in blocks of half the heads that start at the cuts."""
    settings_ = {"long_range": 10, "queries": "all", "level": "token"} | options
    reducer = Reducer([tokens], load_metrics(), [0], weights.shape[0], dtype=weights.dtype, **settings_)
    observe = reducer.start_layer(0)
    bounds = sorted({0, *(cuts or []), weights.shape[1]})
    half = (weights.shape[0] + 1) // 2
    for heads in (slice(0, half), slice(half, weights.shape[0])):
        if heads.start == heads.stop:
            continue
        for start, stop in itertools.pairwise(bounds):
            rows = weights[None, heads, start:stop]
            observe(Block(slice(start, stop), slice(0, weights.shape[2]), rows, heads, complete=complete))
    return dict(zip(METRICS, reducer.sums[0].means()[0].T, strict=True))


@st.composite
def texts(draw: st.DrawFn) -> tuple[torch.Tensor, Tokens]:
    """Random weights (head, query, key), some sharp, some with zeros, over a text with random roles."""
    roles = draw(st.lists(st.sampled_from(ROLES), min_size=1, max_size=17))
    second = draw(st.none() | st.integers(0, len(roles)))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, len(roles), len(roles), generator=generator, dtype=torch.float64)
    weights = (scores * draw(st.sampled_from([0.0, 1.0, 5.0, 200.0, 2000.0]))).softmax(-1)
    return weights, make_tokens(roles, second)


@pytest.mark.parametrize("queries", ["all", "content"])
@given(text=texts(), long_range=st.integers(0, 12), data=st.data())
@settings(max_examples=60, deadline=None)
def test_equals_the_loops(
    queries: str, text: tuple[torch.Tensor, Tokens], long_range: int, data: st.DataObject
) -> None:
    weights, tokens = text
    cuts = data.draw(st.lists(st.integers(0, len(tokens))))
    ours = measure(weights, tokens, cuts, long_range=long_range, queries=queries)
    for name in BUILT_IN:
        for head, rows in enumerate(weights.tolist()):
            expected = reference.head_mean(
                name, rows, tokens, reach=[len(tokens)] * len(tokens), long_range=long_range, queries=queries
            )
            assert ours[name][head] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@given(text=texts(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_words_equal_the_loops(text: tuple[torch.Tensor, Tokens], data: st.DataObject) -> None:
    weights, tokens = text
    steps = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    joined = [
        at > 0 and tokens.roles[at] == tokens.roles[at - 1] == Role.CONTENT and step for at, step in enumerate(steps)
    ]
    joined = [join and tokens.segments[at] == tokens.segments[at - 1] for at, join in enumerate(joined)]
    words = np.cumsum([not join for join in joined]) - 1
    tokens = Tokens(
        tokens.strings,
        tokens.texts,
        tokens.roles,
        tokens.segments,
        words.tolist(),
        ["!"] * (int(words[-1]) + 1),
        tokens.read_as,
    )
    cuts = [at for at, join in enumerate(joined) if not join and data.draw(st.booleans())]
    ours = measure(weights, tokens, cuts, level="word")
    by_word = tokens.by_word()
    for name in BUILT_IN:
        for head, rows in enumerate(weights.tolist()):
            merged = reference.merge_pieces(rows, words.tolist())
            expected = reference.head_mean(name, merged, by_word, reach=[len(by_word)] * len(by_word))
            assert ours[name][head] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@given(text=texts(), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_rows_below_one_equal_the_loops(text: tuple[torch.Tensor, Tokens], share: float) -> None:
    weights, tokens = text
    ours = measure(weights * share, tokens, complete=False)
    assert ours["outside_share"] == pytest.approx([1 - share] * 3, abs=1e-9)
    for name in BUILT_IN:
        for head, rows in enumerate((weights * share).tolist()):
            expected = reference.head_mean(name, rows, tokens, reach=[len(tokens)] * len(tokens), complete=False)
            assert ours[name][head] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("total", [1.1, math.nan])
def test_rows_above_one_are_refused(total: float) -> None:
    with pytest.raises(ModelError, match="layer 0: attention rows do not sum to 1"):
        measure(torch.full((2, 4, 4), total / 4), plain(4), complete=False)


def test_missing_rows_are_refused() -> None:
    reducer = Reducer([plain(4)], load_metrics(), [2], 1, long_range=10, queries="all", level="token")
    reducer.start_layer(2)(Block(slice(0, 2), slice(0, 4), torch.full((1, 1, 2, 4), 0.25)))
    with pytest.raises(ModelError, match="layer 2: attention came for 2 of 4 positions"):
        _ = reducer.sums


POOLED = {"queries": "all", "level": "token", "long_range": 10}


def test_pooled_layer_has_only_what_needs_no_token() -> None:
    """Two of four positions, each several tokens: entropies keep their meaning, all else is empty."""
    reducer = Reducer([plain(4)], load_metrics(), [0, 1], 2, **POOLED)
    reducer.start_layer(0)(Block(slice(0, 2), slice(0, 2), torch.full((1, 2, 2, 2), 0.5), pooled=True))
    reducer.start_layer(1)(Block(slice(0, 4), slice(0, 4), torch.full((1, 2, 4, 4), 0.25)))
    means = dict(zip(METRICS, reducer.sums[0].means()[0].T, strict=True))
    assert means["entropy"] == pytest.approx(math.log(2), abs=rounding(torch.float32, 2))
    assert means["relative_entropy"] == pytest.approx(1, abs=rounding(torch.float32, 2))
    assert [name for name in METRICS if not np.isnan(means[name]).all()] == ["entropy", "relative_entropy"]
    assert reducer.sums[0].means()[1, 0, 0] == pytest.approx(
        math.log(4), abs=rounding(torch.float32, 4, 1 + math.log(4))
    )


@pytest.mark.parametrize("option", [{"queries": "content"}, {"level": "word"}])
def test_pooled_layer_is_empty_where_tokens_are_chosen_or_joined(option: dict[str, str]) -> None:
    tokens = replace(plain(4), words=[0, 1, 2, 3], word_texts=["", "a", "b", ""])
    reducer = Reducer([tokens], load_metrics(), [0], 1, **(POOLED | option))
    reducer.start_layer(0)(Block(slice(0, 2), slice(0, 2), torch.full((1, 1, 2, 2), 0.5), pooled=True))
    assert np.isnan(reducer.sums[0].means()).all()


@given(text=texts(), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_permuting_heads_permutes_results(text: tuple[torch.Tensor, Tokens], seed: int) -> None:
    weights, tokens = text
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    before, after = measure(weights, tokens), measure(weights[order], tokens)
    for name in METRICS:
        np.testing.assert_allclose(after[name], before[name][order.numpy()], rtol=1e-12, atol=1e-12)


@given(n=st.integers(3, 40))
def test_uniform_rows(n: int) -> None:
    means = measure(torch.full((1, n, n), 1 / n), plain(n))
    row = rounding(torch.float32, n)
    assert means["entropy"] == pytest.approx(math.log(n), abs=row * (1 + math.log(n)))
    assert means["relative_entropy"] == pytest.approx(1, abs=row * 2)
    assert means["confidence"] == pytest.approx(1 / n, abs=row / n)
    assert means["cls_share"] == pytest.approx(1 / n, abs=row / n)
    assert means["offset"] == pytest.approx(0, abs=row * n)


@given(n=st.integers(3, 40), key=st.integers(0, 39))
def test_one_hot_rows(n: int, key: int) -> None:
    key %= n
    weights = torch.zeros(1, n, n)
    weights[..., key] = 1
    means = measure(weights, plain(n))
    assert means["entropy"] == 0
    assert not np.signbit(means["entropy"]).any()
    assert means["sink_share"] == (key == 0)
    assert means["distance"] == pytest.approx(np.mean(np.abs(np.arange(n) - key)))


def test_identity() -> None:
    means = measure(torch.eye(7)[None], plain(7))
    assert means["distance"] == 0
    assert means["self_share"] == 1
    assert means["previous_share"] == means["next_share"] == means["long_range_share"] == 0


def test_previous_token_head() -> None:
    weights = torch.diag(torch.ones(6), -1)[None]
    weights[0, 0, 0] = 1
    means = measure(weights, plain(7))
    assert means["previous_share"] == pytest.approx(6 / 7)
    assert means["offset"] == pytest.approx(-6 / 7)


def test_one_token() -> None:
    means = measure(torch.ones(1, 1, 1), make_tokens([Role.CONTENT]))
    assert means["entropy"] == means["relative_entropy"] == means["distance"] == 0
    assert means["self_share"] == means["confidence"] == 1
    assert np.isnan(means["cls_share"]).all()
    assert np.isnan(means["sep_distance"]).all()
    assert np.isnan(means["cross_share"]).all()


def test_windows_narrow_the_reach() -> None:
    """Local layers come as blocks of fewer keys with a mask; the statistics are those of the whole row."""
    tokens = plain(9)
    allowed = (torch.arange(9)[:, None] - torch.arange(9)).abs() <= 2
    weights = torch.randn(2, 9, 9, dtype=torch.float64).masked_fill(~allowed, -math.inf).softmax(-1)
    reducer = Reducer([tokens], load_metrics(), [3], 2, long_range=2, queries="all", level="token", dtype=torch.float64)
    observe = reducer.start_layer(3)
    for rows, keys in [(slice(0, 3), slice(0, 5)), (slice(3, 6), slice(1, 8)), (slice(6, 9), slice(4, 9))]:
        observe(Block(rows, keys, weights[None, :, rows, keys], allowed=allowed[rows, keys]))
    ours = dict(zip(METRICS, reducer.sums[0].means()[0].T, strict=True))
    for name in BUILT_IN:
        for head, rows in enumerate(weights.tolist()):
            expected = reference.head_mean(name, rows, tokens, reach=allowed.sum(-1).tolist(), long_range=2)
            assert ours[name][head] == pytest.approx(expected, abs=1e-12, nan_ok=True), name


def test_unknown_reach_leaves_relative_entropy_empty() -> None:
    reducer = Reducer([plain(5)], load_metrics(), [0], 1, long_range=10, queries="all", level="token")
    reducer.start_layer(0)(Block(slice(0, 5), slice(0, 5), torch.full((1, 1, 5, 5), 0.2), reach_known=False))
    means = dict(zip(METRICS, reducer.sums[0].means()[0].T, strict=True))
    assert np.isnan(means["relative_entropy"]).all()
    assert means["entropy"] == pytest.approx(math.log(5), abs=rounding(torch.float32, 5, 1 + math.log(5)))


@pytest.mark.parametrize("broken", [0.9, 1.1, math.nan])
def test_rows_that_are_no_probabilities_are_refused(broken: float) -> None:
    weights = torch.full((2, 4, 4), 0.25)
    weights[1, 2] *= broken
    with pytest.raises(ModelError, match="layer 0: attention rows do not sum to 1"):
        measure(weights, plain(4))


@given(texts=st.integers(1, 2), heads=st.integers(1, 3), queries=st.integers(1, 20), keys=st.integers(1, 70))
def test_diagonals(texts: int, heads: int, queries: int, keys: int) -> None:
    weights = torch.arange(float(texts * heads * queries * keys)).view(texts, heads, queries, keys)
    before = weights.clone()
    expected = [weights.diagonal(offset, 2, 3).sum(-1, dtype=torch.float64) for offset in range(1 - queries, keys)]
    assert torch.equal(sum_diagonals(weights, torch.float64, Memory(weights)), torch.stack(expected, -1))
    assert torch.equal(weights, before)


def test_merged_rows_still_sum_to_one() -> None:
    weights = torch.randn(1, 2, 6, 6).softmax(-1)
    block = merge_pieces(Block(slice(0, 6), slice(0, 6), weights), torch.tensor([0, 1, 1, 1, 2, 3]))
    assert (block.rows, block.keys) == (slice(0, 4), slice(0, 4))
    torch.testing.assert_close(block.weights.sum(-1), torch.ones(1, 2, 4))


def test_sums_add_up_to_the_mean_over_all_queries() -> None:
    """Two windows' sums give the mean over the queries of both, not the mean of two means."""
    parts = [torch.randn(1, n, n, dtype=torch.float64).softmax(-1) for n in (4, 9)]
    sums = []
    for weights in parts:
        n = weights.shape[1]
        reducer = Reducer([plain(n)], load_metrics(["entropy"]), [0], 1, long_range=10, queries="all", level="token",
                          dtype=torch.float64)  # fmt: skip
        reducer.start_layer(0)(Block(slice(0, n), slice(0, n), weights[None]))
        sums += reducer.sums
    rows = torch.cat([torch.special.entr(weights).sum(-1)[0] for weights in parts])
    assert (sums[0] + sums[1]).means().item() == pytest.approx(rows.mean().item())


def test_every_row_of_the_table_resolves() -> None:
    for name, metric in load_metrics().items():
        assert metric.formula, name
        assert metric.unit, name
        assert metric.source, name
        assert callable(getattr(reference, name)), name


def test_names_keep_the_order_of_the_table() -> None:
    assert check_names(["distance", "entropy"]) == ["entropy", "distance"]
    assert check_names(None) == list(METRICS)
    with pytest.raises(UsageError, match="did you mean 'entropy'"):
        check_names(["entrpy"])


def test_what_another_package_does_not_hold_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Metrics and writers that it does hold are found in test_runs_without_rows.py."""
    monkeypatch.setitem(METRICS, "lost", ("nowhere.module:lost", "from broken"))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", ["attnprobe", "heads", "The cat sat.", "-k", "lost"])
    assert exit_code() == 1
    said = capsys.readouterr().err
    assert "'nowhere.module:lost' cannot be loaded: No module named 'nowhere'" in said
    assert len(said.splitlines()) <= 3
