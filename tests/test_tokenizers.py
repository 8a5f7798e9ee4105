"""Every kind of tokenizer: what each token stands for in the text, which were added, and honest refusals."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnprobe.errors import ModelError, UsageError
from attnprobe.models import counting, encoding, tokenizing
from attnprobe.models.alignment import align, align_bytes
from attnprobe.models.encoding import encode
from attnprobe.models.tokenizing import cut, tokenize
from attnprobe.values.text import word_spans
from attnprobe.values.tokens import Role, Tokens
from tests.families import FAMILIES
from tests.tiny import CORPUS, ROBERTA_SPECIALS, byte_pairs

HARD = {
    "english": "She wasn't told (until half past six!); so they waited...",
    "chinese": "我昨天去了超市,它们都很新鲜。",
    "emoji": "A cat 🐈‍⬛, a thumb 👍🏽!",
    "marks": "cafe\u0301 naïve İstanbul ﬁne ＡＢ ǅ e\u0323\u0301",
    "spaces": "a\tb\n c\u00a0d \u3000e",
    "invisible": "so\u00adft ze\u200bro a\ufeffb",
    "typed": "x [SEP] </s> <s> y [CLS] ## @@ ▁ z",
    "arabic": "مرحبا بالعالم، كيف؟",
    "quotes": 'He said "no" — “yes” & <b> &amp; 5 € ½',
}
WITHOUT_WORDS = {
    "vits": list(HARD),  # these two spell for speech
    "clvp": ["chinese", "emoji", "marks", "typed", "arabic", "quotes"],
    "tipsv2_text": ["emoji", "marks", "invisible"],  # what its byte pairs lack vanishes, and offsets shift
}
WITHOUT_PAIRS = [
    "bert-generation",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "clvp",
    "dia",
    "gpt2",
    "esmc",
    "m2m_100",
    "marian",
    "mbart",
    "nllb-moe",
    "pegasus",
    "plbart",
    "qwen3",
    "reformer",
    "seamless_m4t",
    "siglip2_text",
    "speecht5",
    "tapas",
    "tipsv2_text",
    "videoprism_text",
    "vits",
]


def one_of_each_class() -> list[str]:
    """The first family of each tokenizer."""
    first: dict[Callable[[], Any], str] = {}
    for name, its in FAMILIES.items():
        first.setdefault(its.tokenizer, name)
    return list(first.values())


NAMES = one_of_each_class()


@cache
def tokenizer_of(family: str) -> Any:
    """As it comes back from a folder."""
    tokenizer = FAMILIES[family].tokenizer()
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return type(tokenizer).from_pretrained(folder)


def bare(text: str) -> str:
    """The letters and signs of a text: without case, compatibility forms, marks, spaces and invisible characters.

    SentencePiece writes ▁ for a space and reads one in a text as such.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "MCZ" and c != "▁")


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("family", NAMES)
def test_tokens_stand_for_the_characters_of_the_text(family: str, name: str) -> None:
    """In order, together all of them but spaces and what is invisible, and where possible with words."""
    tokenizer, text = tokenizer_of(family), HARD[name]
    tokens = encode(tokenizer, [text])
    content = [at for at, role in enumerate(tokens.roles) if role == Role.CONTENT]
    assert all(tokens.texts[at] == "" for at in range(len(tokens)) if at not in content)
    assert (tokens.words is None) == (name in WITHOUT_WORDS.get(family, []))
    if tokens.words is None:
        return
    if family != "tipsv2_text":
        assert_words_are_those_of_the_text(tokens, text, content)
    ends, start = [], 0
    for at in content:
        if tokens.texts[at]:
            found = text.find(tokens.texts[at], max(0, start - len(tokens.texts[at])))
            assert found >= 0, tokens.texts[at]
            start = found + len(tokens.texts[at])
            ends.append(start)
    assert ends == sorted(ends)


def assert_words_are_those_of_the_text(tokens: Tokens, text: str, content: list[int]) -> None:
    assert tokens.words is not None
    units = {tokens.words[at]: tokens.word_texts[tokens.words[at]] for at in content}
    assert list(units) == sorted(units)
    assert bare("".join(units.values())) == bare(text)
    edges = {edge for span in word_spans(text) for edge in span}
    position = 0
    for unit in units.values():
        if unit.strip():
            position = text.index(unit, position) if unit in text[position:] else text.index(unit)
            start = position + len(unit) - len(unit.lstrip())
            assert {start, position + len(unit.rstrip())} <= edges, unit


@pytest.mark.parametrize("family", [name for name in NAMES if name not in WITHOUT_WORDS])
def test_words_of_plain_english(family: str) -> None:
    """One vocabulary or another, the words are the same."""
    tokens = encode(tokenizer_of(family), ["it was told twice"])
    assert tokens.words is not None
    units = dict.fromkeys(word for word, role in zip(tokens.words, tokens.roles, strict=True) if role == Role.CONTENT)
    words = [tokens.word_texts[unit].strip() for unit in units]
    assert [word for word in words if word] == ["it", "was", "told", "twice"]


@pytest.mark.parametrize("family", NAMES)
def test_added_tokens_are_those_that_another_text_has_too(family: str) -> None:
    """Whatever the text, the same tokens are added; a special token typed by hand is none of them."""
    tokenizer = tokenizer_of(family)
    added = [
        [string for string, role in zip(tokens.strings, tokens.roles, strict=True) if role != Role.CONTENT]
        for tokens in (encode(tokenizer, [text]) for text in ("told", "it was [SEP] told </s> twice [CLS] <s>"))
    ]
    if family != "vits":  # a blank between every two letters
        assert added[0] == added[1]
    plain = tokenizer("told", add_special_tokens=False)["input_ids"] if family != "tapas" else None
    if plain is not None and family != "vits":
        assert len(encode(tokenizer, ["told"])) == len(plain) + len(added[0])


@pytest.mark.parametrize("family", [name for name in NAMES if name not in WITHOUT_PAIRS])
def test_segments_of_a_pair(family: str) -> None:
    first, second = "it was told", "she waited twice"
    tokens = tokenize(tokenizer_of(family), first, second)[0]
    segments = [segment for segment in tokens.segments if segment]
    assert segments == sorted(segments)
    for segment, text in ((1, first), (2, second)):
        its = [at for at, number in enumerate(tokens.segments) if number == segment]
        alone = encode(tokenizer_of(family), [text])
        assert [tokens.strings[at] for at in its] == [alone.strings[at] for at in alone.positions(Role.CONTENT)]
        assert bare("".join(tokens.texts[at] for at in its)).startswith(bare(text)[:2])


@pytest.mark.parametrize("family", WITHOUT_PAIRS)
def test_pairs_that_would_be_read_as_one_text_are_refused(family: str) -> None:
    with pytest.raises(UsageError, match="does not read pairs of texts"):
        tokenize(tokenizer_of(family), "it was told", "she waited")


def test_tokenizer_that_reads_no_plain_text_is_named() -> None:
    from transformers import LayoutLMv3Tokenizer

    with pytest.raises(ModelError, match="LayoutLMv3Tokenizer does not read plain text"):
        encode(LayoutLMv3Tokenizer(**byte_pairs(ROBERTA_SPECIALS)), ["told"])


ALIGNED = {
    "case and width": ("Ｔhe CAFE\u0301", ["the", "ca", "##fé"], [(0, 3), (4, 6), (6, 9)]),
    "a letter that folds to two": ("İx ß", ["i", "x", "ss"], [(0, 1), (1, 2), (3, 4)]),
    "one character in two pieces": ("ﬁn", ["f", "##in"], [(0, 1), (0, 2)]),
    "marks of SentencePiece": ("it was", ["▁it", "▁", "was"], [(0, 2), (3, 6), (3, 6)]),
    "marks of byte pairs": ("unhappy", ["un@@", "happy</w>"], [(0, 2), (2, 7)]),
    "unknown words": ("a 🐈 b", ["a", "[UNK]", "b"], [(0, 1), (2, 3), (4, 5)]),
    "an unknown end": ("a 🐈🐈", ["a", "[UNK]"], [(0, 1), (2, 4)]),
    "an unknown part": ("a 🐈b", ["a", "[UNK]", "b"], [(0, 1), (2, 3), (3, 4)]),
    "not the text": ("the cat", ["the", "dog"], None),
    "pieces left over": ("the", ["the", "cat"], None),
    "text left over": ("the cat", ["the"], None),
}


@pytest.mark.parametrize("name", ALIGNED)
def test_align(name: str) -> None:
    text, pieces, spans = ALIGNED[name]
    assert align(text, pieces, "[UNK]") == spans


WORDS = st.lists(
    st.text(st.characters(categories=["Ll", "Lu", "Lo", "Nd"]), min_size=1, max_size=6), min_size=1, max_size=6
)


@given(words=WORDS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_align_finds_random_pieces_again(words: list[str], data: st.DataObject) -> None:
    """Words cut at random and lower-cased, their later pieces marked: the spans are where they were cut."""
    text, pieces, spans, at = " ".join(words), [], [], 0
    for word in words:
        cuts = sorted({0, len(word), *data.draw(st.lists(st.integers(0, len(word)), max_size=2))})
        for start, stop in itertools.pairwise(cuts):
            pieces.append(("##" if start else "") + word[start:stop].lower())
            spans.append((at + start, at + stop))
        at += len(word) + 1
    assert align(text, pieces) == spans


@given(text=st.text(min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_bytes_are_found_again(text: str) -> None:
    spans = align_bytes(text, [chr(byte) for byte in text.encode()])
    assert spans == [(at, at + 1) for at, character in enumerate(text) for _ in character.encode()]


BITS = [
    *CORPUS,
    *HARD.values(),
    "a" * 150,
    "我" * 120,
    "   ",
    "\n\n",
    "🐈" * 40,
    "[MASK]",
    "<mask> ",
    "e\u0301" * 60,
    "カタカナ" * 30,
]
HUGE = st.lists(st.tuples(st.sampled_from(BITS), st.sampled_from(["", " "])), min_size=10, max_size=40)


def cut_after(tokenizer: Any, texts: list[str], max_length: int, *, words: bool = True) -> Tokens:
    """What is read of a text or pair that is encoded as a whole."""
    whole = encode(tokenizer, texts, words=words)
    return cut(whole, max_length) if len(whole) > max_length else whole


KINDS = ["bert", "roberta", "xlm-roberta", "deberta-v2", "esmc", "t5gemma", "qwen3", "byt5", "prophetnet"]


@pytest.mark.parametrize("family", KINDS)
@given(bits=HUGE, max_length=st.sampled_from([5, 8, 30]))
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_start_of_a_huge_text_is_read_as_the_whole_text(
    family: str, bits: list[tuple[str, str]], max_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token by token, and as many are left out; words may be there that a later part of the text would cost."""
    monkeypatch.setattr(tokenizing, "MARGIN", 100)
    monkeypatch.setattr(counting, "PIECE", 128)
    tokenizer, text = tokenizer_of(family), CORPUS[0] + "".join(map("".join, bits))
    whole = cut_after(tokenizer, [text], max_length)
    [read] = tokenize(tokenizer, text, max_length=max_length)
    assert read == (replace(whole, words=read.words, word_texts=read.word_texts) if whole.words is None else whole)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_huge_text_is_encoded_in_parts_of_bounded_length(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, text = tokenizer_of(family), " ".join(CORPUS * 200)
    whole = cut_after(tokenizer, [text], 64, words=False)
    lengths = []

    def spy(original: Callable[..., Any]) -> Callable[..., Any]:
        def called(tokenizer: Any, text: Any, **options: Any) -> Any:
            lengths.append(len("".join(text)))
            return original(tokenizer, text, **options)

        return called

    monkeypatch.setattr(encoding, "call", spy(encoding.call))
    monkeypatch.setattr(counting, "_strings", spy(counting._strings))
    assert tokenize(tokenizer, text, max_length=64, words=False) == [whole]
    assert sum(lengths) > len(text) > 10 * max(lengths)


def test_start_of_a_pair_of_huge_texts() -> None:
    first, second = " ".join(CORPUS * 10), " ".join(CORPUS[::-1] * 10)
    for texts in ([first, second], [first, "told"], ["told", second], [first[:5000], second]):
        tokenizer = tokenizer_of("bert")
        assert tokenize(tokenizer, *texts, max_length=65) == [cut_after(tokenizer, texts, 65)]


@pytest.mark.parametrize("longest", [100, 1000])
def test_word_without_end_is_read_whole(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What BERT makes of a word depends on its length."""
    tokenizer = FAMILIES["bert"].tokenizer()
    tokenizer.backend_tokenizer.model.max_input_chars_per_word = longest
    monkeypatch.setattr(tokenizing, "MARGIN", 100)
    endless = "told" * 400
    for text in (endless, "told " * 5 + endless + " told" * 200, endless + "," * 500):
        for words in (True, False):
            whole = cut_after(tokenizer, [text], 8, words=words)
            assert tokenize(tokenizer, text, max_length=8, words=words) == [whole]
