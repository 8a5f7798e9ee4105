"""CSV, TSV and text that are not written as their suffix says: read rightly and told of, or refused with a flag."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprobe.errors import InputWarning, UsageError
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import bounds, read, reasons, texts
from tests.readers.test_fuzz import any_text, fuzz, line_text

SEMICOLONS = b"id;text;label\r\n1;the cat, who sat;good\r\n2;the dog sat;bad\r\n"
GLUE = b'sentence\tlabel\n"the cat sat\t1\nthe dog sat\t0\nhe said hello"\t1\nshe said "hello" again\t0\n'
JOINED = b'sentence\tlabel\n"the cat sat\t1\nthe dog sat\t0\nhe said hello"\t1\n'
rows_of_two = st.lists(st.tuples(any_text, any_text), max_size=8)
heads = st.sampled_from([40, 200, 64 * 1024])


def written(rows: list[Any], delimiter: str, **options: Any) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, **options).writerows(rows)
    return stream.getvalue().encode()


def told(data: bytes, format: str = "csv", **options: Any) -> tuple[list[str], list[str]]:
    """Texts and notes."""
    notes: list[str] = []
    return texts(read(data, format, notes=notes, **options)), notes


def read_or_hint(data: bytes, format: str, **options: Any) -> tuple[list[Record | Skipped], str]:
    """What is read, or the hint of the question."""
    try:
        return read(data, format, **options), ""
    except UsageError as error:
        return [], error.hint


@fuzz
@given(
    wanted=rows_of_two,
    style=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_NONNUMERIC, "\r")]),
    head=heads,
)
def test_plain_csv_is_never_misjudged(wanted: list[tuple[str, str]], style: tuple[Any, str], head: int) -> None:
    data = written([("id", "text"), *wanted], ",", quoting=style[0], lineterminator=style[1])
    notes: list[str] = []
    with bounds(head=head):
        assert read(data, "csv", id="id", notes=notes) == [Record(*pair) for pair in wanted]
    assert notes == []


@fuzz
@given(wanted=st.lists(any_text, max_size=8), head=heads)
def test_plain_csv_of_one_column_is_never_misjudged(wanted: list[str], head: int) -> None:
    with bounds(head=head):
        assert told(written([["text"], *([text] for text in wanted)], ",")) == (wanted, [])


@fuzz
@given(
    wanted=rows_of_two, delimiter=st.sampled_from(";\t|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
)
def test_other_dialects_read_back(wanted: list[tuple[str, str]], delimiter: str, quoting: Any) -> None:
    """Without a flag where the file tells; a cell of several lines that look like rows is asked about, if with tabs."""
    data = written([("id", "text"), *wanted], delimiter, quoting=quoting)
    records = [Record(*pair) for pair in wanted]
    assert read(data, "csv", id="id", dialect={"delimiter": delimiter, "quoting": "minimal"}) == records
    notes: list[str] = []
    found, hint = read_or_hint(data, "csv", id="id", notes=notes)
    assert found == records or (delimiter == "\t" and hint.startswith("--quoting minimal"))
    assert hint or "its cells are separated by" in notes[0]


@fuzz
@given(wanted=st.lists(line_text.filter(lambda text: not set(text) & set("\t\r")), max_size=8))
def test_tsv_without_quoting_loses_nothing_without_a_word(wanted: list[str]) -> None:
    data = "".join(f"{text}\t1\n" for text in ["text", *wanted]).encode()
    assert texts(read(data, "tsv", text="text", dialect={"quoting": "none"})) == wanted
    notes: list[str] = []
    found, hint = read_or_hint(data, "tsv", text="text", notes=notes)
    assert len(found) == len(wanted) or reasons(found) or notes or "--quoting none" in hint


def test_semicolons() -> None:
    assert told(SEMICOLONS) == (
        ["the cat, who sat", "the dog sat"],
        ["-: its cells are separated by semicolons, not commas (--delimiter says otherwise)"],
    )
    assert told(SEMICOLONS, dialect={"delimiter": ";"})[1] == []
    assert texts(read(b"id\ttext\n1\ta;b\n", "csv")) == ["a;b"]
    assert texts(read(b"id,text\n1,a\n", "tsv")) == ["a"]
    assert texts(read(b"id|text\n1|a\n", "csv")) == ["a"]


def test_line_in_which_the_file_says_its_delimiter() -> None:
    found = read("\ufeffsep=;\r\ntext;n\r\na;1\r\n".encode(), "csv")
    assert found == [Record("3", "a")]
    assert told(b"sep=|\ntext|n\na;b|1\n", dialect={"delimiter": "|"}) == (["a;b"], [])


def test_decimal_commas_in_semicolon_files() -> None:
    assert texts(read(b"text;score\nfine;0,5\ngood;1,5\nbad;2\n", "csv")) == ["fine", "good", "bad"]


def test_rows_that_do_not_fit_are_listed_also_with_semicolons() -> None:
    found = read(SEMICOLONS + b"3;a;b;c\r\n", "csv")
    assert found[2:] == [Skipped("-", 4, "4 cells where the header has 3")]


@pytest.mark.parametrize(
    ("data", "question"),
    [
        (b"id;text|x\n1;a|b\n2;c|d\n", "do commas separate its cells, or semicolons or vertical bars"),
        (b"text; clean\na\nb\nc; d\n", "do commas separate its cells, or semicolons"),
    ],
)
def test_unclear_delimiter_is_asked_for(data: bytes, question: str) -> None:
    with pytest.raises(UsageError, match=question) as caught:
        read(data, "csv")
    assert caught.value.hint == "--delimiter TEXT"
    assert read(data, "csv", text=None, dialect={"delimiter": "tab", "header": False})


def test_semicolons_within_the_cells_of_a_plain_file() -> None:
    assert told(b"text,n\na;b,1\nc;d,2\n") == (["a;b", "c;d"], [])
    assert told(b"text\na; b\nc; d\n") == (["a; b", "c; d"], [])


def test_literal_quotes_of_tsv() -> None:
    wanted = ['"the cat sat', "the dog sat", 'he said hello"', 'she said "hello" again']
    assert told(GLUE, "tsv") == (
        wanted,
        ["-: quotes are read as text (--quoting minimal lets them enclose cells)"],
    )
    assert told(GLUE, "tsv", dialect={"quoting": "none"}) == (wanted, [])
    assert len(texts(read(GLUE, "tsv", dialect={"quoting": "minimal"}))) == 2
    assert texts(read(GLUE.replace(b"\t", b";"), "csv", dialect={"delimiter": ";", "quoting": "none"})) == wanted


def test_quote_that_opens_and_is_never_closed() -> None:
    lines = b"".join(b"text %d\t0\n" % number for number in range(8000))
    found, notes = told(b'text\tn\n"odd\t1\n5" wide\t0\n' + lines, "tsv")
    assert found[:2] == ['"odd', '5" wide']
    assert len(found) == 8002
    assert len(notes) == 1


def test_quotes_that_fit_both_ways_are_asked_about() -> None:
    for data, format in ((JOINED, "tsv"), (GLUE.replace(b"\t", b","), "csv")):
        with pytest.raises(UsageError, match="are lines 2 to 4 one row, as quotes enclose them, or one each") as caught:
            read(data, format)
    assert caught.value.hint == "--quoting minimal, or --quoting none if quotes are text"
    assert texts(read(JOINED, "tsv", dialect={"quoting": "minimal"})) == [
        "the cat sat\t1\nthe dog sat\t0\nhe said hello"
    ]
    assert len(texts(read(JOINED, "tsv", dialect={"quoting": "none"}))) == 3


def test_lines_that_quotes_join_behind_the_head_are_told_of() -> None:
    with bounds(head=40):
        found, notes = told(b"sentence\tlabel\n" + b"a\t1\n" * 20 + JOINED.partition(b"\n")[2], "tsv")
    assert len(found) == 21
    assert notes == [
        "-: lines 22 to 24 are read as one row, as quotes enclose them; --quoting none reads quotes as text"
    ]


def test_quoted_cells_of_several_lines_are_plain_in_csv_and_below_a_quoted_header() -> None:
    assert told(b'text,n\n"Good, no\nbad, yes",1\n') == (["Good, no\nbad, yes"], [])
    assert told(b'"text"\t"n"\n"a\t1\nb"\t"1"\n', "tsv") == (["a\t1\nb"], [])


def test_row_too_long_ends_with_its_line_where_quotes_are_text() -> None:
    with bounds(max_line=20):
        found = read(b'text\tn\n"' + b"x" * 30 + b"\t1\nb\t2\n", "tsv", dialect={"quoting": "none"})
    assert found == [Skipped("-", 2, "longer than 20 bytes"), Record("3", "b")]


def test_first_row_that_may_be_a_text_is_asked_about() -> None:
    for first in ("the cat sat on the mat", "It rained.", "今天天气很好。"):
        data = f"{first}\nthe dog sat\n".encode()
        with pytest.raises(UsageError, match="is its first row a header, or a text") as caught:
            read(data, "csv")
        assert caught.value.hint == "--header or --no-header"
        assert read(data, "csv", dialect={"header": False}) == [Record("1", first), Record("2", "the dog sat")]
        assert read(data, "csv", dialect={"header": True}) == [Record("2", "the dog sat")]


def test_first_row_of_a_few_words_is_told_of() -> None:
    assert told(b"hello there\ngood bye\n") == (
        ["good bye"],
        ["-: the first row, 'hello there', is read as the header (--no-header reads it as a text)"],
    )
    assert told(b"cat\ndog\n")[1]
    assert told(b"tweet\ngood bye\n") == (["good bye"], [])


def test_columns_without_names_have_numbers() -> None:
    data = b"1,the cat sat,good\n2,the dog sat,bad\n"
    found = read(data, "csv", text="2", id="1", dialect={"header": False})
    assert found == [Record("1", "the cat sat"), Record("2", "the dog sat")]
    with pytest.raises(UsageError, match="which column holds the text") as caught:
        read(data, "csv")
    assert caught.value.hint.endswith("columns: '1', 'the cat sat', 'good'; --no-header if these are no names")


def test_text_of_carriage_returns() -> None:
    note = "-: carriage returns end its lines, as it has no newlines"
    for encoding in ("utf-8", "utf-16", "cp037"):
        notes: list[str] = []
        found = read(
            "one ਊ\rtwo\r\rfour".replace("ਊ", "" if encoding == "cp037" else "ਊ").encode(encoding),
            notes=notes,
            encoding=encoding,
        )
        assert [(record.id, record.text[:3]) for record in found if isinstance(record, Record)] == [
            ("1", "one"),
            ("2", "two"),
            ("4", "fou"),
        ]
        assert notes == [note]
    assert told(b'{"text": "a"}\r{"text": "b"}\r', "jsonl") == (["a", "b"], [note])


def test_carriage_returns_beside_newlines_are_told_of() -> None:
    assert told(b"a\rb\nc\rd\n", "txt") == (
        ["a\rb", "c\rd"],
        ["-: carriage returns within lines, as in line 1, end no line"],
    )
    assert told(b"a\r\nb\r\n", "txt") == (["a", "b"], [])
    assert told(b"alone\r", "txt") == (["alone"], [])


def test_what_is_decided_is_a_warning_in_python(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(SEMICOLONS)
    with pytest.warns(InputWarning, match=r"a\.csv: its cells are separated by semicolons"):
        list(read_records(find_sources([str(path)])))


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\\n"])
def test_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(UsageError, match="the delimiter is one character"):
        find_sources(["-"], "csv", delimiter=delimiter)


def test_tab_may_be_spelled() -> None:
    for delimiter in ("tab", "\\t", "\t"):
        assert find_sources(["-"], "csv", delimiter=delimiter)[0].dialect.delimiter == "\t"


def test_flags_of_csv_are_for_csv() -> None:
    with pytest.raises(UsageError, match="delimiter, quoting and header are for CSV and TSV"):
        find_sources(["-"], "txt", header=False)
    with pytest.raises(UsageError, match="quoting must be minimal or none; got 'all'"):
        find_sources(["-"], "csv", quoting="all")
