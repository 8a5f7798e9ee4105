"""Places words in a text as something other than the tokenizer counts them, and gives each its tokens."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

from attnprobe.errors import UsageError
from attnprobe.values.arguments import shown
from attnprobe.values.text import Span, word_spans


def find_words(text: str, words: Sequence[str], ranges: Mapping[int, tuple[int, str]]) -> list[Span]:
    """Finds the (start, end) characters of words in a text, in order; white space does not count.

    Args:
        ranges: the numbers of the first words of ranges, with the number after the last word and the characters that
            stand for all of them, which each of these words then has.

    Raises:
        UsageError: a word is not in the text.

    >>> find_words("Geh zum See!", ["Geh", "zu", "dem", "See", "!"], {1: (3, "zum")})
    [(0, 3), (4, 7), (4, 7), (8, 11), (11, 12)]
    """
    places = [at for at, character in enumerate(text) if not character.isspace()]
    inked = "".join(text[at] for at in places)
    begins = {start for start, _ in word_spans(text)}
    spans: list[Span] = []
    end = 0
    while len(spans) < len(words):
        stop, form = ranges.get(len(spans), (len(spans) + 1, words[len(spans)]))
        wanted = "".join(form.split())
        start = inked.find(wanted, end)
        while start > end and places[start] not in begins:  # within another word
            start = inked.find(wanted, start + 1)
        if start < 0:
            raise UsageError(f"the text lacks word {len(spans) + 1}, {shown(form)}, or has it elsewhere")
        end = start + len(wanted)
        spans += [(places[start], places[end - 1] + 1)] * (stop - len(spans))
    return spans


def share_out(words: Sequence[Span], tokens: Iterable[Span]) -> tuple[list[int], list[int]]:
    """Shares out tokens to the words that their characters touch; words with a token in common are one.

    Args:
        words: ascending; equal ones are one word.
        tokens: ascending; an empty span touches no word.

    Returns:
        the number of each word, which counts those that are one only once, and the number of each token's word, -1 if
        it touches none.

    >>> share_out([(0, 2), (2, 3), (4, 9)], [(0, 0), (0, 1), (1, 3), (3, 6), (6, 9)])
    ([0, 0, 1], [-1, 0, 0, 1, 1])
    """
    starts, ends = [start for start, _ in words], [end for _, end in words]
    joined = [after[0] < before[1] for before, after in pairwise(words)]
    firsts: list[int] = []
    for start, end in tokens:
        first, after = bisect.bisect_right(ends, start), bisect.bisect_left(starts, end)
        touches = start < end and first < after
        firsts.append(first if touches else -1)
        if touches:
            joined[first : after - 1] = [True] * (after - 1 - first)
    numbers = list(accumulate((int(not with_next) for with_next in joined), initial=0))[: len(words)]
    return numbers, [numbers[first] if first >= 0 else -1 for first in firsts]
