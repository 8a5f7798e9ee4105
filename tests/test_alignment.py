"""Pieces found again in their text, and the offsets of fast tokenizers believed only where they can be true."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprobe.errors import UsageError
from attnprobe.models.alignment import agrees, align, fold, surface
from attnprobe.models.encoding import _check_pair, _is_blank, encode
from attnprobe.values.text import Span
from attnprobe.values.tokens import Role
from tests.tiny import ROBERTA_SPECIALS, byte_pairs, xlm_tokenizer

EXACT: dict[str, tuple[str, list[str], list[Span] | None]] = {
    "a mark that was left out": ("cafe\u0301s", ["cafe", "##s"], [(0, 5), (5, 6)]),
    "a mark as a piece": ("e\u0301", ["e", "\u0301"], [(0, 1), (1, 2)]),
    "marks in another order": ("e\u0302\u0323 x", ["ệ", "x"], [(0, 3), (4, 5)]),
    "an invisible mark at the start": ("\ufeffab c", ["ab", "c"], [(1, 3), (4, 5)]),
    "one character in three pieces": ("½", ["▁1", "⁄", "2"], [(0, 1)] * 3),
    "plain quotes": ("«là»", ['"</w>', "là</w>", '"</w>'], [(0, 1), (1, 3), (3, 4)]),
    "escaped, in one piece": ("it's", ["it</w>", "&apos;s</w>"], [(0, 2), (2, 4)]),
    "escaped, cut": ("a & b", ["a</w>", "&am", "p;</w>", "b</w>"], [(0, 1), (2, 3), (2, 3), (4, 5)]),
    "escaped, and typed": ("[a] </s>", ["&#91;", "a", "&#93;", "</s>"], [(0, 1), (1, 2), (2, 3), (4, 8)]),
    "a dash between letters": ("a-b", ["a</w>", "@-@</w>", "b</w>"], [(0, 1), (1, 2), (2, 3)]),
    "a line break that is spelled": ("a\nb", ["a", "__newln__", "b"], [(0, 1), (1, 2), (2, 3)]),
    "white space as pieces": ("a \tb", ["a", " ", "\t", "b"], [(0, 1), (1, 2), (2, 3), (3, 4)]),
    "a typed ▁": ("x ▁ z", ["x</w>", "▁</w>", "z</w>"], [(0, 1), (2, 3), (4, 5)]),
    "white space at the end": ("a ", ["▁a", "▁"], [(0, 1), (2, 2)]),
    "typed unknown": ("a [UNK] b", ["a", "[UNK]", "b"], [(0, 1), (2, 7), (8, 9)]),
    "unknown ideographs": ("我们 b", ["[UNK]", "[UNK]", "b"], [(0, 1), (1, 2), (3, 4)]),
    "an unknown word of ideographs": ("我们,b", ["[UNK]", ",", "b"], [(0, 2), (2, 3), (3, 4)]),
    "unknown between spaces": ("a,b c", ["[UNK]", "c"], [(0, 3), (4, 5)]),
    "unknown after an accent": ("ą 龘", ["a", "[UNK]"], [(0, 1), (2, 3)]),
    "a lone sign is not left out": ("a ¨", ["a"], None),
    "pieces in another order": ('"a",', ['"', "a", ",", '"'], None),
    "an unknown too many": ("a b", ["a", "b", "[UNK]"], None),
    "marks cut out of order": ("e\u0302\u0323", ["e", "\u0323", "\u0302"], None),
    "unknown words of two possible sizes": (",a aa", ["[UNK]", "a", "[UNK]"], None),
    "nothing": (" ", [], []),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_spans(name: str) -> None:
    text, pieces, spans = EXACT[name]
    assert align(text, pieces, "[UNK]") == spans


WRITTEN = {
    "as it is": str,
    "lower": str.lower,
    "upper": str.upper,
    "composed": lambda text: unicodedata.normalize("NFKC", text),
    "decomposed": lambda text: unicodedata.normalize("NFKD", text),
    "without accents": lambda text: "".join(
        c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn"
    ),
}
LETTERS = st.text(st.sampled_from("abcéßİﬁΣσςǅ我한ÅＡ①żЖж"), min_size=1, max_size=5)


@given(words=st.lists(LETTERS, min_size=1, max_size=5), way=st.sampled_from(sorted(WRITTEN)), data=st.data())
@settings(max_examples=300, deadline=None)
def test_random_pieces_are_found_again_however_written(words: list[str], way: str, data: st.DataObject) -> None:
    text, pieces, spans, at = " ".join(words), list[str](), list[Span](), 0
    for word in words:
        cuts = sorted({0, len(word), *data.draw(st.lists(st.integers(0, len(word)), max_size=3))})
        for start, stop in pairwise(cuts):
            pieces.append(("##" if start else "") + WRITTEN[way](word[start:stop]))
            spans.append((at + start, at + stop))
        at += len(word) + 1
    assert align(text, pieces) == spans


@given(
    words=st.lists(st.tuples(st.text("abc", min_size=1, max_size=3), st.booleans()), min_size=1, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_unknown_words_are_found_or_not_told_but_never_misplaced(words: list[tuple[str, bool]]) -> None:
    text = " ".join(word for word, _ in words)
    pieces = [word if known else "[UNK]" for word, known in words]
    ends = [len(" ".join(word for word, _ in words[: at + 1])) for at in range(len(words))]
    spans = [(end - len(word), end) for end, (word, _) in zip(ends, words, strict=True)]
    assert align(text, pieces, "[UNK]") == spans


@given(text=st.text(max_size=12), pieces=st.lists(st.text(max_size=3), max_size=5))
@settings(max_examples=300, deadline=None)
def test_spans_ascend_and_stay_in_the_text(text: str, pieces: list[str]) -> None:
    spans = align(text, pieces, "?")
    if spans is not None:
        assert len(spans) == len(pieces)
        assert spans == sorted(spans)
        assert all(0 <= start <= end <= len(text) for start, end in spans)


@given(text=st.text(max_size=20))
def test_folding_keeps_every_owner(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.owners) == len(folded.droppable)
    assert set(folded.owners) == set(range(len(text)))


@pytest.mark.parametrize(
    ("pieces", "spans", "believed"),
    [
        (["a", "cat"], [(0, 1), (2, 5)], True),
        (["a", "at"], [(0, 1), (3, 5)], True),  # the tokenizer has no c, and says so
        (["a", "at"], [(0, 1), (2, 4)], False),
        (["a", "[UNK]"], [(0, 1), (2, 4)], True),
        (["x", "y"], [(0, 1), (2, 5)], True),  # nothing is left out: whatever the pieces look like
    ],
)
def test_offsets_are_believed(pieces: list[str], spans: list[Span], believed: bool) -> None:
    assert agrees("a cat", spans, pieces, "[UNK]") is believed


@pytest.mark.parametrize(
    ("piece", "characters"),
    [("##ing", "ing"), ("Ġon", "on"), ("Ġ", "Ġ"), ("[SPACE]", ""), ("@@@", "@"), ("▁</w>", ""), ("&quot;</w>", '"')],
)
def test_surface(piece: str, characters: str) -> None:
    assert surface(piece) == characters


def test_offsets_counted_in_words_are_moved_to_their_words() -> None:
    """MarkupLM cuts the text at white space and counts anew in each word."""
    tokenizer = transformers.MarkupLMTokenizer(**byte_pairs(ROBERTA_SPECIALS), tags_dict={"a": 0})
    tokens = encode(tokenizer, ["  old\ttold boats"])
    assert "".join(tokens.texts) == "oldtoldboats"
    assert [text for text in tokens.word_texts if text] == ["old", "told", "boats"]


def test_leading_blank_of_a_byte_level_vocabulary_has_no_text() -> None:
    tokens = encode(transformers.BlenderbotTokenizer(**byte_pairs(ROBERTA_SPECIALS)), ["Zz"])
    assert tokens.strings[0] == "Ġ"
    assert tokens.texts[0] == ""
    assert "".join(tokens.texts) == "Zz"


def test_separator_that_is_the_class_token_too_is_the_separator() -> None:
    tokens = encode(xlm_tokenizer(), ["told </s>", "told"])
    added = [(string, role) for string, role in zip(tokens.strings, tokens.roles, strict=True) if role != Role.CONTENT]
    assert added == [("<s>", Role.OTHER), ("</s>", Role.SEP), ("</s>", Role.SEP)]
    assert tokens.texts[tokens.roles.index(Role.SEP) - 1] == "</s>"


def test_pieces_that_stand_for_white_space_only() -> None:
    assert _is_blank("▁", "T")
    assert _is_blank("Ġ", "T")
    assert not _is_blank("▁", "▁")
    assert not _is_blank("▁Ġ", "Ġ")  # a letter of Maltese
    assert not _is_blank("▁T", "T")


def test_texts_side_by_side_are_told_apart_by_their_types_alone() -> None:
    _check_pair(None, [1, 1, 2], [0, 0, 1])
    with pytest.raises(UsageError, match="does not read pairs"):
        _check_pair(None, [1, 1, 2], [0, 0, 0])
