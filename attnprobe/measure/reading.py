"""Reads a text into windows of tokens, warns about doubtful ones, and signs what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from attnprobe.errors import (
    CaseWarning,
    SequenceWarning,
    TruncationWarning,
    UnknownTokensWarning,
    UsageError,
    WordsWarning,
)
from attnprobe.measure.kinds import Measurement
from attnprobe.models.contributing import contributing
from attnprobe.models.describe import reach_by_layers
from attnprobe.models.encoder import Encoder
from attnprobe.models.global_attention import with_global_attention
from attnprobe.models.sequences import as_read, way_of
from attnprobe.models.vocabulary import count_unknown, remark_on_unknown
from attnprobe.values.arguments import check_text
from attnprobe.values.options import Reading
from attnprobe.values.records import Given, Record
from attnprobe.values.signature import counted, signature
from attnprobe.values.text import unspaced_script
from attnprobe.values.tokens import Tokens


def weighing(encoder: Encoder, reading: Reading, measurement: Measurement | None = None) -> Encoder:
    """Returns an encoder whose observers are shown what counts as a weight: attention, or contributions of keys.

    Args:
        measurement: may need the norms of values even if attention counts; None: it does not.

    Raises:
        UsageError: contributions are asked for together with global attention, which has values of its own.
        ModelError: the model's contributions cannot be measured.
    """
    if reading.of == "attention" and not getattr(measurement, "reads_values", False):
        return encoder
    if reading.global_attention != "none":
        raise UsageError("no norms with global attention, which has values of its own", "leave one of the two out")
    return replace(contributing(encoder), of=reading.of)


def tokenize(
    encoder: Encoder, text: Given, pair: Given | None, reading: Reading, *, words: bool = True
) -> list[Tokens]:
    """Tokenizes a text, or its words as given, in one window or several.

    Args:
        words: whether the words of the text must be known at level "token", too.

    Raises:
        UsageError: the text is empty, or an option does not suit the text or the model.
    """
    words = words or reading.level == "word"
    text = as_read(encoder.tokenizer, text, reading.kmer)
    pair = None if pair is None else as_read(encoder.tokenizer, pair, reading.kmer)
    windows = encoder.tokenize(text, pair, max_length=reading.max_length, stride=reading.stride, words=words)
    if reading.global_attention != "none":
        windows = [with_global_attention(encoder, window, reading.global_attention) for window in windows]
    if reading.level == "word":
        check_words(encoder, windows)
    return windows


def read_text(record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
    """Reads the text of a record, or the pair, in one window or several.

    Raises:
        UsageError: as :func:`tokenize`.
    """
    return tokenize(encoder, *record.given, reading, words=False)


def read_apart(record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
    """Reads the first text of a pair; the second, which is read by itself, is in :attr:`Tokens.given`.

    Raises:
        UsageError: as :func:`tokenize`, of either text; or there is no second text.
    """
    text, pair = record.given
    if pair is None:
        raise UsageError("there is no second text, which a pair needs")
    first, second = (tokenize(encoder, one, None, reading, words=False)[0] for one in (text, pair))
    return [replace(first, n_cut=first.n_cut + second.n_cut)]


def reader_of(*measurements: Measurement) -> Callable[[Record, Encoder, Reading], list[Tokens]]:
    """Returns what makes windows of a record for the measurements: what the first states that states any."""
    own = (getattr(measurement, "read", None) for measurement in measurements)
    return next((read for read in own if read is not None), read_text)


def windows_of(encoder: Encoder, text: str, pair: str | None, reading: Reading) -> list[Tokens]:
    """Tokenizes a text as :func:`tokenize` does, and warns of each reason to doubt the result.

    Raises:
        UsageError: the text is empty, or an option does not suit the text or the model.

    Warns:
        TruncationWarning: the text is longer than the model reads and was cut.
        UnknownTokensWarning: more than a third of the tokens are unknown to the model's vocabulary.
        SequenceWarning: the text is a sequence of residues, which is read in capitals or with spaces between.
        WordsWarning: words are asked for, and the text's script has no spaces between them.
        CaseWarning: the text has capitals, which the tokenizer and its vocabulary treat differently.
    """
    check_text("text", text)
    if pair is not None:
        check_text("pair", pair)
    windows = tokenize(encoder, text, pair, reading)
    texts = [text] if pair is None else [text, pair]
    are_rewritten = any(as_read(encoder.tokenizer, given, reading.kmer) != given for given in texts)
    remarks = {
        TruncationWarning: _remark_on_length(encoder, windows[0], reading.max_length),
        SequenceWarning: way_of(encoder.tokenizer).remark() if are_rewritten and reading.kmer is None else "",
        CaseWarning: encoder.case if any(given != given.lower() for given in texts) else "",
        WordsWarning: _remark_on_words(windows, reading.level),
        UnknownTokensWarning: remark_on_unknown(encoder.tokenizer, windows, texts),
    }
    for category, message in remarks.items():
        if message:
            warnings.warn(message, category, stacklevel=3)
    return windows


def remark_on_sequences(encoder: Encoder, reading: Reading) -> str:
    """Writes the remark on a vocabulary that knows sequences with spaces only, which are put in; empty for others."""
    way = way_of(encoder.tokenizer)
    return way.remark() if reading.kmer is None and way.kmer else ""


def check_words(encoder: Encoder, windows: Sequence[Tokens]) -> None:
    """Checks that the words of a text are known.

    Raises:
        UsageError: the tokens cannot be found again in the text.
    """
    if any(window.words is None for window in windows):
        name = type(encoder.tokenizer).__name__
        raise UsageError(f"no words for this text: the tokens of {name} cannot be found again in it")


def script_without_words(windows: Sequence[Tokens]) -> str:
    """Names the script of a text without spaces between words, see :mod:`attnprobe.values.text`; else empty."""
    return unspaced_script("".join(chain(*(window.texts for window in windows))))


def _remark_on_words(windows: Sequence[Tokens], level: str) -> str:
    """Writes the remark on a text whose words are asked for but unknown; empty for other texts."""
    script = script_without_words(windows) if level == "word" else ""
    why = f"{script} has no spaces between words, and finding them takes a dictionary"
    return f"this text has no words here: {why}; each of its tokens stands for itself" if script else ""


def _remark_on_length(encoder: Encoder, window: Tokens, max_length: int | None) -> str:
    """Writes the remark on a text that was cut; empty for other texts."""
    if not window.n_cut:
        return ""
    more, limit = "", encoder.position_limit
    if max_length is None and (limit is None or limit > len(window)):
        more = f"; a max_length of up to {limit} reads more" if limit else "; a larger max_length reads more"
    return f"the text has {len(window) + window.n_cut} tokens; only the first {len(window)} were read{more}"


def notes_on(encoder: Encoder, windows: Sequence[Tokens], reading: Reading) -> dict[str, Any]:
    """Notes how the numbers of a text were computed, for the terminal."""
    return {
        "model": encoder.name,
        "tokens": [list(window.strings) for window in windows],
        "n_unknown": count_unknown(encoder.tokenizer, windows)[0],
        "reach": reach_by_layers(encoder) if reading.global_attention == "none" else {},
        "counted": counted(f"of:{reading.of}"),
        "level": reading.level,
        "changed": encoder.family.remark if encoder.family and encoder.family.options else "",
    }


def sign(encoder: Encoder, reading: Reading, **parts: object) -> str:
    """Makes the signature of what this encoder measures.

    Args:
        parts: what else the numbers depend on, by name; None: the numbers do not depend on it.
    """
    read_as = {**reading.signed(), "max_length": reading.max_length or encoder.max_length}
    read_as |= way_of(encoder.tokenizer, reading.kmer).signed()
    return signature(
        model=encoder.fingerprint,
        off=encoder.off_text,
        tokenizer=encoder.tokenizer_fingerprint,
        dtype=str(encoder.dtype).removeprefix("torch."),
        **{"special": "kept", **read_as, **parts},
    )
