"""A text as the encoder reads it, with what there is to say of it, and the signature of what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from attnprobe.errors import CaseWarning, TruncationWarning, UnknownTokensWarning, UsageError, WordsWarning
from attnprobe.models.describe import reach_by_layers
from attnprobe.models.encoder import Encoder
from attnprobe.models.vocabulary import count_unknown, remark_on_unknown
from attnprobe.values.arguments import check_choice, check_text, check_whole
from attnprobe.values.signature import signature
from attnprobe.values.text import unspaced_script
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    pass


def windows_of(
    encoder: Encoder,
    text: str,
    pair: str | None = None,
    *,
    level: str = "token",
    max_length: int | None = None,
    stride: int | None = None,
    global_attention: str = "none",
) -> list[Tokens]:
    """A text as the encoder reads it, in one window or several; the options are those of :func:`head_table`.

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
    windows = encoder.tokenize(text, pair, max_length=max_length, stride=stride)
    if global_attention != "none":
        windows = [encoder.with_global_attention(window, global_attention) for window in windows]
    if level == "word":
        check_words(encoder, windows)
    texts = [text] if pair is None else [text, pair]
    said = {
        TruncationWarning: _remark_on_length(encoder, windows[0], max_length),
        CaseWarning: encoder.case if any(each != each.lower() for each in texts) else "",
        WordsWarning: _remark_on_words(windows, level),
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


def notes_on(encoder: Encoder, windows: Sequence[Tokens], global_attention: str = "none") -> dict[str, Any]:
    """How the numbers of a text came about, for what a terminal shows."""
    return {
        "model": encoder.location.short_name,
        "tokens": [list(window.strings) for window in windows],
        "n_unknown": count_unknown(encoder.tokenizer, windows)[0],
        "reach": reach_by_layers(encoder) if global_attention == "none" else {},
        "changed": encoder.family.remark if encoder.family and encoder.family.options else "",
    }


def sign_run(
    encoder: Encoder,
    *,
    max_length: int | None,
    level: str,
    stride: int | None = None,
    queries: str | None = None,
    long_range: int | None = None,
    global_attention: str = "none",
    **more: object,
) -> str:
    """The signature of what this encoder measures with these options; None: nothing depends on that one."""
    return signature(
        model=encoder.fingerprint,
        tokenizer=encoder.tokenizer_fingerprint,
        dtype=str(encoder.dtype).removeprefix("torch."),
        max_length=max_length or encoder.max_length,
        stride=stride,
        queries=queries,
        level=level,
        long_range=long_range,
        special="kept",
        global_attention=None if global_attention == "none" else global_attention,
        **more,
    )


def check_options(*, level: str, queries: str = "all", long_range: int = 0, global_attention: str = "none") -> None:
    """Refuses what cannot be meant.

    Raises:
        UsageError: some option has no such value.
    """
    for name, value, choices in (
        ("global_attention", global_attention, ("none", "cls", "first")),
        ("queries", queries, ("all", "content")),
        ("level", level, ("token", "word")),
    ):
        check_choice(name, value, choices)
    check_whole("long_range", long_range)
