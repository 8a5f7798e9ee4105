"""Lists of words, and labels beside them, from every format that can hold them."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest

from attnprobe.errors import UsageError
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Columns, Record, Skipped
from tests.readers.reading import read, reasons
from tests.readers.test_arrow import as_feather, as_parquet, as_stream

ROWS: list[dict[str, Any]] = [
    {"words": ["I", "ca", "n't"], "head": [2, 0, 2], "kind": {"genre": "talk", "odd": None}, "key": "x"},
    {"words": ["我", "昨天", "去", "了"], "head": [3, 3, 0, 3], "kind": {"genre": "web", "odd": 1.5}, "key": "é"},
    {"words": ["🐈‍⬛"], "head": [0], "kind": {"genre": "web", "odd": None}, "key": "z"},
]
FOUND = [
    Record("x", "I ca n't", words=("I", "ca", "n't"), labels={"head": [2, 0, 2], "kind": ROWS[0]["kind"]}),
    Record(
        "é", "我 昨天 去 了", words=("我", "昨天", "去", "了"), labels={"head": [3, 3, 0, 3], "kind": ROWS[1]["kind"]}
    ),
    Record("z", "🐈‍⬛", words=("🐈‍⬛",), labels={"head": [0], "kind": ROWS[2]["kind"]}),
]
Rows = Sequence[Mapping[str, Any]]


def as_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_document(rows: Rows) -> bytes:
    return json.dumps({"data": rows}, ensure_ascii=False).encode()


def table(rows: Rows) -> pyarrow.Table:
    return pyarrow.Table.from_pylist([dict(row) for row in rows])


def large_lists(rows: Rows) -> bytes:
    whole = table(rows)
    words = whole["words"].cast(pyarrow.large_list(pyarrow.large_string()))
    return as_stream(whole.set_column(whole.schema.get_field_index("words"), "words", words))


FORMATS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "jsonl": ("jsonl", as_lines),
    "json": ("json", as_document),
    "parquet": ("parquet", lambda rows: as_parquet(table(rows))),
    "feather": ("arrow", lambda rows: as_feather(table(rows))),
    "large lists": ("arrow", large_lists),
}
every_format = pytest.mark.parametrize(("format", "write"), FORMATS.values(), ids=FORMATS)


@every_format
def test_lists_of_words_and_labels_are_read(format: str, write: Callable[[Rows], bytes]) -> None:
    assert read(write(ROWS), format, text="words", id="key", labels=("head", "kind")) == FOUND


@every_format
def test_the_only_other_column_holds_the_words(format: str, write: Callable[[Rows], bytes]) -> None:
    assert read(write(ROWS), format, id="key", labels=("head", "kind")) == FOUND


@every_format
def test_pairs_of_words(format: str, write: Callable[[Rows], bytes]) -> None:
    rows = [{"text": ["do", "n't"], "b": ["zu", "dem"]}]
    found = (
        read(write(rows), format, pair="b") if format != "arrow" else read(as_feather(table(rows)), format, pair="b")
    )
    assert found == [Record("1", "do n't", "zu dem", words=("do", "n't"), pair_words=("zu", "dem"))]
    assert isinstance(found[0], Record)
    assert found[0].given == (("do", "n't"), ("zu", "dem"))


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_lists_that_are_no_words_in_a_typed_column(format: str) -> None:
    rows = [["a", "b"], [], None, ["a", None], ["a", " "], ["a\0"], ["good"]]
    whole = pyarrow.table({"text": pyarrow.array(rows, pyarrow.list_(pyarrow.string())), "n": [[1]] * len(rows)})
    write = as_parquet if format == "parquet" else as_stream
    found = read(write(whole), format)
    assert reasons(found) == [
        (2, "'text' is an empty list"),
        (3, "'text' is null"),
        (4, "'text': word 2 is null, not text"),
        (5, "'text': word 2 is blank"),
        (6, "'text': word 1 holds a NUL character, at position 2"),
    ]
    assert [found[0], found[-1]] == [Record("1", "a b", words=("a", "b")), Record("7", "good", words=("good",))]
    with pytest.raises(UsageError, match=r"column 'n' holds list<.*int64>, not text"):
        read(write(whole), format, text="n")


def test_texts_and_lists_of_words_in_one_file() -> None:
    found = read(as_lines([{"text": "can't"}, {"text": ["ca", "n't"]}, {"text": [["ca"]]}]), "jsonl")
    assert found[:2] == [Record("1", "can't"), Record("2", "ca n't", words=("ca", "n't"))]
    assert reasons(found) == [(3, "'text' is an array, not text")]


def test_words_of_a_saved_dataset(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "set"))
    datasets.enable_progress_bars()
    columns = Columns("words", "key", labels=("head", "kind"))
    assert list(read_records(find_sources([str(tmp_path / "set")]), columns)) == FOUND


# Labels


def test_labels_of_csv_are_its_cells() -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([["text", "kind", "n"], ["one", "", "3"], ["two", "b,c", "x"]])
    found = read(stream.getvalue().encode(), "csv", labels=("n", "kind"))
    assert found == [
        Record("2", "one", labels={"n": "3", "kind": ""}),
        Record("3", "two", labels={"n": "x", "kind": "b,c"}),
    ]


def test_labels_under_a_path_and_null() -> None:
    rows = [{"text": "a", "q": {"kind": None}}, {"text": "b", "q": {}}, {"text": "c", "q": {"kind": [True]}}]
    assert read(as_lines(rows), "jsonl", text="text", labels=("q.kind",)) == [
        Record("1", "a", labels={"q.kind": None}),
        Skipped("-", 2, "no 'q.kind'"),
        Record("3", "c", labels={"q.kind": [True]}),
    ]


def test_record_without_a_label_keeps_its_id() -> None:
    rows = [{"id": 1, "text": "a", "kind": 3}, {"id": 2, "text": "b"}]
    found = read(as_lines(rows), "jsonl", text="text", id="id", labels=("kind",))
    assert found == [Record("1", "a", labels={"kind": 3}), Skipped("-", 2, "no 'kind'", "2")]


@every_format
def test_label_that_is_not_there(format: str, write: Callable[[Rows], bytes]) -> None:
    with pytest.raises(UsageError, match=r"- has no column 'heads'|-: no record has 'heads'") as caught:
        read(write(ROWS), format, text="words", labels=("heads",))
    assert caught.value.hint.replace("'kind.genre', 'kind.odd'", "'kind'") == "columns: 'words', 'head', 'kind', 'key'"


@pytest.mark.parametrize("format", ["txt", "fasta"])
def test_formats_without_columns_have_no_labels(format: str) -> None:
    with pytest.raises(UsageError, match="has no columns"):
        read(b">a\nb\n", format, labels=("kind",))


def test_bare_strings_have_no_labels() -> None:
    assert reasons(read(as_lines(["one"]), "jsonl", labels=("kind",)))[0] == (1, "a string, not an object")


# Records


def test_record_of_words_alone() -> None:
    record = Record("1", words=["ca", "n't"], pair_words=["zu", "dem"])
    assert (record.text, record.pair, record.words, record.pair_words) == (
        "ca n't",
        "zu dem",
        ("ca", "n't"),
        ("zu", "dem"),
    )
    assert record.given == (("ca", "n't"), ("zu", "dem"))
    assert record == Record("1", "ca n't", "zu dem", words=("ca", "n't"), pair_words=("zu", "dem"))
    assert hash(record) == hash(Record("1", words=["ca", "n't"], pair_words=["zu", "dem"], labels={"a": [1]}))


def test_record_keeps_the_text_that_people_read() -> None:
    record = Record("1", "I can't.", words=["I", "ca", "n't", "."])
    assert (record.text, record.given) == ("I can't.", (("I", "ca", "n't", "."), None))
    assert Record("1", "I can't.").given == ("I can't.", None)


def test_words_that_are_one_text_are_refused() -> None:
    with pytest.raises(UsageError, match="the words of a record are a list; got 'cat'"):
        Record("1", words="cat")
