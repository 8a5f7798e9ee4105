"""Finds pieces again in the text, for tokenizers that give no character offsets."""

from __future__ import annotations

import bisect
import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain

from attnprobe.values.text import Span

SPACE = "▁"  # how SentencePiece writes white space
# Marks that say whether a piece begins or ends its word, or that it is white space (CLVP).
CONTINUED = re.compile(r"^(?:##|Ġ)(?=.)|(?<=.)(?:</w>|@@)$|^\[SPACE]$")
# What Moses (XLM, FlauBERT, FSMT, BioGPT) does to a text before it is cut: plain marks, then escapes.
PLAIN = dict.fromkeys("“”„«»‟《》「」", '"') | dict.fromkeys("‘’‚‛‹›`´", "'") | dict.fromkeys("‐‑‒–—―−━", "-")
PLAIN |= dict(zip("。、∶〈〉【】", ".,:<>[]", strict=True))
ESCAPED = {mark: html.escape(mark).replace("&#x27;", "&apos;") for mark in "&<>\"'"}
ESCAPED |= {mark: f"&#{ord(mark)};" for mark in "|[]"}
REWRITTEN: tuple[Mapping[str, str], ...] = (
    {},
    PLAIN,
    ESCAPED,
    ESCAPED | {mark: ESCAPED.get(plain, plain) for mark, plain in PLAIN.items()},
    {"\n": "__newln__"},  # BlenderbotSmall
)
BLANKS = (" ", "\t", "\n", "\r")
IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
MARKS = r"\p{P}$+<=>^`|~"
# What one unknown token may stand for: what is between spaces, what BERT calls a word (with ideographs each a word of
# its own, or not), or one character.
UNKNOWN = (r"\S+", rf"[{MARKS}{IDEOGRAPHS}]|[^\s{MARKS}{IDEOGRAPHS}]+", rf"[{MARKS}]|[^\s{MARKS}]+", r"\S")


@dataclass(frozen=True)
class Folded:
    """A text normalized as tokenizers do: without case, compatibility forms and ways to compose a letter.

    Attributes:
        text: the folded characters.
        owners: of each, the index of the character it comes from.
        droppable: of each, whether tokenizers may leave it out.
    """

    text: str
    owners: Sequence[int]
    droppable: Sequence[bool]

    def span(self, start: int, stop: int) -> Span:
        """Finds the original characters that the folded characters start..stop come from."""
        owners = self.owners[start:stop]
        return (min(owners), max(owners) + 1)


def align(text: str, pieces: Sequence[str], unknown: str | None = None) -> list[Span] | None:
    """Finds the position of each piece in the text, as (start, end) characters; None if one is unclear.

    A piece may differ from its characters in case, accents, compatibility forms and the marks of its tokenizer. What
    no piece covers is white space, or marks and invisible characters that the tokenizer left out. A piece of nothing
    but white space has its own characters where it is written as such, else the place of the piece after it.

    Args:
        unknown: the piece that stands for any word or character the vocabulary lacks.

    >>> align("Ｔhe CAFE\u0301", ["the", "ca", "##fé"])
    [(0, 3), (4, 6), (6, 9)]
    >>> align("The 🐈 sat", ["the", "[UNK]", "sat"], "[UNK]")
    [(0, 3), (4, 5), (6, 9)]
    >>> align("The cat", ["the", "dog"]) is None
    True
    """
    as_bytes = align_bytes(text, pieces)
    if as_bytes is not None:
        return as_bytes
    sizes = UNKNOWN if unknown in pieces else UNKNOWN[:1]
    for rewritten in REWRITTEN:
        folded = fold(text, rewritten)
        found = [walk(text, folded, pieces, unknown, size) for size in sizes]
        fitting = [spans for spans in found if spans is not None]
        if fitting:
            return fitting[0] if all(spans == fitting[0] for spans in fitting) else None
    return None


def align_bytes(text: str, pieces: Sequence[str]) -> list[Span] | None:
    """Finds the positions of pieces whose characters are bytes of the text (ByT5, Perceiver); None if they are not.

    >>> align_bytes("né", ["n", "Ã", "©"])
    [(0, 1), (1, 2), (1, 2)]
    """
    written = text.encode().decode("latin-1")
    owners = [at for at, character in enumerate(text) for _ in character.encode()]
    spans: list[Span] = []
    at = 0
    for piece in pieces:
        while not written.startswith(piece, at) and written[at : at + 1] in BLANKS:  # left out around a typed </s>
            at += 1
        if not piece or not written.startswith(piece, at):
            return None
        spans.append((owners[at], owners[at + len(piece) - 1] + 1))
        at += len(piece)
    return None if written[at:].strip("".join(BLANKS)) else spans


def fold(text: str, rewritten: Mapping[str, str] = REWRITTEN[0]) -> Folded:
    """Folds the text, with combining marks in canonical order.

    Args:
        rewritten: what is written instead of some characters.
    """
    folded = [
        (*letter, at)
        for at, original in enumerate(text)
        for character in rewritten.get(original, original)
        for letter in _fold_character(character)
    ]
    classes = [unicodedata.combining(character) if may_go else 0 for character, may_go, _ in folded]
    bases = accumulate(not combining for combining in classes)
    order = [at for _, _, at in sorted(zip(bases, classes, range(len(folded)), strict=True))]
    characters, droppable, owners = zip(*(folded[at] for at in order), strict=True) if folded else ((), (), ())
    return Folded("".join(characters), owners, droppable)


@lru_cache(maxsize=1 << 14)
def _fold_character(original: str) -> list[tuple[str, bool]]:
    """The folded characters of one, each with whether tokenizers may leave it out: an accent, not a lone mark."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", original).casefold())
    if original.isspace() or original == "\ufffd" or _is_mark(original):
        return [(character, True) for character in folded]
    inked = folded.replace(" ", "")
    return [(character, at > 0 and _is_mark(character)) for at, character in enumerate(inked)]


def _is_mark(character: str) -> bool:
    """Tests whether a character is a combining mark, a control, or invisible."""
    category = unicodedata.category(character)
    return category == "Mn" or category.startswith("C")


def walk(text: str, folded: Folded, pieces: Sequence[str], unknown: str | None, size: str) -> list[Span] | None:
    """Finds the pieces' spans one after the other; None if they do not account for the whole text.

    Args:
        size: a pattern of what one unknown piece stands for.
    """
    spans: list[Span | None] = []
    at = 0
    for piece in pieces:
        found = _find_piece(folded, at, piece)
        if found is None and piece == unknown:
            found = _find_unknown(text, folded, at, size)
        if found is None:
            return None
        start, at = found
        spans.append(_trimmed(text, folded.span(start, at)) if start < at else None)
    return _completed(text, spans) if all(folded.droppable[at:]) else None


def agrees(text: str, spans: Sequence[Span], pieces: Sequence[str], unknown: str | None) -> bool:
    """Tests whether a tokenizer's spans are right: they leave nothing out, or all hold their pieces.

    A BPE that passes over a letter it does not know, as TIPSv2's does, counts on as if the letter were not there.

    >>> agrees("a cat", [(0, 1), (2, 3), (3, 4)], ["a", "a", "t"], None)
    False
    """
    if _follow_each_other(text, spans):
        return True
    covered = set(chain.from_iterable(range(*span) for span in spans))
    if all(at in covered or character.isspace() or _is_mark(character) for at, character in enumerate(text)):
        return True
    return all(
        piece == unknown or any(_ink(form) in _ink(text[slice(*span)]) for form in _forms(piece))
        for span, piece in zip(spans, pieces, strict=True)
    )


def _follow_each_other(text: str, spans: Sequence[Span]) -> bool:
    """Tests whether ascending spans leave out only white space, as most do."""
    furthest = 0
    for start, end in [*spans, (len(text), len(text))]:
        if start > furthest and not text[furthest:start].isspace():
            return False
        furthest = max(furthest, end)
    return True


def _ink(text: str) -> str:
    """Keeps the folded characters that no tokenizer may leave out."""
    folded = fold(text.replace(SPACE, ""))
    return "".join(character for character, may in zip(folded.text, folded.droppable, strict=True) if not may)


def surface(piece: str) -> str:
    """Strips the tokenizer's marks from a piece, which leaves the characters it stands for.

    >>> [surface(piece) for piece in ["##ing", "ing</w>", "play@@", "▁the", "&amp;</w>", "@-@", "##"]]
    ['ing', 'ing', 'play', 'the', '&', '-', '##']
    """
    if piece.isascii() and piece.isalnum():  # most have no mark
        return piece
    return html.unescape(_dashed(CONTINUED.sub("", piece))).strip(f"{SPACE} ")


def _forms(piece: str) -> list[str]:
    """Lists the forms of a piece: without its tokenizer's marks, also without Moses' dash, as it is, and escaped."""
    bare = CONTINUED.sub("", piece)
    escaped = "".join(ESCAPED.get(character, character) for character in piece)
    return [bare, _dashed(bare), piece, escaped]


def _dashed(bare: str) -> str:
    """Writes Moses' dash as it is in a text."""
    return "-" if bare == "@-@" else bare


@lru_cache(maxsize=1 << 14)
def _folded_forms(piece: str) -> list[str]:
    return [fold(form).text for form in dict.fromkeys(_forms(piece))]


def _find_piece(folded: Folded, at: int, piece: str) -> Span | None:
    """Finds a piece in the folded text, if only droppable characters lie between ``at`` and it."""
    found = (_find_form(folded, at, form) for form in _folded_forms(piece))
    return next((span for span in found if span is not None), None)


def _find_form(folded: Folded, at: int, form: str) -> Span | None:
    start = None
    for character in form:
        ahead = _skip(folded, at, character)
        if folded.text[ahead : ahead + 1] == character:
            start, at = ahead if start is None else start, ahead + 1
        elif not _is_space(character):
            return None
    return at if start is None else start, at


def _skip(folded: Folded, at: int, character: str) -> int:
    """Skips from ``at`` what may be left out before the character: nothing before white space, which may be absent."""
    while (
        folded.text[at : at + 1] not in ("", character)
        and folded.droppable[at]
        and not character.isspace()
        and (character != SPACE or folded.text[at].isspace())
    ):
        at += 1
    return at


def _is_space(character: str) -> bool:
    return character == SPACE or character.isspace()


def _find_unknown(text: str, folded: Folded, at: int, size: str) -> Span | None:
    """Finds the folded characters of an unknown piece, which begins at the next one that is not droppable."""
    import regex

    while at < len(folded.text) and folded.droppable[at]:
        at += 1
    match = regex.compile(size).match(text, folded.owners[at]) if at < len(folded.text) else None
    return (at, bisect.bisect_left(folded.owners, match.end(), lo=at)) if match else None


def _trimmed(text: str, span: Span) -> Span:
    """Trims white space at the ends of a span, unless it holds nothing else."""
    characters = text[slice(*span)]
    start = span[0] + len(characters) - len(characters.lstrip())
    return (start, start + len(characters.strip())) if characters.strip() else span


def _completed(text: str, spans: Sequence[Span | None]) -> list[Span] | None:
    """Completes the spans: with the marks left out right after a piece, or the next span for an empty piece.

    Returns None if the spans do not ascend.
    """
    following = len(text)
    completed: list[Span] = []
    for span in reversed(spans):
        if span is None:
            completed.append(completed[-1] if completed else (following, following))
            continue
        start, end = span
        left_out = re.match(r"\S*", text[end:following])
        completed.append((start, end + left_out.end() if left_out else end))
        following = start
    completed.reverse()
    return completed if completed == sorted(completed) else None
