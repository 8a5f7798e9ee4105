"""FASTA."""

import pytest

from attnprobe.errors import UsageError
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import bounds, read

DATA = b">sp|P1|A human\nMKT\nAYI A\r\n\n>b\nMK*\n"


@pytest.mark.parametrize("chunk", [1, 4, 1000])
@pytest.mark.parametrize(
    "data", [DATA, b"\xef\xbb\xbf; a remark\n" + DATA, DATA.replace(b"\r\n", b"\n").replace(b"\n", b"\r")]
)
def test_sequences_are_joined_and_named_by_their_headers(data: bytes, chunk: int) -> None:
    with bounds(chunk=chunk):
        assert read(data, "fasta") == [Record("sp|P1|A", "MKTAYIA"), Record("b", "MK*")]


def test_bad_entries_are_skipped() -> None:
    with bounds(max_line=20):
        found = read(b"MKT\n>a\n>\nMK\xff\n>c\n" + b"M" * 15 + b"\n" + b"K" * 15 + b"\n>d e\nMK\n>\nMKT\n", "fasta")
    assert found == [
        Skipped("-", 1, "no header with > before it"),
        Skipped("-", 2, "'sequence' is empty", "a"),
        Skipped("-", 3, "line 4: byte 0xff at position 3 is not utf-8 (--encoding NAME if it is in another)", "3"),
        Skipped("-", 5, "longer than 20 bytes", "c"),
        Record("d", "MK"),
        Record("10", "MKT"),
    ]


def test_ids_are_left_as_they_are_where_there_are_several_files(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.fa").write_bytes(b">x\nMK\n>\nMK\n")
    (tmp_path / "b.faa").write_bytes(b">y\nMK\n")
    found = read_records(find_sources(["a.fa", "b.faa"]))
    assert [record.id for record in found if isinstance(record, Record)] == ["x", "a.fa:3", "y"]


def test_fasta_has_no_columns() -> None:
    with pytest.raises(UsageError, match="- is read as FASTA, which has no columns"):
        read(DATA, "fasta", text="sequence")
