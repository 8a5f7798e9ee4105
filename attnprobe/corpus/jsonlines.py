"""JSON Lines: one object a line, or one string."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attnprobe.corpus.fields import UnfitError, default_text, kind, to_record, undecided
from attnprobe.corpus.lines import Line, lines
from attnprobe.corpus.records import Columns, Record, Skipped

if TYPE_CHECKING:
    from attnprobe.corpus.sources import Source

BARE = Columns(text="text")


def read_jsonl(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """The objects of a JSON Lines file; blank lines are no records. A bare string is a text if no column is asked for.

    Where no column is asked for the text, the first object that has one by default decides for the whole file.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: no telling which key holds the text.
    """
    bare = columns == Columns()
    for line in lines(source, encoding):
        if not line.fault and not line.text.strip():
            continue
        try:
            value = _parse(line)
            if isinstance(value, str) and bare:
                yield to_record({"text": value}, BARE, source.name, line.number)
                continue
            values = _object(value)
            columns = columns if columns.text is not None else _decide(values, columns, source.name)
            yield to_record(values, columns, source.name, line.number)
        except UnfitError as unfit:
            yield Skipped(source.name, line.number, str(unfit))


def _parse(line: Line) -> Any:
    if line.fault:
        raise UnfitError(line.fault)
    try:
        return json.loads(line.content)
    except json.JSONDecodeError as error:
        raise UnfitError(f"broken JSON: {error.msg.removesuffix(' at')} at position {error.pos + 1}") from error
    except RecursionError as error:
        raise UnfitError("broken JSON: nested too deeply") from error
    except ValueError as error:  # Python reads no integers of more than 4,300 digits
        raise UnfitError(f"a number that is too long: {error}") from error


def _object(value: Any) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UnfitError(f"{kind(value)}, not an object")
    return value


def _decide(values: Mapping[str, object], columns: Columns, file: str) -> Columns:
    """The columns with one for the text, found in an object's keys.

    Raises:
        UnfitError: this object does not tell.
        UsageError: the text could be under any of its keys.
    """
    if all(name in (columns.id, columns.pair) for name in values):
        raise UnfitError("no text")
    chosen = default_text(columns, list(values))
    if chosen is None:
        raise undecided(list(values), file)
    if not isinstance(values[chosen], str):
        raise UnfitError(f"{chosen!r} is {kind(values[chosen])}, not text")
    return replace(columns, text=chosen)
