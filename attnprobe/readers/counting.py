"""Counts the records of a source where that is cheap."""

from __future__ import annotations

from pathlib import Path

from attnprobe.readers.delimited import count_rows
from attnprobe.readers.source import Source
from attnprobe.readers.streams import compression

START = 2**16  # bytes that tell how lines end


def count_records(source: Source, encoding: str = "utf-8") -> int | None:
    """Counts the records, good and bad; None if that would take decompressing or parsing documents.

    Parquet files have the count in their metadata; plain text and JSON Lines have a record per line, CoNLL-U one per
    first word. CSV and TSV are read, since a cell may hold lines, which still takes far less time than measuring.
    """
    if source.path is None or source.once or source.path.is_dir():
        return None
    try:
        if compression(source.path):
            return None
        if source.format == "parquet":
            import pyarrow.parquet

            return int(pyarrow.parquet.read_metadata(source.path).num_rows)
        if source.format in ("txt", "jsonl") and encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii"):
            return _lines(source.path)
        if source.format == "conllu":
            return _sentences(source.path)
        if source.format in ("csv", "tsv"):
            return count_rows(source, encoding)
    except Exception:  # a broken file is reported when it is read
        return None
    return None


def _lines(path: Path) -> int | None:
    """Counts the lines that hold more than white space; None where they end in carriage returns or UTF-16."""
    with path.open("rb") as file:
        start = file.read(START)
        if b"\0" in start or (b"\r" in start and b"\n" not in start):
            return None
        file.seek(0)
        return sum(1 for line in file if line.strip())


def _sentences(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.startswith(b"1\t"))
