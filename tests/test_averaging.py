"""Means over heads, layers or both are means of the numbers that are not averaged; in a summary, text by text."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import attnprobe
from attnprobe import Encoder, PartialMeanWarning
from attnprobe.analyses.pictures import picture_of_summary, take_picture, title
from attnprobe.analyses.weights import WEIGHTS
from attnprobe.errors import UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.readers.summaries import read_summary
from attnprobe.values.averaging import mean_of_sums, mean_over
from attnprobe.values.options import Mean
from attnprobe.writers import get_writer
from attnprobe.writers.tensors import write_npz
from tests.test_page import data_of

TEXT = "The animal didn't cross the street because it was too tired."
TEXTS = ["The cat sat.", TEXT, "It was warm, too."]
MEANS = {"heads": (1,), "layers": (0,), "all": (0, 1)}
STATISTICS = ["entropy", "cls_share", "offset", "sink_share", "outside_share"]


def by_loops(values: np.ndarray, over: tuple[int, ...]) -> np.ndarray:
    """(layer, head, ...) averaged number by number; NaN is left out."""
    layers, heads = values.shape[:2]
    shape = (1 if 0 in over else layers, 1 if 1 in over else heads)
    found = np.full((*shape, *values.shape[2:]), np.nan)
    for index in np.ndindex(found.shape):
        of_layers = range(layers) if 0 in over else [index[0]]
        of_heads = range(heads) if 1 in over else [index[1]]
        known = [float(values[layer, head, *index[2:]]) for layer in of_layers for head in of_heads]
        known = [value for value in known if value == value]
        if known:
            found[index] = sum(known) / len(known)
    return found


@pytest.mark.parametrize("mean", MEANS)
def test_weights(mean: str, minilm: Encoder) -> None:
    chosen: dict[str, Any] = {"layers": "1-3", "heads": [0, 5, 7]}
    each, averaged = (keep_weights("The cat sat.", minilm, **chosen, mean=of) for of in (None, mean))
    expected = by_loops(each.weights, MEANS[mean])
    np.testing.assert_allclose(averaged.weights, expected, rtol=0, atol=1e-7)
    frame = attnprobe.weights("The cat sat.", minilm, **chosen, mean=mean)
    np.testing.assert_array_equal(frame["weight"], averaged.weights.ravel())
    assert frame["layer"].isna().all() == (mean != "heads")
    assert frame["head"].isna().all() == (mean != "layers")
    parts = {"heads": "|heads:0,5,7|", "layers": "|layers:1-3|", "all": "|layers:1-3|heads:0,5,7|"}
    assert f"|mean:{mean}{parts[mean]}" in frame.attrs["signature"]
    assert "mean" not in attnprobe.weights("cat", minilm).attrs["signature"]


def test_files_leave_averaged_numbers_empty(minilm: Encoder) -> None:
    found = WEIGHTS("a cat", minilm, mean="all")
    streams = {name: io.BytesIO() for name in ("csv", "parquet", "json")}
    for name, stream in streams.items():
        get_writer(name)(found.to_table(), stream)
    assert streams["csv"].getvalue().splitlines()[1].startswith(b'"","",0,"[CLS]"')
    assert b'{"layer":null,"head":null,"query":0' in streams["json"].getvalue().replace(b" ", b"")
    assert pd.read_parquet(streams["parquet"])[["layer", "head"]].isna().all(axis=None)
    write_npz(found, stream := io.BytesIO())
    arrays = np.load(io.BytesIO(stream.getvalue()))
    assert (len(arrays["layers"]), len(arrays["heads"])) == (0, 0)
    assert arrays["weights"].shape == (1, 1, 4, 4)


def stats(text: str, encoder: Encoder, mean: str | None = None) -> np.ndarray:
    """(layer, head, metric) of a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = attnprobe.head_stats(text, encoder, STATISTICS, mean=mean)
    layers = 1 if frame["layer"].isna().all() else encoder.layers
    columns = [name for name in frame if name in STATISTICS]
    return frame[columns].to_numpy(float).reshape(layers, -1, len(columns))


@pytest.mark.parametrize("family", ["bert", "funnel", "gpt_oss", "t5"])
@pytest.mark.parametrize("mean", MEANS)
def test_statistics(family: str, mean: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    expected = by_loops(stats(TEXT, encoder), MEANS[mean])
    np.testing.assert_allclose(stats(TEXT, encoder, mean), expected, rtol=1e-12, atol=1e-12)


def test_layers_without_a_value_are_named(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("funnel")
    known = (~np.isnan(stats(TEXT, encoder)[:, 0, 1])).sum()
    assert 0 < known < encoder.layers
    with pytest.warns(PartialMeanWarning, match=f"cls_share is the mean of the {known} of {encoder.layers} layers"):
        attnprobe.head_stats(TEXT, encoder, ["cls_share"], mean="layers")


@pytest.mark.parametrize("family", ["bert", "funnel"])
@pytest.mark.parametrize("mean", MEANS)
def test_summary_averages_within_each_text(family: str, mean: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    found, each = (attnprobe.corpus_stats(TEXTS, encoder, STATISTICS, mean=of) for of in (mean, None))
    pd.testing.assert_frame_equal(found.to_frame(), each.to_frame())  # a row per head all the same
    values = np.array([by_loops(stats(text, encoder), MEANS[mean]) for text in TEXTS])
    queries = [len(encoder.tokenize(text)[0]) for text in TEXTS]
    of_heads = each.summary.to_frame().groupby(["layer", "metric"])["token_mean"].mean()  # layers may differ in queries
    rows = found.summary.to_frame().to_dict("records")
    for row, (layer, head, metric) in zip(rows, np.ndindex(values.shape[1:]), strict=True):
        of_texts = values[:, layer, head, metric]
        if np.isnan(of_texts).any():
            assert np.isnan(row["mean"])
            continue
        mid, margin = of_texts.mean(), scipy.stats.t.ppf(0.975, len(TEXTS) - 1) * scipy.stats.sem(of_texts)
        micro = np.average(of_texts, weights=queries) if mean != "heads" else of_heads[layer, row["metric"]]
        expected = [mid, of_texts.std(ddof=1), mid - margin, mid + margin, micro]
        numbers = [row[name] for name in ("mean", "std", "ci_low", "ci_high", "token_mean")]
        np.testing.assert_allclose(numbers, expected, rtol=1e-5, atol=2e-5)  # margins multiply rounding
    assert [row["metric"] for row in rows[: len(STATISTICS)]] == list(found.summary.metrics)
    assert pd.isna(rows[0]["layer"]) == (mean != "heads")
    assert pd.isna(rows[0]["head"]) == (mean != "layers")


def test_summaries_of_means_add_up(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("bert")

    def summary(texts: list[str], mean: str | None = "all", batch_tokens: int = 2048) -> attnprobe.Summary:
        found = attnprobe.corpus_stats(texts, encoder, STATISTICS, mean=mean, profile=True, batch_tokens=batch_tokens)
        found.to_frame()
        return found.summary

    whole = summary(TEXTS)
    for parts in (summary(TEXTS[:1]) + summary(TEXTS[1:]), summary(TEXTS, batch_tokens=1)):
        for name, array in whole.arrays().items():
            np.testing.assert_allclose(parts.arrays()[name], array, rtol=1e-5, atol=1e-5)
    same = summary([]).restored(whole.arrays())
    pd.testing.assert_frame_equal(same.to_frame(), whole.to_frame())
    with pytest.raises(UsageError, match="do not add up"):
        whole + summary(TEXTS, mean=None)
    profile, each = (one.profile().to_frame() for one in (whole, summary(TEXTS, mean=None)))
    expected = each.groupby("offset")["share"].mean()
    np.testing.assert_allclose(profile["share"], expected, rtol=1e-9, atol=1e-12)
    assert list(profile["offset"]) == list(expected.index)


def test_sums_of_layers_of_different_length() -> None:
    """A pooled layer has fewer queries: the mean of layers is of their means, and counts as the text's queries do."""
    total, count = np.array([[[8.0]], [[6.0]], [[0.0]]]), np.array([[4.0], [2.0], [0.0]])
    averaged = mean_of_sums(total, count, Mean("layers"))
    assert averaged[0].tolist() == [[[(8 / 4 + 6 / 2) / 2 * 4]]]
    assert averaged[1].tolist() == [[4.0]]
    nothing = mean_of_sums(total[2:], count[2:], Mean("all"))
    assert (nothing[0].item(), nothing[1].item()) == (0, 0)


def test_means_of_every_axis() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 2, 2))
    values[1, :, 0] = np.nan
    for mean, over in MEANS.items():
        np.testing.assert_allclose(mean_over(values, Mean(mean)), by_loops(values, over), rtol=1e-12)
    assert mean_over(values, Mean()) is values


# Pictures and the page


@pytest.mark.parametrize("mean", MEANS)
def test_pictures(mean: str, minilm: Encoder) -> None:
    expected = by_loops(keep_weights(TEXT, minilm).weights, MEANS[mean])
    picture: Any = take_picture(TEXT, minilm, mean=mean)
    np.testing.assert_allclose(picture.weights, expected, rtol=0, atol=1e-7)
    names = {"heads": "mean of heads 0-11", "layers": "mean of layers 0-5", "all": "mean of layers 0-5 and heads 0-11"}
    assert title(picture) == f"all-MiniLM-L6-v2, 16 tokens, {names[mean]}"
    stat: Any = take_picture(TEXT, minilm, "entropy", mean=mean)
    np.testing.assert_allclose(stat.values, by_loops(stats(TEXT, minilm)[..., :1], MEANS[mean])[..., 0], rtol=1e-6)
    assert title(stat) == f"all-MiniLM-L6-v2: entropy (nats), {names[mean]}"
    dropped: Any = take_picture(TEXT, minilm, special="renormalise", mean=mean)
    np.testing.assert_allclose(dropped.weights.sum(-1), 1, rtol=0, atol=1e-5)


def test_figures_name_the_maps_that_are_left(minilm: Encoder) -> None:
    titles = {
        mean: [axes.get_title() for axes in attnprobe.heatmap("a cat", minilm, mean=mean, layers="0-3").axes[:-1]]
        for mean in MEANS
    }
    assert titles["heads"] == [f"layer {layer}" for layer in range(4)]
    assert titles["layers"] == [f"head {head}" for head in range(12)]
    assert titles["all"] == [""]


def test_means_of_a_summary_are_drawn(minilm: Encoder, tmp_path: Path) -> None:
    paths = {mean: tmp_path / f"{mean}.csv" for mean in (None, *MEANS)}
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    for mean, path in paths.items():
        attnprobe.run_corpus(tmp_path / "texts.txt", None, minilm, ["entropy"], summary=path, mean=mean)
    for mean in MEANS:
        of_each = picture_of_summary(read_summary(paths[None]), "entropy", mean=mean)
        made = picture_of_summary(read_summary(paths[mean]), "entropy")
        np.testing.assert_allclose(made.values, of_each.values, rtol=1e-9)
        assert (made.layers, made.heads) == (of_each.layers, of_each.heads)


@pytest.mark.parametrize("mean", MEANS)
def test_page(mean: str, minilm: Encoder) -> None:
    made = attnprobe.view(TEXT, minilm, mean=mean)
    data = data_of(made.html)
    assert data["layers"] == (list(range(6)) if mean == "heads" else ["mean"])
    assert data["heads"] == (list(range(12)) if mean == "layers" else ["mean"])
    assert data["steps"]["missing"] == "these weights are means, which no head computes"
    shape = (len(data["layers"]), len(data["heads"]))
    assert np.array(data["stats"], dtype=float).shape[:2] == shape
    for layer, head in itertools.product(*map(range, shape)):
        assert f'id="weights-{layer}-{head}"' in made.html
    with pytest.raises(UsageError, match="to open on: it has the mean of"):
        attnprobe.view(TEXT, minilm, mean=mean, show="1.1")
