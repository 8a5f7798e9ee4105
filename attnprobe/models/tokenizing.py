"""Any tokenizer -> Tokens: roles from the encoding, words from character offsets, long texts cut or read in windows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from attnprobe.errors import ModelError, UsageError
from attnprobe.models.alignment import SPACE, agrees, align, surface
from attnprobe.models.counting import count_tokens
from attnprobe.models.explained import explained
from attnprobe.values.text import Span, assign_words
from attnprobe.values.tokens import Role, Tokens

CHARACTERS = 16  # per token that is kept, from which a text is not encoded as a whole at first
MARGIN = 2**12  # characters that are encoded beyond
Encoded = tuple[dict[str, Any], list[int], list[Span] | None, list[str], list[str]]
"""What a tokenizer gives: the model's inputs, and of each token the segment, the span, the characters and the piece."""


def tokenize(
    tokenizer: Any,
    text: str,
    pair: str | None = None,
    *,
    max_length: int | None = None,
    stride: int | None = None,
    words: bool = True,
) -> list[Tokens]:
    """A text (or pair) as the encoder reads it: one Tokens, or several windows of a text that is too long.

    Args:
        max_length: the most tokens to read at once, added ones included; None: no limit.
        stride: None cuts a longer text at its end (of a pair, the longer text first). A number reads it in windows,
            each of which repeats the last ``stride`` tokens of the one before; of a pair, the second text is windowed.
        words: whether to find out which words the tokens belong to, which takes as long as all the rest. They are
            known if the tokens that are read can be found again in the text, whatever comes after them.

    Raises:
        UsageError: the text holds no token or is not Unicode, or max_length or stride leave no room for it.
    """
    texts = [text] if pair is None else [text, pair]
    for number, given in enumerate(texts):
        if not given.strip():
            raise UsageError("the second text of the pair is empty" if number else "the text is empty")
        try:
            given.encode()
        except UnicodeEncodeError as error:
            raise UsageError("the text is not valid Unicode (it holds half of a surrogate pair)") from error
    starts = texts
    if max_length is not None and stride is None:
        starts = [beginning(tokenizer, given, max_length, words=words) for given in texts]
    whole = encode(tokenizer, starts, words=words)
    if not whole.positions(Role.CONTENT):
        raise UsageError("the tokenizer finds no token in the text")
    if max_length is None or len(whole) <= max_length:
        return [whole]
    if stride is not None:
        return windows(whole, max_length, stride)
    unread = sum(
        count_tokens(tokenizer, given) - whole.segments.count(segment)
        for segment, (given, start) in enumerate(zip(texts, starts, strict=True), start=1)
        if len(start) < len(given)
    )
    kept = cut(whole, max_length)
    return [replace(kept, n_cut=kept.n_cut + unread)]


def encode(tokenizer: Any, texts: Sequence[str], *, words: bool = True) -> Tokens:
    """One text or two as Tokens, however long; without their words unless these are asked for.

    Raises:
        UsageError: two texts for a tokenizer that would run them together, or that reads one only.
        ModelError: the tokenizer reads no plain text, does not tell which tokens it added, or fails.
    """
    with explained(f"{type(tokenizer).__name__} does not read this text"):
        return _encode(tokenizer, texts, words)


def _encode(tokenizer: Any, texts: Sequence[str], words: bool) -> Tokens:
    read = _encode_fast if tokenizer.is_fast else _encode_python
    inputs, segments, offsets, surfaces, strings = read(tokenizer, texts)
    if len(texts) == 2:
        _check_pair(tokenizer, segments, inputs.get("token_type_ids"))
    numbers, word_texts = assign_words(texts, offsets, segments) if words and offsets else (None, list[str]())
    return Tokens(
        strings=strings,
        texts=surfaces,
        roles=[
            Role.CONTENT if segment else added_role(tokenizer, id)
            for id, segment in zip(inputs["input_ids"], segments, strict=True)
        ],
        segments=segments,
        words=numbers,
        word_texts=word_texts,
        inputs=inputs,
    )


def beginning(tokenizer: Any, text: str, max_length: int, *, words: bool = True) -> str:
    """The start of a text that begins with the same max_length tokens, so that a huge text is never encoded as a whole.

    A start is believed once another, half as long, gives the same tokens. It is the whole text where no shorter one
    does, as when a single word goes on and on.
    """
    size, before = MARGIN + CHARACTERS * max_length, None
    while size * (2 if before is None else 1) < len(text):
        space = text.rfind(" ", size // 2, size)
        start = text[: size if space < 0 else space]
        kept = _settled(tokenizer, start, max_length, words=words, whole_words=space >= 0)
        if kept is not None and kept == before:
            return start
        size, before = 2 * size, kept
    return text


def _settled(tokenizer: Any, start: str, max_length: int, *, words: bool, whole_words: bool) -> Tokens | None:
    """The first max_length tokens of a text's start; None if it has no more, or its last word may be among them.

    Args:
        whole_words: whether the start ends at a space.
    """
    whole = encode(tokenizer, [start], words=words)
    if len(whole) <= max_length:
        return None
    kept = cut(whole, max_length)
    read, last = len(kept.positions(Role.CONTENT)), whole.positions(Role.CONTENT)
    if not whole_words and not _ends_before(tokenizer, start, whole, last[read - 1], last[-1]):
        return None
    return replace(kept, n_cut=0)


def _ends_before(tokenizer: Any, start: str, whole: Tokens, at: int, last: int) -> bool:
    """Whether the token at a position is of an earlier word than the last one, for Unicode and for the tokenizer.

    The tokenizer's word does not matter to BPE and Unigram, which know no longest word.
    """
    if not tokenizer.is_fast or (whole.words is not None and whole.words[at] == whole.words[last]):
        return False
    if type(tokenizer.backend_tokenizer.model).__name__ in ("BPE", "Unigram"):
        return True
    numbers = _call(tokenizer, [start]).word_ids(0)
    return bool(numbers[at] != numbers[last])


def _encode_fast(tokenizer: Any, texts: Sequence[str]) -> Encoded:
    encoding = _call(tokenizer, texts, return_offsets_mapping=True)
    segments = [0 if sequence is None else sequence + 1 for sequence in encoding.sequence_ids(0)]
    inputs = dict(encoding)
    offsets = [tuple(offset) for offset in inputs.pop("offset_mapping")]
    if _counts_in_words(tokenizer):
        starts = [[word.start() for word in re.finditer(r"\S+", text)] for text in texts]
        words = encoding.word_ids(0)
        shifts = [starts[segment - 1][word] if segment else 0 for segment, word in zip(segments, words, strict=True)]
        offsets = [(start + more, end + more) for (start, end), more in zip(offsets, shifts, strict=True)]
    strings = _pieces(tokenizer, inputs["input_ids"])
    for number, text in enumerate(texts, start=1):
        here = [at for at, segment in enumerate(segments) if segment == number]
        if not agrees(text, [offsets[at] for at in here], [strings[at] for at in here], tokenizer.unk_token):
            return inputs, segments, None, _surfaces(segments, strings), strings
    return inputs, segments, offsets, _characters(texts, segments, offsets, strings), strings


@lru_cache(maxsize=8)
def _counts_in_words(tokenizer: Any) -> bool:
    """Whether the tokenizer's offsets begin anew in each word (MarkupLM, which cuts a text at white space itself)."""
    offsets = _call(tokenizer, ["a a"], return_offsets_mapping=True)["offset_mapping"]
    return bool(max((end for _, end in offsets), default=0) == 1)


def _encode_python(tokenizer: Any, texts: Sequence[str]) -> Encoded:
    inputs = dict(_call(tokenizer, texts))
    pieces = [tokenizer.tokenize(text) for text in texts]
    segments = _typed_segments(tokenizer, pieces, inputs["input_ids"])
    spans = [align(text, strings, tokenizer.unk_token) for text, strings in zip(texts, pieces, strict=True)]
    typed, known = [iter(chain(*pieces)), iter(chain(*(found or () for found in spans)))]
    strings = _pieces(tokenizer, inputs["input_ids"])
    as_typed = [next(typed) if segment else "" for segment in segments]
    if None in spans:
        return inputs, segments, None, _surfaces(segments, as_typed), strings
    offsets = [next(known) if segment else (0, 0) for segment in segments]
    return inputs, segments, offsets, _characters(texts, segments, offsets, as_typed), strings


def _call(tokenizer: Any, texts: Sequence[str], **options: Any) -> Any:
    name = type(tokenizer).__name__
    try:
        return tokenizer(*texts, verbose=False, **options)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        if len(texts) == 2 and _call(tokenizer, texts[:1], **options):
            raise UsageError(f"{name} does not read pairs of texts") from error
        raise ModelError(f"{name} does not read plain text: {' '.join(str(error).split())}") from error


def _pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    pieces: list[Any] = tokenizer.convert_ids_to_tokens(ids)
    for id, piece in zip(ids, pieces, strict=True):
        if not isinstance(piece, str):
            raise ModelError(f"{type(tokenizer).__name__} has no piece of number {id}, which it gives")
    return pieces


class Typed(int):
    """The number of a token that stands for characters of a text, and so can be told from an equal one added."""

    segment = 0


def _typed_segments(tokenizer: Any, pieces: Sequence[Sequence[str]], ids: Sequence[int]) -> list[int]:
    """The segment of each token: 0 for those that the tokenizer puts around and between the pieces of the texts."""
    typed = [[Typed(id) for id in tokenizer.convert_tokens_to_ids(strings)] for strings in pieces]
    for number, tokens in enumerate(typed, start=1):
        for token in tokens:
            token.segment = number
    try:
        built = tokenizer.build_inputs_with_special_tokens(*typed)
    except ValueError:  # TAPAS insists on a table
        built = tokenizer.build_inputs_with_special_tokens(*typed, [])
    if built != ids:
        raise ModelError(f"{type(tokenizer).__name__} does not tell which tokens it added to the text")
    return [getattr(token, "segment", 0) for token in built]


def _surfaces(segments: Sequence[int], pieces: Sequence[str]) -> list[str]:
    """What each token stands for where its place is not known: punctuation can be told from the pieces."""
    return [surface(piece) if segment else "" for segment, piece in zip(segments, pieces, strict=True)]


def _characters(
    texts: Sequence[str], segments: Sequence[int], offsets: Sequence[Span], strings: Sequence[str]
) -> list[str]:
    """The characters of its text that each token stands for, without white space around them."""
    characters = [
        texts[segment - 1][start:end].strip() if segment else ""
        for (start, end), segment in zip(offsets, segments, strict=True)
    ]
    return ["" if _is_blank(piece, surface) else surface for piece, surface in zip(strings, characters, strict=True)]


def _is_blank(piece: str, characters: str) -> bool:
    """Whether a piece stands for white space only, though it is given the place of what follows; not a Maltese Ġ."""
    return not piece.strip(f"{SPACE}Ġ") and not set(piece) & set(characters)


def _check_pair(tokenizer: Any, segments: Sequence[int], types: Sequence[Any] | None) -> None:
    """Refuses two texts that stand side by side, with nothing between them and of the same token type."""
    for before, (first, second) in enumerate(pairwise(segments)):
        if {first, second} == {1, 2} and (types is None or types[before] == types[before + 1]):
            raise UsageError(f"{type(tokenizer).__name__} does not read pairs of texts: it would read them as one")


def added_role(tokenizer: Any, token: int) -> Role:
    """What a token that the tokenizer added is for.

    The separator is the tokenizer's sep token, or its end-of-text token where it has none (T5, ESM). XLM has one token
    for both: it is the separator.
    """
    separator = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    if token == separator:
        return Role.SEP
    return Role.CLS if token == tokenizer.cls_token_id else Role.OTHER


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
