"""JSON in one document."""

import io
import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprobe.errors import InputError, UsageError
from attnprobe.readers.readers import get_reader
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped
from tests.readers.reading import PACK, bounds, everything, read, reasons, stdin, texts
from tests.readers.test_fuzz import any_text, chunk_sizes, fuzz, packings

WANTED = [Record("1", "one"), Record("2", "two")]
OBJECTS = [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        OBJECTS,
        ["one", "two"],
        {"data": OBJECTS},
        {"data": ["one", "two"]},
        {"version": "1.1, [", "meta": {"a": [1, {}]}, "labels": ["x", "y"], "rows": OBJECTS, "n": 2},
    ],
)
def test_elements_are_records_with_their_numbers(document: Any, indent: int | None) -> None:
    notes: list[str] = []
    assert read(json.dumps(document, indent=indent).encode(), "json", notes=notes) == WANTED
    assert notes == []


@pytest.mark.parametrize("data", [b"", b" \n", b"[]", b" [ ] ", b'{"data": []}', b'{"data": [], "n": 1}'])
def test_nothing_in_it(data: bytes) -> None:
    assert read(data, "json") == []


def test_one_object_is_a_record() -> None:
    assert read(b'{"text": "one", "tags": ["a", "b"]}', "json") == [Record("1", "one")]


@pytest.mark.parametrize("data", [b'{"text": "one"}\n\n{"text": "two"}', b'{\n"text": "one"}\n{\n"text": "two"\n}'])
def test_json_lines_under_the_wrong_suffix(data: bytes) -> None:
    notes: list[str] = []
    assert texts(read(data, "json", notes=notes)) == ["one", "two"]
    assert notes == ["-: objects one after the other are read, as in JSON Lines"]


def test_broken_line_of_json_lines_spoils_no_other() -> None:
    found = read(b'{"text": "one"}\n{"text": "x"\n{"text": "two"}\n', "json")
    assert [line for line, _ in reasons(found)] == [2]
    assert found[::2] == [Record("1", "one"), Record("3", "two")]


def test_second_array_of_objects_is_told_of() -> None:
    notes: list[str] = []
    found = read(json.dumps({"train": OBJECTS, "test": OBJECTS}).encode(), "json", notes=notes)
    assert found == WANTED
    assert notes == ["-: only what is under 'train' is read, not what is under 'test'"]


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b'{"text": }', "broken JSON: Expecting value at position 10"),
        (b'{"text": "a" "b"}', "broken JSON: Expecting ',' delimiter at position 14"),
        (b'{"text": "a"]', "broken JSON: Expecting ',' delimiter at position 13"),
        (b"", "broken JSON: Expecting value at position 1"),
        (b"[1, [2]]", "an array, not an object"),
        (b"null", "null, not an object"),
        (b"{}", "no 'text'"),
        (b'{"text": "\xff"}', "byte 0xff is not utf-8 (--encoding NAME if it is in another)"),
        (b'{"text": "\\ud800"}', "'text' holds half a surrogate pair, at position 1"),
        (b'{"text": "' + b"x, " * 30 + b'"}', "longer than 60 bytes"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_bad_element_is_skipped(element: bytes, reason: str, chunk: int) -> None:
    with bounds(max_line=60, chunk=chunk):
        found = read(b'[{"text": "good"},' + element + b', {"text": "good"}]', "json")
    assert found == [Record("1", "good"), Skipped("-", 2, reason), Record("3", "good")]


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (b"", "it ends too early"),
        (b', {"text": "b"', "it ends too early"),
        (b', "b', "it ends too early"),
        (b"}", "a bracket is closed by '}'"),
        (b"] []", "there is more after its end"),
        (b"] x", "there is more after its end"),
        (b"]]", "a bracket that is not open is closed"),
        (b', "' + b"x" * 100 + b'"]', "longer than 60 bytes without a comma"),
    ],
)
def test_broken_document_gives_what_comes_before(rest: bytes, why: str) -> None:
    with bounds(max_line=60), stdin(io.BytesIO(b'[{"text": "a"}, {"text": "b"}, {}' + rest)):
        reader = get_reader("json")(Source("-", "json", once=True), Columns(), "utf-8")
        found, message = everything(reader)
    assert found[:2] == [Record("1", "a"), Record("2", "b")]
    assert message == f"-: broken JSON: {why}"


@pytest.mark.parametrize("data", [b"text\n", b'"a"', b"1", b"\xff"])
def test_no_document(data: bytes) -> None:
    with pytest.raises(InputError, match="no JSON array or object at its start"):
        read(data, "json")


@fuzz
@given(
    wanted=st.lists(any_text, max_size=8),
    wrapped=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
    ascii=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be", "gb18030"]),
    chunk=chunk_sizes,
    packing=packings,
)
def test_documents_read_back(
    wanted: list[str], wrapped: bool, indent: int | None, ascii: bool, encoding: str, chunk: int, packing: str
) -> None:
    rows = [{"id": text, "inner": {"a.b": [text], "text": text}} for text in wanted]
    document = {"version": wanted, "data": rows} if wrapped else rows
    data = PACK[packing](json.dumps(document, indent=indent, ensure_ascii=ascii).encode(encoding))
    with bounds(chunk=chunk):
        found = read(data, "json", encoding=encoding, id="id", text="inner.text")
    assert found == [Record(text, text) for text in wanted]


def test_encoding_in_which_a_comma_is_no_comma() -> None:
    with pytest.raises(UsageError, match="JSON in 'iso2022_jp' cannot be read"):
        read(b"[]", "json", encoding="iso2022_jp")


def test_one_line_larger_than_memory_allows() -> None:
    """12 MB in one line; no more than a few pieces of it are held."""
    data = b"[" + b",".join([b'{"n": 1, "text": "%s"}' % (b"word " * 120)] * 20_000) + b"]"
    with bounds(chunk=10_000), stdin(io.BytesIO(data)):
        reader = get_reader("json")(Source("-", "json", once=True), Columns(), "utf-8")
        tracemalloc.start()
        try:
            found = sum(isinstance(record, Record) for record in itertools.islice(reader, 3000))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()
    assert found == 3000
