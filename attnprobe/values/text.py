"""Characters and words: where words begin and end, which tokens are punctuation, what may be printed."""

from __future__ import annotations

import bisect
import itertools
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

Span = tuple[int, int]
# Blank in print though not of a category that says so: joiners, fillers, selectors. The emoji selector U+FE0F is left.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")  # names of characters that no spaces part


def word_spans(text: str) -> list[Span]:
    """Finds the words of a text as (start, end) characters, by Unicode's default word boundaries (UAX #29).

    Punctuation marks, symbols, ideographs and whole emoji sequences are words of their own. White space is no word, and
    a script without spaces between words has no known words, see :func:`unspaced_script`.

    >>> [("我们 can't 👍🏽!")[start:end] for start, end in word_spans("我们 can't 👍🏽!")]
    ['我', '们', "can't", '👍🏽', '!']
    """
    import regex

    bounds = [match.start() for match in regex.finditer(r"(?V1)(?w)\b", text)]
    edges = sorted({0, len(text), *bounds})
    spans = [(start, end) for start, end in itertools.pairwise(edges) if not text[start:end].isspace()]
    return [span for span in spans if not unspaced_script(text[slice(*span)])] if unspaced_script(text) else spans


def unspaced_script(text: str) -> str:
    """Names the script of a text without spaces between words, where finding words takes a dictionary; else empty.

    >>> unspaced_script("ฉันรักแมว"), unspaced_script("我们 can't")
    ('Thai', '')
    """
    if text.isascii():
        return ""
    import regex

    found = regex.search(r"\p{Line_Break=SA}", text)
    return unicodedata.name(found[0]).split()[0].capitalize() if found else ""


def assign_words(texts: Sequence[str], offsets: Sequence[Span], segments: Sequence[int]) -> tuple[list[int], list[str]]:
    """Finds the word that each token belongs to, from character offsets alone.

    A token that covers several words (``...`` as one piece) joins them; a token outside every word, added, white space
    or of a script whose words are not known, is a unit of its own. Consecutive tokens of one word share a number;
    numbers grow by one.

    Args:
        texts: the first text, then the second of a pair.
        offsets: (start, end) of each token in its text.
        segments: 0 for added tokens, else 1 + the index in ``texts``.

    Returns:
        the unit of each token, and the characters of each unit.
    """
    spans = [word_spans(text) for text in texts]
    words: list[int] = []
    units: list[tuple[int, int, int]] = []  # segment, start, end
    for (start, end), segment in zip(offsets, segments, strict=True):
        unit = (segment, start, end)
        if segment:
            unit = (segment, *_word_around(texts[segment - 1], spans[segment - 1], start, end))
        if segment and units and units[-1][0] == segment and unit[1] < units[-1][2]:
            units[-1] = (segment, units[-1][1], max(unit[2], units[-1][2]))
        else:
            units.append(unit)
        words.append(len(units) - 1)
    return words, [texts[segment - 1][start:end] if segment else "" for segment, start, end in units]


def _word_around(text: str, spans: Sequence[Span], start: int, end: int) -> Span:
    """Finds the words that the characters start..end touch, as one span; start..end if they touch none."""
    while start < end and text[start].isspace():  # byte-level and SentencePiece offsets may include the space before
        start += 1
    first = bisect.bisect_right(spans, start, key=lambda span: span[1])
    last = bisect.bisect_left(spans, end, key=lambda span: span[0])
    return (min(start, spans[first][0]), max(end, spans[last - 1][1])) if first < last else (start, end)


@lru_cache(maxsize=2**16)
def is_punctuation(text: str) -> bool:
    """Tests whether all characters of a token's text are punctuation (Unicode category P*).

    >>> is_punctuation("。"), is_punctuation("..."), is_punctuation("$"), is_punctuation("")
    (True, True, False, False)
    """
    return bool(text) and all(unicodedata.category(character).startswith("P") for character in text)


def visible(token: str) -> str:
    """Makes a token safe to print: controls, bidi marks and zero-width characters are shown instead of obeyed.

    >>> visible("[/INST]"), visible("a\\nb"), visible("\\x1b[31m"), visible("\\u202e")
    ('[/INST]', 'a␊b', '␛[31m', '<U+202E>')
    """
    return "".join(map(_visible_character, token))


def label(piece: str) -> str:
    """Makes a piece of a vocabulary fit to be read: without the mark of a space before Chinese or Japanese characters.

    >>> label("▁它们"), label("▁it"), label("▁")
    ('它们', '▁it', '▁')
    """
    is_spaceless = piece[:1] == "▁" and unicodedata.name(piece[1:2] or " ", "").startswith(SPACELESS)
    return visible(piece[1:] if is_spaceless else piece)


def shorten(text: str, most: int) -> str:
    """Returns the beginning of a text, in one line.

    >>> shorten("The cat\\nsat on the mat.", 12)
    'The cat sat…'
    """
    line = " ".join(text.split(maxsplit=most)[:most])  # each word has a character at least
    return visible(line if len(line) <= most else f"{line[: most - 1]}…")


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"} and character != " "
    hidden |= character in INVISIBLE or "\ufe00" <= character <= "\ufe0e" or 0xE0100 <= code <= 0xE01EF
    return f"<U+{code:04X}>" if hidden else character
