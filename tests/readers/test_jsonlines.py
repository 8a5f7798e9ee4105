"""JSON Lines."""

import json

import pytest

from attnprobe.errors import UsageError
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import bounds, read, reasons, texts


def jsonl(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_objects_are_records() -> None:
    data = b'{"text": "one", "n": 1}\r\n\n  \n{"n": NaN, "text": "\\u00e9\\u2028\\ud83d\\ude00\\n"}'
    assert read(data, "jsonl") == [Record("1", "one"), Record("4", "é\u2028😀\n")]


def test_columns_asked_for() -> None:
    data = jsonl({"key": "x", "a": "one", "b": "two", "text": "no"}, {"key": 7, "a": "é", "b": "猫"})
    found = read(data, "jsonl", text="a", id="key", pair="b")
    assert found == [Record("x", "one", "two"), Record("7", "é", "猫")]


def test_numbers_are_good_ids() -> None:
    data = jsonl(*({"id": number, "text": "a"} for number in (0, -3, 1.5, 10**30, " x ")))
    assert [record.id for record in read(data, "jsonl", id="id")] == ["0", "-3", "1.5", str(10**30), " x "]


def test_bare_strings_are_texts() -> None:
    assert read(jsonl("one", "two"), "jsonl") == [Record("1", "one"), Record("2", "two")]
    assert reasons(read(jsonl("one"), "jsonl", text="text")) == [(1, "a string, not an object")]
    assert reasons(read(jsonl("one"), "jsonl", id="id")) == [(1, "a string, not an object")]
    assert reasons(read(jsonl("", "\ud800"), "jsonl")) == [
        (1, "'text' is empty"),
        (2, "'text' holds half a surrogate pair, at position 1"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "broken JSON: Expecting property name enclosed in double quotes at position 2"),
        (b'{"text": "a"} x', "broken JSON: Extra data at position 15"),
        (b'{"text": "a\tb"}', "broken JSON: Invalid control character at position 12"),
        (b"\xef\xbb\xbf{}", "broken JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at position 1"),
        (b"[" * 100_000, "broken JSON: nested too deeply"),
        (b'{"text": "\xff"}', "byte 0xff at position 11 is not utf-8 (--encoding NAME if it is in another)"),
        (b"[1]", "an array, not an object"),
        (b"null", "null, not an object"),
        (b"true", "true or false, not an object"),
        (b"1.5", "a number, not an object"),
        (b"{}", "no 'text'"),
        (b'{"Text": "a"}', "no 'text'"),
        (b'{"text": null}', "'text' is null"),
        (b'{"text": NaN}', "'text' is null"),
        (b'{"text": 3}', "'text' is a number, not text"),
        (b'{"text": false}', "'text' is true or false, not text"),
        (b'{"text": [1]}', "'text' is an array, not text"),
        (b'{"text": [["a"]]}', "'text' is an array, not text"),
        (b'{"text": []}', "'text' is an empty list"),
        (b'{"text": ["a", 1]}', "'text': word 2 is a number, not text"),
        (b'{"text": [null, "a"]}', "'text': word 1 is null, not text"),
        (b'{"text": ["a", ""]}', "'text': word 2 is empty"),
        (b'{"text": ["a", "\\u3000"]}', "'text': word 2 is blank"),
        (b'{"text": ["a", "b\\u0000"]}', "'text': word 2 holds a NUL character, at position 2"),
        (b'{"text": ["a", "\\udc00"]}', "'text': word 2 holds half a surrogate pair, at position 1"),
        (b'{"text": {"a": 1}}', "'text' is an object, not text"),
        (b'{"text": ""}', "'text' is empty"),
        (b'{"text": " \\u2028\\t"}', "'text' is blank"),
        (b'{"text": "a\\u0000"}', "'text' holds a NUL character, at position 2"),
        (b'{"text": "ab\\ud800c"}', "'text' holds half a surrogate pair, at position 3"),
        (b'{"text": "\\udc00\\ud800"}', "'text' holds half a surrogate pair, at position 1"),
    ],
)
def test_bad_line_is_skipped(line: bytes, reason: str) -> None:
    found = read(b'{"text": "good"}\n' + line + b'\n{"text": "good"}\n', "jsonl")
    assert found == [Record("1", "good"), Skipped("-", 2, reason), Record("3", "good")]


def test_integer_beyond_python() -> None:
    ((line, reason),) = reasons(read(b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n", "jsonl"))
    assert line == 1
    assert reason.startswith("a number that is too long: ")


@pytest.mark.parametrize(
    ("values", "reason", "id"),
    [
        ({"text": "a", "b": "c"}, "no 'id'", None),
        ({"id": None, "text": "a", "b": "c"}, "'id' is null", None),
        ({"id": True, "text": "a", "b": "c"}, "'id' is true or false, neither text nor a number", None),
        ({"id": [1], "text": "a", "b": "c"}, "'id' is an array, neither text nor a number", None),
        ({"id": "", "text": "a", "b": "c"}, "'id' is empty", None),
        ({"id": "\ud800", "text": "a", "b": "c"}, "'id' holds half a surrogate pair, at position 1", None),
        ({"id": 5, "text": "a"}, "no 'b'", "5"),
        ({"id": 5, "text": "a", "b": ""}, "'b' is empty", "5"),
        ({"id": 5, "text": "a", "b": 1}, "'b' is a number, not text", "5"),
        ({"id": 5, "b": "c"}, "no 'text'", "5"),
    ],
)
def test_skipped_record_keeps_its_id(values: object, reason: str, id: str | None) -> None:
    good = {"id": 0, "text": "a", "b": "c"}
    found = read(jsonl(good, values), "jsonl", text="text", id="id", pair="b")
    assert found == [Record("0", "a", "c"), Skipped("-", 2, reason, id)]


@pytest.mark.parametrize(
    ("first", "chosen"),
    [
        ({"body": "yes"}, "body"),
        ({"n": 1, "document": "no", "review": "yes"}, "review"),
        ({"content": "no", "sentence": "yes", "Text": "no"}, "sentence"),
        ({"sentence": "no", "text": "yes"}, "text"),
    ],
)
def test_default_column(first: dict[str, object], chosen: str) -> None:
    found = read(jsonl(first, {chosen: "also", "x": "y"}, {"text2": "a"}), "jsonl")
    assert found == [Record("1", "yes"), Record("2", "also"), Skipped("-", 3, f"no {chosen!r}")]


def test_default_column_is_none_that_is_asked_for_otherwise() -> None:
    assert read(jsonl({"text": 1, "body": "a"}), "jsonl", id="text") == [Record("1", "a")]
    assert reasons(read(jsonl({"id": 1}, {"id": 2, "body": "a"}), "jsonl", id="id")) == [(1, "no text")]


def test_object_that_cannot_tell_does_not_decide() -> None:
    found = read(jsonl({}, {"id": 1}, [], {"id": 2, "text": "a"}), "jsonl")
    assert reasons(found) == [(1, "no text"), (2, "'id' is a number, not text"), (3, "an array, not an object")]
    assert found[-1] == Record("4", "a")


def test_no_telling_which_key_holds_the_text() -> None:
    with pytest.raises(UsageError, match="-: which column holds the text") as caught:
        read(jsonl({"a": "x", "b\x1b": "y"}), "jsonl")
    assert caught.value.hint == "--column NAME; columns: 'a', 'b\\x1b'"


def test_encoding_and_limit_on_length() -> None:
    data = '{"text": "ਊ"}\n{"text": "b"}\n'
    assert texts(read(data.encode("utf-16"), "jsonl", encoding="utf-16")) == ["ਊ", "b"]
    with bounds(max_line=20):
        assert reasons(read(jsonl({"text": "a"}, {"text": "a" * 20}), "jsonl")) == [(2, "longer than 20 bytes")]


def test_keys_within_objects() -> None:
    values = [
        {"q": {"text": "one", "n": 1}},
        {"q.text": "two", "q": {"n": 2}},
        {"q": "x"},
        {"q": {"text": None, "n": 3}},
    ]
    assert read(jsonl(*values), "jsonl", text="q.text", id="q.n") == [
        Record("1", "one"),
        Record("2", "two"),
        Skipped("-", 3, "no 'q.n'"),
        Skipped("-", 4, "'q.text' is null", "3"),
    ]


@pytest.mark.parametrize("column", [{"text": "boddy"}, {"text": "body", "id": "n.z"}, {"text": "body", "pair": "q.x"}])
def test_key_that_no_record_has(column: dict[str, str]) -> None:
    data = jsonl({"body": "a", "q": {"text": "b", "n": 1}}, "x", {"body": "c", "tag": []})
    with pytest.raises(UsageError, match=r"^-: no record has '(boddy|n\.z|q\.x)'") as caught:
        read(data, "jsonl", **column)
    assert caught.value.hint == "columns: 'body', 'q.text', 'q.n', 'tag'"


def test_key_that_only_the_last_record_has() -> None:
    found = read(jsonl(*[{"a": "x"}] * 3000, {"b": "y"}), "jsonl", text="b")
    assert reasons(found) == [(line, "no 'b'") for line in range(1, 3001)]
    assert found[-1] == Record("3001", "y")
