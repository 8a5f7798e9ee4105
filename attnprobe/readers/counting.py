"""How many records a source holds, where a cheap look tells."""

from __future__ import annotations

import json
from pathlib import Path

from attnprobe.readers.source import Source
from attnprobe.readers.streams import compression


def count_records(source: Source, encoding: str = "utf-8") -> int | None:
    """How many records there are, good and bad, without reading them; None: that takes reading them.

    Of Parquet files and datasets the metadata tell, of plain text and JSON Lines the line feeds.
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
    except Exception:  # what is wrong with a file is said when it is read
        return None
    return None


def _of_dataset(folder: Path) -> int | None:
    splits = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8")).get("splits") or {}
    counts = [split.get("num_examples") for split in splits.values()]
    return counts[0] if len(counts) == 1 else None


def _lines(path: Path) -> int:
    """Lines that hold more than white space."""
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())
