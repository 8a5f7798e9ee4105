"""Reads a record with words of its own: the tokens of the text, and the words that own them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.measure.reading import check_words
from attnprobe.models.encoder import Encoder
from attnprobe.models.encoding import Located, locate
from attnprobe.models.global_attention import with_global_attention
from attnprobe.models.tokenizing import beginning, check_readable
from attnprobe.values.arguments import shown
from attnprobe.values.options import Reading
from attnprobe.values.placing import find_words, share_out
from attnprobe.values.records import Given, Record
from attnprobe.values.text import Span
from attnprobe.values.tokens import Role, Tokens
from attnprobe.values.words import Words


@dataclass(frozen=True)
class Annotated:
    """The words of a record.

    Attributes:
        words: with the tokens they own.
        numbers: of each word as annotated, the number of the word that it is, alone or with others.
        spans: the characters of each word in the text; None if the record numbers its words.
    """

    words: Words
    numbers: Sequence[int]
    spans: Sequence[Span] | None = None


def read_annotated(record: Record, encoder: Encoder, reading: Reading, align: str) -> tuple[Tokens, Annotated]:
    """Tokenizes a record, and finds its words.

    Raises:
        UsageError: the record is empty or too long, or words cannot be found.
    """
    words = record.words
    given = words if words is not None and align == "words" else record.text
    located = _located(given, encoder, reading)
    tokens = located.tokens
    if words is None:
        annotated = _unicode_words(encoder, located)
    elif align == "words":
        annotated = Annotated(Words(tuple(words), tuple(located.owners)), range(len(words)))
    else:
        annotated = _words_in_text(record, words, encoder, located)
    if reading.global_attention != "none":
        tokens = with_global_attention(encoder, tokens, reading.global_attention)
    return tokens, annotated


def _located(given: Given, encoder: Encoder, reading: Reading) -> Located:
    """Tokenizes a text or words as a whole.

    Raises:
        UsageError: it is empty, or longer than is read at once.
    """
    check_readable(given, "the text")
    longest = reading.max_length or encoder.max_length
    if longest is not None and len(beginning(encoder.tokenizer, given, longest)) < len(given):
        raise UsageError(f"longer than the {longest:,} tokens that are read at once")
    located = locate(encoder.tokenizer, [given])
    if longest is not None and len(located.tokens) > longest:
        raise UsageError(f"{len(located.tokens):,} tokens, and {longest:,} are read at once")
    if not located.tokens.positions(Role.CONTENT):
        raise UsageError("the tokenizer finds no token in the text")
    return located


def _unicode_words(encoder: Encoder, located: Located) -> Annotated:
    """Finds the words of a text itself.

    Raises:
        UsageError: the tokens cannot be found again in the text.
    """
    tokens, spans = located.tokens, located.spans
    check_words(encoder, [tokens])
    found: dict[int, Span] = {}
    for unit, span, role in zip(tokens.words or (), spans or (), tokens.roles, strict=True):
        if role == Role.CONTENT and tokens.word_texts[unit].strip():
            start, end = found.get(unit, span)
            found[unit] = (min(start, span[0]), max(end, span[1]))
    number = {unit: number for number, unit in enumerate(found)}
    owners = tuple(number.get(unit, -1) for unit in tokens.words or ())
    return Annotated(
        Words(tuple(tokens.word_texts[unit] for unit in found), owners), range(len(found)), list(found.values())
    )


def _words_in_text(record: Record, words: Sequence[str], encoder: Encoder, located: Located) -> Annotated:
    """Finds annotated words in the text that was read.

    Raises:
        UsageError: the text lacks a word, or the tokens cannot be found again in it.
    """
    if located.spans is None:
        check_words(encoder, [replace(located.tokens, words=None)])
    spans = find_words(record.text, words, _ranges(record, len(words)))
    touched = [
        span if text.strip() else (0, 0) for span, text in zip(located.spans or (), located.tokens.texts, strict=True)
    ]
    numbers, owners = share_out(spans, touched)
    ends: dict[int, Span] = {}
    for number, (start, end) in zip(numbers, spans, strict=True):
        ends[number] = (ends.get(number, (start, end))[0], end)
    return Annotated(Words(tuple(record.text[start:end] for start, end in ends.values()), tuple(owners)), numbers)


def _ranges(record: Record, count: int) -> dict[int, tuple[int, str]]:
    """Returns the ranges of a record by their first word.

    Raises:
        UsageError: a range is invalid.
    """
    ranges = {}
    for number, value in enumerate(list_of(record, "ranges") or (), start=1):
        match value:
            case [int(first), int(after), str(form)] if 0 <= first < after <= count and form.strip():
                ranges[first] = (after, form)
            case _:
                raise UsageError(f"range {number} is no [first, after, characters] of words: {shown(value)}")
    return ranges


def list_of(record: Record, name: str) -> Sequence[Any] | None:
    """Finds a label that is a list; None if there is none.

    Raises:
        UsageError: it is something else.
    """
    value = record.labels.get(name)
    if value is not None and not isinstance(value, list | tuple):
        raise UsageError(f"{name!r} is no list: {shown(value)}")
    return value
