"""Sources -> records: the table of readers, and how many of the records are taken."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Protocol

from attnprobe.errors import UsageError
from attnprobe.readers.lines import check_encoding
from attnprobe.readers.source import Source
from attnprobe.values.plugins import load
from attnprobe.values.records import Columns, Record, Skipped


class Reader(Protocol):
    """Reads one source. A record's id is the id column's value, else the format's own, else its line's number."""

    def __call__(self, source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]: ...


BUILT_IN = {
    "txt": "attnprobe.readers.plain:read_txt",
    "jsonl": "attnprobe.readers.jsonlines:read_jsonl",
    "json": "attnprobe.readers.jsondocument:read_json",
    "csv": "attnprobe.readers.delimited:read_csv",
    "tsv": "attnprobe.readers.delimited:read_tsv",
    "fasta": "attnprobe.readers.fasta:read_fasta",
    "conllu": "attnprobe.readers.conllu:read_conllu",
    "conllu-documents": "attnprobe.readers.conllu:read_documents",
    "parquet": "attnprobe.readers.arrow:read_parquet",
    "arrow": "attnprobe.readers.arrow:read_arrow",
    "dataset": "attnprobe.readers.hub:read_dataset",
}
BY_DEFAULT = Columns()
READERS: Mapping[str, str] = {entry.name: entry.value for entry in entry_points(group="attnprobe.readers")} | BUILT_IN


def get_reader(name: str) -> Reader:
    """Returns the reader of a format.

    Raises:
        UsageError: no reader has this format.
    """
    if name not in READERS:
        raise UsageError(f"no input format {name!r}", f"one of {' '.join(READERS)}")
    reader: Reader = load(READERS[name])
    return reader


def read_records(
    sources: Sequence[Source],
    columns: Columns = BY_DEFAULT,
    *,
    encoding: str = "utf-8",
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Iterator[Record | Skipped]:
    """Reads the records of all sources in their order, among them those that had to be skipped.

    Each source that can be read twice is read up to its first record at once, so that a wrong column or a broken
    file is found before anything is measured.

    Args:
        sources: as find_sources returns them.
        columns: the columns of text, id, pair and labels.
        encoding: of text files; a byte order mark at the start is left out.
        limit: how many good records to read at most.
        sample: how many of these to draw at random, with equal chances; they come in input order, after all skipped.
        seed: of the sample; the same seed gives the same sample.

    Raises:
        InputError: a source cannot be read; the message names the last line or row that could be.
        MissingExtraError: a package that reads such a source is not installed.
        UsageError: the encoding is unknown, limit or sample is below 1, or a column is missing.
    """
    check_encoding(encoding)
    for name, number in (("limit", limit), ("sample", sample)):
        if number is not None and number < 1:
            raise UsageError(f"{name} is {number}", "take 1 or more")
    for source in sources:
        if not source.once:
            next(get_reader(source.format)(source, columns, encoding), None)
    found = _first(_all(sources, columns, encoding), limit)
    return found if sample is None else sample_of(found, sample, random.Random(seed))


def _all(sources: Sequence[Source], columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    for source in sources:
        several = len(sources) > 1 and columns.id is None
        for found in get_reader(source.format)(source, columns, encoding):
            is_number = isinstance(found, Record) and found.id == str(found.line or found.id)
            yield replace(found, id=f"{source.name}:{found.id}") if several and is_number else found


def _first(found: Iterator[Record | Skipped], limit: int | None) -> Iterator[Record | Skipped]:
    """Yields records up to the last good one within the limit, and reads none beyond it."""
    good = 0
    for record in found:
        good += isinstance(record, Record)
        yield record
        if good == limit:
            return


def sample_of(found: Iterable[Record | Skipped], size: int, chance: random.Random) -> Iterator[Record | Skipped]:
    """Draws a sample with Vitter's algorithm R: after each record, all records so far are in it with equal chance."""
    chosen: list[tuple[int, Record]] = []
    good = 0
    for record in found:
        if isinstance(record, Skipped):
            yield record
            continue
        index = good if good < size else chance.randrange(good + 1)
        good += 1
        if index < size:
            chosen[index : index + 1] = [(good, record)]
    yield from (record for _, record in sorted(chosen, key=lambda numbered: numbered[0]))
