"""Sequences of residues are given to each tokenizer as it knows them: in capitals, with spaces between, as k-mers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from attnprobe import Encoder, SequenceWarning, corpus_stats, head_stats, load_encoder, run_corpus
from attnprobe.errors import UsageError
from attnprobe.models.sequences import Way, as_read, residues_in, way_of
from attnprobe.values.signature import part_of
from tests.test_vocabulary import KMERS, RESIDUES, SEQUENCE, folder_of

SPACED = " ".join(SEQUENCE)


@pytest.fixture(scope="module")
def protein(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A vocabulary of single residues, none of which goes on within a word, as ProtBERT has it."""
    return load_encoder(folder_of(tmp_path_factory.mktemp("protein"), RESIDUES, tokenizer_config=CASED))


@pytest.fixture(scope="module")
def dna(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A vocabulary of all words of three letters, as DNABERT has it."""
    return load_encoder(folder_of(tmp_path_factory.mktemp("dna"), KMERS, tokenizer_config=CASED))


CASED = {"do_lower_case": False}


def test_the_vocabulary_is_not_gone_through_where_sequences_are_known_as_they_stand(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a million characters in CANINE."""
    tokenizer = copy(encoder_of("roberta").tokenizer)
    monkeypatch.setattr(tokenizer, "get_vocab", lambda: pytest.fail("the whole vocabulary"))
    assert way_of(tokenizer) == Way()


@pytest.mark.parametrize("text", [SEQUENCE, SEQUENCE.lower(), f"{SEQUENCE}*", "MKTVR--QERLKSI.V*"])
def test_a_residue_is_a_word_where_the_vocabulary_knows_no_longer_ones(protein: Encoder, text: str) -> None:
    with pytest.warns(SequenceWarning, match="are read in capitals, a residue a word: so the vocabulary knows them$"):
        found = head_stats(text, protein, ["entropy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spaced = head_stats(SPACED, protein, ["entropy"])
        asked = head_stats(SEQUENCE, protein, ["entropy"], kmer=1)
    assert found.equals(spaced)
    assert found.equals(asked)
    for frame in (found, spaced, asked):
        assert part_of(frame.attrs["signature"], "kmer") == "1"


def test_files_of_sequences(protein: Encoder, tmp_path: Path) -> None:
    fasta, lines = tmp_path / "two.fasta", tmp_path / "two.txt"
    fasta.write_text(f"; made up\n>a human\n{SEQUENCE[:5]}\n{SEQUENCE[5:]}*\n>b\n{SEQUENCE[:6].lower()}\n")
    lines.write_text(f"{SPACED}\n{SPACED[:11]}\n")
    found, spaced = (run_corpus([name], None, protein, ["entropy"]).summary for name in (fasta, lines))
    assert found.table().rows == spaced.table().rows
    with pytest.warns(SequenceWarning):
        [block] = corpus_stats([fasta], protein, ["entropy"])
    assert (block.ids, block.n_tokens) == (["a", "b"], [len(SEQUENCE) + 2, 8])


def test_kmers_are_cut_where_they_are_asked_for(dna: Encoder) -> None:
    text, written = "ACGTACGa", "ACG CGT GTA TAC ACG CGA"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, spaced = head_stats(text, dna, ["entropy"], kmer=3), head_stats(written, dna, ["entropy"])
    assert found.equals(spaced)
    assert [part_of(frame.attrs["signature"], "kmer") for frame in (found, spaced)] == ["3", ""]
    assert as_read(dna.tokenizer, text, 3) == written
    stats = corpus_stats([text, "AC", "ACG TAC"], dna, ["entropy"], kmer=3, on_error="skip")
    assert [name for block in stats for name in block.ids] == ["1"]
    assert [skipped.reason for skipped in stats.skipped] == [
        "a sequence of 2 has no word of 3 residues",
        "'ACG TAC' is no sequence that can be cut into words of 3 residues",
    ]


@pytest.mark.parametrize(("family", "way"), [("bert", Way()), ("esm", Way(capitals=True)), ("canine", Way())])
def test_other_tokenizers(encoder_of: Callable[[str], Encoder], family: str, way: Way) -> None:
    assert way_of(encoder_of(family).tokenizer) == way


@pytest.mark.parametrize("text", ["hello", "https://a.b", "M K T", SEQUENCE, "我们", ["M", "K"]])
def test_no_other_text_changes(minilm: Encoder, protein: Encoder, text: Any) -> None:
    assert as_read(minilm.tokenizer, text) == text
    if text != SEQUENCE and text != "hello":
        assert as_read(protein.tokenizer, text) == text


@pytest.mark.parametrize(
    ("text", "wrong"), [("MK*T", r"'\*' is no residue"), ("MK7", "'7'"), ("-.", "no residues"), (" ", "is empty")]
)
def test_what_is_no_sequence(text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        residues_in(text)
