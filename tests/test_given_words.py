"""Words as given: every tokenizer reads them one by one, and statistics between them are those of eager attention."""

from __future__ import annotations

import json
import os
import pickle
import re
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from attnprobe import Columns, Encoder, Record, corpus_stats, find_sources, head_stats, read_records
from attnprobe.corpus.engines import in_processes
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.tokenized import tokenize_chunk
from attnprobe.corpus.workers import Recipe
from attnprobe.errors import AttnprobeError, InputError, UsageError, WordsWarning
from attnprobe.models import encoding, tokenizing
from attnprobe.models.encoding import encode
from attnprobe.models.tokenizing import cut, tokenize
from attnprobe.values.tokens import Role, Tokens
from tests.eager import eager_layers
from tests.exact import float64
from tests.plain import Plain
from tests.rows import STORED
from tests.test_tokenizers import NAMES, WITHOUT_PAIRS, tokenizer_of

WORDS = {
    "contraction": ["I", "ca", "n't", "say", "."],
    "chinese": ["我", "昨天", "去", "了", "超市", "。"],
    "thai": ["ฉัน", "รัก", "แมว"],
    "fused": ["zu", "dem", "größten", "Garten"],
    "emoji": ["A", "🐈‍⬛", "👍🏽", "!"],
    "one": ["unbelievably"],
    "spaces within": ["New York", "10 000", " a ", "b\u00a0c"],
    "typed": ["x", "[SEP]", "</s>", "y"],
    "repeated": ["the", "the", "cat", "the"],
    "many": ["told", "twice", "."] * 200,
}
SHORT = {name: words for name, words in WORDS.items() if name != "many"}


def units(tokens: Tokens, segment: int = 1) -> list[str]:
    """The characters of each unit of the text, in order of position."""
    assert tokens.words is not None
    found = dict.fromkeys(word for word, number in zip(tokens.words, tokens.segments, strict=True) if number == segment)
    return [tokens.word_texts[word] for word in found]


# Tokens


@pytest.mark.parametrize("family", [name for name in NAMES if name != "tapas"])
def test_units_are_the_words_given(family: str) -> None:
    for words in [*SHORT.values()] if family != "vits" else [["ca", "n't"], ["one"], ["the", "the"]]:
        [tokens] = tokenize(tokenizer_of(family), words)
        assert units(tokens) == words
        assert tokens.words is not None
        assert sorted(set(tokens.words)) == list(range(len(tokens.word_texts)))
        assert list(tokens.words) == sorted(tokens.words)
        added = [at for at, role in enumerate(tokens.roles) if role != Role.CONTENT]
        assert [(tokens.texts[at], tokens.segments[at]) for at in added] == [("", 0)] * len(added)
        by_word = tokens.by_word()
        assert [by_word.texts[at] for at in by_word.positions(Role.CONTENT)] == [word.strip() for word in words]
        assert len(by_word) == len(words) + len(added)


@pytest.mark.parametrize("family", [name for name in NAMES if name not in (*WITHOUT_PAIRS, "tapas", "luke", "mluke")])
def test_pair_of_words(family: str) -> None:
    first, second = ["do", "n't", "say"], ["it", "was", "told", "twice"]
    [tokens] = tokenize(tokenizer_of(family), first, second)
    assert (units(tokens, 1), units(tokens, 2)) == (first, second)
    for segment, words in ((1, first), (2, second)):
        alone = encode(tokenizer_of(family), [words])
        here = [at for at, number in enumerate(tokens.segments) if number == segment]
        assert [tokens.strings[at] for at in here] == [alone.strings[at] for at in alone.positions(Role.CONTENT)]


@cache
def field_tokenizer(family: str) -> Any:
    """The tokenizer as taggers load it for words as given."""
    with TemporaryDirectory() as folder:
        tokenizer_of(family).save_pretrained(folder)
        prefix = {"add_prefix_space": True} if family in PREFIXED else {}
        return type(tokenizer_of(family)).from_pretrained(folder, **prefix)


PREFIXED = ["roberta", "gpt2", "deberta", "luke"]
AS_IN_THE_FIELD = ["bert", "xlm-roberta", "t5", "albert", "deberta-v2", "mpnet", "clip", "nllb-moe", "esmc", *PREFIXED]


@pytest.mark.parametrize("family", AS_IN_THE_FIELD)
@pytest.mark.parametrize("name", WORDS)
def test_tokens_and_words_are_those_of_the_field(family: str, name: str) -> None:
    words, tokenizer = WORDS[name], field_tokenizer(family)
    encoding = tokenizer(words, is_split_into_words=True, verbose=False)
    [tokens] = tokenize(tokenizer_of(family), words)
    assert tokens.inputs["input_ids"] == encoding["input_ids"]
    assert tokens.words is not None
    owners = encoding.word_ids(0)
    assert [owner is None for owner in owners] == [segment == 0 for segment in tokens.segments]
    first = next(at for at, owner in enumerate(owners) if owner is not None)
    assert [word - first for word, owner in zip(tokens.words, owners, strict=True) if owner is not None] == [
        owner for owner in owners if owner is not None
    ]


@pytest.mark.parametrize("family", ["modernbert", "eurobert", "qwen3", "t5gemma", "canine", "byt5", "perceiver", "dia"])
def test_words_of_other_tokenizers_are_read_as_after_spaces(family: str) -> None:
    """The field would run the words together; CANINE and ByT5 have a token for each space, which is the word's."""
    tokenizer, words = tokenizer_of(family), WORDS["contraction"]
    tokens, text = (encode(tokenizer, [given]) for given in (words, f" {' '.join(words)}"))
    assert tokens.strings == text.strings
    assert units(tokens) == words


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "byt5", "prophetnet"])
def test_long_lists_of_words_are_cut_or_read_in_windows(
    family: str, words: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the whole list would be, though no more of it is encoded at once than needed."""
    tokenizer, many = tokenizer_of(family), WORDS["many"] + WORDS["emoji"]
    monkeypatch.setattr(tokenizing, "WORDS", 7)
    whole = encode(tokenizer, [many])
    for most in (5, 24, len(whole) - 1, len(whole)):
        expected = cut(whole, most) if most < len(whole) else whole
        assert tokenize(tokenizer, many, max_length=most, words=words) == [expected]
    added = len(whole) - len(whole.positions(Role.CONTENT))
    found = tokenize(tokenizer, many, max_length=added + 20, stride=4, words=words)
    pieces = [[window.strings[at] for at in window.positions(Role.CONTENT)] for window in found]
    assert all(before[-4:] == after[:4] for before, after in pairwise(pieces))
    joined = pieces[0] + [piece for after in pieces[1:] for piece in after[4:]]
    assert joined == [whole.strings[at] for at in whole.positions(Role.CONTENT)]
    assert all(set(units(window)) <= set(many) for window in found)


def test_tokenizer_that_adds_nothing_counts_what_it_leaves_out() -> None:
    """Each word is one token, so that as many words as fit are no more than fit."""
    [read] = tokenize(tokenizer_of("prophetnet"), ["a"] * 30, max_length=12)
    assert (len(read), read.n_cut) == (12, 19)
    [read] = tokenize(tokenizer_of("blenderbot-small"), ["a"] * 30, max_length=12)
    assert (len(read), read.n_cut) == (12, 18)


def test_pair_of_long_lists() -> None:
    first, second = WORDS["many"], WORDS["contraction"] * 40
    for texts in ([first, second], [first, ["told"]], [["told"], second]):
        whole = encode(tokenizer_of("bert"), texts)
        assert tokenize(tokenizer_of("bert"), *texts, max_length=65) == [cut(whole, 65)]


def test_only_the_start_of_a_huge_list_is_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def spy(tokenizer: Any, texts: Any, **options: Any) -> Any:
        lengths.append(len(texts[0]))
        return call(tokenizer, texts, **options)

    call = encoding.call
    monkeypatch.setattr(encoding, "call", spy)
    monkeypatch.setattr(tokenizing, "WORDS", 50)
    [tokens] = tokenize(tokenizer_of("bert"), ["a"] * 5000, max_length=32)
    assert (len(tokens), tokens.n_cut) == (32, 4970)
    assert max(lengths) == 50


@pytest.mark.parametrize(
    ("family", "texts", "reason"),
    [
        ("bert", [["a", "\u200b", "b"]], "BertTokenizer finds no token in the word '\\u200b'"),
        ("bert", [["told"] * 300 + ["\x01"]], "BertTokenizer finds no token in the word"),
        ("canine", [["a"], ["b", "c", ""]], "the second text of the pair has an empty word"),
        ("bert", [["a", "\u3000", "b"]], "the text has an empty word"),
        ("bert", [[]], "the text is empty"),
        ("bert", [["", " "]], "the text is empty"),
        ("bert", [["a"], []], "the second text of the pair is empty"),
        ("bert", [["a", "\ud800"]], "half of a surrogate pair"),
        ("bert", [["a"], "b"], "one text of the pair is a list of words as given, the other is not"),
        ("gpt2", [["a"], ["b"]], "does not read pairs of texts"),
        ("luke", [["a"], ["b", "c"]], "LukeTokenizer finds no token in the word 'c'"),  # it stops with the shorter list
        ("tapas", [["a", "b"]], "TapasTokenizer does not read words as given, only plain text"),
    ],
)
def test_words_that_cannot_be_read(family: str, texts: list[Any], reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        tokenize(tokenizer_of(family), *texts, max_length=64)


# Statistics


@pytest.fixture(scope="module")
def bert(encoder_of: Callable[[str], Encoder]) -> Encoder:
    return encoder_of("bert")


def ids_and_owners(family: str, words: list[str]) -> tuple[list[int], list[int | None]]:
    """From transformers alone; of ByT5, whose bytes are their numbers plus 3, by hand."""
    if family != "byt5":
        encoding = field_tokenizer(family)(words, is_split_into_words=True)
        return encoding["input_ids"], encoding.word_ids(0)
    pairs = [(byte + 3, number) for number, word in enumerate(words) for byte in f" {word}".encode()]
    return [id for id, _ in pairs] + [1], [number for _, number in pairs] + [None]


def between_units(weights: np.ndarray, owners: list[int | None], level: str) -> tuple[np.ndarray, list[bool]]:
    """Weights summed over the key's tokens, their mean over the query's; and which units are of the text."""
    units = [("added", at) if owner is None else owner if level == "word" else at for at, owner in enumerate(owners)]
    members = np.array([[unit == each for unit in units] for each in dict.fromkeys(units)], dtype=float)
    merged: np.ndarray = members / members.sum(1, keepdims=True) @ weights @ members.T
    return merged, [not isinstance(unit, tuple) for unit in dict.fromkeys(units)]


def plain_statistics(weights: np.ndarray, chosen: list[bool]) -> dict[str, np.ndarray]:
    """Of each head, means over the queries chosen."""
    query, key = np.indices(weights.shape[1:])
    by_query = {
        "entropy": -weights * np.log(np.where(weights > 0, weights, 1)),
        "distance": weights * abs(key - query),
        "previous_share": weights * (key == query - 1),
        "self_share": weights * (key == query),
    }
    return {name: values.sum(-1)[:, chosen].mean(-1) for name, values in by_query.items()}


@pytest.mark.parametrize("level", ["word", "token"])
@pytest.mark.parametrize("queries", ["all", "content"])
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "t5", "byt5"])
def test_statistics_are_those_of_eager_attention(
    family: str,
    queries: str,
    level: str,
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    texts = [WORDS[name] for name in ("contraction", "chinese", "fused", "emoji", "one", "repeated")]
    metrics = ["entropy", "distance", "previous_share", "self_share"]
    encoder, plain = exact_of(family), plain_of(family)
    with float64():
        found = corpus_stats(texts, encoder, metrics, level=level, queries=queries, threads=1).to_frame()
        for number, words in enumerate(texts, start=1):
            ids, owners = ids_and_owners(family, words)
            inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
            rows = found[found["id"] == str(number)]
            assert set(rows["n_tokens"]) == {len(ids)}
            expected = []
            for layer in eager_layers(plain.model, inputs):
                weights, typed = between_units(layer.weights, owners, level)
                expected.append(plain_statistics(weights, [is_typed or queries == "all" for is_typed in typed]))
            for name in metrics:
                values = np.concatenate([statistics[name] for statistics in expected])
                assert (np.abs(rows[name].to_numpy() - values) <= STORED * (1 + np.abs(values))).all(), name


def test_words_by_unicode_are_not_those_given(bert: Encoder) -> None:
    """The test above would prove little if they were."""
    text = corpus_stats(["I ca n't say ."], bert, ["entropy"], level="word").to_frame()
    given = corpus_stats([WORDS["contraction"]], bert, ["entropy"], level="word").to_frame()
    assert set(bert.tokenize("昨天")[0].word_texts) == {"", "昨", "天"}
    assert set(bert.tokenize(["昨天"])[0].word_texts) == {"", "昨天"}
    assert len(text) == len(given)


def test_thai_words_given_are_words(bert: Encoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", WordsWarning)
        stats = corpus_stats([WORDS["thai"]], bert, ["entropy"], level="word")
        stats.to_frame()
    assert stats.wordless == 0


def test_texts_words_and_records_side_by_side(bert: Encoder) -> None:
    texts = [
        "I say.",
        ["I", "say", "."],
        ("I", "say", "."),
        Record("r", words=["I", "say", "."]),
        Record("t", "I say."),
    ]
    rows = corpus_stats(texts, bert, ["entropy"], level="word").to_frame()
    assert list(dict.fromkeys(rows["id"])) == ["1", "2", "3", "r", "t"]
    values = rows["entropy"].to_numpy().reshape(5, -1)
    assert (values == values[0]).all()


def test_lists_that_cannot_be_used_are_skipped(bert: Encoder) -> None:
    texts: list[Any] = [["a", 1], [], ["a", ""], ["a", "\u200b"], ["good"]]
    stats = corpus_stats(texts, bert, ["entropy"], on_error="skip")
    assert set(stats.to_frame()["id"]) == {"5"}
    assert [(skipped.id, skipped.reason) for skipped in stats.skipped] == [
        ("1", "int, not text"),
        ("2", "the text is empty"),
        ("3", "the text has an empty word"),
        ("4", "BertTokenizer finds no token in the word '\\u200b'"),
    ]


def test_pairs_of_lists(bert: Encoder) -> None:
    first, second = ["do", "n't"], ["it", "was", "told"]
    rows = corpus_stats([first], bert, ["cross_share"], pairs=[second], level="word").to_frame()
    record = Record("1", words=first, pair_words=second)
    assert rows.equals(corpus_stats([record], bert, ["cross_share"], level="word").to_frame())
    with pytest.raises(InputError, match="one text of the pair is a list of words as given"):
        corpus_stats([first], bert, pairs=["it was told"]).to_frame()


def test_one_text_is_no_list(bert: Encoder) -> None:
    with pytest.raises(UsageError, match="the text must be a str"):
        head_stats(["a", "b"], bert)  # type: ignore[arg-type]


# Runs


def lines(path: Path) -> Path:
    rows = [{"tokens": words, "tag": [len(word) for word in words], "n": name} for name, words in WORDS.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_labels_reach_what_is_measured(bert: Encoder, tmp_path: Path) -> None:
    """Each window of a text has them all, also between words."""
    columns = Columns("tokens", labels=("tag", "n"))
    records = list(read_records(find_sources([str(lines(tmp_path / "a.jsonl"))]), columns))
    chunk = tokenize_chunk(records, bert, Settings.choose(bert, max_length=32, stride=4, level="word"))
    assert not chunk.skipped
    for read, (name, words) in zip(chunk.texts, WORDS.items(), strict=True):
        windows = read.windows
        assert len(windows) > 1 or name != "many"
        for window in windows:
            assert window.labels == {"tag": [len(word) for word in words], "n": name}
            assert window.by_word().labels == window.take([0]).labels == window.labels


class Deadly(Record):
    """A record that ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


@pytest.mark.usefixtures("warm_workers")
def test_words_and_labels_go_to_other_processes_and_the_death_of_one_is_explained(
    bert: Encoder, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    records = list(read_records(find_sources([str(lines(tmp_path / "a.jsonl"))]), Columns("tokens", labels=("tag",))))
    settings = Settings.choose(bert, level="word", max_length=64)
    [mine] = Prober(bert, settings, 1).results([records])
    chunks: list[Any] = [records, [Deadly("1", "text")]]
    there = in_processes(chunks, Recipe({"model": str(folder_of("bert"))}, settings), 1)
    other = next(there)
    assert [block.ids for block in mine.rows] == [block.ids for block in other.rows] == [list(map(str, range(1, 11)))]
    np.testing.assert_array_equal(mine.rows[0].values, other.rows[0].values)
    with pytest.raises(AttnprobeError, match="worker process ended"):
        next(there)
    assert pickle.loads(pickle.dumps(records)) == records
