"""Sentences with relations: which tokens each word owns, and which words are related."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from attnprobe import Record
from attnprobe.errors import UsageError
from attnprobe.measure.sentences import ReadsSentences, read_sentence
from attnprobe.values.options import Reading
from attnprobe.values.relations import PairColumns, Relation, Sentence
from attnprobe.values.tokens import Tokens
from tests.readers.reading import read
from tests.test_tokenizers import tokenizer_of
from tests.treebank import TREEBANK

FAST = ("bert", "roberta", "xlm-roberta", "t5", "albert", "deberta-v2", "clip")
RECORDS = [record for record in read(TREEBANK.encode(), "conllu") if isinstance(record, Record)]
GERMAN = next(record for record in RECORDS if record.id == "german-1")  # Wir gehen am Abend zum See.
CHARACTERS = PairColumns("query", "key")


def encoder(family: str, max_length: int | None = 512) -> Any:
    """As much of an encoder as reading takes."""
    return SimpleNamespace(tokenizer=tokenizer_of(family), max_length=max_length)


def sentence_of(record: Record, family: str = "bert", max_length: int | None = 512, **options: Any) -> Sentence:
    return read_sentence(record, encoder(family, max_length), Reading(), **options)[1]


def related(sentence: Sentence) -> list[tuple[str, str, str]]:
    """The relations by the characters of their words."""
    texts = sentence.words.texts
    sides = [[" ".join(texts[at] for at in side) for side in one[:2]] for one in sentence.relations]
    return [(dependent, head, one.label) for (dependent, head), one in zip(sides, sentence.relations, strict=True)]


def texts_of(tokens: Tokens, sentence: Sentence) -> list[str]:
    """The characters of the tokens that each word owns."""
    owned = [""] * len(sentence.words)
    for at, owner in enumerate(sentence.words.owner):
        if owner >= 0:
            owned[owner] += tokens.texts[at]
    return owned


# Words one by one


@pytest.mark.parametrize("family", FAST)
def test_each_word_owns_its_own_tokens(family: str) -> None:
    for record in RECORDS:
        tokens, sentence = read_sentence(record, encoder(family), Reading())
        assert sentence.words.texts == record.words
        assert record.words is not None
        for number, word in enumerate(record.words):
            alone, _ = read_sentence(Record("", words=[word], labels={"relations": []}), encoder(family), Reading())
            own = [tokens.strings[at] for at, owner in enumerate(sentence.words.owner) if owner == number]
            assert own == [string for string, segment in zip(alone.strings, alone.segments, strict=True) if segment]
        assert [owner for owner in sentence.words.owner if owner >= 0] == sorted(
            owner for owner in sentence.words.owner if owner >= 0
        )


def test_relations_and_tags_are_those_of_the_treebank() -> None:
    sentence = sentence_of(GERMAN)
    assert related(sentence)[:4] == [("Wir", "gehen", "nsubj"), ("an", "Abend", "case"), ("dem", "Abend", "det"),
                                     ("Abend", "gehen", "obl")]  # fmt: skip
    assert len(sentence.relations) == 8
    assert sentence.tags[2:5] == ("ADP", "DET", "NOUN")


def test_subtypes_are_kept_if_they_are_asked_for() -> None:
    record = next(record for record in RECORDS if record.id == "english-2")
    labels = [{one.label for one in sentence_of(record, subtypes=subtypes).relations} for subtypes in (False, True)]
    assert list(labels[1] - labels[0]) == ["nmod:poss"]


def test_word_without_tokens_stays() -> None:
    """BERT drops what is invisible."""
    words = ["the", "\u200b", "cat"]
    sentence = sentence_of(Record("1", words=words, labels={"relations": [[0, 2, "det"], [1, 2, "x"]]}))
    assert sentence.words.texts == tuple(words)
    assert set(sentence.words.owner) == {-1, 0, 2}
    assert related(sentence) == [("the", "cat", "det"), ("\u200b", "cat", "x")]


# The text as it stands


def touched(family: str, record: Record) -> list[str]:
    """The words that a text has, in plain loops: characters of words joined as tokens and ranges join them."""
    text, at = record.text, 0
    forms = [[word] for word in record.words or ()]
    for first, after, form in reversed(record.labels.get("ranges", [])):
        forms[first:after] = [[form]]
    group = [-1] * len(text)
    for number, [form] in enumerate(forms):
        for character in form:
            at = text.index(character, at)
            group[at] = number
            at += 1
    for start, end in tokenizer_of(family)(text, return_offsets_mapping=True)["offset_mapping"]:
        together = {group[at] for at in range(start, end)} - {-1}
        group = [min(together) if number in together else number for number in group]
    words = [[at for at, one in enumerate(group) if one == number] for number in sorted(set(group) - {-1})]
    return [text[min(places) : max(places) + 1] for places in words]


@pytest.mark.parametrize("family", FAST)
def test_words_own_the_tokens_that_they_touch(family: str) -> None:
    for record in RECORDS:
        tokens, sentence = read_sentence(record, encoder(family), Reading(), align="text")
        assert list(sentence.words.texts) == touched(family, record)
        assert list(tokens.inputs["input_ids"]) == tokenizer_of(family)(record.text)["input_ids"]
        for word, own in zip(sentence.words.texts, texts_of(tokens, sentence), strict=True):
            assert set(own) == set("".join(word.split()))  # a character may be several tokens


def test_slow_tokenizer_is_aligned_too() -> None:
    tokens, sentence = read_sentence(GERMAN, encoder("xlm"), Reading(), align="text")
    assert sentence.words.texts == ("Wir", "gehen", "am", "Abend", "zum", "See", ".")
    assert texts_of(tokens, sentence) == list(sentence.words.texts)


def test_words_of_a_range_are_one() -> None:
    sentence = sentence_of(GERMAN, align="text")
    assert sentence.words.texts == ("Wir", "gehen", "am", "Abend", "zum", "See", ".")
    assert related(sentence) == [
        ("Wir", "gehen", "nsubj"), ("am", "Abend", "case"), ("am", "Abend", "det"), ("Abend", "gehen", "obl"),
        ("zum", "See", "case"), ("zum", "See", "det"), ("See", "gehen", "obl"), (".", "gehen", "punct"),
    ]  # fmt: skip
    assert sentence.tags == ("PRON", "VERB", "ADP", "NOUN", "ADP", "NOUN", "PUNCT")
    arabic = next(record for record in RECORDS if record.id == "arabic-2")
    assert related(sentence_of(arabic, align="text")) == [("كتابه", "جديد", "nsubj"), (".", "جديد", "punct")]


def test_tag_of_words_that_are_one_is_that_of_their_head() -> None:
    labels = {"relations": [[0, 1, "punct"]], "upos": ["PUNCT", "NOUN"], "ranges": [[0, 2, "(cat"]]}
    sentence = sentence_of(Record("1", "(cat", words=["(", "cat"], labels=labels), align="text")
    assert (sentence.words.texts, sentence.tags, sentence.relations) == (("(cat",), ("NOUN",), ())


# Characters


def test_relations_between_characters_of_a_text() -> None:
    text = "The old keeper said that he slept."
    as_object = {"dependent": [29, 30], "head": [25, 27], "label": "x"}
    record = Record("1", text, labels={"relations": [[[25, 27], [0, 14], "coref"], as_object]})
    assert related(sentence_of(record)) == [("he", "The old keeper", "coref"), ("slept", "he", "x")]
    assert related(sentence_of(record, "roberta")) == [("he", "The old keeper", "coref"), ("slept", "he", "x")]


def test_query_and_key_by_their_characters() -> None:
    chinese = Record("1", "我买了苹果,它们很新鲜", labels={"query": "它们", "key": "苹果", "kind": "coref"})
    assert related(sentence_of(chinese, columns=CHARACTERS)) == [("它 们", "苹 果", "query->key")]
    named = PairColumns("query", "key", "kind")
    assert related(sentence_of(chinese, columns=named)) == [("它 们", "苹 果", "coref")]
    number = Record("1", "In 2024, 3 boats; 3 cats", labels={"query": "3", "key": "boats"})  # no position
    assert related(sentence_of(number, columns=CHARACTERS)) == [("3", "boats", "query->key")]
    words = Record("1", "Geh zum See", words=["Geh", "zu", "dem", "See"], labels={"query": "dem", "key": "See"})
    assert sentence_of(words, columns=CHARACTERS).relations == (Relation((2,), (3,), "query->key"),)


@pytest.mark.parametrize(("query", "key"), [("query", None), (None, "key")])
def test_query_and_key_go_together(query: str | None, key: str | None) -> None:
    with pytest.raises(UsageError, match="one of the two columns is missing"):
        PairColumns(query, key)
    with pytest.raises(UsageError, match="the relation of which words"):
        PairColumns(relation_column="kind")


# What cannot be read


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "no 'relations'"),
        ({"relations": "nsubj"}, "'relations' is no list: 'nsubj'"),
        ({"relations": [[0, 1]]}, r"relation 1, \[0, 1\]: no \[dependent, head, label\]"),
        ({"relations": [[0, 1, "x"], [0, 2, "x"]]}, "relation 2, .*: there is no word 2 among 2, counted from 0"),
        ({"relations": [[1, -1, "root"]]}, "there is no word -1 among 2"),
        ({"relations": [[1, "a", "x"]]}, "'a' names no words"),
        ({"relations": [[1, [0, 1], "x"]]}, "a word is related to itself"),
        ({"relations": [], "upos": ["NOUN"]}, "1 'upos' for 2 words"),
    ],
)
def test_wrong_labels_are_named(labels: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        sentence_of(Record("1", words=["the", "cat"], labels=labels))


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        ([7, 9], "\\[7, 9\\] is no span of the text, whose last word ends at 7"),
        ([3, 3], "\\[3, 3\\] is no span of the text"),
        (1, r"a text without words takes \[start, end\]"),
    ],
)
def test_wrong_characters_are_named(side: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        sentence_of(Record("1", "the cat", labels={"relations": [[[0, 3], side, "x"]]}))


@pytest.mark.parametrize(
    ("query", "key", "reason"),
    [
        ("dog", "cat", "no token or word 'dog' in the text"),
        ("cat", "cat", "the query and the key are the same word, 'cat'"),
        (None, "cat", "no 'query'"),
        (3, "cat", "'query' is no text: 3"),
    ],
)
def test_wrong_query_is_named(query: Any, key: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        sentence_of(Record("1", "the cat sat", labels={"query": query, "key": key}), columns=CHARACTERS)


@pytest.mark.parametrize(
    ("record", "options", "reason"),
    [
        (Record("1", "the cat", "a dog", labels={"relations": []}), {}, "and this is a pair"),
        (Record("1", words=["cat"] * 40, labels={"relations": []}), {}, "longer than the 8 tokens"),
        (Record("1", "the cat " * 4, labels={"relations": []}), {}, "14 tokens, and 8 are read at once"),
        (Record("1", "the cat", words=["a", "cat"], labels={"relations": []}), {"align": "text"}, "word 1, 'a'"),
        (
            Record("1", words=["a"], labels={"relations": [], "ranges": [[0, 2, "a"]]}),
            {"align": "text"},
            "range 1 is no",
        ),
        (Record("1", " ", labels={"relations": []}), {}, "the text is empty"),
    ],
)
def test_what_is_no_sentence_is_refused_and_never_cut(record: Record, options: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        sentence_of(record, max_length=8, **options)


def test_measurement_finds_the_sentence_and_signs_how_it_is_read() -> None:
    [tokens] = ReadsSentences(align="text").read(GERMAN, encoder("bert"), Reading())
    assert tokens.labels["sentence"] == sentence_of(GERMAN, align="text")
    assert ReadsSentences(align="text").signed() == {"align": "text", "subtypes": None}
