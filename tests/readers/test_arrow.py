"""Parquet and Arrow files."""

import datetime
import decimal
import io
from collections.abc import Callable
from typing import Any

import pyarrow
import pytest
from pyarrow import feather, ipc, parquet

from attnprobe.errors import InputError, UsageError
from attnprobe.readers import arrow
from attnprobe.readers.readers import get_reader
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped
from tests.readers.reading import everything, read, reasons, stdin, texts

Write = Callable[[pyarrow.Table], bytes]


def as_parquet(table: pyarrow.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


def as_file(table: pyarrow.Table) -> bytes:
    stream = io.BytesIO()
    with ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


def as_stream(table: pyarrow.Table) -> bytes:
    stream = io.BytesIO()
    with ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


def as_feather(table: pyarrow.Table) -> bytes:
    stream = io.BytesIO()
    feather.write_feather(table, stream)
    return stream.getvalue()


FORMATS = [("parquet", as_parquet), ("arrow", as_file), ("arrow", as_stream), ("arrow", as_feather)]
every_format = pytest.mark.parametrize(("format", "write"), FORMATS, ids=["parquet", "file", "stream", "feather"])


@every_format
def test_rows_are_records(format: str, write: Write) -> None:
    table = pyarrow.table({"n": [1, 2, 3], "text": ["one", "é\n猫", "three"], "b": ["x", "y", "z"]})
    assert read(write(table), format) == [Record("1", "one"), Record("2", "é\n猫"), Record("3", "three")]
    assert read(write(table), format, text="b", id="n", pair="text") == [
        Record("1", "x", "one"),
        Record("2", "y", "é\n猫"),
        Record("3", "z", "three"),
    ]


@every_format
def test_bad_rows_are_skipped(format: str, write: Write) -> None:
    binary = pyarrow.array([b"good", None, b"", b" ", b"a\0", b"ab\xff", b"\xed\xa0\x80", b"good"], pyarrow.binary())
    found = read(write(pyarrow.table({"text": binary.view(pyarrow.string())})), format)
    assert found == [
        Record("1", "good"),
        Skipped("-", 2, "'text' is null"),
        Skipped("-", 3, "'text' is empty"),
        Skipped("-", 4, "'text' is blank"),
        Skipped("-", 5, "'text' holds a NUL character, at position 2"),
        Skipped("-", 6, "'text': byte 0xff at position 3 is not utf-8"),
        Skipped("-", 7, "'text': byte 0xed at position 1 is not utf-8"),
        Record("8", "good"),
    ]


@every_format
@pytest.mark.parametrize("type", ["string", "large_string", "string_view", "dictionary"])
def test_types_of_text(type: str, format: str, write: Write) -> None:
    array = pyarrow.array(["a", None, "b", "a"])
    typed = array.dictionary_encode() if type == "dictionary" else array.cast(getattr(pyarrow, type)())
    found = read(write(pyarrow.table({"text": typed, "n": [1, 2, 3, 4]})), format, id="n")
    assert found == [Record("1", "a"), Skipped("-", 2, "'text' is null", "2"), Record("3", "b"), Record("4", "a")]


def test_column_of_nulls() -> None:
    table = pyarrow.table({"text": pyarrow.nulls(2)})
    assert reasons(read(as_parquet(table), "parquet")) == [(1, "'text' is null"), (2, "'text' is null")]


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ("x", "x"),
        (7, "7"),
        (0.5, "0.5"),
        (decimal.Decimal("1.20"), "1.20"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3), "2024-02-29 01:02:03"),
    ],
)
def test_ids(value: object, id: str) -> None:
    table = pyarrow.table({"id": pyarrow.array([value]), "text": ["a"]})
    assert read(as_parquet(table), "parquet", id="id") == [Record(id, "a")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "'id' is null"),
        (True, "'id' is true or false, neither text nor a number"),
        (b"x", "'id' is binary, neither text nor a number"),
        ([1], "'id' is an array, neither text nor a number"),
        ({"a": 1}, "'id' is an object, neither text nor a number"),
    ],
)
def test_bad_ids(value: object, reason: str) -> None:
    table = pyarrow.table({"id": pyarrow.array([value]), "text": ["a"]})
    assert reasons(read(as_parquet(table), "parquet", id="id")) == [(1, reason)]


def test_time_that_python_cannot_hold_is_a_bad_id() -> None:
    table = pyarrow.table({"id": pyarrow.array([2**62], pyarrow.timestamp("s")), "text": ["a"]})
    ((row, reason),) = reasons(read(as_file(table), "arrow", id="id"))
    assert row == 1
    assert reason.startswith("'id': ")


@every_format
def test_column_that_is_not_text(format: str, write: Write) -> None:
    data = write(pyarrow.table({"text": ["a"], "n": [1]}))
    for columns in ({"text": "n"}, {"text": "text", "pair": "n"}):
        with pytest.raises(UsageError, match="-: column 'n' holds int64, not text"):
            read(data, format, **columns)


@every_format
def test_column_that_is_not_there(format: str, write: Write) -> None:
    data = write(pyarrow.table({"a": ["x"], "b": [1]}))
    with pytest.raises(UsageError, match="- has no column 'c'") as caught:
        read(data, format, id="c")
    assert caught.value.hint == "columns: 'a', 'b'"
    with pytest.raises(UsageError, match="which column holds the text"):
        read(data, format)


@every_format
def test_column_that_is_there_twice(format: str, write: Write) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 3, ["text", "x", "x"])
    assert texts(read(write(table), format)) == ["a"]
    with pytest.raises(UsageError, match="two columns 'x'"):
        read(write(table), format, text="x")


def test_index_of_pandas_is_no_candidate() -> None:
    table = pyarrow.table({"body": ["a"], "__index_level_0__": [7]})
    assert read(as_parquet(table), "parquet") == [Record("1", "a")]


def test_name_with_a_dot() -> None:
    assert texts(read(as_parquet(pyarrow.table({"a.b": ["x"], "a": ["y"]})), "parquet", text="a.b")) == ["x"]


@every_format
def test_no_rows(format: str, write: Write) -> None:
    assert read(write(pyarrow.table({"text": pyarrow.array([], pyarrow.string())})), format) == []


@every_format
def test_rows_are_counted_over_batches(format: str, write: Write) -> None:
    count = 2 * arrow.BATCH + 1
    found = read(write(pyarrow.table({"text": [f"t{row}" for row in range(1, count + 1)]})), format)
    assert found == [Record(str(row), f"t{row}") for row in range(1, count + 1)]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("data", [b"", b"PAR1", b"text\na\n", b"ARROW1\0\0", bytes(100)])
def test_other_file(format: str, data: bytes) -> None:
    with pytest.raises(InputError, match=f"^-: no {format.title()} file: "):
        read(data, format)


def test_parquet_that_is_broken_in_the_middle() -> None:
    table = pyarrow.table({"text": [f"text number {row}" for row in range(5000)]})
    data = bytearray(as_parquet(table, row_group_size=2048, compression="gzip", use_dictionary=False))
    start = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0).data_page_offset
    data[start + 100 : start + 200] = bytes(100)
    found, message = everything(reading(bytes(data), "parquet"))
    assert len(found) == 2048
    assert message.startswith("-: broken after row 2048: ")
    assert "\n" not in message


def test_arrow_stream_that_is_cut() -> None:
    data = as_stream(pyarrow.table({"text": ["a", "b", "c", "d"]}))
    with pytest.raises(InputError, match=r"^-: broken after row 2: "):
        list(reading(data[:-100], "arrow"))


def test_offsets_that_lead_out_of_memory() -> None:
    offsets = pyarrow.py_buffer(memoryview(bytearray(b"".join(n.to_bytes(4, "little") for n in (0, 1 << 30, 2)))))
    array = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, offsets, pyarrow.py_buffer(b"ab")])
    with pytest.raises(InputError, match=r"^f: broken: "):
        list(arrow.to_records([pyarrow.record_batch({"text": array})], Columns("text"), "f"))


def reading(data: bytes, format: str) -> Any:
    """The reader's iterator, without the look at the first record that read_records takes."""
    with stdin(io.BytesIO(data)):
        yield from get_reader(format)(Source("-", format, once=True), Columns(), "utf-8")


def test_one_large_row_group_does_not_enter_memory() -> None:
    column = pyarrow.array([f"{row:07d} {'x' * 500}" for row in range(40_000)])
    data = as_parquet(pyarrow.table({"text": column}), compression="none", use_dictionary=False)
    del column
    assert len(data) > 20_000_000
    before, most = pyarrow.total_allocated_bytes(), 0
    for number, _ in enumerate(reading(data, "parquet")):
        if number % 1000 == 0:
            most = max(most, pyarrow.total_allocated_bytes() - before)
    assert 0 < most < 6_000_000
