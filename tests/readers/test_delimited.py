"""CSV and TSV."""

import pytest

from attnprobe.errors import InputError, UsageError
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import bounds, read, reasons, texts


def test_rows_below_the_header_are_records() -> None:
    assert read(b"text,n\none,1\r\n\n   \ntwo,2", "csv") == [Record("2", "one"), Record("5", "two")]
    assert read(b"text\tn\none, and\t1\n", "tsv") == [Record("2", "one, and")]


def test_columns_asked_for() -> None:
    data = "\ufeffkey,a,b\n7,one,two\nx,é,猫\n".encode()
    assert read(data, "csv", text="a", id="key", pair="b") == [Record("7", "one", "two"), Record("x", "é", "猫")]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_quoted_newlines_are_data_and_records_start_on_their_line(chunk: int) -> None:
    data = b'text,n\r\n"a\r\nb\n\n""c"", \rd",1\r\ne,2\n"f\n",3\ng,4'
    with bounds(chunk=chunk):
        found = read(data, "csv")
    # a lone carriage return ends a line, as for open(newline="")
    assert found == [Record("2", 'a\r\nb\n\n"c", \rd'), Record("7", "e"), Record("8", "f\n"), Record("10", "g")]


def test_carriage_returns_alone_end_rows() -> None:
    assert read(b"text,n\ra,1\r\rb,2\r", "csv") == [Record("2", "a"), Record("4", "b")]
    assert read(b"text\ra\rb", "csv") == [Record("2", "a"), Record("3", "b")]
    assert reasons(read(b"text\ra\r\xff\rb", "csv")) == [
        (3, "byte 0xff at position 1 is not utf-8 (--encoding NAME if it is in another)")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-be", "utf-32", "cp037"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 8, 1000])
def test_line_numbers_of_any_newlines_in_any_chunks(encoding: str, chunk: int) -> None:
    data = "text\ra\r\nb\n\rc\r\r\nd\n\n\r\n\r\re\r"
    with bounds(chunk=chunk):
        found = read(data.encode(encoding), "csv", encoding=encoding)
    assert found == [Record("2", "a"), Record("3", "b"), Record("5", "c"), Record("7", "d"), Record("12", "e")]


def test_other_separators_are_data() -> None:
    special = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei"
    assert texts(read(f"text,n\n{special},1\n".encode(), "csv")) == [special]


def test_header_may_be_quoted_and_may_follow_blank_lines() -> None:
    assert read(b'\n  \n"my\ntext",n\na,1\n', "csv", text="my\ntext") == [Record("5", "a")]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"text\n", b"text,n\n\n"])
def test_no_rows(data: bytes) -> None:
    assert read(data, "csv") == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a", "1 cell where the header has 2"),
        (b"a,1,", "3 cells where the header has 2"),
        (b",1", "'text' is empty"),
        (b"  ,1", "'text' is blank"),
        (b'"",1', "'text' is empty"),
        (b"a\0b,1", "'text' holds a NUL character, at position 2"),
        (b"a\xff,1", "byte 0xff at position 2 is not utf-8 (--encoding NAME if it is in another)"),
        (b'"a"b,1', "',' expected after '\"'"),
        (b'"a" ,1', "',' expected after '\"'"),
        (b'"a\nb"c,1', "',' expected after '\"', up to line 4"),
        (b'"a\n\xff",1', "line 4: byte 0xff at position 1 is not utf-8 (--encoding NAME if it is in another)"),
        (b'"\xff\n",1', "byte 0xff at position 2 is not utf-8 (--encoding NAME if it is in another)"),
    ],
)
def test_bad_row_is_skipped(row: bytes, reason: str) -> None:
    found = read(b"text,n\ngood,1\n" + row + b"\ngood,2\n", "csv")
    last = str(4 + row.count(b"\n"))
    assert found == [Record("2", "good"), Skipped("-", 3, reason), Record(last, "good")]


def test_skipped_row_keeps_its_id() -> None:
    assert read(b"id,text\n7,\n,a\n", "csv", id="id") == [
        Skipped("-", 2, "'text' is empty", "7"),
        Skipped("-", 3, "'id' is empty"),
    ]


def test_row_of_one_blank_cell() -> None:
    """Where there is but one column, a line of spaces is a blank line, and a quoted nothing is an empty text."""
    assert read(b'text\n   \n""\n" "\na\n', "csv") == [
        Skipped("-", 3, "'text' is empty"),
        Skipped("-", 4, "'text' is blank"),
        Record("5", "a"),
    ]


def test_row_of_tabs_is_no_blank_line() -> None:
    assert reasons(read(b"text\tn\n\t\n", "tsv")) == [(2, "'text' is empty")]


def test_quote_that_is_not_closed() -> None:
    found = read(b'text,n\na,1\n"b,2\nc,3\nd,4\n', "csv")
    assert found == [Record("2", "a"), Skipped("-", 3, "a quote is not closed by the end of the file, line 5")]
    assert reasons(read(b'text,n\na,"1', "csv")) == [(2, "a quote is not closed by the end of the file, line 2")]


def test_quotes_within_a_cell_are_data() -> None:
    assert texts(read(b'text,n\nsay "a", 1\n5" wide,2\n', "csv")) == ['say "a"', '5" wide']


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_row_that_is_too_long_is_passed_over_to_its_end(chunk: int) -> None:
    """None of what it holds is taken for rows, though it looks like them."""
    rows = [b"text,n", b"a,1", b'"' + b"x\n" * 20 + b'b,2\n",3', b"c,4", b"y" * 50 + b",5", b"d,6"]
    rows += [
        b'e,"' + b"z" * 50,
        b'f,7"',
        b"g,8",
        b'"h',
        b"i" * 50,
        b'j,9",10',
        b'"k"",\n' + b"l" * 50 + b'""\n",11',
        b"m,12",
    ]
    with bounds(chunk=chunk, max_line=40):
        found = read(b"\n".join(rows), "csv")
    reason = "longer than 40 bytes"
    assert found == [
        Record("2", "a"),
        Skipped("-", 3, f"{reason}, up to line 24"),
        Record("25", "c"),
        Skipped("-", 26, reason),
        Record("27", "d"),
        Skipped("-", 28, f"{reason}, up to line 29"),
        Record("30", "g"),
        Skipped("-", 31, f"{reason}, up to line 33"),
        Skipped("-", 34, f"{reason}, up to line 36"),
        Record("37", "m"),
    ]


def test_quote_that_is_not_closed_is_not_held_in_memory() -> None:
    with bounds(max_line=40):
        found = read(b'text,n\na,1\n"b,2\n' + b"c,3\n" * 50, "csv")
    assert found == [Record("2", "a"), Skipped("-", 3, "longer than 40 bytes, up to line 53")]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [("body", 0), ("n,text", 1), ("document,review", 1), ("content,sentence,n", 1), ("Text,text", 1)],
)
def test_default_column(header: str, chosen: int) -> None:
    cells = ["no"] * len(header.split(","))
    cells[chosen] = "yes"
    assert texts(read(f"{header}\n{','.join(cells)}\n".encode(), "csv")) == ["yes"]


def test_default_column_is_none_that_is_asked_for_otherwise() -> None:
    assert read(b"text,body\n1,a\n", "csv", id="text") == [Record("1", "a")]
    assert read(b"a,b,text\n1,2,3\n", "csv", pair="a", id="b") == [Record("2", "3", "1")]


@pytest.mark.parametrize(
    ("header", "columns", "message", "hint"),
    [
        ("a,b", {}, "-: which column holds the text?", "--column NAME; columns: 'a', 'b'"),
        ("a,b", {"text": "c"}, "- has no column 'c'", "columns: 'a', 'b'"),
        ("a,b", {"text": "a", "id": "id"}, "- has no column 'id'", "columns: 'a', 'b'"),
        ("a,b", {"text": "a", "pair": "B"}, "- has no column 'B'", "columns: 'a', 'b'"),
        ("a,a", {"text": "a"}, "- has two columns 'a'", "columns: 'a', 'a'"),
        ("text,text", {}, "- has two columns 'text'", "columns: 'text', 'text'"),
    ],
)
def test_column_that_is_not_there(header: str, columns: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"{header}\n1,2\n".encode(), "csv", **columns)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_long_list_of_columns_is_cut() -> None:
    with pytest.raises(UsageError) as caught:
        read(",".join(f"c{number}" for number in range(100)).encode(), "csv")
    assert caught.value.hint.endswith("'c18', 'c19', ...")


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"te\xffxt\na\n", "byte 0xff at position 3"), (b'\n"text\na\n', "not closed"), (b'"a"b\nc\n', "expected after")],
)
def test_broken_header_ends_the_reading(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=f"-, line {1 + data.startswith(bytes([10]))}: no header: .*{why}"):
        read(data, "csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-be", "gb18030", "shift_jis"])
def test_encodings(encoding: str) -> None:
    found = read('text,n\n"猫\n",1\r\nの,2\n'.encode(encoding), "csv", encoding=encoding)
    assert found == [Record("2", "猫\n"), Record("4", "の")]


def test_bad_byte_does_not_eat_a_quote() -> None:
    """0x81 begins a character of two bytes; the quote after it is none's second half."""
    found = read(b'text,n\n"a\x81",1\nb,2\n', "csv", encoding="shift_jis")
    assert [line for line, _ in reasons(found)] == [2]
    assert found[-1] == Record("3", "b")
