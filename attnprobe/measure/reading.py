"""A text as the encoder reads it, with what there is to say of it, and the signature of what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

from attnprobe.errors import CaseWarning, TruncationWarning, UnknownTokensWarning, UsageError, WordsWarning
from attnprobe.models.describe import reach_by_layers
from attnprobe.models.encoder import Encoder
from attnprobe.models.vocabulary import count_unknown, remark_on_unknown
from attnprobe.values.arguments import check_text
from attnprobe.values.options import Reading
from attnprobe.values.records import Given
from attnprobe.values.signature import signature
from attnprobe.values.text import unspaced_script
from attnprobe.values.tokens import Tokens


def tokenize(
    encoder: Encoder, text: Given, pair: Given | None, reading: Reading, *, words: bool = True
) -> list[Tokens]:
    """A text, or its words as given, as the encoder reads it, in one window or several.

    Args:
        words: whether its words must be known at level "token", too.

    Raises:
        UsageError: there is nothing to read, or an option does not suit the text or the model.
    """
    words = words or reading.level == "word"
    windows = encoder.tokenize(text, pair, max_length=reading.max_length, stride=reading.stride, words=words)
    if reading.global_attention != "none":
        windows = [encoder.with_global_attention(window, reading.global_attention) for window in windows]
    if reading.level == "word":
        check_words(encoder, windows)
    return windows


def windows_of(encoder: Encoder, text: str, pair: str | None, reading: Reading) -> list[Tokens]:
    """What :func:`tokenize` gives, with a warning for each reason to doubt it.

    Raises:
        UsageError: there is nothing to read, or an option does not suit the text or the model.

    Warns:
        TruncationWarning: the text is longer than the model reads and was cut.
        UnknownTokensWarning: more than a third of its tokens are unknown to the model's vocabulary.
        WordsWarning: its words are asked for, and its script has no spaces between them.
        CaseWarning: it has capitals, and the tokenizer and its vocabulary are not of one mind about them.
    """
    check_text("text", text)
    if pair is not None:
        check_text("pair", pair)
    windows = tokenize(encoder, text, pair, reading)
    texts = [text] if pair is None else [text, pair]
    said = {
        TruncationWarning: _remark_on_length(encoder, windows[0], reading.max_length),
        CaseWarning: encoder.case if any(part != part.lower() for part in texts) else "",
        WordsWarning: _remark_on_words(windows, reading.level),
        UnknownTokensWarning: remark_on_unknown(encoder.tokenizer, windows, texts),
    }
    for category, message in said.items():
        if message:
            warnings.warn(message, category, stacklevel=3)
    return windows


def check_words(encoder: Encoder, windows: Sequence[Tokens]) -> None:
    """Refuses a text whose tokens cannot be found again in it.

    Raises:
        UsageError: they cannot.
    """
    if any(window.words is None for window in windows):
        name = type(encoder.tokenizer).__name__
        raise UsageError(f"no words for this text: the tokens of {name} cannot be found again in it")


def script_without_words(windows: Sequence[Tokens]) -> str:
    """The script of a text whose words are not known; empty: they are.

    See :func:`attnprobe.values.text.unspaced_script`.
    ."""
    return unspaced_script("".join(chain(*(window.texts for window in windows))))


def _remark_on_words(windows: Sequence[Tokens], level: str) -> str:
    """What to say of a text whose words are asked for and not known; empty of any other."""
    script = script_without_words(windows) if level == "word" else ""
    why = f"{script} has no spaces between words, and finding them takes a dictionary"
    return f"this text has no words here: {why}; each of its tokens stands for itself" if script else ""


def _remark_on_length(encoder: Encoder, read: Tokens, max_length: int | None) -> str:
    """What to say of a text that was cut; empty of any other."""
    if not read.n_cut:
        return ""
    more, limit = "", encoder.position_limit
    if max_length is None and (limit is None or limit > len(read)):
        more = f"; a max_length of up to {limit} reads more" if limit else "; a larger max_length reads more"
    return f"the text has {len(read) + read.n_cut} tokens; only the first {len(read)} were read{more}"


def notes_on(encoder: Encoder, windows: Sequence[Tokens], reading: Reading) -> dict[str, Any]:
    """How the numbers of a text came about, for what a terminal shows."""
    return {
        "model": encoder.location.short_name,
        "tokens": [list(window.strings) for window in windows],
        "n_unknown": count_unknown(encoder.tokenizer, windows)[0],
        "reach": reach_by_layers(encoder) if reading.global_attention == "none" else {},
        "changed": encoder.family.remark if encoder.family and encoder.family.options else "",
    }


def sign(encoder: Encoder, reading: Reading, **parts: object) -> str:
    """The signature of what this encoder measures.

    Args:
        parts: what else the numbers depend on; None: nothing depends on that one.
    """
    read = {**reading.signed(), "max_length": reading.max_length or encoder.max_length}
    return signature(
        model=encoder.fingerprint,
        tokenizer=encoder.tokenizer_fingerprint,
        dtype=str(encoder.dtype).removeprefix("torch."),
        special="kept",
        **read,
        **parts,
    )
