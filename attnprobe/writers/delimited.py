"""CSV and TSV: text quoted, numbers bare and in full precision, missing values empty, UTF-8, one line feed a row."""

from __future__ import annotations

import csv
import io
from typing import IO

from attnprobe.values.table import Table

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # characters that begin a formula in some spreadsheet


def inert(text: str) -> str:
    """Puts an apostrophe before a text that a spreadsheet would take for a formula.

    >>> inert("=1+1"), inert("1=1")
    ("'=1+1", '1=1')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def write_csv(table: Table, stream: IO[bytes]) -> None:
    """Writes comma-separated values, for ``pandas.read_csv(path, keep_default_na=False, na_values=[""])``."""
    _write(table, stream, ",")


def write_tsv(table: Table, stream: IO[bytes]) -> None:
    """Writes tab-separated values in the same dialect."""
    _write(table, stream, "\t")


def _write(table: Table, stream: IO[bytes], delimiter: str) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(table.columns)
    rows.writerows(table.rows)
    text.detach()
