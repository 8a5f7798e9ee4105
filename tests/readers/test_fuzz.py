"""Random bytes and broken files: nothing but our own errors, no good record lost, none twice, none made up.

ATTNPROBE_FUZZ is the number of examples, shared by the tests below.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnprobe.errors import AttnprobeError
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import PACK, bounds, read, reasons, stdin, texts

TESTS = 9
fuzz = settings(
    max_examples=max(1, int(os.environ.get("ATTNPROBE_FUZZ", "200")) // TESTS),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ENCODINGS = ("utf-8", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "gb18030", "shift_jis", "utf-7", "cp037")
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "gb18030")
TEXT_FORMATS = ("txt", "jsonl", "json", "csv", "tsv")
chunk_sizes = st.sampled_from([1, 2, 3, 7, 64, 10_000])
packings = st.sampled_from(["plain", "plain", "gzip", "zstd"])
newlines = st.sampled_from(["\n", "\r\n"])

# Everything that is a text: no half surrogate pairs (Cs), no NUL, not blank.
letters = st.one_of(
    st.sampled_from(" \t,;\"'\\\r\u2028\u2029\x85\x0b\x0c\x1c\x1e\ufeff\u0a0a{}[]:éß猫😀"),
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
)
any_text = st.text(letters, min_size=1, max_size=30).filter(str.strip)
line_text = any_text.map(lambda text: text.replace("\n", " ").rstrip("\r")).filter(str.strip)


def read_or_explain(data: bytes, format: str, encoding: str = "utf-8") -> tuple[list[Record | Skipped], str]:
    """What can be read, and the error that ended it, if one did."""
    found: list[Record | Skipped] = []
    try:
        with stdin(io.BytesIO(data)):
            found.extend(read_records(find_sources(["-"], format, tell=len), encoding=encoding))
    except AttnprobeError as error:
        return found, str(error)
    return found, ""


PIECES = [
    b"\n",
    b"\r",
    b'"',
    b",",
    b";",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b"\0",
    b"\xff",
    b'{"text":"a"}',
    b"text",
    b"\\u",
    b"\xef\xbb\xbf",
]
HEADS = [
    b"",
    b"",
    b"text,n\n",
    b"text;n\n",
    b"text\tn\n",
    b"[",
    b'{"data": [',
    b"\x1f\x8b\x08\0",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xfe",
]


@fuzz
@given(
    data=st.tuples(st.sampled_from(HEADS), st.binary(max_size=300) | st.lists(st.sampled_from(PIECES)).map(b"".join)),
    format=st.sampled_from(TEXT_FORMATS),
    encoding=st.sampled_from(ENCODINGS),
    chunk=chunk_sizes,
    longest=st.sampled_from([8, 40, 10_000]),
)
def test_random_bytes(data: tuple[bytes, bytes], format: str, encoding: str, chunk: int, longest: int) -> None:
    with bounds(chunk=chunk, max_line=longest):
        found, error = read_or_explain(b"".join(data), format, encoding)
    assert "\n" not in error
    ids = [int(record.id) for record in found if isinstance(record, Record)]
    assert ids == sorted(set(ids))
    lines = [int(item.id) if isinstance(item, Record) else item.line or 0 for item in found]
    assert lines == sorted(set(lines))
    assert all(record.text.strip() and "\0" not in record.text for record in found if isinstance(record, Record))
    assert all(len(record.text) <= longest for record in found if isinstance(record, Record))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, str]:
    """A valid file with some bytes changed, left out, or put in; packed before or after."""
    format = draw(st.sampled_from(TEXT_FORMATS))
    rows = draw(st.lists(st.tuples(st.integers(0, 99).map(str), any_text), max_size=8))
    data = {
        "txt": lambda: "\n".join(text for _, text in rows).encode(),
        "jsonl": lambda: "\n".join(json.dumps({"n": n, "text": text}) for n, text in rows).encode(),
        "json": lambda: json.dumps([{"n": n, "text": text} for n, text in rows]).encode(),
        "csv": lambda: as_csv([("n", "text"), *rows], ","),
        "tsv": lambda: as_csv([("n", "text"), *rows], "\t"),
    }[format]()
    pack = PACK[draw(packings)]
    early = draw(st.booleans())
    data = bytearray(pack(data) if early else data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3) | st.sampled_from([b'"', b"\n"]))
    return bytes(data) if early else pack(bytes(data)), format


def as_csv(rows: list[tuple[str, str]], delimiter: str) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    return stream.getvalue().encode()


@fuzz
@given(file=mutated(), chunk=chunk_sizes)
def test_mutated_files(file: tuple[bytes, str], chunk: int) -> None:
    data, format = file
    found, error = read_or_explain(data, format)
    with bounds(chunk=chunk):
        again, same_error = read_or_explain(data, format)
    assert bool(error) == bool(same_error)
    assert found == again or error  # how far it gets before an error depends on the chunks
    assert found[: len(again)] == again[: len(found)]


@dataclass(frozen=True)
class Part:
    """Some bytes of a file, and what must be found in them: a text, a word of the reason, or nothing."""

    data: bytes
    text: str | None = None
    reason: str | None = None
    lines: int = 1


def expected(parts: list[Part], start: int = 1) -> Iterator[tuple[int, str | None, str | None]]:
    """Line, text and word of the reason of each thing to be found."""
    for part in parts:
        if part.text is not None or part.reason is not None:
            yield start, part.text, part.reason
        start += part.lines


def check(found: list[Record | Skipped], parts: list[Part], start: int = 1) -> None:
    wanted = list(expected(parts, start))
    assert [(line, text) for line, text, reason in wanted if reason is None] == [
        (int(record.id), record.text) for record in found if isinstance(record, Record)
    ]
    skipped = [(line, reason) for line, _, reason in wanted if reason is not None]
    assert [line for line, _ in skipped] == [line for line, _ in reasons(found)]
    for (_, word), (_, reason) in zip(skipped, reasons(found), strict=True):
        assert word in reason
    order = [int(item.id) if isinstance(item, Record) else item.line for item in found]
    assert order == [line for line, _, _ in wanted]


LONGEST = 400
bad_utf8 = st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80", b"\xc0\x80", b"\x80"])
blank_parts = st.sampled_from(["", " ", "\t \x0b", "\u2028", "\r", " \u3000\r"]).map(lambda text: Part(text.encode()))
long_parts = st.integers(LONGEST + 1, 3 * LONGEST).map(lambda size: Part(b"x" * size, reason="longer than"))
bad_parts = st.builds(
    lambda a, bad, b: Part(a.encode() + bad + b"|" + b.encode(), reason="is not utf-8"), line_text, bad_utf8, line_text
)
nul_parts = line_text.map(lambda text: Part(f"\0{text}".encode(), reason="NUL"))
plain_parts = st.one_of(
    line_text.map(lambda text: Part(text.encode(), text)), bad_parts, nul_parts, blank_parts, long_parts
)  # fmt: skip


def joined(parts: list[Part], newline: str, mark: bool, ended: bool) -> bytes:
    data = newline.encode().join(part.data for part in parts)
    return b"\xef\xbb\xbf" * mark + data + newline.encode() * ended


layouts = st.tuples(newlines, st.booleans(), st.booleans())


def not_marked(parts: list[Part]) -> list[Part]:
    """Without a mark of its own on the first line, which would be taken for the file's."""
    return [Part(b""), *parts] if parts and parts[0].data.startswith(b"\xef\xbb\xbf") else parts


@fuzz
@given(parts=st.lists(plain_parts, max_size=12).map(not_marked), layout=layouts, chunk=chunk_sizes, packing=packings)
def test_plain_text_from_good_and_bad_lines(
    parts: list[Part], layout: tuple[str, bool, bool], chunk: int, packing: str
) -> None:
    with bounds(chunk=chunk, max_line=LONGEST):
        check(read(PACK[packing](joined(parts, *layout))), parts)


def dumped(value: object, ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii).encode()


halves = st.tuples(any_text, st.sampled_from(["\ud800", "\udfff"])).map("".join)
json_parts = st.one_of(
    st.builds(lambda text, ascii: Part(dumped({"n": 1, "text": text}, ascii), text), any_text, st.booleans()),
    st.builds(lambda text, ascii: Part(dumped({"text": text, "text2": "x"}, ascii), text), any_text, st.booleans()),
    any_text.map(lambda text: Part(dumped({"Text": text}, True), reason="no 'text'")),
    halves.map(lambda text: Part(dumped({"text": text}, True), reason="half a surrogate pair")),
    any_text.map(lambda text: Part(dumped({"text": f"{text}\0"}, False), reason="NUL")),
    any_text.map(lambda text: Part(dumped({"text": text}, True)[:-1], reason="broken JSON")),
    any_text.map(lambda text: Part(dumped({"text": text}, True) + b"]", reason="broken JSON")),
    st.sampled_from(["", " ", "\t\u2028"]).map(lambda text: Part(dumped({"text": text}, False), reason="'text' is")),
    st.sampled_from([None, 1, 0.5, True, [], {}]).map(
        lambda value: Part(dumped({"text": value}, True), reason="'text' is")
    ),
    st.sampled_from([None, 1, "x", True, []]).map(lambda value: Part(dumped(value, True), reason="not an object")),
    bad_utf8.map(lambda bad: Part(b'{"text": "a' + bad + b'"}', reason="is not utf-8")),
    st.integers(LONGEST, 2 * LONGEST).map(lambda size: Part(dumped({"text": "x" * size}, True), reason="longer")),
    blank_parts,
)


@fuzz
@given(parts=st.lists(json_parts, max_size=12), layout=layouts, chunk=chunk_sizes, packing=packings)
def test_json_lines_from_good_and_bad_lines(
    parts: list[Part], layout: tuple[str, bool, bool], chunk: int, packing: str
) -> None:
    parts = [Part(b'{"text": "a"}', "a"), *parts]
    with bounds(chunk=chunk, max_line=LONGEST):
        check(read(PACK[packing](joined(parts, *layout)), "jsonl", text="text"), parts)


def lines_in(data: bytes) -> int:
    """As open(newline="") counts them, for a row without its own newline."""
    return 1 + len(re.findall(rb"\r\n|\r|\n", data))


def row(text: str, quoted: bool, reason: str | None = None, more: str = ",1") -> Part:
    cell = '"' + text.replace('"', '""') + '"' if quoted or re.search('[",\r\n]', text) else text
    data = (cell + more).encode()
    return Part(data, None if reason else text, reason, lines_in(data))


def spoiled(text: str, bad: bytes) -> Part:
    data = row(text, True).data.replace(b'",1', bad + b'|",1')
    return Part(data, reason="is not utf-8", lines=lines_in(data))


def long_row(size: int, newline: bytes) -> Part:
    """Its inner lines look like rows."""
    data = b'"a' + newline + (b'good,1\n""good"",1' + newline) * size + b'",1'
    return Part(data, reason="longer than", lines=lines_in(data))


row_parts = st.one_of(
    st.builds(row, any_text, st.booleans()),
    st.builds(row, any_text, st.booleans(), st.just("3 cells where"), st.just(',1,"2"')),
    st.builds(row, any_text, st.booleans(), st.just("1 cell where"), st.just("")),
    st.builds(row, any_text, st.just(True), st.just("expected after"), st.just("x,1")),
    st.builds(row, st.sampled_from(["", " ", "\u2028", "\n"]), st.booleans(), st.just("'text' is")),
    st.builds(row, any_text.map(lambda text: f"{text}\0"), st.booleans(), st.just("NUL")),
    st.builds(spoiled, any_text, bad_utf8),
    st.builds(long_row, st.integers(LONGEST // 16, LONGEST // 4), st.sampled_from([b"\n", b"\r\n", b"\r"])),
    st.integers(LONGEST, 2 * LONGEST).map(lambda size: Part(b"x" * size + b",1", reason="longer than")),
    st.sampled_from(["", " ", "\t", "\u2028"]).map(lambda text: Part(text.encode())),
)


@fuzz
@given(
    parts=st.lists(row_parts, max_size=10),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    ended=st.booleans(),
    chunk=chunk_sizes,
    packing=packings,
)
def test_csv_from_good_and_bad_rows(
    parts: list[Part], newline: str, mark: bool, ended: bool, chunk: int, packing: str
) -> None:
    with bounds(chunk=chunk, max_line=LONGEST):
        data = joined([Part(b"text,n"), *parts], newline, mark, ended)
        check(read(PACK[packing](data), "csv", dialect={"quoting": "minimal"}), parts, 2)


@fuzz
@given(wanted=st.lists(line_text, max_size=8), encoding=st.sampled_from(UNICODE), newline=newlines, chunk=chunk_sizes)
def test_plain_text_reads_back(wanted: list[str], encoding: str, newline: str, chunk: int) -> None:
    data = newline.join(["first", *wanted, ""]).encode(encoding)
    with bounds(chunk=chunk):
        assert texts(read(data, encoding=encoding)) == ["first", *wanted]


@fuzz
@given(wanted=st.lists(any_text, max_size=8), encoding=st.sampled_from(UNICODE), ascii=st.booleans(), chunk=chunk_sizes)
def test_json_lines_read_back(wanted: list[str], encoding: str, ascii: bool, chunk: int) -> None:
    data = "".join(json.dumps({"id": text, "text": text}, ensure_ascii=ascii) + "\n" for text in wanted)
    with bounds(chunk=chunk):
        found = read(data.encode(encoding), "jsonl", encoding=encoding, id="id")
    assert found == [Record(text, text) for text in wanted]


@fuzz
@given(
    wanted=st.lists(st.tuples(any_text, any_text), max_size=8),
    encoding=st.sampled_from(UNICODE),
    format=st.sampled_from(["csv", "tsv"]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    chunk=chunk_sizes,
)
def test_csv_reads_back(wanted: list[tuple[str, str]], encoding: str, format: str, newline: str, chunk: int) -> None:
    stream = io.StringIO(newline="")
    delimiter = "," if format == "csv" else "\t"
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *wanted])
    with bounds(chunk=chunk):
        found = read(stream.getvalue().encode(encoding), format, encoding=encoding, id="id")
    assert found == [Record(*pair) for pair in wanted]


@fuzz
@given(packing=st.sampled_from(["gzip", "zstd"]), cut=st.integers(1, 250), more=st.binary(max_size=5))
def test_broken_packing_is_told_of(packing: str, cut: int, more: bytes) -> None:
    """What comes before the error is the start of what was packed, if nothing was put in its place."""
    wanted = [Record(str(number), f"line {number}") for number in range(1, 301)]
    packed = PACK[packing]("\n".join(record.text for record in wanted).encode())
    found, error = read_or_explain(packed[:-cut] + more, "txt")
    assert found == wanted[: len(found)] or more
    assert error or found == wanted
