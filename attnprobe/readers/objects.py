"""JSON values -> records, whether they come from lines or from one document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from attnprobe.errors import InputError, UsageError
from attnprobe.readers.fields import UnfitError, default_text, find, is_text, kind, listing, to_record, undecided
from attnprobe.values.records import Columns, Record, Skipped

BARE = Columns(text="text")
HELD = 1000  # records that are held back at most until each key that was asked for is found


def parse(text: str, fault: str) -> object:
    """Parses the JSON of one value.

    Args:
        fault: why the text cannot be used; empty if it can.

    Raises:
        UnfitError: the JSON is broken, or has a fault.
    """
    if fault:
        raise UnfitError(fault)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnfitError(f"broken JSON: {error.msg.removesuffix(' at')} at position {error.pos + 1}") from error
    except RecursionError as error:
        raise UnfitError("broken JSON: nested too deeply") from error
    except ValueError as error:  # Python reads no integers of more than 4,300 digits
        raise UnfitError(f"a number that is too long: {error}") from error


def to_records(found: Iterable[tuple[int, str, str]], columns: Columns, file: str) -> Iterator[Record | Skipped]:
    """Makes records of the texts of JSON values; a bare string is a text if no column is asked for.

    If no column of the text is asked for, the first object that has one by default decides for the whole file.

    Args:
        found: number, text and fault of each value.
        columns: names of keys, or paths of them with dots between.
        file: the file's name.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: it is unclear which key holds the text, or no object has a key that is asked for.
    """
    reading = _Objects(columns, file)
    held: list[Record | Skipped] = []
    try:
        for number, text, fault in found:
            held.append(reading.record(number, text, fault))
            if not reading.missing or len(held) > HELD:
                yield from held
                held.clear()
    except InputError:
        yield from held
        raise
    reading.check()
    yield from held


class _Objects:
    """Makes records of objects, and remembers their keys.

    Attributes:
        missing: the keys asked for that no object had so far.
    """

    def __init__(self, columns: Columns, file: str) -> None:
        self.columns, self.file = columns, file
        self.bare = not columns.names
        self.missing = set(columns.names)
        self._keys: dict[str, None] = {}

    def record(self, number: int, text: str, fault: str) -> Record | Skipped:
        """Makes a record of one value, or says why it is skipped."""
        try:
            value = parse(text, fault)
            if isinstance(value, str) and self.bare:
                return to_record({"text": value}, BARE, self.file, number)
            return to_record(self._object(value), self.columns, self.file, number)
        except UnfitError as unfit:
            return Skipped(self.file, number, str(unfit))

    def _object(self, value: object) -> Mapping[str, object]:
        """Checks that a value is an object, notes its keys, and decides which of them holds the text."""
        if not isinstance(value, dict):
            raise UnfitError(f"{kind(value)}, not an object")
        if self.missing and len(self._keys) < HELD:
            self._keys |= dict.fromkeys(_paths(value))
        if self.missing:
            self.missing = {name for name in self.missing if isinstance(find(value, name), UnfitError)}
        if self.columns.text is None:
            self.columns = _decide(value, self.columns, self.file)
        return value

    def check(self) -> None:
        """Checks that some object had each key that was asked for, if there were objects.

        Raises:
            UsageError: no object had such a key.
        """
        if self.missing and self._keys:
            raise UsageError(f"{self.file}: no record has {min(self.missing)!r}", listing(list(self._keys)))


def _paths(value: Mapping[str, object], before: str = "") -> Iterator[str]:
    """Yields the keys of an object and of the objects in it, as paths."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and before.count(".") < 3:
            yield from _paths(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _decide(values: Mapping[str, object], columns: Columns, file: str) -> Columns:
    """Chooses the column of the text by an object's keys.

    Raises:
        UnfitError: the object has no text.
        UsageError: the text could be under any of several keys.
    """
    if all(name in columns.names for name in values):
        raise UnfitError("no text")
    chosen = default_text(columns, list(values))
    if chosen is None:
        raise undecided(list(_paths(values)), file)
    if not is_text(values[chosen]):
        raise UnfitError(f"{chosen!r} is {kind(values[chosen])}, not text")
    return replace(columns, text=chosen)
