"""The compiled loops against plain float64, and against the passes of torch they stand for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attnprobe import Encoder, Tokens, load_encoder
from attnprobe.attention import kernels
from attnprobe.attention.blocks import Block, attention_in_blocks, tiles
from attnprobe.attention.rounding import rounding
from attnprobe.attention.threads import pool_of
from attnprobe.errors import ModelError
from attnprobe.measure.heads import HeadMeans, head_table
from attnprobe.measure.running import measure
from attnprobe.metrics import METRICS, load_metrics
from attnprobe.metrics.reduce import Reducer
from attnprobe.models.encoder import LONG, SPREAD
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Role
from tests.exact import EXACT, doubled, float64
from tests.rows import assert_close, noise

pytestmark = pytest.mark.numeric

SHAPES = [(1, 1), (3, 2), (5, 15), (7, 16), (4, 17), (9, 100), (2, 1031)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
def test_softmax_and_entropy(shape: tuple[int, int], spread: float) -> None:
    scores = (np.random.default_rng(0).standard_normal(shape) * spread).astype(np.float32)
    exact = scores.astype(float)
    weights = np.exp(exact - exact.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    expected = -np.sum(weights * np.log(np.maximum(weights, 1e-300)), axis=-1)
    entropy = np.empty(shape[0], dtype=np.float32)
    kernels.softmax(scores, entropy)
    moved = rounding(torch.float32, shape[1])
    widest = (
        1 + np.ptp(exact, axis=-1).max()
    )  # a score's own rounding moves its exponential by as much, times the score
    np.testing.assert_allclose(scores, weights, rtol=moved * widest, atol=1e-37)  # also of weights that hardly count
    np.testing.assert_allclose(scores, weights, rtol=0, atol=moved)
    np.testing.assert_allclose(entropy, expected, rtol=moved, atol=moved)


def test_exponential_over_all_of_its_range() -> None:
    t = np.linspace(-87, 0, 100_001, dtype=np.float32)
    pairs = np.stack([t, np.zeros_like(t)], axis=1)
    kernels.softmax(pairs, np.empty(len(t), dtype=np.float32))
    exact = np.exp(t.astype(float))
    assert (np.abs(pairs[:, 0] / pairs[:, 1] - exact) <= rounding(torch.float32, 2) * (1 - t) * exact).all()


def test_hidden_keys_get_nothing_and_nan_stays() -> None:
    lowest = torch.finfo(torch.float32).min
    scores = np.array(
        [[lowest, 1, 1], [lowest, lowest, lowest], [np.nan, 1, 2], [1, 2, np.nan], [0, -1e30, -np.inf]],
        dtype=np.float32,
    )
    entropy = np.empty(5, dtype=np.float32)
    kernels.softmax(scores, entropy)
    np.testing.assert_allclose(
        scores[[0, 1, 4]], [[0, 0.5, 0.5], [1 / 3] * 3, [1, 0, 0]], rtol=rounding(torch.float32, 3)
    )
    np.testing.assert_allclose(entropy[[0, 1, 4]], [np.log(2), np.log(3), 0], rtol=rounding(torch.float32, 3))
    assert np.isnan(scores[2:4]).all()
    assert np.isnan(entropy[2:4]).all()


def test_sums_of_a_block_inside_the_text() -> None:
    rng, texts, heads, length, classes = np.random.default_rng(1), 2, 3, 40, 3
    weights = rng.random((1, 2, 5, 20), dtype=np.float32)  # text 1, heads 1 and 2, queries 7 to 11, keys 11 to 30
    query_class = rng.integers(-1, classes, (texts, length)).astype(np.int8)
    separator = (rng.random((texts, length)) > 0.3).astype(np.float32)
    by_key, by_offset = rng.random((texts, heads, classes, length)), rng.random((texts, heads, 2 * length - 1))
    largest, first = np.full((2, texts, heads, length), 7, dtype=np.float32)
    expected_by_key, expected_by_offset = by_key.copy(), by_offset.copy()
    for head in range(2):
        for q in range(5):
            for k in range(20):
                place = query_class[1, 7 + q]
                if place >= 0:
                    expected_by_key[1, 1 + head, place, 11 + k] += weights[0, head, q, k]
                    expected_by_offset[1, 1 + head, (11 + k) - (7 + q) + length - 1] += weights[0, head, q, k]
    kernels.add_sums(weights, 1, 1, 7, 11, query_class, separator, by_key, by_offset, largest, first)
    np.testing.assert_allclose(by_key, expected_by_key, rtol=1e-14)
    np.testing.assert_allclose(by_offset, expected_by_offset, rtol=1e-14)
    np.testing.assert_array_equal(largest[1, 1:, 7:12], (weights[0] * separator[1, None, None, 11:31]).max(-1))
    assert (first[1, 1:, 7:12] == 0).all()
    assert (largest[0] == 7).all()
    assert (largest[1, :, 12:] == 7).all()


@pytest.mark.parametrize("queries", ["all", "content"])
@pytest.mark.parametrize(("texts", "length", "window"), [(1, 37, None), (3, 13, None), (1, 90, 8)])
def test_all_statistics_as_by_torch(
    texts: int, length: int, window: int | None, queries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnprobe.attention.blocks.BLOCK_ELEMENTS", 2000)
    generator = torch.Generator().manual_seed(length)
    q, k, v = (torch.randn(texts, 4, length, 8, generator=generator) * 2 for _ in range(3))
    at = torch.arange(length)
    allowed = None if window is None else (at[:, None] - at[None, :]).abs() <= window
    roles = [Role.CLS, *[Role.CONTENT] * (length - 5), Role.SEP, Role.CONTENT, Role.CONTENT, Role.SEP]
    tokens = Tokens(
        strings=["a"] * length,
        texts=["a", "."] * (length // 2) + ["b"] * (length % 2),
        roles=roles,
        segments=[0, *[1] * (length - 5), 0, 2, 2, 0],
    )
    batch = [replace(tokens, read_as=[at % (5 + text) for at in range(length)]) for text in range(texts)]
    found = {}
    for compiled in (False, True):
        reducer = Reducer(
            batch,
            load_metrics(),
            [0],
            4,
            long_range=5,
            queries=queries,
            level="token",
            profile=True,
            compiled=compiled,
        )
        output = attention_in_blocks(
            q, k, v, 8**-0.5, allowed=allowed, observe=reducer.start_layer(0), compiled=compiled
        )
        found[compiled] = output, reducer.profile(), np.stack([sums.means() for sums in reducer.sums])
    assert len(list(tiles(4, length, length, None, texts))) > 1
    moved, (*sums, means), (*expected_sums, expected) = rounding(torch.float32, length), found[True], found[False]
    for ours, theirs in zip(sums, expected_sums, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=moved, atol=moved)
    distance = expected[..., list(METRICS).index("distance")]
    for place, name in enumerate(METRICS):
        assert_close(name, means[..., place], expected[..., place], moved, distance)


def means_of(encoder: Encoder, text: str, level: str) -> np.ndarray:
    table = head_table(text, encoder, level=level)
    return np.array(table.rows, dtype=float)[:, 2:]


WORDS = " ".join(f"the {number} cats, unbelievably, sat." for number in range(6))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("level", ["token", "word"])
@pytest.mark.parametrize("family", ["bert", "modernbert", "t5"])
def test_a_long_text_gives_the_same_on_any_number_of_threads(
    family: str, level: str, encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnprobe.attention.blocks.BLOCK_ELEMENTS", 2000)
    encoder = encoder_of(family)
    expected, found = means_of(encoder, WORDS, level), {}
    monkeypatch.setattr("attnprobe.models.encoder.LONG", 8)
    monkeypatch.setattr("attnprobe.models.encoder.SPREAD", 8)
    for threads in (1, 2, 5):
        monkeypatch.setattr("attnprobe.models.encoder.pool_of", lambda _, threads=threads: pool_of(threads))
        found[threads] = means_of(encoder, WORDS, level)
        np.testing.assert_array_equal(found[threads], found[1])
    moved = noise(encoder, len(encoder.tokenize(WORDS)[0]))
    for place, name in enumerate(METRICS):
        assert_close(name, found[1][:, place], expected[:, place], moved, expected[:, list(METRICS).index("distance")])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["bert", "modernbert", "t5"])
def test_heads_apart_are_exactly_heads_together(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    loaded = encoder_of(family)
    with float64():
        encoder = doubled(loaded)
        together = means_of(encoder, WORDS, "token")
        apart = HeadMeans.choose(encoder, Reading())
        found = measure(encoder.tokenize(WORDS), replace(encoder, spread=True), apart).texts[0].means()
    np.testing.assert_allclose(found.reshape(together.shape), together, rtol=EXACT, atol=EXACT)


def test_an_error_in_a_thread_is_raised(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = replace(encoder_of("bert"), spread=True)

    def fails(block: Block) -> None:
        raise ModelError(f"head {block.heads}")

    with pytest.raises(ModelError, match="head slice"):
        encoder.observe(encoder.tokenize("a cat"), lambda layer, text: fails)
    assert encoder.observe(encoder.tokenize("a cat"), lambda layer, text: None)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("metrics", [None, ["distance"]])
@pytest.mark.parametrize(("queries", "place"), [("all", 1), ("content", 1), ("content", 0)])
def test_a_nan_in_a_row_is_refused(queries: str, place: int, metrics: list[str] | None, compiled: bool) -> None:
    """Also in the row of an added token that is not averaged over."""
    roles = [Role.CLS, Role.CONTENT, Role.CONTENT]
    tokens = Tokens(strings=["a"] * 3, texts=["", "a", "a"], roles=roles, segments=[0, 1, 1])
    reducer = Reducer(
        [tokens], load_metrics(metrics), [0], 1, long_range=5, queries=queries, level="token", compiled=compiled
    )
    query, key = torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2)
    query[0, 0, place, 0] = torch.nan
    attention_in_blocks(query, key, key, 1.0, observe=reducer.start_layer(0), compiled=compiled)
    with pytest.raises(ModelError, match="do not sum to 1"):
        _ = reducer.sums


def test_where_nothing_may_be_written_it_is_compiled_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    real = kernels.njit

    def without_a_place(*, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(kernels, "njit", without_a_place)
    assert kernels.compiled(lambda number: number + 1)(1) == 2


def test_only_float32_on_a_cpu_is_compiled(minilm: Encoder, folder_of: Callable[[str], Path]) -> None:
    assert not minilm.compiled
    assert minilm.replica().compiled
    double = load_encoder(folder_of("bert"), dtype="float64")
    assert not double.replica().compiled
    assert double.for_length(10**6) is double
    assert minilm.for_length(LONG).compiled
    assert minilm.for_length(LONG - 1) is minilm
    assert [minilm.for_length(tokens).spread for tokens in (SPREAD - 1, SPREAD)] == [False, True]
