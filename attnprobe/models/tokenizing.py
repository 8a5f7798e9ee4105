"""Any tokenizer -> Tokens of limited length: long texts are cut, or read in windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.models.counting import count_tokens
from attnprobe.models.encoding import call, encode
from attnprobe.values.records import Given
from attnprobe.values.tokens import Role, Tokens

CHARACTERS = 16  # per token that is kept, from which a text is not encoded as a whole at first
MARGIN = 2**12  # characters that are encoded beyond
WORDS = 2**12  # words as given that are encoded at once to be counted


def tokenize(
    tokenizer: Any,
    text: Given,
    pair: Given | None = None,
    *,
    max_length: int | None = None,
    stride: int | None = None,
    words: bool = True,
) -> list[Tokens]:
    """Tokenizes a text (or pair): one Tokens, or several windows of a text that is too long.

    Args:
        text, pair: texts; or lists of words as given, see :func:`attnprobe.models.encoding.encode`.
        max_length: how many tokens to read at once, added ones included; None: no limit.
        stride: None cuts a longer text at its end (of a pair, the longer text first). A number reads it in windows,
            each of which repeats the last ``stride`` tokens of the one before; of a pair, the second text is windowed.
        words: whether to find the words that the tokens belong to, which takes as long as all the rest. They are known
            if the tokens that are read can be found again in the text. Words as given are always known.

    Raises:
        UsageError: the text or one of its words as given holds no token or is not Unicode, only one of a pair has words
            as given, or max_length or stride leave no room for it.
    """
    texts = [text] if pair is None else [text, pair]
    for given, name in zip(texts, ("the text", "the second text of the pair"), strict=False):
        check_readable(given, name)
    if len({isinstance(given, str) for given in texts}) == 2:
        raise UsageError("one text of the pair is a list of words as given, the other is not")
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
        _count_unread(tokenizer, given, start, whole.segments.count(segment))
        for segment, (given, start) in enumerate(zip(texts, starts, strict=True), start=1)
    )
    kept = cut(whole, max_length)
    return [replace(kept, n_cut=kept.n_cut + unread)]


def check_readable(given: Given, name: str) -> None:
    """Refuses a text that is empty, holds an empty word, or is not Unicode.

    Raises:
        UsageError: the text is refused.
    """
    words = [given] if isinstance(given, str) else given
    if not any(map(str.strip, words)):
        raise UsageError(f"{name} is empty")
    if not all(map(str.strip, words)):
        raise UsageError(f"{name} has an empty word")
    try:
        "".join(words).encode()
    except UnicodeEncodeError as error:
        raise UsageError("the text is not valid Unicode (it holds half of a surrogate pair)") from error


def _count_unread(tokenizer: Any, given: Given, start: Given, read: int) -> int:
    """Counts the tokens after the beginning of a text that was read."""
    if len(start) == len(given):
        return 0
    if isinstance(given, str):
        return count_tokens(tokenizer, given) - read
    rest = (given[at : at + WORDS] for at in range(len(start), len(given), WORDS))
    return sum(len(encode(tokenizer, [words]).positions(Role.CONTENT)) for words in rest)


def beginning(tokenizer: Any, text: Given, max_length: int, *, words: bool = True) -> Given:
    """Finds a beginning of a text with the same first max_length tokens, so that a huge text is never encoded whole.

    A beginning is accepted if another, half as long, gives the same tokens. The whole text is taken if no shorter
    beginning does, as when a single word goes on and on. Words as given have a token each, so max_length + 1 suffice.
    """
    if not isinstance(text, str):
        return text[: max_length + 1]
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
    """Returns the first max_length tokens of a beginning; None if it has no more, or they may reach its last word.

    Args:
        whole_words: whether the beginning ends at a space.
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
    """Tests whether the token at a position is before the last word, for Unicode and for the tokenizer.

    The tokenizer's word does not matter to BPE and Unigram, which know no longest word.
    """
    if not tokenizer.is_fast or (whole.words is not None and whole.words[at] == whole.words[last]):
        return False
    if type(tokenizer.backend_tokenizer.model).__name__ in ("BPE", "Unigram"):
        return True
    numbers = call(tokenizer, [start]).word_ids(0)
    return bool(numbers[at] != numbers[last])


def cut(whole: Tokens, max_length: int) -> Tokens:
    """Cuts the last tokens of a text that do not fit; of a pair, the longer text is cut first."""
    places = [[at for at, segment in enumerate(whole.segments) if segment == number] for number in (1, 2)]
    n_cut = len(whole) - max_length
    _check_room(sum(map(len, places)) - n_cut, max_length)
    for _ in range(n_cut):
        (places[0] if len(places[0]) > len(places[1]) else places[1]).pop()
    added = [at for at, segment in enumerate(whole.segments) if segment == 0]
    return replace(whole.take(sorted([*added, *places[0], *places[1]])), n_cut=n_cut)


def windows(whole: Tokens, max_length: int, stride: int) -> list[Tokens]:
    """Splits the text into overlapping windows of max_length tokens, with added tokens (and a pair's first text)."""
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
