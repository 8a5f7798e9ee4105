"""Rows -> bytes, one module per format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from attnprobe.errors import UsageError
from attnprobe.values.plugins import load

if TYPE_CHECKING:
    from attnprobe.values.table import Table


class Writer(Protocol):
    """Writes a table to a binary stream."""

    def __call__(self, table: Table, stream: IO[bytes]) -> None: ...


BUILT_IN = {
    "csv": "attnprobe.writers.delimited:write_csv",
    "tsv": "attnprobe.writers.delimited:write_tsv",
    "json": "attnprobe.writers.jsonlines:write_json",
    "jsonl": "attnprobe.writers.jsonlines:write_jsonl",
    "parquet": "attnprobe.writers.arrow:write_parquet",
    "markdown": "attnprobe.writers.markdown:write_markdown",
    "latex": "attnprobe.writers.latex:write_latex",
}
WRITERS: Mapping[str, str] = {entry.name: entry.value for entry in entry_points(group="attnprobe.writers")} | BUILT_IN
TENSORS = ("npz", "safetensors")  # of weights only
FIGURES = ("png", "svg", "pdf")
SELF_DESCRIBING = frozenset({"parquet", "html", *TENSORS, *FIGURES})  # their files hold the signature
SUFFIXES = {f".{name}": name for name in (*WRITERS, *TENSORS, *FIGURES, "html")} | {".md": "markdown", ".tex": "latex"}


def format_of(path: Path, formats: Collection[str] = WRITERS) -> str:
    """Returns the format that a file's suffix names.

    Raises:
        UsageError: none of the formats has this suffix.
    """
    known = {suffix: name for suffix, name in SUFFIXES.items() if name in formats}
    try:
        return known[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot tell the format of {str(path)!r} from its suffix", f"use one of {' '.join(known)}, or -f"
        ) from None


def get_writer(name: str) -> Writer:
    """Returns the writer of a format.

    Raises:
        UsageError: no writer has this format.
    """
    if name not in WRITERS:
        raise UsageError(f"no format {name!r}", f"one of {' '.join(WRITERS)}")
    writer: Writer = load(WRITERS[name])
    return writer
