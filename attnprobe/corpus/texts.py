"""Texts in memory -> records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from attnprobe.corpus.chunks import Item
from attnprobe.errors import UsageError
from attnprobe.readers.readers import BY_DEFAULT, read_records
from attnprobe.readers.sources import NONE, find_sources
from attnprobe.values.arguments import check_column, shown
from attnprobe.values.records import Columns, Given, Record, Skipped

Texts = Path | Iterable[Given | Record | Skipped | Path]

MISSING = object()


def check_columns(texts: Any, ids: Any, pairs: Any) -> None:
    """Checks that texts, ids and pairs are columns, of equal length if their lengths are known.

    Raises:
        UsageError: a value is no column, or the lengths differ.
    """
    if isinstance(texts, Path):
        texts = [texts]
    if isinstance(texts, str):
        raise UsageError(f"texts must be a list, or another iterable; got {shown(texts)}; one text: head_stats")
    check_column("texts", texts)
    for name, values in (("ids", ids), ("pairs", pairs)):
        if values is None:
            continue
        check_column(name, values)
        if isinstance(texts, Sized) and isinstance(values, Sized) and len(values) != len(texts):
            raise UsageError(f"there are {len(values)} {name} for {len(texts)} texts")


def check_files(name: str, texts: Any) -> None:
    """Checks that what a further section is given are files or records.

    Args:
        name: of the section.

    Raises:
        UsageError: it is neither, such as the name of a file.
    """
    try:
        check_column(name, [] if isinstance(texts, Path) else texts)
    except UsageError:
        wanted = f"{name} must be a Path, or a list of Paths or records; got {shown(texts)}"
        raise UsageError(wanted, f"from pathlib import Path; {name}=Path(...)") from None


def to_records(
    texts: Texts,
    ids: Iterable[object] | None,
    pairs: Iterable[Given] | None,
    columns: Columns = BY_DEFAULT,
    instead: Mapping[str, str] = NONE,
) -> Iterator[Item]:
    """Makes records of texts with their ids and pairs; passes records on, and reads those of files.

    Args:
        columns, instead: of files, see :func:`attnprobe.read_records` and :func:`attnprobe.find_sources`.

    Raises:
        UsageError: the lengths differ, or ids or pairs are given beside records or files.
        InputError: a file cannot be read.
    """
    beside = {name: iter(values) for name, values in (("ids", ids), ("pairs", pairs)) if values is not None}
    number = 0
    for number, text in enumerate(_read([texts] if isinstance(texts, Path) else texts, columns, instead), start=1):
        if isinstance(text, Record | Skipped):
            if beside:
                raise UsageError(f"{' and '.join(beside)} are for texts alone; a record brings its own")
            yield _usable(text) if isinstance(text, Record) else text
            continue
        given: dict[str, Any] = {name: next(values, MISSING) for name, values in beside.items()}
        for name, value in given.items():
            if value is MISSING:
                raise UsageError(f"there are more texts than {name}, of which there are {number - 1}")
        yield _usable(_record(str(given.get("ids", number)), text, given.get("pairs"), number))
    for name, values in beside.items():
        if next(values, MISSING) is not MISSING:
            raise UsageError(f"there are more {name} than texts, of which there are {number}")


def _read(
    texts: Iterable[Given | Record | Skipped | Path], columns: Columns, instead: Mapping[str, str]
) -> Iterator[Given | Record | Skipped]:
    """Passes texts and records on, and reads the records of files, those that follow each other together."""
    of_files = partial(_of_files, columns=columns, instead=instead)
    for is_file, alike in groupby(texts, lambda text: isinstance(text, Path)):
        read: Callable[[Iterator[Any]], Iterator[Any]] = of_files if is_file else iter
        yield from read(alike)


def _of_files(paths: Iterable[Path], columns: Columns, instead: Mapping[str, str]) -> Iterator[Item]:
    return read_records(find_sources([str(path) for path in paths], instead=instead), columns)


def _record(id: str, text: Any, pair: Any, number: int) -> Record:
    """Makes the record of a text or its words as given, without checking them."""
    words, pair_words = (value if isinstance(value, list | tuple) else None for value in (text, pair))
    text, pair = ("" if words is not None else text), (None if pair_words is not None else pair)
    return Record(id, text, pair, "text", number, words, pair_words)


def _usable(record: Record) -> Item:
    """Returns the record, or the reason to skip it if a value in it is not a text."""
    texts = [record.text, *(record.words or ()), *(record.pair_words or ())]
    for value in texts if record.pair is None else [*texts, record.pair]:
        if not isinstance(value, str):
            return Skipped(record.file, record.line, f"{type(value).__name__}, not text", record.id)
    return record
