"""Turns named values into a record, or says why that fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from itertools import accumulate, chain
from typing import TypeGuard
from uuid import UUID

from attnprobe.errors import UsageError
from attnprobe.values.records import Columns, Record, Skipped

PREFERRED = ("text", "sentence", "content", "review", "document", "sequence")
TEXT, WORDS, SENTENCES = "text", "words", "sentences"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    bytes: "binary",
    type(None): "null",
}


class UnfitError(Exception):
    """A value that cannot be used, for the reason in the message; also returned in place of an unreadable value."""


def kind(value: object) -> str:
    """Names the type of a value in words."""
    return KINDS.get(type(value), "a number")


def choose(columns: Columns, names: Sequence[str], file: str) -> Columns:
    """Chooses the column of the text: the one asked for, else the only one, else the first of PREFERRED.

    Raises:
        UsageError: it is unclear which column holds the text, or a column asked for is missing or occurs twice.
    """
    for name in columns.names:
        if names.count(name) != 1:
            raise UsageError(f"{file} has {'two columns' if name in names else 'no column'} {name!r}", listing(names))
    columns = replace(columns, also=tuple(name for name in columns.also if names.count(name) == 1))
    if columns.text is not None:
        return columns
    chosen = default_text(columns, names)
    if chosen is None:
        raise undecided(names, file)
    return choose(replace(columns, text=chosen), names, file)


def default_text(columns: Columns, names: Sequence[str]) -> str | None:
    """Finds the column of the text if none was asked for: the only free one, else one of PREFERRED."""
    # pandas writes its index along under such a name
    texts = [*PREFERRED, *(name for name in (WORDS, SENTENCES) if name in columns.also)]
    taken = {*columns.names, *(name for name in columns.also if name not in texts)}
    free = [name for name in names if name not in taken and not name.startswith("__index_level_")]
    return free[0] if len(free) == 1 else next((name for name in texts if name in free), None)


def undecided(names: Sequence[str], file: str) -> UsageError:
    """Makes the error that asks for the column of the text."""
    return UsageError(f"{file}: which column holds the text?", f"--column NAME; {listing(names)}")


def listing(names: Sequence[str], most: int = 20) -> str:
    """Lists the column names for a hint."""
    shown = ", ".join(map(repr, names[:most]))
    return f"columns: {shown}{', ...' if len(names) > most else ''}" if names else "it has no columns"


def to_record(values: Mapping[str, object], columns: Columns, file: str, line: int) -> Record | Skipped:
    """Makes a record of the values of one line or row, or says why it is skipped. The columns name the text's."""
    identifier = None
    try:
        identifier = None if columns.id is None else _identifier(values, columns.id)
        text, words = _text_or_words(values, columns.text or "text")
        pair, pair_words = (None, None) if columns.pair is None else _text_or_words(values, columns.pair)
        labels = {name: _label(values, name) for name in columns.labels}
        also = _also(values, columns)
        if words is None and is_words(also.get(WORDS)):
            words = _text_or_words(also, WORDS)[1]
        elif words is not None and isinstance(also.get(TEXT), str):
            text = checked(str(also[TEXT]), TEXT)
    except UnfitError as unfit:
        return Skipped(file, line, str(unfit), identifier)
    labels |= {name: value for name, value in also.items() if name not in (TEXT, WORDS)}
    return Record(str(line) if identifier is None else identifier, text, pair, file, line, words, pair_words, labels)


def _identifier(values: Mapping[str, object], name: str) -> str:
    value = _value(values, name)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal, date, time, UUID)):
        raise UnfitError(f"{name!r} is {kind(value)}, neither text nor a number")
    return checked(str(value), name)


def _text_or_words(values: Mapping[str, object], name: str) -> tuple[str, tuple[str, ...] | None]:
    """Finds the text under a name, and its words if they are given."""
    value = _value(values, name)
    if name == SENTENCES and is_sentences(value):
        value = list(chain(*value))
    if isinstance(value, list) and (is_words(value) or not value):
        words = _checked_words(value, name)
        return " ".join(words), words
    if not isinstance(value, str):
        raise UnfitError(f"{name!r} is {kind(value)}, not text")
    return checked(value, name), None


def is_text(value: object) -> bool:
    """Tests whether a value is text, a list of words or one of sentences."""
    return isinstance(value, str) or is_words(value) or is_sentences(value)


def is_words(value: object) -> bool:
    """Tests whether a value is a list with strings in it, which is read as words."""
    return isinstance(value, list) and any(isinstance(word, str) for word in value)


def is_sentences(value: object) -> TypeGuard[list[list[object]]]:
    """Tests whether a value is a list of lists with strings in them, which is read as the words of sentences."""
    return isinstance(value, list) and all(isinstance(one, list) for one in value) and any(map(is_words, value))


def _checked_words(words: list[object], name: str) -> tuple[str, ...]:
    if not words:
        raise UnfitError(f"{name!r} is an empty list")
    for number, word in enumerate(words, start=1):
        if not isinstance(word, str):
            raise UnfitError(f"{name!r}: word {number} is {kind(word)}, not text")
        checked(word, name, f": word {number}")
    return tuple(map(str, words))


def _label(values: Mapping[str, object], name: str) -> object:
    """Finds the value under a name, which may be null."""
    value = find(values, name)
    if isinstance(value, UnfitError):
        raise UnfitError(f"{name!r}: {value}" if name in values else str(value))
    return value


def _also(values: Mapping[str, object], columns: Columns) -> dict[str, object]:
    """Finds those labels that the record has; in place of sentences, the number of each one's first word."""
    found = {name: find(values, name) for name in columns.also}
    found = {name: value for name, value in found.items() if value is not None and not isinstance(value, UnfitError)}
    sentences = found.get(SENTENCES)
    if is_sentences(sentences):
        starts = accumulate(map(len, sentences), initial=0)
        found[SENTENCES] = [start for start, words in zip(starts, sentences, strict=False) if words]
    return found


def find(values: Mapping[str, object], name: str) -> object:
    """Finds the value under a name, else under a path of names with dots between; an UnfitError if there is none.

    >>> find({"answer": {"text": "yes"}}, "answer.text")
    'yes'
    """
    if name in values:
        return values[name]
    inner: object = values
    for step in name.split("."):
        if not isinstance(inner, Mapping) or step not in inner:
            return UnfitError(f"no {name!r}")
        inner = inner[step]
    return inner


def _value(values: Mapping[str, object], name: str) -> object:
    value = _label(values, name)
    if value is None or value != value:  # pandas writes missing numbers as NaN
        raise UnfitError(f"{name!r} is null")
    return value


def checked(text: str, name: str, where: str = "") -> str:
    """Returns the text if it can be used.

    Raises:
        UnfitError: it is blank, or no Unicode.
    """
    if not text.strip():
        raise UnfitError(f"{name!r}{where} is {'blank' if text else 'empty'}")
    if "\0" in text:
        raise UnfitError(f"{name!r}{where} holds a NUL character, at position {text.index(chr(0)) + 1}")
    if half := LONE_SURROGATE.search(text):
        raise UnfitError(f"{name!r}{where} holds half a surrogate pair, at position {half.start() + 1}")
    return text
