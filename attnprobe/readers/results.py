"""Reads the rows of head statistics that ``attnprobe corpus`` writes, some texts at a time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.errors import InputError, MissingExtraError, UsageError
from attnprobe.values.arguments import shown

if TYPE_CHECKING:
    import pandas

LABELS = ("id", "layer", "head")
ROWS = 2**14  # read at a time
PACKED = (".gz", ".zst")
HINT = "attnprobe corpus FILES -o stats.csv makes one"

Frames = Callable[[Sequence[str] | None], Iterator["pandas.DataFrame"]]  # of these columns, or of all


@dataclass(frozen=True)
class HeadResults:
    """The rows of a result: a row per text, layer and head, a column per metric.

    Attributes:
        name: as messages show it.
        layers, heads, metrics: those that it has.
        manifest: what the run that made it says of it: ``signature``, ``input``, ``options``; empty if that is unknown.
        frames: reads the rows in pieces.
    """

    name: str
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    metrics: tuple[str, ...]
    manifest: Mapping[str, Any]
    frames: Frames

    @property
    def signature(self) -> Mapping[str, str]:
        """The parts of the signature by name."""
        pairs = str(self.manifest.get("signature", "")).split("|")
        return dict(pair.split(":", 1) for pair in pairs if ":" in pair)

    @property
    def size(self) -> int:
        """How many rows a text has."""
        return len(self.layers) * len(self.heads)

    def ids(self) -> list[str]:
        """Reads the ids of all texts."""
        ids: list[str] = []
        seen = 0
        with explained(self.name):
            for frame in self.frames(["id"]):
                ids += frame["id"].iloc[-seen % self.size :: self.size].tolist()
                seen += len(frame)
        return ids

    def texts(self, metrics: Sequence[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Reads ids and values (text, layer, head, metric) of some texts at a time.

        Raises:
            InputError: a text does not have a row for each layer and head, in their order.
        """
        import pandas

        labels = [(layer, head) for layer in self.layers for head in self.heads]
        rest = None
        with explained(self.name):
            for frame in self.frames([*LABELS, *metrics]):
                rows = frame if rest is None else pandas.concat([rest, frame], ignore_index=True)
                whole = len(rows) // self.size * self.size
                rest = rows.iloc[whole:]
                yield self._checked(rows.iloc[:whole], labels, metrics)
        if rest is not None and len(rest):
            raise self._broken(str(rest["id"].iloc[0]))

    def _checked(
        self, rows: pandas.DataFrame, labels: Sequence[tuple[int, int]], metrics: Sequence[str]
    ) -> tuple[list[str], np.ndarray]:
        ids = rows["id"].to_numpy(object).reshape(-1, self.size)
        found = rows[["layer", "head"]].to_numpy().reshape(-1, self.size, 2)
        right = (found == np.array(labels)).all((1, 2)) & (ids == ids[:, :1]).all(1)
        if not right.all():
            raise self._broken(str(ids[np.argmin(right)][0]))
        shape = len(ids), len(self.layers), len(self.heads), len(metrics)
        return ids[:, 0].tolist(), rows[list(metrics)].to_numpy(np.float32).astype(float).reshape(shape)

    def _broken(self, id: str) -> InputError:
        return InputError(f"{self.name}: the text {id!r} does not have a row for each layer and head", HINT)


def read_results(given: Any, name: str = "") -> HeadResults:
    """Opens a result of ``attnprobe corpus``: CSV, TSV, JSON Lines, also .gz or .zst, Parquet, or a DataFrame.

    Args:
        given: a file, or what ``corpus_stats(...).to_frame()`` returns.
        name: of a DataFrame, for messages.

    Raises:
        InputError: the file cannot be opened, or holds no such rows.
        UsageError: it is neither, or its suffix is of no format that a result has.
        MissingExtraError: pyarrow is not installed.
    """
    import pandas

    if isinstance(given, pandas.DataFrame):
        manifest: Mapping[str, Any] = {"signature": given.attrs.get("signature", "")}
        return _opened(name, manifest, lambda columns: iter([given if columns is None else given[list(columns)]]))
    if not isinstance(given, str | PathLike):
        raise UsageError(f"a result is a file, or a DataFrame of corpus_stats(...).to_frame(); got {shown(given)}")
    path = Path(given)
    if not path.is_file():
        reason = f"{str(path)!r} is a folder, and no result" if path.is_dir() else f"no file {str(path)!r}"
        raise UsageError(reason, "two models are compared on texts: name these, too, as attnprobe compare A B FILES")
    bare = path.with_suffix("") if path.suffix.lower() in PACKED else path
    read = READERS.get(bare.suffix.lower())
    if read is None or (read is _parquet and bare != path):
        raise UsageError(f"no result is read from {str(path)!r}", f"its suffix is one of {' '.join(READERS)}")
    with explained(str(path)):
        manifest = _parquet_manifest(path) if read is _parquet else _manifest_beside(path, bare)
        return _opened(str(path), manifest, partial(read, path))


def _opened(name: str, manifest: Mapping[str, Any], frames: Frames) -> HeadResults:
    """Reads the first text, whose rows tell layers, heads and metrics."""
    with explained(name):
        first = next((frame for frame in frames(None) if len(frame)), None)
        if first is None:
            raise InputError(f"{name} has no rows", HINT)
        metrics = [column for column in first.columns if column not in (*LABELS, "n_tokens")]
        if not metrics or not all(first[metric].dtype.kind in "fi" for metric in metrics) or "query" in metrics:
            raise ValueError("no metrics")
        again = (first[["layer", "head"]] == first[["layer", "head"]].iloc[0]).all(axis=1).to_numpy()[1:]
        rows = first.iloc[: int(np.argmax(again)) + 1 if again.any() else len(first)]
        layers, heads = (tuple(dict.fromkeys(map(int, rows[axis]))) for axis in ("layer", "head"))
    return HeadResults(name, layers, heads, tuple(metrics), manifest, frames)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what reading a file that is no result raises into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {name!r}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, zlib.error) as error:
        reason = f"{name!r} is no result of head statistics: a row per text, layer and head, a column per metric"
        raise InputError(reason, HINT) from error


def _delimited(path: Path, columns: Sequence[str] | None, delimiter: str = ",") -> Iterator[pandas.DataFrame]:
    import pandas

    names = list(pandas.read_csv(path, sep=delimiter, nrows=0).columns)
    numbers = [name for name in names if name not in (*LABELS, "n_tokens")]
    types = {**dict.fromkeys(numbers, float), "id": str, "layer": int, "head": int}
    how: dict[str, Any] = {
        "usecols": columns,
        "dtype": {name: kind for name, kind in types.items() if name in names},
        "keep_default_na": False,
        "na_values": {name: [""] for name in numbers},
    }
    with pandas.read_csv(path, sep=delimiter, chunksize=ROWS, **how) as frames:
        yield from frames


def _lines(path: Path, columns: Sequence[str] | None) -> Iterator[pandas.DataFrame]:
    import pandas

    with pandas.read_json(path, lines=True, chunksize=ROWS, dtype=False) as frames:
        for frame in frames:
            metrics = [name for name in frame.columns if name not in (*LABELS, "n_tokens")]
            frame = frame.astype({name: float for name in metrics if frame[name].isna().all()})
            yield frame if columns is None else frame[list(columns)]


def _parquet(path: Path, columns: Sequence[str] | None) -> Iterator[pandas.DataFrame]:
    with _pyarrow().parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=columns):
            yield batch.to_pandas()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return pyarrow


def _parquet_manifest(path: Path) -> Mapping[str, Any]:
    found = _pyarrow().parquet.read_schema(path).metadata or {}
    return _checked_manifest(found.get(b"attnprobe.manifest", b"{}"))


def _manifest_beside(path: Path, bare: Path) -> Mapping[str, Any]:
    """Reads the manifest that a run put into a file beside the rows; empty if there is none."""
    for name in (path.name, bare.name):
        beside = path.with_name(f"{name}.meta.json")
        if beside.is_file():
            return _checked_manifest(beside.read_bytes())
    return {}


def _checked_manifest(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("no manifest")
    return found


READERS: Mapping[str, Callable[[Path, Sequence[str] | None], Iterator[pandas.DataFrame]]] = {
    ".csv": _delimited,
    ".tsv": partial(_delimited, delimiter="\t"),
    ".jsonl": _lines,
    ".parquet": _parquet,
}
