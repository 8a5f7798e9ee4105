"""Any tokenizer -> Tokens: roles from the encoding, words from character offsets, long texts cut or read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.tokens import Role, Span, Tokens, assign_words

SPACE = "▁"  # a piece of only these stands for white space, but is given the offsets of what follows
NOT_INPUTS = ("offset_mapping", "special_tokens_mask")


def tokenize(
    tokenizer: Any, text: str, pair: str | None = None, *, max_length: int | None = None, stride: int | None = None
) -> list[Tokens]:
    """A text (or pair) as the encoder reads it: one Tokens, or several windows of a text that is too long.

    Args:
        max_length: the most tokens to read at once, added ones included; None: no limit.
        stride: None cuts a longer text at its end (of a pair, the longer text first). A number reads it in windows,
            each of which repeats the last ``stride`` tokens of the one before; of a pair, the second text is windowed.

    Raises:
        UsageError: the text holds no token or is not Unicode, or max_length or stride leave no room for it.
    """
    texts = [text] if pair is None else [text, pair]
    for each in texts:
        if not each.strip():
            raise UsageError("the text is empty" if each is text else "the second text of the pair is empty")
        if any("\ud800" <= character <= "\udfff" for character in each):
            raise UsageError("the text is not valid Unicode (it holds half of a surrogate pair)")
    whole = encode(tokenizer, texts)
    if not whole.positions(Role.CONTENT):
        raise UsageError("the tokenizer finds no token in the text")
    if max_length is None or len(whole) <= max_length:
        return [whole]
    return [cut(whole, max_length)] if stride is None else windows(whole, max_length, stride)


def encode(tokenizer: Any, texts: Sequence[str]) -> Tokens:
    """One text or two as Tokens, however long."""
    encoding = tokenizer(
        *texts, return_special_tokens_mask=True, return_offsets_mapping=tokenizer.is_fast, verbose=False
    )
    added = encoding["special_tokens_mask"]
    if tokenizer.is_fast:
        sequences = [-1 if sequence is None else sequence for sequence in encoding.sequence_ids(0)]
    else:
        first = len(tokenizer(texts[0], add_special_tokens=False, verbose=False)["input_ids"])
        order = iter([0] * first + [1] * len(added))
        sequences = [-1 if special else next(order) for special in added]
    segments = [0 if special else sequence + 1 for special, sequence in zip(added, sequences, strict=True)]
    ids = encoding["input_ids"]
    strings = tokenizer.convert_ids_to_tokens(ids)
    offsets: list[Span] | None
    if tokenizer.is_fast:
        offsets = [tuple(offset) for offset in encoding["offset_mapping"]]
    else:
        pieces = [_surface(tokenizer, token) for token in ids]
        offsets = align(texts, pieces, segments)
    if offsets is None:  # no words, but punctuation can still be told from the pieces
        surfaces = [piece if segment else "" for piece, segment in zip(pieces, segments, strict=True)]
        words, word_texts = None, list[str]()
    else:
        surfaces = [
            texts[segment - 1][start:end].strip() if segment and piece.strip(SPACE) else ""
            for (start, end), segment, piece in zip(offsets, segments, strings, strict=True)
        ]
        words, word_texts = assign_words(texts, offsets, segments)
    return Tokens(
        strings=strings,
        texts=surfaces,
        roles=[
            Role.CONTENT if segment else added_role(tokenizer, id) for id, segment in zip(ids, segments, strict=True)
        ],
        segments=segments,
        words=words,
        word_texts=word_texts,
        inputs={name: values for name, values in encoding.items() if name not in NOT_INPUTS},
    )


def added_role(tokenizer: Any, token: int) -> Role:
    """What a token that the tokenizer added is for.

    The separator is the tokenizer's sep token, or its end-of-text token where it has none (T5, ESM).
    """
    if token == tokenizer.cls_token_id:
        return Role.CLS
    separator = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    return Role.SEP if token == separator else Role.OTHER


def cut(whole: Tokens, max_length: int) -> Tokens:
    """The text without its last tokens, as many as do not fit; of a pair, the longer text loses first."""
    places = [[at for at, segment in enumerate(whole.segments) if segment == number] for number in (1, 2)]
    n_cut = len(whole) - max_length
    _check_room(sum(map(len, places)) - n_cut, max_length)
    for _ in range(n_cut):
        (places[0] if len(places[0]) > len(places[1]) else places[1]).pop()
    added = [at for at, segment in enumerate(whole.segments) if segment == 0]
    return replace(whole.take(sorted([*added, *places[0], *places[1]])), n_cut=n_cut)


def windows(whole: Tokens, max_length: int, stride: int) -> list[Tokens]:
    """The text in overlapping windows of max_length tokens, each with the added tokens (and a pair's first text)."""
    last = max(whole.segments)
    moving = [at for at, segment in enumerate(whole.segments) if segment == last]
    fixed = [at for at, segment in enumerate(whole.segments) if segment != last]
    room = max_length - len(fixed)
    _check_room(room, max_length)
    if not 0 <= stride < room:
        raise UsageError(f"stride {stride} is too large: a window has room for {room} tokens of the text")
    starts = range(0, max(1, len(moving) - stride), room - stride)
    return [whole.take(sorted([*fixed, *moving[start : start + room]])) for start in starts]


def _check_room(room: int, max_length: int) -> None:
    if room < 1:
        raise UsageError(
            f"max_length {max_length} leaves no room for the text", "the tokens that the tokenizer adds count too"
        )


def _surface(tokenizer: Any, token: int) -> str:
    """The characters a piece stands for, as the tokenizer itself would write it alone."""
    piece = tokenizer.convert_ids_to_tokens(token)
    surface: str = tokenizer.convert_tokens_to_string([piece])
    return surface.strip().removeprefix("##")


def align(texts: Sequence[str], pieces: Sequence[str], segments: Sequence[int]) -> list[Span] | None:
    """Character offsets for a tokenizer that gives none, where every piece can be found in its text; else None."""
    offsets: list[Span] = [(0, 0)] * len(pieces)
    for number, text in enumerate(texts, start=1):
        here = [at for at, segment in enumerate(segments) if segment == number]
        spans = find_pieces(text, [pieces[at] for at in here])
        if spans is None:
            return None
        for at, span in zip(here, spans, strict=True):
            offsets[at] = span
    return offsets


def find_pieces(text: str, pieces: Sequence[str]) -> list[Span] | None:
    """Where pieces stand in a text, left to right with only white space between; None where they do not.

    >>> find_pieces("Ab c", ["a", "b", "c"])
    [(0, 1), (1, 2), (3, 4)]
    >>> find_pieces("Ab c", ["a", "<unk>"]) is None
    True
    """
    folded = text.lower() if len(text.lower()) == len(text) else text
    spans = []
    end = 0
    for piece in pieces:
        while end < len(text) and text[end].isspace():
            end += 1
        if not piece or not (text.startswith(piece, end) or folded.startswith(piece.lower(), end)):
            return None
        spans.append((end, end + len(piece)))
        end += len(piece)
    return None if text[end:].strip() else spans
