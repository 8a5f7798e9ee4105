"""Words by Unicode's rules, words of tokens by offsets alone, and tokens that cannot disturb a terminal."""

import unicodedata
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprobe.values.text import Span, assign_words, is_punctuation, visible, word_spans
from attnprobe.values.tokens import Role, Tokens

CATEGORIES = ["L", "M", "N", "P", "S", "Z", "C"]
ZERO_WIDTH = [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x061C, 0xFEFF, 0x00AD]
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
anything = st.text(st.characters(categories=CATEGORIES))  # lone surrogates among them
mixed = st.text(st.sampled_from("ab1 .,'-_\t\n我们é\u0301\u200d\ufe0f👍🏽🇨🇭\u00a0\u3000\u200b") | st.characters())


# --- word_spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat can't stop.", ["The", "cat", "can't", "stop", "."]),
        ("well-known, of course...", ["well", "-", "known", ",", "of", "course", ".", ".", "."]),
        ("我们 爱 AI。", ["我", "们", "爱", "AI", "。"]),
        ("カタカナと1つ", ["カタカナ", "と", "1", "つ"]),
        ("👨‍👩‍👧‍👦🇨🇭🇫🇷1️⃣👍🏽", ["👨‍👩‍👧‍👦", "🇨🇭", "🇫🇷", "1️⃣", "👍🏽"]),
        ("cafe\u0301s e\u0301", ["cafe\u0301s", "e\u0301"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("3.14 1,000.50 x2 50%", ["3.14", "1,000.50", "x2", "50", "%"]),
        ("a\r\n\tb\u00a0c\u3000d\u2028e", ["a", "b", "c", "d", "e"]),
        ("", []),
        (" \t\n", []),
    ],
)
def test_word_spans(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


@given(text=mixed)
@settings(deadline=None)
def test_word_spans_leave_out_white_space_only(text: str) -> None:
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert not any(text[start:end].isspace() for start, end in spans)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    between = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert not "".join(between).strip()


# --- assign_words


@pytest.mark.parametrize(
    ("text", "offsets", "words", "word_texts"),
    [
        pytest.param("playing on", [(0, 4), (4, 7), (8, 10)], [0, 0, 1], ["playing", "on"], id="pieces"),
        pytest.param("the cat sat", [(0, 3), (3, 7), (7, 11)], [0, 1, 2], ["the", "cat", "sat"], id="leading space"),
        pytest.param("wait... no", [(0, 4), (4, 7), (7, 10)], [0, 1, 2], ["wait", "...", "no"], id="joined marks"),
        pytest.param("a b c", [(0, 3), (2, 3), (4, 5)], [0, 0, 1], ["a b", "c"], id="joined words"),
        pytest.param("don't go", [(0, 2), (2, 5), (6, 8)], [0, 0, 1], ["don't", "go"], id="apostrophe"),
        pytest.param("👍🏽 ok", [(0, 1), (0, 1), (0, 1), (1, 2), (3, 5)], [0, 0, 0, 0, 1], ["👍🏽", "ok"], id="bytes"),
        pytest.param("我们", [(0, 1), (0, 1), (1, 2)], [0, 0, 1], ["我", "们"], id="bytes of ideographs"),
        pytest.param("a  b", [(0, 1), (1, 2), (2, 3), (3, 4)], [0, 1, 2, 3], ["a", "", "", "b"], id="white space"),
        pytest.param("", [], [], [], id="nothing"),
    ],
)
def test_assign_words(text: str, offsets: list[Span], words: list[int], word_texts: list[str]) -> None:
    assert assign_words([text], offsets, [1] * len(offsets)) == (words, word_texts)


def test_added_tokens_and_the_texts_of_a_pair_share_no_word() -> None:
    offsets = [(0, 0), (0, 2), (0, 0), (0, 0), (0, 1), (1, 2), (0, 0)]
    words, word_texts = assign_words(["ab", "ab"], offsets, [0, 1, 0, 0, 2, 2, 0])
    assert words == [0, 1, 2, 3, 4, 4, 5]
    assert word_texts == ["", "ab", "", "", "ab", ""]


def test_a_word_at_the_same_place_in_both_texts_is_two() -> None:
    words, word_texts = assign_words(["ab", "ab"], [(0, 2), (0, 2)], [1, 2])
    assert words == [0, 1]
    assert word_texts == ["ab", "ab"]


@st.composite
def tokenizations(draw: st.DrawFn) -> tuple[list[str], list[Span], list[int]]:
    """One text or two, cut anywhere into tokens; some stand twice (bytes of a character), some were added."""
    texts = draw(st.lists(mixed, min_size=1, max_size=2))
    offsets: list[Span] = [(0, 0)]
    segments = [0]
    for segment, text in enumerate(texts, start=1):
        cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=6))})
        for span in pairwise(cuts):
            copies = draw(st.integers(1, 2))
            offsets += [span] * copies
            segments += [segment] * copies
        offsets.append((0, 0))
        segments.append(0)
    return texts, offsets, segments


@given(tokenization=tokenizations())
@settings(deadline=None, max_examples=300)
def test_units_are_contiguous(tokenization: tuple[list[str], list[Span], list[int]]) -> None:
    texts, offsets, segments = tokenization
    words, word_texts = assign_words(texts, offsets, segments)
    assert len(words) == len(offsets)
    assert words[0] == 0
    assert all(after - before in {0, 1} for before, after in pairwise(words))
    assert len(word_texts) == words[-1] + 1
    added = [word for word, segment in zip(words, segments, strict=True) if segment == 0]
    assert all(words.count(word) == 1 and word_texts[word] == "" for word in added)
    assert len(set(zip(words, segments, strict=True))) == len(word_texts)  # no word in two texts


@given(tokenization=tokenizations())
@settings(deadline=None, max_examples=300)
def test_units_hold_every_word_whole_and_once(tokenization: tuple[list[str], list[Span], list[int]]) -> None:
    texts, offsets, segments = tokenization
    words, word_texts = assign_words(texts, offsets, segments)
    for segment, text in enumerate(texts, start=1):
        units = sorted({word for word, its in zip(words, segments, strict=True) if its == segment})
        assert "".join("".join(word_texts[unit] for unit in units).split()) == "".join(text.split())
        for start, end in word_spans(text):
            touching = {
                word
                for word, its, (first, last) in zip(words, segments, offsets, strict=True)
                if its == segment and first < end and last > start and text[max(first, start) : min(last, end)].strip()
            }
            assert len(touching) == 1
            assert text[start:end] in word_texts[touching.pop()]


# --- visible


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("[/INST]", "[/INST]"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\nb\tc\x00\x7f", "a␊b␉c␀␡"),
        ("\u202eabc", "<U+202E>abc"),
        ("a\u200bb\ufeff", "a<U+200B>b<U+FEFF>"),
        ("\x9b31m", "<U+009B>31m"),
        ("\u00a0\u3000\u2028", "<U+00A0><U+3000><U+2028>"),
        ("\U000e0041", "<U+E0041>"),
        ("\ud800", "<U+D800>"),
        ("", ""),
    ],
)
def test_visible(token: str, shown: str) -> None:
    assert visible(token) == shown


@given(token=anything)
@settings(deadline=None)
def test_visible_leaves_nothing_to_obey(token: str) -> None:
    shown = visible(token)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert not [c for c in shown if ord(c) in ZERO_WIDTH or unicodedata.bidirectional(c) in BIDI]
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert visible(shown) == shown


def test_visible_hides_every_character_that_is_to_be_hidden() -> None:
    """All of Unicode once: random examples would rarely meet the few that matter."""
    hidden = [chr(code) for code in ZERO_WIDTH]
    hidden += [chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in BIDI]
    assert len(hidden) > 200
    assert not [f"U+{ord(c):04X}" for c in hidden if c in visible(c)]


@given(token=st.text(st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" ")))
@settings(deadline=None)
def test_visible_leaves_plain_text_alone(token: str) -> None:
    ink = regex.sub(r"[\p{Default_Ignorable_Code_Point}\u2800]", "", token)
    assert visible(ink) == ink


def test_visible_shows_blank_fillers_and_selectors() -> None:
    """Every character that Unicode calls ignorable, but the emoji selector, which terminals need."""
    ignorable = regex.findall(r"\p{Default_Ignorable_Code_Point}", "".join(map(chr, range(0x110000))))
    assert len(ignorable) > 400
    assert [f"U+{ord(c):04X}" for c in ignorable if visible(c) == c] == ["U+FE0F"]


# --- is_punctuation


@pytest.mark.parametrize("text", [".", ",", "...", "。", "、", "!", "«", "¿", "-", "—", "_", "(", '"', "'", "#"])
def test_punctuation(text: str) -> None:
    assert is_punctuation(text)


@pytest.mark.parametrize("text", ["", " ", "$", "+", "=", "a", "1", "a.", ". ", "👍", "ー"])
def test_no_punctuation(text: str) -> None:
    assert not is_punctuation(text)


# --- Tokens


@pytest.fixture
def tokens() -> Tokens:
    """[CLS] play ##ing ! [SEP] ok [SEP]"""
    return Tokens(
        strings=["[CLS]", "play", "##ing", "!", "[SEP]", "ok", "[SEP]"],
        texts=["", "Play", "ing", "!", "", "ok", ""],
        roles=[Role.CLS, Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.SEP, Role.CONTENT, Role.SEP],
        segments=[0, 1, 1, 1, 0, 2, 0],
        words=[0, 1, 1, 2, 3, 4, 5],
        word_texts=["", "Playing", "!", "", "ok", ""],
        inputs={"input_ids": [101, 2377, 2075, 999, 102, 7929, 102], "token_type_ids": [0, 0, 0, 0, 0, 1, 1]},
        n_cut=2,
    )


def test_positions_by_role(tokens: Tokens) -> None:
    assert len(tokens) == 7
    assert tokens.positions(Role.CLS) == [0]
    assert tokens.positions(Role.SEP) == [4, 6]
    assert tokens.positions(Role.OTHER) == []


def test_take_counts_words_anew(tokens: Tokens) -> None:
    part = tokens.take([0, 2, 3, 5, 6])
    assert part == Tokens(
        strings=["[CLS]", "##ing", "!", "ok", "[SEP]"],
        texts=["", "ing", "!", "ok", ""],
        roles=[Role.CLS, Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.SEP],
        segments=[0, 1, 1, 2, 0],
        words=[0, 1, 2, 3, 4],
        word_texts=["", "Playing", "!", "ok", ""],
        inputs={"input_ids": [101, 2075, 999, 7929, 102], "token_type_ids": [0, 0, 0, 1, 1]},
        n_cut=2,
    )


def test_take_keeps_pieces_of_a_word_together(tokens: Tokens) -> None:
    part = tokens.take([1, 2, 5])
    assert part.words == [0, 0, 1]
    assert part.word_texts == ["Playing", "ok"]


def test_take_all_changes_nothing(tokens: Tokens) -> None:
    assert tokens.take(range(7)) == tokens


def test_take_without_words() -> None:
    bare = Tokens(strings=["a", "b"], texts=["a", "b"], roles=[Role.CONTENT] * 2, segments=[1, 1])
    assert bare.take([1]) == Tokens(strings=["b"], texts=["b"], roles=[Role.CONTENT], segments=[1])


def test_by_word(tokens: Tokens) -> None:
    words = tokens.by_word()
    assert words.strings == ["[CLS]", "Playing", "!", "[SEP]", "ok", "[SEP]"]
    assert words.texts == ["", "Playing", "!", "", "ok", ""]
    assert words.roles == [Role.CLS, Role.CONTENT, Role.CONTENT, Role.SEP, Role.CONTENT, Role.SEP]
    assert words.segments == [0, 1, 1, 0, 2, 0]
    assert words.words == list(range(6))
    assert words.inputs == {}
    assert words.n_cut == 2


def test_by_word_twice_is_once(tokens: Tokens) -> None:
    assert tokens.by_word().by_word() == tokens.by_word()


def test_by_word_needs_words() -> None:
    bare = Tokens(strings=["a"], texts=["a"], roles=[Role.CONTENT], segments=[1])
    with pytest.raises(ValueError, match="no words"):
        bare.by_word()
