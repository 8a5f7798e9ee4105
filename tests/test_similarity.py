"""Distances between heads: their kernel, their definition in plain loops over many families, and what follows."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from scipy.spatial.distance import jensenshannon

from attnprobe import Encoder, similarity
from attnprobe.analyses import distances
from attnprobe.analyses.distances import Distances, sampled
from attnprobe.analyses.likeness import Similarity
from attnprobe.attention import blocks
from attnprobe.attention.divergence import divergences, mixture_sums, padded
from attnprobe.errors import InputError, ModelError, TextError, UsageError
from attnprobe.measure.running import measure
from attnprobe.measure.weights import keep_weights
from attnprobe.models import loading
from attnprobe.render.headmap import draw_similarity, save_pdf, save_png, save_svg
from attnprobe.render.similarity import similarity_view
from attnprobe.values.options import Reading
from tests.cli.commandline import exit_code
from tests.eager import Layer
from tests.exact import EXACT, doubled, float64
from tests.plain import Plain
from tests.rows import noise
from tests.test_families import HERE, INCOMPLETE, TEXTS

TEXT_S = (
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)
LOGARITHM = 2.3e-6  # how far the compiled log₂ is off; a distance adds up two of it at most
LINES = [TEXTS["english"], "我昨天去了超市", "Two words.", *TEXT_S.split(","), "A much longer line of words " * 6]


def every(encoder: Encoder, level: str = "token", **changed: Any) -> Distances:
    options: dict[str, Any] = {"layers": "all", "heads": "all", "queries_per_text": 4, "all_queries": True}
    return Distances.choose(encoder, Reading(level=level), **{**options, "seed": 0, "clusters": 8, **changed})


def measured(encoder: Encoder, *texts: str, **options: Any) -> np.ndarray:
    """The distances of one text or pair, by all pairs (1, 0), (2, 0), (2, 1) ..."""
    [found] = measure(encoder.tokenize(*texts), encoder, every(encoder, **options)).texts
    return found.total / found.n_queries


def looped(rows: np.ndarray) -> np.ndarray:
    """The definition: per query Σ over keys of ½·p·ln(p/m) + ½·q·ln(q/m), with what falls on no token as one more key.

    Args:
        rows: (head, query, key) in float64.
    """
    whole = np.concatenate([rows, np.maximum(1 - rows.sum(-1, keepdims=True), 0)], -1)
    found = {}
    for i, j in combinations(range(len(rows)), 2):
        total = 0.0
        for p, q in zip(whole[i], whole[j], strict=True):
            for one in (p, q):
                some = one > 0
                total += 0.5 * float((one[some] * np.log(one[some] / ((p + q) / 2)[some])).sum())
        found[j, i] = total / rows.shape[1]
    return np.array([found[pair] for pair in sorted(found)])


def stacked(layers: Sequence[Layer]) -> np.ndarray:
    return np.concatenate([layer.weights for layer in layers])


@pytest.mark.numeric
@pytest.mark.parametrize("shape", [(1, 2, 1), (3, 5, 15), (2, 4, 16), (2, 3, 17), (3, 7, 300), (1, 260, 260)], ids=str)
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
def test_compiled_sums_are_those_of_float64(shape: tuple[int, int, int], spread: float) -> None:
    scores = np.random.default_rng(0).standard_normal(shape) * spread
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    weights[weights < 1e-4] = 0
    rows = torch.zeros(*shape[:2], padded(shape[2]), dtype=torch.float64)
    rows[:, :, : shape[2]] = torch.from_numpy(weights)
    found = divergences(mixture_sums(rows.float(), fast=True)) / shape[0]
    exact = divergences(mixture_sums(rows.float().double(), fast=False)) / shape[0]
    assert np.abs(found - exact).max() < 2 * np.log(2) * LOGARITHM
    if shape[1] < 10:
        expected = looped(np.swapaxes(rows.numpy(), 0, 1))
        ours = divergences(mixture_sums(rows, fast=False)) / shape[0]
        loss = 1 - weights.sum(-1)  # by what was set to 0, which the loop counts as one more key
        assert np.abs(ours - expected).max() <= EXACT + loss.max()


def test_equal_rows_have_no_distance_and_disjoint_ones_the_largest() -> None:
    rows = torch.zeros(2, 3, 16)
    rows[:, 0, 1] = rows[:, 1, 1] = rows[:, 2, 7] = 1
    found = divergences(mixture_sums(rows, fast=True)) / 2
    np.testing.assert_array_equal(found, np.log(2) * np.array([0, 1, 1]))


@pytest.mark.numeric
def test_distances_are_those_of_scipy(minilm: Encoder) -> None:
    with float64():
        exact = doubled(minilm)
        found = measured(exact, TEXT_S)
        weights = keep_weights(TEXT_S, exact).weights.reshape(72, 26, 26)
    expected = [np.mean(jensenshannon(weights[i], weights[j], axis=1) ** 2) for i in range(72) for j in range(i)]
    assert np.abs(found - expected).max() < EXACT


FAMILIES = [
    *("albert", "bert", "deberta-v2", "distilbert", "electra", "esm", "eurobert", "gemma3_text", "gpt2", "gpt_oss"),
    *("led", "longformer", "longt5_local", "longt5_tglobal", "mistral", "modernbert", "mpnet", "pegasus_x"),
    *("qwen3", "roberta", "squeezebert", "t5", "xlnet", "openai_privacy_filter"),
]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name in HERE])
def test_distances_are_those_of_loops_over_eager_attention(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    """Grouped queries, local layers, no added tokens, sinks, hooked weights: in float64, and compiled in float32."""
    encoder, text = encoder_of(family), "MKTAYIAKQRQISF" if family == "esm" else TEXTS["english"]
    plain, exact = plain_of(family), exact_of(family)
    with float64():
        rows = stacked(plain.layers(plain.encode([text])))
        expected = looped(rows)
        assert np.abs(measured(exact, text) - expected).max() < EXACT
    found = measured(encoder.replica(), text)
    assert np.abs(found - expected).max() < 2 * np.log(2) * LOGARITHM + 10 * noise(encoder, rows.shape[1])
    assert (rows.sum(-1).min() < 0.99) == (family in INCOMPLETE)
    assert expected.min() > 0


def test_words_and_pairs_are_those_of_whole_rows(minilm: Encoder) -> None:
    pair = TEXT_S, "Unremarkable heads they are."
    with float64():
        exact = doubled(minilm)
        weights = keep_weights(pair[0], exact, pair=pair[1], heads="0-2", layers="0,3").weights
        tokens = exact.tokenize(*pair)[0]
        merged = np.eye(len(tokens.word_texts))[list(tokens.words or ())]  # (token, word)
        by_word = merged.T / merged.sum(0)[:, None] @ weights @ merged
        some = {"heads": "0-2", "layers": "0,3"}
        for level, rows in (("token", weights), ("word", by_word)):
            found = measured(exact, *pair, level=level, **some)
            assert np.abs(found - looped(rows.reshape(6, *rows.shape[2:]))).max() < EXACT
    assert by_word.shape[-1] < weights.shape[-1]


@pytest.mark.parametrize("family", ["funnel", "canine"])
def test_layers_that_pool_are_refused_by_name(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    pooled = [number for number, reach in enumerate(encoder.reach) if reach and reach.pooled]
    with pytest.raises(ModelError, match=rf"layer {pooled[0]} of \w+ attends to pools"):
        every(encoder, layers=pooled)
    others = [number for number in range(encoder.layers) if number not in pooled]
    assert measured(encoder, "it was told.", layers=others).min() > 0


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], minilm: Encoder) -> Any:
    """``attnprobe similarity ARGUMENTS`` on a model that is loaded already."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(loading, "load_encoder", lambda *given, **options: minilm)
        monkeypatch.setattr(sys, "argv", ["attnprobe", "similarity", *map(str, arguments)])
        code, captured = exit_code(), capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


@pytest.mark.numeric
def test_values_of_a_sentence(command: Callable[..., str], minilm: Encoder, tmp_path: Path) -> None:
    """Measured once in float64 by other code, and given to five digits."""
    file, pairs = tmp_path / "s.txt", tmp_path / "pairs.csv"
    file.write_text(TEXT_S)
    table = pd.read_csv(io.StringIO(command(file, "--all-queries", "--clusters", "4", "--pairs", pairs)))
    assert list(table) == ["layer", "head", "cluster", "x", "y", "nearest_layer", "nearest_head", "nearest_distance"]
    frame = pd.read_csv(pairs).set_index(["layer_a", "head_a", "layer_b", "head_b"])["distance"]
    assert list(frame.index.names) == ["layer_a", "head_a", "layer_b", "head_b"]
    within = frame.index.get_level_values("layer_a") == frame.index.get_level_values("layer_b")
    near = pytest.approx([0.12000, 0.22262, 0.19060, 0.22850, 0.03842, 0.66124], abs=1e-5)
    extremes = frame[frame.idxmin()], frame[frame.idxmax()]
    assert [frame[0, 0, 0, 1], frame.mean(), frame[within].mean(), frame[~within].mean(), *extremes] == near
    assert (frame.idxmin(), frame.idxmax()) == ((1, 10, 2, 7), (0, 2, 1, 8))
    assert sorted(table["cluster"].value_counts()) == [1, 1, 6, 64]
    assert table.loc[22, ["nearest_layer", "nearest_head"]].tolist() == [2, 7]
    summary = similarity([TEXT_S], minilm, all_queries=True)
    assert summary.eigenvalues[:3] == pytest.approx([1.46961, 1.07530, 0.76178], abs=1e-5)
    assert summary.linkage[[0, -3, -2, -1], 2] == pytest.approx([0.19602, 0.53907, 0.60541, 0.76428], abs=2e-5)
    assert (summary.places**2).sum(0) == pytest.approx(summary.eigenvalues[:2])
    assert (summary.places.max(0) == np.abs(summary.places).max(0)).all()
    np.testing.assert_allclose(table[["x", "y"]], summary.places, atol=1e-5)


def test_neither_batches_nor_threads_nor_order_nor_halves_change_distances(minilm: Encoder) -> None:
    exact = doubled(minilm)
    some: dict[str, Any] = {"heads": "0-3", "queries_per_text": 5}
    usual = similarity(LINES, exact, **some).distances
    for other in (
        similarity(LINES, exact, batch_tokens=1, threads=2, **some),
        similarity(LINES[::-1], exact, **some),
        similarity(LINES[:3], exact, **some) + sum(similarity([line], exact, **some) for line in LINES[3:]),
    ):
        assert other.n_texts == len(LINES)
        assert np.abs(other.distances - usual).max() < EXACT


def test_windows_of_a_text_count_as_one(minilm: Encoder) -> None:
    exact, some = doubled(minilm), {"heads": "0-1", "all_queries": True}
    found = similarity([LINES[-1]], exact, max_length=20, stride=4, **some)
    windows = exact.tokenize(LINES[-1], max_length=20, stride=4)
    parts = measure(windows, exact, every(exact, heads="0-1")).texts
    assert len(windows) > 1
    assert found.n_texts == 1
    mean = sum(part.total for part in parts) / sum(map(len, windows))
    assert np.abs(found.total - mean).max() < EXACT


@pytest.mark.parametrize("kept", [1, 72 * 32 * 3])
def test_more_runs_of_the_model_when_not_all_rows_can_be_kept(
    kept: int, minilm: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with float64():
        exact = doubled(minilm)
        usual = measured(exact, "One short text.")
        monkeypatch.setattr(distances, "MOST_KEPT", kept)
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 50)
        assert np.abs(measured(exact, "One short text.") - usual).max() < EXACT


def test_sample_follows_from_the_seed_and_the_text_alone(minilm: Encoder) -> None:
    [one], [other] = minilm.tokenize(TEXT_S), minilm.tokenize(TEXT_S.replace("quietly", "loudly"))
    drawn = [sampled(text, 8, seed).tolist() for text in (one, other) for seed in (0, 1)]
    assert all(len(set(it)) == 8 and it == sorted(it) and 0 <= it[0] <= it[-1] < len(one) for it in drawn)
    assert len(set(map(tuple, drawn))) == 4
    assert drawn[0] == sampled(one, 8, 0).tolist()
    assert sampled(one, 26, 0).tolist() == sampled(one, None, 7).tolist() == list(range(26))
    weights = keep_weights(TEXT_S, minilm, heads="0", layers="0-3").weights.reshape(4, 26, 26)
    some: dict[str, Any] = {"heads": "0", "layers": "0-3"}
    first, second = (similarity([TEXT_S], minilm, queries_per_text=8, seed=seed, **some) for seed in (0, 1))
    for found, chosen in ((first, drawn[0]), (second, drawn[1])):
        assert np.abs(found.total - looped(weights[:, chosen].astype(float))).max() < 1e-5
    every = [similarity([TEXT_S], minilm, all_queries=True, seed=seed, **some) for seed in (0, 1)]
    np.testing.assert_array_equal(every[0].total, every[1].total)
    assert every[0].signature == every[1].signature != first.signature != second.signature
    with pytest.raises(UsageError, match="unlike signature do not add up"):
        first + second


def test_rows_that_did_not_come_or_are_no_probabilities(minilm: Encoder) -> None:
    tokens = minilm.tokenize("One.")
    listener = every(minilm).begin(tokens, minilm)
    with pytest.raises(TextError, match=r"layer 0: attention rows do not sum to 1 \(off by 1\)"):
        listener.finish()


def test_text_of_one_token(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("gpt2")
    [tokens] = encoder.tokenize("a")
    summary = similarity(["a"], encoder, clusters=2)
    assert len(tokens) == 1
    assert not summary.distances.any()
    assert summary.places.tolist() == [[0, 0]] * len(summary.labels)
    assert summary.to_frame()["nearest_distance"].eq(0).all()
    draw_similarity(summary)


def made(total: Sequence[float], heads: int, clusters: int = 8, texts: int = 1, layers: int = 1) -> Similarity:
    numbers = tuple(range(layers)), tuple(range(heads))
    return Similarity(
        *numbers, clusters, "model:toy@1|queries:32", np.array(float(texts)), np.array(total, dtype=float)
    )


def test_few_and_equal_heads() -> None:
    one, two = made([], 1), made([0.09], 2)
    assert one.to_frame().iloc[0].tolist()[:5] == [0, 0, 0, 0, 0]
    assert one.to_frame()["nearest_distance"].isna().all()
    assert len(one.pairs().rows) == 0
    assert two.places.tolist() == pytest.approx(np.array([[0.15, 0], [-0.15, 0]]))
    assert two.clusters.tolist() == [0, 1]
    assert made([0.09], 2, clusters=1).clusters.tolist() == [0, 0]
    three = made([0.4, 0, 0.4], 3, clusters=2)  # heads 0 and 2 are equal
    assert three.clusters.tolist() == [0, 1, 0]
    assert three.members() == [[0, 2], [1]]
    assert three.cut == pytest.approx(np.sqrt(0.4) / 2)
    assert np.abs(three.places[0] - three.places[2]).max() < 1e-12
    assert [row[5:] for row in three.table().rows] == [(0, 2, 0.0), (0, 0, 0.4), (0, 0, 0.0)]
    for summary in (one, two, three):
        figure = draw_similarity(summary)
        assert len(figure.axes) == (1 if summary is one else 2)


def test_of_no_text_nothing_is_known() -> None:
    none = made([0, 0, 0], 3, texts=0)
    assert none.to_frame().iloc[:, 2:].isna().all(axis=None)
    assert [row[-1] for row in none.pairs().rows] == [None] * 3
    assert "No text was measured." in shown(none, 80)
    with pytest.raises(InputError, match="nothing to draw"):
        draw_similarity(none)


def test_summary_is_stored_and_restored(minilm: Encoder) -> None:
    summary = similarity(LINES[:2], minilm, heads="0-1")
    empty = replace(summary, n_texts=np.zeros(()), total=np.zeros_like(summary.total))
    np.testing.assert_array_equal(empty.restored(summary.arrays()).distances, summary.distances)
    np.testing.assert_array_equal((empty + summary).total, summary.total)
    with pytest.raises(ValueError, match="wrong total"):
        empty.restored({**summary.arrays(), "total": np.zeros(3)})


def shown(summary: Similarity, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    console.print(similarity_view(summary, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def many() -> Similarity:
    """144 heads at random places."""
    places = np.random.default_rng(0).standard_normal((144, 3)) / 8
    squares = ((places[:, None] - places) ** 2).sum(-1)
    return made(squares[np.tril_indices(144, -1)], 12, layers=12)


def spelled_out(cell: str) -> list[tuple[int, int]]:
    """The layers and heads of ``2.0-3,7``; none of other cells, such as a distance."""
    if not re.fullmatch(r"\d+\.\d+(-\d+)?(,\d+(-\d+)?)*", cell) or re.fullmatch(r"0\.\d{3}", cell):
        return []
    layer, runs = cell.split(".")
    ends = [run.split("-") for run in runs.split(",")]
    return [
        (int(layer), head)
        for first, *_, last in [[*it, it[0]][:2] if len(it) == 1 else it for it in ends]
        for head in range(int(first), int(last) + 1)
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_names_every_head_once_and_the_extreme_pairs(width: int, many: Similarity) -> None:
    text = shown(many, width)
    assert max(map(len, text.splitlines())) <= width
    assert "toy: 144 heads in 8 clusters, 1 text" in text
    listed = text[text.index("layer.head") : text.index("nearest")].split()[1:]
    found = [name for cell in listed for name in spelled_out(cell)]
    assert sorted(found) == many.labels
    nearest, farthest = many.ranked()[0], many.ranked()[-1]
    for one, other, distance in (nearest, farthest):
        names = " ".join(f"{layer}.{head}" for layer, head in (many.labels[one], many.labels[other]))
        assert f"{names}  " in text
        assert f"{distance:.3f}" in text
    assert "up to 32 random queries" in " ".join(text.split())


def test_figure_has_all_labels_apart(many: Similarity) -> None:
    figure = draw_similarity(many)
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert labels == {f"{layer}.{head}" for layer, head in many.labels}
    assert {tick.get_text() for tick in figure.axes[1].get_xticklabels()} == labels
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("save", [save_png, save_svg, save_pdf])
def test_figures_have_equal_bytes(save: Callable[..., None]) -> None:
    summary, streams = made([0.4, 0, 0.4], 3), [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        save(summary, stream)
    assert streams[0].getvalue() == streams[1].getvalue()
    assert b"model:toy@1|queries:32" in streams[0].getvalue()


def test_figure_and_seed_by_the_command(command: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES))
    tables = [command(file, "--queries-per-text", "3", "--seed", seed) for seed in (0, 1)]
    assert tables[0] != tables[1]
    assert command(file, "-o", tmp_path / "map.svg") == ""
    assert (tmp_path / "map.svg").read_text().count("3.11") >= 2
