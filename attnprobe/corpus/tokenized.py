"""Chunks of records as the encoder reads them, and what cannot be used of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.settings import Settings
from attnprobe.errors import UsageError
from attnprobe.measure.reading import script_without_words, tokenize
from attnprobe.models.encoder import Encoder
from attnprobe.models.vocabulary import MOST_UNKNOWN, count_unknown
from attnprobe.values.records import Record, Skipped
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class ReadText:
    """A record that can be measured.

    Attributes:
        place: among the items of its chunk.
        windows: the text as the encoder reads it.
        unknown: whether more than a third of its tokens are unknown to the vocabulary.
        wordless: whether its words are asked for and not known.
    """

    place: int
    record: Record
    windows: list[Tokens]
    unknown: bool
    wordless: bool


@dataclass
class ReadChunk:
    """A chunk that has been tokenized: the texts that can be measured, and by place what cannot be used."""

    n_items: int
    texts: list[ReadText] = field(default_factory=list)
    skipped: dict[int, Skipped] = field(default_factory=dict)


def read_chunk(items: Sequence[Item], encoder: Encoder, settings: Settings) -> ReadChunk:
    """Tokenizes a chunk."""
    chunk = ReadChunk(len(items))
    for place, item in enumerate(items):
        if isinstance(item, Skipped):
            chunk.skipped[place] = item
            continue
        try:
            chunk.texts.append(_read(place, item, encoder, settings))
        except UsageError as error:
            chunk.skipped[place] = because(item, error)
    return chunk


def because(record: Record, error: Exception) -> Skipped:
    """The record that an error makes unusable."""
    return Skipped(record.file, record.line, str(error), record.id)


def _read(place: int, record: Record, encoder: Encoder, settings: Settings) -> ReadText:
    reading = settings.reading
    windows = tokenize(encoder, *record.given, reading, words=False)
    if record.labels:
        windows = [replace(window, labels=record.labels) for window in windows]
    unknown = _is_unknown(encoder, windows, settings.running.max_unknown)
    wordless = reading.level == "word" and record.words is None and script_without_words(windows) != ""
    return ReadText(place, record, windows, unknown, wordless)


def _is_unknown(encoder: Encoder, windows: Sequence[Tokens], most: float | None) -> bool:
    """Whether so many of a text's tokens are unknown that its numbers say little of it.

    Raises:
        UsageError: they are more than the share allowed.
    """
    unknown, content = count_unknown(encoder.tokenizer, windows)
    if most is not None and unknown > most * content:
        raise UsageError(f"{unknown:,} of {content:,} tokens are unknown to the model's vocabulary")
    return unknown > MOST_UNKNOWN * content
