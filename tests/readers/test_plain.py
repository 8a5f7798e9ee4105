"""Plain text: what a line is, in every encoding, and what is wrong with it."""

import encodings.aliases
from pathlib import Path

import pytest

from attnprobe.errors import UsageError
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import bounds, read, reasons, texts

SPECIAL = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj"  # all of these end lines for str.splitlines


def test_each_line_is_a_record_with_its_number() -> None:
    assert read(b"one\ntwo\r\n\n \t \nfive") == [Record("1", "one"), Record("2", "two"), Record("5", "five")]


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b" \n\t\n", "\u2028\u3000\n".encode()])
def test_blank_lines_are_no_records(data: bytes) -> None:
    assert read(data) == []


def test_only_newlines_end_lines() -> None:
    assert texts(read(f"{SPECIAL}\n{SPECIAL}\r\n\r{SPECIAL}\r\r\n".encode())) == [SPECIAL, SPECIAL, f"\r{SPECIAL}\r"]


def test_spaces_are_kept() -> None:
    assert texts(read(b"  a b \t\n")) == ["  a b \t"]


def test_byte_order_mark_is_left_out_at_the_start_only() -> None:
    assert texts(read("\ufeffa\n\ufeffb\n".encode())) == ["a", "\ufeffb"]
    assert texts(read("\ufeffa\n".encode(), encoding="utf-8-sig")) == ["a"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "gb18030", "utf-7", "UTF_8_SIG"]
)
def test_unicode_encodings(encoding: str, chunk: int) -> None:
    """U+0A0A, U+0A00 and U+0D0A hold the newline's byte."""
    wanted = ["ਊ਀ഊ\U000a0a0a", SPECIAL, "é 猫 😀", "\u0a00"]
    with bounds(chunk=chunk):
        assert texts(read("\n".join(wanted).encode(encoding), encoding=encoding)) == wanted
        assert texts(read("\r\n".join([*wanted, ""]).encode(encoding), encoding=encoding)) == wanted


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("bits", ["16", "32"])
def test_byte_order_is_read_from_the_mark(bits: str, order: str) -> None:
    data = "\ufeffone\ntwo\n".encode(f"utf-{bits}-{order}")
    assert read(data, encoding=f"utf-{bits}") == [Record("1", "one"), Record("2", "two")]
    assert read(data, encoding=f"utf-{bits}-{order}") == [Record("1", "one"), Record("2", "two")]


def readable_encodings() -> list[str]:
    found = []
    for name in sorted(set(encodings.aliases.aliases.values())):
        try:
            read(b"", encoding=name)
        except UsageError:
            continue
        found.append(name)
    return found


def test_every_encoding_of_python_reads_back_what_it_wrote() -> None:
    names = readable_encodings()
    assert len(names) > 80
    for name in names:
        candidates = map(chr, [*range(32, 0x180), 0x0416, 0x05D0, 0x0E01, 0x3042, 0x4E00, 0xAC00, 0x20AC])
        able = "".join(letter for letter in candidates if read_back(letter, name) == letter)
        assert len(able) > 60, name
        assert texts(read(f"x{able}\n{able}x\n".encode(name), encoding=name)) == [f"x{able}", f"{able}x"], name


def read_back(letter: str, encoding: str) -> str:
    return letter.encode(encoding, "ignore").decode(encoding, "ignore")


@pytest.mark.parametrize(
    "encoding", ["klingon", "", "base64", "rot13", "a\0b", "\ud800", "idna", "iso2022_kr", "unicode_escape"]
)
def test_unusable_encoding_is_a_usage_error(encoding: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(b"a\n", encoding=encoding)
    assert repr(encoding) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "byte", "position"),
    [
        (b"caf\xe9", "e9", 4),
        (b"\xff", "ff", 1),
        (b"a\xed\xa0\x80", "ed", 2),  # half a surrogate pair
        (b"ab\xc0\xaf", "c0", 3),  # overlong
        (b"abc\xf0\x9f\x98", "f0", 4),  # cut
    ],
)
def test_bad_utf8_spoils_its_own_line(line: bytes, byte: str, position: int) -> None:
    reason = f"byte 0x{byte} at position {position} is not utf-8 (--encoding NAME if it is in another)"
    assert read(b"good\n" + line + b"\ngood\n") == [Record("1", "good"), Skipped("-", 2, reason), Record("3", "good")]


def test_position_counts_the_byte_order_mark() -> None:
    assert reasons(read(b"\xef\xbb\xbfa\xff\n"))[0][1].startswith("byte 0xff at position 5 ")


def test_utf16_read_as_utf8_is_pointed_out() -> None:
    found = read("one\ntwo\n".encode("utf-16"))
    assert reasons(found)[0] == (1, "byte 0xff at position 1 is not utf-8 (--encoding utf-16?)")
    assert len(reasons(found)) == len(found)


@pytest.mark.parametrize(
    ("encoding", "bad", "byte"),
    [
        ("ascii", b"\x80", "80"),
        ("cp1252", b"a\x81", "81"),
        ("shift_jis", b"\x81", "81"),
        ("gb18030", b"\xff", "ff"),
        ("utf-16-le", b"a\0\x00\xd8", "00"),
        ("utf-16-be", b"\xdc\x00", "dc"),
        ("utf-32-le", b"\xff\xff\xff\xff", "ff"),
    ],
)
def test_bad_bytes_of_other_encodings_spoil_their_own_line(encoding: str, bad: bytes, byte: str) -> None:
    newline = "\n".encode(encoding)
    found = read("good".encode(encoding) + newline + bad + newline + "good".encode(encoding), encoding=encoding)
    assert [record.id for record in found if isinstance(record, Record)] == ["1", "3"]
    ((line, reason),) = reasons(found)
    assert line == 2
    assert f"byte 0x{byte} " in reason
    assert f"is not {encoding} " in reason


def test_half_a_unit_at_the_end_spoils_the_last_line() -> None:
    assert [line for line, _ in reasons(read("a\nb\n".encode("utf-16-le") + b"c", encoding="utf-16-le"))] == [3]
    assert [line for line, _ in reasons(read("a\nb".encode("utf-16-le") + b"\0", encoding="utf-16-le"))] == [2]


def test_nul_is_refused() -> None:
    assert reasons(read(b"a\0b\n\0\nok\n")) == [
        (1, "'text' holds a NUL character, at position 2"),
        (2, "'text' holds a NUL character, at position 1"),
    ]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_line_that_is_too_long_is_passed_over(chunk: int) -> None:
    with bounds(chunk=chunk, max_line=10):
        found = read(b"123456789\n1234567890\nok\n" + b"x" * 50 + b"\r\n12345678\r\n" + b"y" * 11)
    assert found == [
        Record("1", "123456789"),
        Skipped("-", 2, "longer than 10 bytes"),
        Record("3", "ok"),
        Skipped("-", 4, "longer than 10 bytes"),
        Record("5", "12345678"),
        Skipped("-", 6, "longer than 10 bytes"),
    ]


def test_limit_counts_bytes_in_any_encoding() -> None:
    with bounds(max_line=10):
        assert texts(read("1234\n".encode("utf-16-le"), encoding="utf-16-le")) == ["1234"]
        assert reasons(read("12345\nok".encode("utf-16-le"), encoding="utf-16-le")) == [(1, "longer than 10 bytes")]


def test_plain_text_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="- is read as plain text, which has no columns"):
        read(b"a\n", text="text")
