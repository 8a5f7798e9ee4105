"""attnprobe.atlas: the sections that it reads, the sentences that it has of its own, and what it is compared with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnprobe
from attnprobe import Encoder, Record, load_encoder
from attnprobe.corpus.sample import LANGUAGES, sample_records, sample_sources
from attnprobe.errors import InputError, UsageError
from tests.test_vocabulary import folder_of as model_of
from tests.treebank import DOCUMENTS, ENGLISH

TEXTS = ["the cat sat on the mat .", "a dog", "it was warm"]


def test_all_sections_are_measured(encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    encoder, bank, documents = encoder_of("bert"), tmp_path / "bank.conllu", tmp_path / "documents.conllu"
    bank.write_text(ENGLISH, encoding="utf-8")
    documents.write_text(DOCUMENTS, encoding="utf-8")
    found = attnprobe.atlas(TEXTS, encoder, treebank=bank, documents=[documents])
    sizes = [(section["name"], section["texts"], section["sample"]) for section in found.data["sections"]]
    assert sizes == [("texts", 3, False), ("treebank", 6, False), ("documents", 2, False)]
    assert found.data["relations"]
    assert found.data["coreference"]
    found.save(tmp_path / "found.json")
    for before in (found, tmp_path / "found.json"):
        later = attnprobe.atlas(TEXTS[:2], encoder, against=before)
        assert later.data["against"]["signature"] == found.signature
        assert [section["name"] for section in later.data["sections"]] == ["texts"]


def test_what_was_not_read_is_remarked(encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    (tmp_path / "empty.conllu").write_text("", encoding="utf-8")
    how: dict[str, Any] = {"treebank": tmp_path / "empty.conllu", "max_length": 6, "on_error": "skip"}
    remarks = attnprobe.atlas([*TEXTS, "", "the cat sat on the mat ."], encoder_of("bert"), **how).data["remarks"]
    assert [remark for remark in remarks if "only 4" not in remark] == [
        "sentences of a treebank: none was measured, so that no number is about them",
        "3 of 4 texts were cut after 6 tokens",
        "1 of 5 records was skipped; the first: the text is empty",
    ]


@pytest.mark.parametrize(("texts", "said"), [([], ""), (["", " "], ": 2 skipped, the first: the text is empty")])
def test_an_atlas_of_nothing_is_none(texts: list[str], said: str, encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(InputError) as refused:
        attnprobe.atlas(texts, encoder_of("bert"), on_error="skip")
    assert refused.value.args == (f"no text was measured, so there is no atlas{said}",)
    assert "sentences that come with attnprobe" in refused.value.hint


def test_without_texts_the_built_in_sentences_are_read(encoder_of: Callable[[str], Encoder]) -> None:
    (section,) = attnprobe.atlas(None, encoder_of("bert")).data["sections"]
    assert (section["sources"], section["texts"], section["sample"]) == (["built-in sample (English)"], 60, True)


@pytest.mark.parametrize("known", [("Chinese",), LANGUAGES, ("none",)], ids=" and ".join)
def test_the_built_in_sentences_are_those_that_a_vocabulary_knows(known: tuple[str, ...], tmp_path: Path) -> None:
    texts = {source.name: source.path.read_text(encoding="utf-8") for source in sample_sources() if source.path}
    chosen = [text for name, text in texts.items() if any(language in name for language in known)]
    pieces = ["zzz", *sorted({piece for text in chosen for piece in re.findall(r"[a-z]+|\S", text.lower())})]
    tokenizer = load_encoder(model_of(tmp_path, pieces)).tokenizer
    read = list(sample_records(tokenizer))
    assert all(isinstance(record, Record) for record in read)
    expected = ("English",) if known == ("none",) else sorted(known, reverse=True)
    assert list(dict.fromkeys(record.file for record in read)) == [f"built-in sample ({name})" for name in expected]


def test_arguments_that_are_no_texts_or_no_atlas_are_refused(encoder_of: Callable[[str], Encoder]) -> None:
    for name, wrong in (("treebank", "bank.conllu"), ("documents", {"a": 1}), ("documents", 3)):
        with pytest.raises(UsageError, match=f"{name} must be a Path, or a list of Paths or records; got ") as refused:
            attnprobe.atlas(TEXTS, encoder_of("bert"), **{name: wrong})  # type: ignore[arg-type]
        assert f"{name}=Path(" in refused.value.hint
    with pytest.raises(InputError, match="cannot open 'nothere'"):
        attnprobe.atlas(TEXTS, encoder_of("bert"), against="nothere")
    with pytest.raises(UsageError, match="1 ids for 0 texts"):
        attnprobe.atlas(None, encoder_of("bert"), ids=["one"])
