"""Rows and tensors of weights hold the model's own numbers; filters choose among them and change none."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load
from transformers import AutoModel

import attnprobe
from attnprobe import Encoder, TruncationWarning
from attnprobe.analyses.weights import COLUMNS, WEIGHTS, Filters, weights_table
from attnprobe.attention.rounding import rounding
from attnprobe.errors import UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.values.attention import Excerpt
from attnprobe.values.table import CHUNK, ArrayRows
from attnprobe.writers import get_writer
from attnprobe.writers.tensors import write_npz, write_safetensors
from tests.eager import eager_layers
from tests.rows import noise
from tests.synthetic import synthetic

ROW = rounding(torch.float32, 16)  # how far the sum of a row of TEXT may be from 1
TEXT = "The animal didn't cross the street because it was too tired."
PAIR = {"text": "A cat sat here.", "pair": "Was it a dog?"}


@pytest.fixture(scope="module")
def frame(minilm: Encoder) -> pd.DataFrame:
    return attnprobe.weights(TEXT, minilm)


def as_array(frame: pd.DataFrame) -> np.ndarray:
    return frame["weight"].to_numpy().reshape([frame[axis].nunique() for axis in ("layer", "head", "query", "key")])


def whole(attention: Any) -> Excerpt:
    places = range(len(attention.key_tokens))
    return Excerpt(attention.weights, places, places, attention)


def test_rows_are_the_weights_of_the_model(frame: pd.DataFrame, minilm: Encoder) -> None:
    model = AutoModel.from_pretrained(minilm.location.folder, attn_implementation="eager").eval()
    attention = keep_weights(TEXT, minilm)
    inputs = {name: torch.tensor([its]) for name, its in attention.pieces.inputs.items()}
    expected = np.stack([layer.weights for layer in eager_layers(model, inputs)])
    assert list(frame.columns) == list(COLUMNS)
    np.testing.assert_allclose(as_array(frame), expected, rtol=0, atol=noise(minilm, len(attention.key_tokens)))
    np.testing.assert_array_equal(as_array(frame), attention.weights)
    numbers = frame[["layer", "head", "query", "key"]].to_numpy()
    np.testing.assert_array_equal(numbers, list(np.ndindex(attention.weights.shape)))
    strings = np.array(attention.key_tokens.strings)
    assert (frame["query_token"].to_numpy() == strings[frame["query"]]).all()
    assert (frame["key_token"].to_numpy() == strings[frame["key"]]).all()
    assert "|level:token|" in frame.attrs["signature"]


READERS = {
    "csv": lambda data: pd.read_csv(io.BytesIO(data), keep_default_na=False, dtype={"weight": np.float32}),
    "tsv": lambda data: pd.read_csv(io.BytesIO(data), sep="\t", keep_default_na=False, dtype={"weight": np.float32}),
    "json": lambda data: pd.DataFrame(json.loads(data)),
    "jsonl": lambda data: pd.DataFrame([json.loads(line) for line in data.splitlines()]),
    "parquet": lambda data: pd.read_parquet(io.BytesIO(data)),
}


@pytest.mark.parametrize("format", READERS)
def test_every_format_holds_the_same_numbers(frame: pd.DataFrame, minilm: Encoder, format: str) -> None:
    stream = io.BytesIO()
    get_writer(format)(WEIGHTS(TEXT, minilm).to_table(), stream)
    found = READERS[format](stream.getvalue())
    pd.testing.assert_frame_equal(found.astype(frame.dtypes), frame, check_exact=True)
    sums = found["weight"].astype(float).groupby([found["layer"], found["head"], found["query"]]).sum()
    np.testing.assert_allclose(sums, 1, rtol=0, atol=ROW)


def test_rows_are_written_in_the_digits_of_float32() -> None:
    attention = synthetic(words=["a", "b", "c"])
    stream = io.BytesIO()
    get_writer("csv")(weights_table(whole(attention), Filters()), stream)
    written = [line.rsplit(",", 1)[1] for line in stream.getvalue().decode().splitlines()[1:]]
    assert written == [str(weight) for weight in attention.weights.ravel()]
    assert max(map(len, written)) <= 10


def test_parquet_has_types_of_its_own(minilm: Encoder) -> None:
    import pyarrow.parquet

    stream = io.BytesIO()
    get_writer("parquet")(WEIGHTS(TEXT, minilm, layers=0, heads=0).to_table(), stream)
    schema = pyarrow.parquet.read_schema(stream)
    assert [str(field.type) for field in schema] == ["int32", "int32", "int32", "string", "int32", "string", "float"]
    assert b"model:all-MiniLM-L6-v2@" in schema.metadata[b"attnprobe.signature"]


def test_tensors(minilm: Encoder) -> None:
    part = WEIGHTS(**PAIR, encoder=minilm, layers="1,3", heads=[2], direction="b-a")
    npz, safetensors = io.BytesIO(), io.BytesIO()
    write_npz(part, npz)
    write_safetensors(part, safetensors)
    npz.seek(0)
    arrays, tensors = np.load(npz), load(safetensors.getvalue())
    for name in ("weights", "layers", "heads", "queries", "keys"):
        np.testing.assert_array_equal(arrays[name], tensors[name])
    assert arrays["weights"].dtype == np.float32
    assert [list(arrays[axis]) for axis in ("layers", "heads")] == [[1, 3], [2]]
    tokens = arrays["tokens"]
    assert list(tokens[arrays["queries"]]) == ["was", "it", "a", "dog", "?"]
    assert list(tokens[arrays["keys"]]) == ["a", "cat", "sat", "here", "."]
    all_weights = keep_weights(PAIR["text"], minilm, pair=PAIR["pair"]).weights
    expected = all_weights[np.ix_([1, 3], [2], arrays["queries"], arrays["keys"])]
    np.testing.assert_array_equal(arrays["weights"], expected)
    assert str(arrays["signature"]) == part.attention.sign()  # type: ignore[misc]


def test_rows_of_tensors_sum_to_one(minilm: Encoder) -> None:
    stream = io.BytesIO()
    write_npz(WEIGHTS(TEXT, minilm), stream)
    stream.seek(0)
    np.testing.assert_allclose(np.load(stream)["weights"].sum(-1), 1, rtol=0, atol=ROW)


def test_tensors_are_the_same_bytes_each_time(tmp_path: Any) -> None:
    part = whole(synthetic(2, 2))
    for write in (write_npz, write_safetensors):
        streams = [io.BytesIO() for _ in range(8)]
        for stream in streams:
            write(part, stream)
        assert len({stream.getvalue() for stream in streams}) == 1
    (tmp_path / "weights.safetensors").write_bytes(streams[0].getvalue())
    with safe_open(tmp_path / "weights.safetensors", "np") as file:
        assert json.loads(file.metadata()["tokens"]) == list(part.attention.key_tokens.strings)
        assert file.metadata()["signature"] == "attnprobe:test|model:made-up"
        np.testing.assert_array_equal(file.get_tensor("weights"), part.weights)


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        (3, [3]),
        ("3", [3]),
        (-1, [15]),
        ("the", [1, 7]),
        ("The", [1]),
        ("didn't", [3, 4, 5]),
        ("[SEP]", [15]),
        ("'", [4]),
    ],
)
def test_query(frame: pd.DataFrame, minilm: Encoder, query: str | int, positions: list[int]) -> None:
    found = attnprobe.weights(TEXT, minilm, query=query)
    expected = frame[frame["query"].isin(positions)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("animals", "animal, "),
        ("zzz", "or a position, 0 to 15"),
        ("３", "or a position, 0 to 15"),
        (16, "or a position, 0 to 15"),
        ("-17", "or a position, 0 to 15"),
    ],
)
def test_query_that_is_not_there(minilm: Encoder, query: str | int, words: str) -> None:
    with pytest.raises(UsageError, match=f"no token or word '{query}'") as caught:
        attnprobe.weights(TEXT, minilm, query=query)
    assert words in caught.value.hint


def test_query_by_word(minilm: Encoder) -> None:
    found = attnprobe.weights(
        "tokenization of unbelievable words", minilm, query="unbelievable", level="word", layers=2
    )
    assert list(found["key_token"][:6]) == ["[CLS]", "tokenization", "of", "unbelievable", "words", "[SEP]"]
    assert set(found["query"]) == {3}
    np.testing.assert_allclose(found.groupby(["layer", "head"])["weight"].sum(), 1, rtol=0, atol=ROW)


def test_top(frame: pd.DataFrame, minilm: Encoder) -> None:
    found = attnprobe.weights(TEXT, minilm, top=3, layers="0,4")
    by_query = frame[frame["layer"].isin([0, 4])].groupby(["layer", "head", "query"], group_keys=False)
    expected = by_query[list(COLUMNS)].apply(
        lambda rows: rows.sort_values("weight", ascending=False, kind="stable").head(3)
    )
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


def test_top_of_equal_weights_are_the_first_keys() -> None:
    attention = synthetic(words=list("abcd"))
    part = whole(attention)
    part.weights[:] = 0.25
    assert list(weights_table(part, Filters(top=2)).column("key")) == [0, 1] * 4
    assert len(weights_table(part, Filters(top=9)).rows) == 16


def test_key_of_one_token_has_its_rows(frame: pd.DataFrame, minilm: Encoder) -> None:
    expected = frame[frame["key"] == 2].reset_index(drop=True)
    for key in ("animal", 2, "2", ["animal"], ["animal", 2]):
        pd.testing.assert_frame_equal(attnprobe.weights(TEXT, minilm, key=key), expected)


def test_keys_add_up_to_one_row_of_each_query(frame: pd.DataFrame, minilm: Encoder) -> None:
    found = attnprobe.weights(TEXT, minilm, key=["didn't", "The", 2, "animal"])
    axes = ["layer", "head", "query", "query_token"]
    expected = frame[frame["key"].isin([1, 2, 3, 4, 5])].groupby(axes, sort=False)["weight"]
    assert set(zip(found["key"], found["key_token"], strict=True)) == {(1, "the + animal + didn + ' + t")}
    assert found["weight"].dtype == np.float32
    pd.testing.assert_frame_equal(found[axes], expected.sum().reset_index()[axes])
    exact = expected.apply(lambda weights: np.float32(weights.astype(float).sum()))
    np.testing.assert_array_equal(found["weight"], exact)


def test_sort_ranks_all_heads_and_top_then_counts_rows(frame: pd.DataFrame, minilm: Encoder) -> None:
    pairs = frame[(frame["query"] == 10) & (frame["key"] == 2)]
    expected = pairs.sort_values("weight", ascending=False, kind="stable").reset_index(drop=True)
    found = attnprobe.weights(TEXT, minilm, query="it", key="animal", sort="weight")
    pd.testing.assert_frame_equal(found, expected)
    first = attnprobe.weights(TEXT, minilm, query="it", key="animal", sort="weight", top=3, max_rows=3)
    pd.testing.assert_frame_equal(first, expected.head(3))
    every = attnprobe.weights(TEXT, minilm, sort="weight", top=5, max_rows=5)
    assert sorted(frame["weight"], reverse=True)[:5] == list(every["weight"])
    assert len(attnprobe.weights(TEXT, minilm, sort="weight", min_weight=0.5)) == (frame["weight"] >= 0.5).sum()


def test_keys_of_one_text_of_a_pair(minilm: Encoder) -> None:
    found = attnprobe.weights(**PAIR, encoder=minilm, direction="a-b", key="a", query="cat")
    assert set(zip(found["query_token"], found["key_token"], strict=True)) == {("cat", "a")}
    assert set(found["key"]) == {9}
    with pytest.raises(UsageError, match="the key 'sat' is not in the second text"):
        attnprobe.weights(**PAIR, encoder=minilm, direction="a-b", key="sat")
    with pytest.raises(UsageError, match="the list of keys is empty"):
        attnprobe.weights(**PAIR, encoder=minilm, key=[])


def test_min_weight(frame: pd.DataFrame, minilm: Encoder) -> None:
    found = attnprobe.weights(TEXT, minilm, min_weight=0.5)
    pd.testing.assert_frame_equal(found, frame[frame["weight"] >= 0.5].reset_index(drop=True))
    both = attnprobe.weights(TEXT, minilm, min_weight=0.2, top=1)
    assert (both.groupby(["layer", "head", "query"]).size() == 1).all()
    assert both["weight"].min() >= 0.2


def test_no_row_left_keeps_columns_and_types(frame: pd.DataFrame, minilm: Encoder) -> None:
    found = attnprobe.weights(TEXT, minilm, min_weight=1.0, layers=5)
    assert found.empty
    assert dict(found.dtypes.drop(["query_token", "key_token"])) == dict(
        frame.dtypes.drop(["query_token", "key_token"])
    )


@pytest.mark.parametrize(("direction", "first", "second"), [("a-b", 1, 2), ("b-a", 2, 1)])
def test_direction(minilm: Encoder, direction: str, first: int, second: int) -> None:
    every = attnprobe.weights(PAIR["text"], minilm, pair=PAIR["pair"])
    segments = np.array(minilm.tokenize(PAIR["text"], PAIR["pair"])[0].segments)
    expected = every[(segments[every["query"]] == first) & (segments[every["key"]] == second)]
    found = attnprobe.weights(PAIR["text"], minilm, pair=PAIR["pair"], direction=direction)
    assert len(found) == 72 * 25
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))
    query = "A" if direction == "a-b" else "a"
    one = attnprobe.weights(PAIR["text"], minilm, pair=PAIR["pair"], direction=direction, query=query)
    assert len(one) == 72 * 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "a-b"}, "needs two texts"),
        ({"direction": "up", "pair": "x"}, "a-b or b-a"),
        ({"direction": "a-b", "pair": "x", "query": "x"}, "'x' is not in the first text"),
        ({"top": 0}, "top must be at least 1"),
        ({"sort": "entropy"}, "sort must be weight"),
        ({"key": "cat"}, "no token or word 'cat'"),
        ({"min_weight": 1.5}, "from 0 to 1"),
        ({"level": "char"}, "level must be"),
        ({"layers": 6}, "no layer 6"),
    ],
)
def test_options_that_cannot_be_meant(minilm: Encoder, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        attnprobe.weights(TEXT, minilm, **options)


def test_too_many_rows_are_refused_before_the_model_runs(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the model ran")

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "observe", observe)
        with pytest.raises(UsageError, match=r"18,874,368 rows, about 0.8 GB of CSV; the limit is 10,000,000"):
            attnprobe.weights("word " * 510, minilm, max_length=512)
        with pytest.raises(UsageError, match="3,456 rows"):
            attnprobe.weights(TEXT, minilm, top=3, max_rows=3455)
    assert len(attnprobe.weights(TEXT, minilm, top=3, max_rows=3456)) == 3456


def test_too_many_rows_of_some_weight_are_refused(minilm: Encoder) -> None:
    count = len(attnprobe.weights(TEXT, minilm, min_weight=0.1))
    assert len(attnprobe.weights(TEXT, minilm, min_weight=0.1, max_rows=count)) == count
    with pytest.raises(UsageError, match=f"{count:,} rows"):
        attnprobe.weights(TEXT, minilm, min_weight=0.1, max_rows=count - 1)


def test_a_cut_text_is_said(minilm: Encoder) -> None:
    with pytest.warns(TruncationWarning, match="only the first 8 were read"):
        assert attnprobe.weights(TEXT, minilm, max_length=8, layers=0)["key"].max() == 7


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_rows_of_arrays_read_floats_in_the_digits_of_float32(numbers: list[float]) -> None:
    [column] = zip(*ArrayRows([np.array(numbers, dtype=np.float32)]), strict=True)
    assert [np.float32(cell) for cell in column] == numbers
    assert list(column) == [float(str(np.float32(number))) for number in numbers]


def test_rows_of_arrays_are_a_sequence() -> None:
    numbers = np.arange(2 * CHUNK + 3)
    rows = ArrayRows([numbers, np.array([f"t{number}" for number in numbers], dtype=object)])
    assert len(rows) == len(numbers)
    assert rows[0] == (0, "t0")
    assert rows[-1] == rows[len(numbers) - 1] == (2 * CHUNK + 2, f"t{2 * CHUNK + 2}")
    assert [row[0] for row in rows] == list(numbers)
    assert list(rows[CHUNK - 1 : CHUNK + 1]) == [(CHUNK - 1, f"t{CHUNK - 1}"), (CHUNK, f"t{CHUNK}")]
    with pytest.raises(IndexError):
        rows[len(numbers)]
