"""Counts the records of a source where that is cheap."""

from __future__ import annotations

import json
from pathlib import Path

from attnprobe.readers.source import Source
from attnprobe.readers.streams import compression


def count_records(source: Source, encoding: str = "utf-8") -> int | None:
    """Counts the records, good and bad, without reading them; None if that is impossible.

    Parquet files and datasets have the count in their metadata; plain text and JSON Lines have a record per line.
    """
    if source.path is None or source.once:
        return None
    try:
        if source.format == "dataset":
            return _of_dataset(source.path)
        if compression(source.path):
            return None
        if source.format == "parquet":
            import pyarrow.parquet

            return int(pyarrow.parquet.read_metadata(source.path).num_rows)
        if source.format in ("txt", "jsonl") and encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii"):
            return _lines(source.path)
    except Exception:  # a broken file is reported when it is read
        return None
    return None


def _of_dataset(folder: Path) -> int | None:
    splits = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8")).get("splits") or {}
    counts = [split.get("num_examples") for split in splits.values()]
    return counts[0] if len(counts) == 1 else None


def _lines(path: Path) -> int:
    """Counts the lines that hold more than white space."""
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())
