"""Compression, broken files, closed files, bounded memory."""

import csv
import io
import itertools
import json
import random
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import zstandard

from attnprobe.readers.readers import READERS, read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Record, Skipped
from tests.readers.reading import PACK, bounds, everything, read, stdin, texts
from tests.readers.test_arrow import as_file, as_parquet

WANTED = [f"text {number} é\u2028猫" for number in range(1, 301)]


def as_csv(delimiter: str) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows([("n", "text"), *enumerate(WANTED)])
    return stream.getvalue().encode()


def sentence(text: str) -> str:
    return f"# text = {text}\n1\t{text}\t_\t_\t_\t_\t0\troot\t_\t_\n\n"


FORMATS: dict[str, Callable[[], bytes]] = {
    "txt": lambda: "\n".join(WANTED).encode(),
    "jsonl": lambda: "\n".join(json.dumps({"text": text}) for text in WANTED).encode(),
    "json": lambda: json.dumps([{"text": text} for text in WANTED], indent=1).encode(),
    "fasta": lambda: "".join(f">{number}\n{text}\n" for number, text in enumerate(WANTED)).encode(),
    "conllu": lambda: "".join(sentence(text) for text in WANTED).encode(),
    "csv": lambda: as_csv(","),
    "tsv": lambda: as_csv("\t"),
    "parquet": lambda: as_parquet(pyarrow.table({"text": WANTED})),
    "arrow": lambda: as_file(pyarrow.table({"text": WANTED})),
}


def test_every_format_is_here() -> None:
    assert {*FORMATS, "conllu-documents", "dataset"} == set(READERS)


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_in_every_packing(format: str, packing: str, tmp_path: Path) -> None:
    """From a file and from stdin, whatever the suffix says of the packing."""
    data = PACK[packing](FORMATS[format]())
    wanted = ["".join(text.split()) for text in WANTED] if format == "fasta" else WANTED
    assert texts(read(data, format)) == wanted
    for suffix in ("", ".gz"):
        path = tmp_path / f"a.{format}{suffix}"
        path.write_bytes(data)
        assert texts(list(read_records(find_sources([str(path)])))) == wanted


class Dripping(io.RawIOBase):
    """A pipe that hands over one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = iter(data)

    def read1(self, size: int = -1) -> bytes:
        return bytes(itertools.islice(self.data, 1))


@pytest.mark.parametrize("packing", PACK)
def test_slow_pipe(packing: str) -> None:
    with stdin(Dripping(PACK[packing](FORMATS["txt"]()))):
        assert texts(list(read_records(find_sources(["-"])))) == WANTED


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
@pytest.mark.parametrize("chunk", [1, 10, 100_000])
def test_packed_pieces_follow_each_other(packing: str, chunk: int) -> None:
    """As cat a.gz b.gz makes them; a line may run over two of them."""
    pack = PACK[packing]
    with bounds(chunk=chunk):
        assert texts(read(pack(b"one\ntw") + pack(b"") + pack(b"o\nthree\n"))) == ["one", "two", "three"]


def test_padding_after_gzip_and_skippable_frames_of_zstd() -> None:
    one, two = PACK["gzip"](b"one\n"), PACK["gzip"](b"two\n")
    assert texts(read(one + bytes(1000) + two + bytes(10))) == ["one", "two"]
    frame = bytes.fromhex("502a4d18 04000000 61626364")
    assert texts(read(PACK["zstd"](b"one\n") + frame + PACK["zstd"](b"two\n") + frame)) == ["one", "two"]


@pytest.mark.parametrize("packing", PACK)
def test_nothing_packed(packing: str) -> None:
    assert read(PACK[packing](b"")) == []


LINES = random.Random(0).randbytes(400_000).hex("\n", 50).encode()  # hardly to be compressed


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 4, 9, 30])
def test_cut_file(packing: str, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(PACK[packing](LINES)[:-cut])
    found, message = everything(read_records(find_sources([str(path)])))
    assert message == f"{path}: the {packing} data end too early, after line {len(found)}"
    assert [record.text for record in found if isinstance(record, Record)] == LINES.decode().split("\n")[: len(found)]


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_broken_file(packing: str) -> None:
    data = bytearray(PACK[packing](LINES))
    half = len(data) // 2
    data[half : half + 2000] = b"\xff" * 2000
    with stdin(io.BytesIO(data)):
        found, message = everything(read_records(find_sources(["-"])))
    assert message.startswith(f"-: the {packing} data are broken (")
    assert int(message.rpartition(", after line ")[2]) >= len(found) > 1000


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_something_else_after_packed_data(packing: str) -> None:
    with stdin(io.BytesIO(PACK[packing](b"one\ntwo\n") + b"rubbish")):
        found, message = everything(read_records(find_sources(["-"])))
    assert len(found) == 2
    assert message.startswith(f"-: the {packing} data are broken (")
    assert message.endswith("), after line 2")


def test_wrong_checksum() -> None:
    data = bytearray(PACK["gzip"](b"one\ntwo\n"))
    data[-8] ^= 1
    with stdin(io.BytesIO(data)):
        assert "incorrect data check" in everything(read_records(find_sources(["-"])))[1]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_broken_packing_of_other_formats(format: str) -> None:
    with stdin(io.BytesIO(PACK["gzip"](FORMATS[format]())[:-1])):
        assert "the gzip data end too early" in everything(read_records(find_sources(["-"], format)))[1]


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("format", FORMATS)
def test_file_is_closed_when_the_reading_is_dropped(format: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{format}"
    path.write_bytes(PACK[packing](FORMATS[format]()))
    with bounds(head=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = open_files()
        found = read_records(find_sources([str(path)]))
        assert open_files() == before  # the look at the first record is over
        next(found)
        assert len(open_files()) > len(before)
        del found
        assert open_files() == before
    assert caught == []


def open_files() -> list[str]:
    return sorted(link.name for link in Path("/proc/self/fd").iterdir() if link.exists())


class Endless(io.RawIOBase):
    """So many bytes, made while they are read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks

    def read1(self, size: int = -1) -> bytes:
        return next(self.blocks, b"")


def packed(blocks: Iterable[bytes], packer: Any) -> Iterator[bytes]:
    yield from filter(None, map(packer.compress, blocks))
    yield packer.flush()


def peak_of(blocks: Iterator[bytes], format: str, **options: Any) -> tuple[int, int, int]:
    """Good records, skipped ones, and the most memory held, in bytes."""
    counts = {Record: 0, Skipped: 0}
    with stdin(Endless(blocks)):
        tracemalloc.start()
        for found in read_records(find_sources(["-"], format), **options):
            counts[type(found)] += 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return counts[Record], counts[Skipped], peak


LINE = b'{"text": "' + b"x" * 900 + b'"}\n'
BLOCK = LINE * 70
COUNT = 100  # blocks, 6.4 MB


PACKERS = {"gzip": lambda: zlib.compressobj(wbits=31), "zstd": lambda: zstandard.ZstdCompressor().compressobj()}


@pytest.mark.parametrize(("format", "packing"), [("txt", ""), ("jsonl", ""), ("txt", "gzip"), ("jsonl", "zstd")])
def test_stream_does_not_enter_memory(format: str, packing: str) -> None:
    blocks = itertools.repeat(BLOCK, COUNT)
    blocks = packed(blocks, PACKERS[packing]()) if packing else blocks
    good, skipped, peak = peak_of(blocks, format, sample=10)
    assert (good, skipped) == (10, 0)
    assert peak < 1_500_000


def test_csv_does_not_enter_memory() -> None:
    blocks = itertools.chain([b"n,text\n"], itertools.repeat((b"1," + b"x" * 900 + b'\n2,"y\n\n"\n') * 70, 60))
    good, skipped, peak = peak_of(blocks, "csv")
    assert (good, skipped) == (2 * 70 * 60, 0)
    assert peak < 1_500_000


@pytest.mark.parametrize("format", ["txt", "jsonl", "csv"])
def test_line_without_end_does_not_enter_memory(format: str) -> None:
    start = {"txt": b"ok\n", "jsonl": b'"ok"\n', "csv": b"text\nok\n"}[format]
    with bounds(max_line=500_000):
        good, skipped, peak = peak_of(itertools.chain([start], itertools.repeat(b"x" * 100_000, 100)), format)
    assert (good, skipped) == (1, 1)
    assert peak < 2_000_000


def test_quote_without_end_does_not_enter_memory() -> None:
    blocks = itertools.chain([b'text\nok\n"'], itertools.repeat((b"x" * 900 + b"\n") * 70, COUNT))
    with bounds(max_line=200_000):
        good, skipped, peak = peak_of(blocks, "csv")
    assert (good, skipped) == (1, 1)
    assert peak < 3_000_000


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_bomb_does_not_enter_memory(packing: str) -> None:
    bomb = PACK[packing](bytes(100_000_000))
    with bounds(max_line=1_000_000):
        good, skipped, peak = peak_of(iter([bomb]), "txt")
    assert (good, skipped) == (0, 1)
    assert peak < 30_000_000
