"""Reads the tables that ``attnprobe corpus --summary FILE`` writes, in the formats that lose no digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attnprobe.errors import InputError, MissingExtraError, UsageError
from attnprobe.values.table import Cell, Table

COLUMNS = ("layer", "head", "metric", "mean", "n_texts")  # those that are read

Row = Mapping[str, Any]


def read_summary(path: Path) -> Table:
    """Reads the columns ``layer, head, metric, mean, n_texts`` of a summary, with its signature and the model's name.

    Raises:
        UsageError: the suffix is of no format that a summary is read from.
        InputError: the file cannot be opened, or is no such summary.
        MissingExtraError: pyarrow is not installed.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UsageError(f"no summary is read from {str(path)!r}", f"its suffix is one of {' '.join(READERS)}")
    try:
        rows, sign = read(path.read_bytes())
        cells = [_cells(row) for row in rows]
    except OSError as error:
        raise InputError(f"cannot open {str(path)!r}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise _no_summary(path) from error
    if not cells or len({row[:3] for row in cells}) < len(cells):
        raise _no_summary(path)
    sign = sign or _signature_beside(path)
    parts = dict(part.split(":", 1) for part in sign.split("|") if ":" in part)
    model = parts.get("model", path.name).split("@")[0]
    return Table(COLUMNS, cells, {"model": model}, sign=(lambda: sign) if sign else None)


def _no_summary(path: Path) -> InputError:
    return InputError(
        f"{str(path)!r} is no summary of head statistics: a row per layer, head and metric with mean and n_texts",
        "attnprobe corpus FILES --summary heads.csv makes one",
    )


def _cells(row: Row) -> tuple[Cell, ...]:
    """Checks a row.

    Raises:
        ValueError, KeyError, TypeError: it is no row of a summary.
    """
    layer, head, metric, mean, texts = (row[name] for name in COLUMNS)
    numbers = [None if number in (None, "") else int(number) for number in (layer, head)]
    if not isinstance(metric, str) or any(number is not None and number < 0 for number in numbers):
        raise ValueError("no row of a summary")
    return *numbers, metric, None if mean in (None, "") else float(mean), int(texts)


def _signature_beside(path: Path) -> str:
    """Reads the signature that a writer put into a file beside it; empty if there is none."""
    try:
        meta = json.loads(path.with_name(f"{path.name}.meta.json").read_bytes())
        return str(meta["signature"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _delimited(data: bytes, delimiter: str) -> tuple[Sequence[Row], str]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter, strict=True)), ""


def _lines(data: bytes) -> tuple[Sequence[Row], str]:
    return [json.loads(line) for line in data.splitlines()], ""


def _parquet(data: bytes) -> tuple[Sequence[Row], str]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    table = pyarrow.parquet.read_table(io.BytesIO(data))  # its errors are ValueErrors
    return table.to_pylist(), (table.schema.metadata or {}).get(b"attnprobe.signature", b"").decode()


READERS: Mapping[str, Callable[[bytes], tuple[Sequence[Row], str]]] = {
    ".csv": lambda data: _delimited(data, ","),
    ".tsv": lambda data: _delimited(data, "\t"),
    ".json": lambda data: (json.loads(data), ""),
    ".jsonl": _lines,
    ".parquet": _parquet,
}
