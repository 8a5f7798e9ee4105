"""Arguments that cannot be meant are refused in one sentence; those of numpy and pandas are understood."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attnprobe import Encoder, Record, corpus_stats, head_stats, heatmap, trace, view, weights
from attnprobe.errors import UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.values.selection import select

TEXT = "the cat sat on the mat"
NOT_NUMBERS = [-1, 1.5, True, "5", [3], float("nan")]
NOT_INDICES = [1.5, True, [0, None], "0-x", "", [[0, 1]], np.array([0.5]), np.array([True, False]), [], b"\0", object()]


@pytest.fixture(scope="module")
def encoder(encoder_of: Callable[[str], Encoder]) -> Encoder:
    return encoder_of("bert")


def corpus(text: Any, encoder: Any, **options: Any) -> object:
    return corpus_stats([text], encoder, **options)


def traced(text: Any, encoder: Any, **options: Any) -> object:
    return trace(text, encoder, **{"layer": 0, "head": 0, "query": 1, **options})


ALL: dict[str, Callable[..., object]] = {
    "head_stats": head_stats,
    "corpus_stats": corpus,
    "weights": weights,
    "heatmap": heatmap,
    "view": view,
    "keep_weights": keep_weights,
    "trace": traced,
}
TABLES = ("head_stats", "corpus_stats")


def misuses() -> list[tuple[str, dict[str, Any]]]:
    """Names of functions with options that none of them can mean."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in ALL:
        found += [(name, {"max_length": value}) for value in [0, *NOT_NUMBERS]]
        if name != "keep_weights":  # which loads nothing
            found += [(name, {"encoder": value}) for value in (42, b"x", [], object(), {})]
        if name != "corpus_stats":
            found += [(name, {"text": value}) for value in (None, b"x", 42, ["a"])]
            found += [(name, {"pair": value}) for value in (42, b"x", ["a"])]
        axes = ("layer", "head") if name == "trace" else ("layers", "heads")
        found += [(name, {axis: value}) for axis in axes for value in NOT_INDICES]
        if name not in ("trace", "view"):
            found += [(name, {"level": value}) for value in ("line", 1, ["word"], np.array(["word", "token"]))]
    for name in TABLES:
        found += [(name, {option: value}) for option in ("stride", "long_range") for value in NOT_NUMBERS]
        found += [(name, {"queries": value}) for value in ("some", None, np.array(["all", "content"]))]
        found += [(name, {"metrics": value}) for value in ("entropy", b"entropy", 42, [42], [["entropy"]], ["entropi"])]
    found += [("heatmap", {"stat": value}) for value in ("", 42, ["entropy"], "entropi")]
    found += [("heatmap", {"long_range": value}) for value in NOT_NUMBERS]
    found += [("weights", {"top": value}) for value in [0, *NOT_NUMBERS]]
    found += [("weights", {"max_rows": value}) for value in NOT_NUMBERS]
    found += [("weights", {"min_weight": value}) for value in (2, -0.1, "0.1", float("nan"), [0.1])]
    found += [("weights", {"direction": value, "pair": "a"}) for value in ("a", 1, ["a-b"])]
    found += [(name, {"most": value}) for name in ("view", "keep_weights") for value in NOT_NUMBERS]
    found += [("corpus_stats", {name: value}) for name in ("threads", "batch_tokens") for value in [0, *NOT_NUMBERS]]
    found += [("corpus_stats", {"on_error": value}) for value in ("ignore", None, ["skip"])]
    found += [
        ("corpus_stats", {name: value})
        for name in ("ids", "pairs")
        for value in ("a", b"a", 5, [], ["a", "b"], {"a": 1}, pd.DataFrame({"a": ["b"]}))
    ]
    return found


def test_misuses_are_explained(encoder: Encoder) -> None:
    """In at most three lines, and before the model runs."""
    wrong = []
    for name, options in misuses():
        try:
            ALL[name](**{"text": TEXT, "encoder": encoder, **options})
            wrong.append(f"{name} {options!r} works")
        except UsageError as error:
            if len(f"{error}\n{error.hint}".splitlines()) > 3 or len(str(error)) > 200:
                wrong.append(f"{name} {options!r} says {error}")
        except Exception as error:  # what is looked for
            wrong.append(f"{name} {options!r} raises {error!r}")
    assert not wrong
    assert len(misuses()) > 300


@pytest.mark.parametrize(
    "texts", ["dog", b"dog", None, 42, {"1": "dog"}, pd.DataFrame({"text": ["dog"]}), np.array([["dog"]])], ids=repr
)
def test_texts_that_are_none(encoder: Encoder, texts: Any) -> None:
    with pytest.raises(UsageError, match="texts must be a list, or another iterable"):
        corpus_stats(texts, encoder)


@pytest.mark.parametrize("name", ["ids", "pairs"])
def test_ids_and_pairs_are_as_many_as_texts_also_where_nobody_can_count_before(encoder: Encoder, name: str) -> None:
    fewer = corpus_stats(iter(["one", "two"]), encoder, **{name: iter(["a"])})
    with pytest.raises(UsageError, match=f"more texts than {name}, of which there are 1"):
        fewer.to_frame()
    more = corpus_stats(iter(["one", "two"]), encoder, **{name: iter("abc")})
    with pytest.raises(UsageError, match=f"more {name} than texts, of which there are 2"):
        more.to_frame()
    with pytest.raises(UsageError, match=f"{name} are for texts alone"):
        corpus_stats([Record("1", "one")], encoder, **{name: ["a"]}).to_frame()


def test_pair_that_is_no_text_is_skipped(encoder: Encoder) -> None:
    stats = corpus_stats(["one", "two"], encoder, pairs=["three", float("nan")], on_error="skip")  # type: ignore[list-item]
    assert stats.to_frame()["id"].unique().tolist() == ["1"]
    assert [skipped.reason for skipped in stats.skipped] == ["float, not text"]


@pytest.mark.parametrize(
    "choice",
    [np.array([0, 2]), pd.Series([2, 0]), [np.int64(0), np.int8(2)], (0, -1), {0, 2}, range(0, 3, 2), "0,-1"],
    ids=repr,
)
def test_several_numbers(choice: Any) -> None:
    assert select(choice, 3, "layer") == [0, 2]


@pytest.mark.parametrize("choice", [1, np.int64(1), np.array(1), "1", [-2]], ids=repr)
def test_one_number(choice: Any) -> None:
    assert select(choice, 3, "layer") == [1]


@pytest.mark.parametrize(
    "metrics", [np.array(["distance", "entropy"]), pd.Series(["entropy", "distance"]), iter(["distance", "entropy"])]
)
def test_names_of_metrics_in_any_column(encoder: Encoder, metrics: Any) -> None:
    frame = head_stats(TEXT, encoder, metrics, layers=0, max_length=np.int64(50), long_range=np.int8(3))
    assert list(frame.columns[2:]) == ["entropy", "distance"]


def test_folder_in_place_of_an_encoder(encoder: Encoder) -> None:
    for folder in (encoder.location.folder, Path(encoder.location.folder), str(encoder.location.folder)):
        assert len(head_stats(TEXT, folder, ["entropy"], layers=0)) == encoder.heads
