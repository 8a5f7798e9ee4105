"""Texts are read as a model's folder and vocabulary mean them, and what the vocabulary cannot read is said."""

import json
import shutil
import string
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import BertConfig, BertModel

from attnprobe import (
    CaseWarning,
    Encoder,
    TruncationWarning,
    UnknownTokensWarning,
    WordsWarning,
    corpus_stats,
    head_stats,
    load_encoder,
)
from attnprobe.errors import ModelError, UsageError
from attnprobe.models.describe import describe
from tests.families import SMALL, no_progress_bars
from tests.tiny import BERT_SPECIALS

THAI = "ฉันรักแมว"
LETTERS = [*string.ascii_letters, *(f"##{letter}" for letter in string.ascii_letters), *"ฉันรักแมว"]
LETTERS += [f"##{letter}" for letter in "ฉันรักแมว"]
CASED = [*LETTERS, "the", "cat", "met", "Alice", "Turing", "Paris", "in"]
RESIDUES = [*"LAGVESIKRDTPNQFYMHCWXUBZO"]
KMERS = ["".join(letters) for letters in product("ACGT", repeat=3)]
SEQUENCE = "MKTVRQERLKSIV"


def folder_of(folder: Path, pieces: Sequence[str], **files: Any) -> Path:
    """A tiny BERT with vocab.txt, and JSON files by their stem."""
    vocabulary = list(dict.fromkeys([*BERT_SPECIALS, *pieces]))
    torch.manual_seed(0)
    with no_progress_bars():
        BertModel(BertConfig(**{**SMALL, "vocab_size": len(vocabulary)})).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(folder_of(tmp_path_factory.mktemp("letters"), CASED, tokenizer_config={"do_lower_case": False}))


def pieces_of(encoder: Encoder, text: str) -> list[str]:
    return list(encoder.tokenize(text)[0].strings[1:-1])


def facts(encoder: Encoder) -> dict[Any, Any]:
    return dict(describe(encoder).rows)


@pytest.mark.parametrize(
    "files", [{}, {"tokenizer_config": {"model_max_length": 128}}], ids=["vocab.txt alone", "with"]
)
def test_capitals_of_a_vocabulary_are_kept_where_nothing_says_otherwise(tmp_path: Path, files: dict[str, Any]) -> None:
    encoder = load_encoder(folder_of(tmp_path, CASED, **files))
    assert pieces_of(encoder, "Turing met Alice") == ["Turing", "met", "Alice"]
    with pytest.warns(CaseWarning, match="capitals are kept: the vocabulary has them, and no file says"):
        head_stats("Turing met Alice", encoder, ["entropy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head_stats("the cat", encoder, ["entropy"])
    assert facts(encoder)["reading"] == encoder.case


def test_capitals_are_lowered_where_a_file_says_so_and_that_is_said(tmp_path: Path) -> None:
    encoder = load_encoder(folder_of(tmp_path, CASED, tokenizer_config={"do_lower_case": True}))
    assert pieces_of(encoder, "Met the Cat") == ["met", "the", "cat"]
    with pytest.warns(CaseWarning, match="lower-cases texts, although 43% of its vocabulary's words have capitals"):
        head_stats("Turing", encoder, ["entropy"])
    with pytest.warns(CaseWarning):
        corpus_stats(["a cat"], encoder)


def test_vocabulary_without_capitals_is_lower_cased_without_a_word(tmp_path: Path) -> None:
    encoder = load_encoder(folder_of(tmp_path, [*string.ascii_lowercase, "the", "cat"]))
    assert (pieces_of(encoder, "The CAT"), encoder.case) == (["the", "cat"], "")
    assert facts(encoder)["reading"] == "as the tokenizer's files say"


def test_limit_of_sentence_transformers(tmp_path: Path) -> None:
    settings = {"max_seq_length": 16, "do_lower_case": False}
    folder = folder_of(tmp_path, CASED, sentence_bert_config=settings, tokenizer_config={"do_lower_case": False})
    encoder, text = load_encoder(folder), "the cat " * 25
    assert (encoder.max_length, encoder.position_limit, facts(encoder)["max_length"]) == (16, 160, 16)
    assert facts(encoder)["reading"] == "max_seq_length 16 of sentence_bert_config.json"
    cut = r"^the text has 52 tokens; only the first 16 were read; a max_length of up to 160 reads more$"
    with pytest.warns(TruncationWarning, match=cut):
        head_stats(text, encoder, ["entropy"])
    head_stats(text, encoder, ["entropy"], max_length=160)


@pytest.mark.parametrize(
    ("kind", "told", "limit"), [("bert", 300, 160), ("roberta", None, 128), ("xlm-roberta", 140, 140), ("bert", 12, 12)]
)
def test_limit_is_that_of_the_positions_at_most(
    folder_of: Callable[[str], Path], tmp_path: Path, kind: str, told: int | None, limit: int
) -> None:
    """It takes the place of the tokenizer's model_max_length, which is 128 here."""
    folder = shutil.copytree(folder_of("bert"), tmp_path / "bert")
    (folder / f"sentence_{kind}_config.json").write_text(json.dumps({"max_seq_length": told}))
    assert load_encoder(folder).max_length == limit


@pytest.mark.parametrize(
    ("content", "words"), [('{"max_seq_length": "many"}', "max_seq_length"), ("{", "not JSON"), ("[]", "no|not a JSON")]
)
def test_settings_of_sentence_transformers_that_cannot_be_read(tmp_path: Path, content: str, words: str) -> None:
    folder = folder_of(tmp_path, CASED)
    (folder / "sentence_bert_config.json").write_text(content)
    with pytest.raises(ModelError, match=words):
        load_encoder(folder)


@pytest.mark.parametrize("family", ["roberta", "bert", "tapas"])
def test_lower_case_of_sentence_transformers(folder_of: Callable[[str], Path], tmp_path: Path, family: str) -> None:
    folder = shutil.copytree(folder_of(family), tmp_path / family)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    encoder = load_encoder(folder)
    assert pieces_of(encoder, "She wasn't TOLD") == pieces_of(encoder, "she wasn't told")
    assert encoder.tokenize("TOLD her")[0].word_texts[1:3] == ["TOLD", "her"]
    assert "lower-cased, as sentence_bert_config.json says" in facts(encoder)["reading"]


@pytest.mark.parametrize(
    ("pieces", "text", "helps"),
    [
        (RESIDUES, " ".join(SEQUENCE.lower()), "written like this they are known: M K T V R Q E R L K S I V"),
        (KMERS, "ACGTACG", "written like this they are known: ACG CGT GTA TAC ACG, as --kmer 3 writes it$"),
        (
            KMERS,
            "ACGTACG" * 9,
            r"written like this they are known: ACG CGT GTA TAC ACG CGA GAC AC\.\.\., as --kmer 3 writes it$",
        ),
        (["the", "cat", "sat"], "我们走吧", "does the model read texts of this language and kind"),
    ],
)
def test_unknown_tokens_are_said_with_what_helps(tmp_path: Path, pieces: list[str], text: str, helps: str) -> None:
    encoder = load_encoder(folder_of(tmp_path, pieces, tokenizer_config={"do_lower_case": False}))
    count = len(encoder.tokenize(text)[0]) - 2
    with pytest.warns(UnknownTokensWarning, match=f"^{count} of the text's {count} tokens are unknown .*; {helps}"):
        head_stats(text, encoder, ["entropy"])


def test_a_third_of_unknown_tokens_is_not_said(letters: Encoder) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attnprobe.measure.reading.warnings.warn", lambda message, *_, **__: pytest.fail(message))
        head_stats("the cat 们", letters, ["entropy"])
        head_stats("the cat", letters, ["entropy"], pair="the 们")


def test_records_with_many_unknown_tokens(letters: Encoder) -> None:
    texts = ["the cat met", "the 们", "the cat 们", "们 们"]
    stats = corpus_stats(texts, letters, ["entropy"])
    with pytest.warns(UnknownTokensWarning, match="unknown to the model's vocabulary: 2$"):
        assert sum(map(len, stats)) == 4 * 12
    assert (stats.unknown, stats.skipped) == (2, [])
    fewer = corpus_stats(texts, letters, ["entropy"], max_unknown=0.4, on_error="skip")
    assert [name for block in fewer for name in block.ids] == ["1", "3"]
    assert [(skipped.id, skipped.reason) for skipped in fewer.skipped] == [
        ("2", "1 of 2 tokens are unknown to the model's vocabulary"),
        ("4", "2 of 2 tokens are unknown to the model's vocabulary"),
    ]
    assert fewer.unknown == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, "0.5", True, float("nan")])
def test_shares_that_are_none(letters: Encoder, share: Any) -> None:
    with pytest.raises(UsageError, match="max_unknown must be a number from 0 to 1"):
        corpus_stats(["a cat"], letters, max_unknown=share)


def test_tokens_stand_for_themselves_where_words_are_not_known(letters: Encoder) -> None:
    """Neither the syllables that Unicode's boundaries cut nor the clause are words; English beside them has words."""
    text = f"Alice {THAI} met"
    tokens = letters.tokenize(text)[0]
    assert tokens.word_texts == ["", "Alice", *THAI, "met", ""]
    with pytest.warns(WordsWarning, match="no words here: Thai has no spaces between words"):
        head_stats(text, letters, ["entropy"], level="word")
    head_stats(text, letters, ["entropy"])
    stats = corpus_stats([text, "the cat", THAI], letters, ["entropy"], level="word")
    with pytest.warns(WordsWarning, match="stands for itself: 2$"):
        list(stats)
    assert stats.wordless == 2


@pytest.mark.parametrize(
    ("text", "script"), [("ខ្ញុំ", "Khmer"), ("ພາສາ", "Lao"), ("မြန်မာ", "Myanmar"), ("日本 한국", "")]
)
def test_scripts_without_words(letters: Encoder, text: str, script: str) -> None:
    from attnprobe.values.text import unspaced_script, word_spans

    assert unspaced_script(text) == script
    assert (word_spans(text) == []) == bool(script)


def test_bytes_of_a_letter_are_not_taken_apart() -> None:
    from attnprobe.models.encoding import encode
    from tests.tiny import byte_pairs

    tokenizer = transformers.GPT2Tokenizer(**byte_pairs(["<|endoftext|>"]))
    tokens = encode(tokenizer, [THAI])
    assert len(tokens) > len(THAI)
    assert list(tokens.word_texts) == list(THAI)
