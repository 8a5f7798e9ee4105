"""Finds the tokens that a person names: by position, by characters, or by the vocabulary's piece."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import partial

from attnprobe.errors import UsageError
from attnprobe.values.text import visible
from attnprobe.values.tokens import Role, Tokens


def find_tokens(tokens: Tokens, query: str) -> list[int]:
    """Finds the positions of all tokens that match the query, see :func:`find_matches`, in order.

    >>> cat = Tokens(["[CLS]", "cat", "##s"], ["", "cat", "s"], [Role.CLS, Role.CONTENT, Role.CONTENT], [0, 1, 1])
    >>> find_tokens(cat, "cats"), find_tokens(cat, "##s"), find_tokens(cat, "-1")
    ([1, 2], [2], [2])
    """
    return sorted({at for match in find_matches(tokens, query) for at in match})


def find_matches(tokens: Tokens, query: str) -> list[list[int]]:
    """Finds all matches of the query in the text, each as the positions of its pieces.

    A whole number within the text is a position, counted from 0, negative ones from the end. Anything else is searched
    for: first as one or more whole words, or an added token such as ``[CLS]``; then as one or more pieces, by their
    characters or as the vocabulary writes them. A query without capitals is found in any case, one with capitals only
    as it stands; white space does not count. Pieces without characters, such as a lone ``▁``, are no part of a match.

    Raises:
        UsageError: no token matches; the hint names some that are like it.
    """
    length = len(tokens)
    return [[int(query) % length]] if _is_position(query, length) else find_characters(tokens, query)


def find_characters(tokens: Tokens, query: str) -> list[list[int]]:
    """Finds all matches of the query as :func:`find_matches` does, in which a number is no position.

    Raises:
        UsageError: no token matches; the hint names some that are like it.
    """
    wanted = "".join(query.split())
    added = [[at] for at, role in enumerate(tokens.roles) if role != Role.CONTENT and tokens.strings[at] == query]
    matches = sorted([*added, *_words(tokens, wanted)])
    if not matches:
        matches = list(_runs(tokens.texts, tokens.segments, wanted))
        matches += [[at] for at, string in enumerate(tokens.strings) if string == query and [at] not in matches]
    if not matches:
        raise UsageError(
            f"no token or word {query!r} in the text", f"{_near(tokens, query)}a position, 0 to {len(tokens) - 1}"
        )
    return sorted(map(partial(_with_characters, tokens), matches))


def one_query(tokens: Tokens, query: str | int | None) -> tuple[int, str]:
    """Finds the position of the one token that the query names, and a remark on the choice; empty if it is clear.

    Args:
        query: see :func:`find_matches`; the first piece of the first match is taken. None: the only token of the text.

    Raises:
        UsageError: no token matches, or ``query`` is None and the text has several tokens.
    """
    if query is None:
        content = tokens.positions(Role.CONTENT)
        if len(content) != 1:
            raise UsageError(
                f"which of the {len(content)} tokens asks?", f"name the query: {_near(tokens, '')}a position"
            )
        return content[0], ""
    first, remarks = first_match(tokens, query)
    if len(first) > 1:
        pieces = ", ".join(f"{token_label(tokens, at)} at {at}" for at in first)
        remarks = [f"{query} is {len(first)} tokens, {pieces}; the first piece asks", *remarks]
    return first[0], "; ".join(remarks)


def first_match(tokens: Tokens, query: str | int, apart: Sequence[int] = ()) -> tuple[list[int], list[str]]:
    """Finds the first match of the query, and remarks on the choice; none if it is clear.

    Args:
        query: see :func:`find_matches`.
        apart: positions that the match must not have.

    Raises:
        UsageError: no token matches, or only tokens at these positions.
    """
    matches = [match for match in find_matches(tokens, str(query)) if not {*match} & {*apart}]
    if not matches:
        raise UsageError(f"{query} stands nowhere else in the text", "name two words, or two positions")
    first, *others = matches
    remarks: list[str] = []
    if isinstance(query, str) and _is_position(query, len(tokens)) and query in tokens.texts:
        remarks.append(f"{query} is taken as a position; as a token it stands at {list(tokens.texts).index(query)}")
    if others:
        remarks.append(f"{query} also stands at {', '.join(str(match[0]) for match in others)}; the first is taken")
    return first, remarks


def token_label(tokens: Tokens, at: int) -> str:
    """Labels a token with the vocabulary's piece, and with the characters it stands for if the piece hides them.

    >>> token_label(Tokens(["[UNK]", "the"], ["它", "The"], [Role.CONTENT] * 2, [1, 1]), 0)
    '[UNK] (它)'
    """
    string, text = tokens.strings[at], tokens.texts[at]
    return visible(string if text.casefold() in string.casefold() else f"{string} ({text})")


def _with_characters(tokens: Tokens, match: Sequence[int]) -> list[int]:
    """Leaves out pieces without characters, unless a match has nothing else: added tokens have none."""
    return [at for at in match if tokens.texts[at].strip()] or list(match)


def _is_position(query: str, length: int) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", query) is not None and -length <= int(query) < length


def _words(tokens: Tokens, wanted: str) -> Iterator[list[int]]:
    """Finds each run of whole words with these characters, as the positions of their pieces."""
    if tokens.words is None:
        return
    pieces: list[list[int]] = [[] for _ in tokens.word_texts]
    for at, word in enumerate(tokens.words):
        pieces[word].append(at)
    for run in _runs(tokens.word_texts, [tokens.segments[positions[0]] for positions in pieces], wanted):
        yield [at for word in run for at in pieces[word]]


def _runs(texts: Sequence[str], segments: Sequence[int], wanted: str) -> Iterator[list[int]]:
    """Finds the indices of consecutive texts of one segment that together are the wanted characters."""
    if wanted == wanted.lower():  # without capitals: in any case
        texts = [text.lower() for text in texts]
    for start, segment in enumerate(segments):
        joined = ""
        for stop in range(start, len(texts)):
            more = "".join(texts[stop].split())
            if not more or segments[stop] != segment:
                break
            joined += more
            if joined == wanted:
                yield list(range(start, stop + 1))
            if not wanted.startswith(joined):
                break


def _near(tokens: Tokens, query: str) -> str:
    """Lists some tokens to choose from, the most alike first, for a hint."""
    known = {text.casefold(): text for text in [*tokens.word_texts, *tokens.texts, *tokens.strings] if text.strip()}
    alike = get_close_matches(query.casefold(), known, n=5, cutoff=0.5) or list(known)[:5]
    return f"{', '.join(visible(known[text]) for text in alike)}, ... or "


def kept_positions(tokens: Tokens, special: str) -> list[int]:
    """Lists all positions if ``special`` is "keep", else those of tokens of the text.

    Raises:
        UsageError: none is left.
    """
    kept = list(range(len(tokens))) if special == "keep" else tokens.positions(Role.CONTENT)
    if not kept:
        raise UsageError("the text has special tokens only, so that none is left", "--special keep shows them")
    return kept
