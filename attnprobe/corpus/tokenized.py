"""Tokenizes chunks of records, and sets aside the records that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.settings import Settings
from attnprobe.errors import UsageError
from attnprobe.measure.reading import reader_of, script_without_words
from attnprobe.models.encoder import Encoder
from attnprobe.models.vocabulary import MOST_UNKNOWN, count_unknown
from attnprobe.values.records import Record, Skipped
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class TokenizedText:
    """A record that can be measured.

    Attributes:
        index: among the items of its chunk.
        windows: the tokens that the encoder reads.
        unknown: whether more than a third of its tokens are unknown to the vocabulary.
        wordless: whether its words are asked for but unknown.
    """

    index: int
    record: Record
    windows: list[Tokens]
    unknown: bool
    wordless: bool


@dataclass
class TokenizedChunk:
    """A chunk that has been tokenized: the texts that can be measured, and by index the records that cannot."""

    n_items: int
    texts: list[TokenizedText] = field(default_factory=list)
    skipped: dict[int, Skipped] = field(default_factory=dict)


def tokenize_chunk(items: Sequence[Item], encoder: Encoder, settings: Settings) -> TokenizedChunk:
    """Tokenizes a chunk."""
    chunk = TokenizedChunk(len(items))
    for index, item in enumerate(items):
        if isinstance(item, Skipped):
            chunk.skipped[index] = item
            continue
        try:
            chunk.texts.append(_tokenize(index, item, encoder, settings))
        except UsageError as error:
            chunk.skipped[index] = unusable(item, error)
    return chunk


def unusable(record: Record, error: Exception) -> Skipped:
    """Marks a record as skipped, for the reason that the error gives."""
    return Skipped(record.file, record.line, str(error), record.id)


def _tokenize(index: int, record: Record, encoder: Encoder, settings: Settings) -> TokenizedText:
    reading = settings.reading
    windows = reader_of(settings.measurement)(record, encoder, reading)
    if record.labels:
        windows = [window if window.labels else replace(window, labels=record.labels) for window in windows]
    windows[0] = replace(windows[0], given=record.given)
    unknown = _is_unknown(encoder, windows, settings.running.max_unknown)
    wordless = reading.level == "word" and record.words is None and script_without_words(windows) != ""
    return TokenizedText(index, record, windows, unknown, wordless)


def _is_unknown(encoder: Encoder, windows: Sequence[Tokens], most: float | None) -> bool:
    """Tests whether so many of a text's tokens are unknown that its numbers mean little.

    Raises:
        UsageError: the share of unknown tokens is larger than ``most``.
    """
    unknown, content = count_unknown(encoder.tokenizer, windows)
    if most is not None and unknown > most * content:
        raise UsageError(f"{unknown:,} of {content:,} tokens are unknown to the model's vocabulary")
    return unknown > MOST_UNKNOWN * content
