"""CoNLL-U: sentences, documents, and what is wrong with a file, by line."""

import gzip
import re
from pathlib import Path

import pytest

from attnprobe.errors import UsageError
from attnprobe.readers.counting import count_records
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.records import Columns, Record, Skipped
from tests.readers.reading import bounds, read, reasons
from tests.treebank import ARABIC, CHINESE, DOCUMENTS, ENGLISH, GERMAN, TREEBANK, tabbed

SHORT = tabbed("""\
# newdoc id = d
# sent_id = s
# text = It's so.
1-2 It's _ _ _ _ _ _ _ _
1 It it PRON _ PronType=Prs 3 nsubj _ _
2 's be AUX _ _ 3 cop _ _
2.1 not _ _ _ _ _ _ _ _
3 so so ADV _ _ 0 root _ SpaceAfter=No
4 . . PUNCT _ _ 3 punct _ _

""")
FORM = SHORT.replace("# newdoc id = d\n", "").replace("# text = It's so.\n", "")
RECORD = Record(
    "s",
    "It's so.",
    words=["It", "'s", "so", "."],
    labels={
        "relations": [[0, 2, "nsubj"], [1, 2, "cop"], [3, 2, "punct"]],
        "upos": ["PRON", "AUX", "ADV", "PUNCT"],
        "feats": ["PronType=Prs", "", "", ""],
        "ranges": [[0, 2, "It's"]],
        "document": "d",
    },
)
BROKEN = {  # what is written in place of what, the line, and the reason
    "columns": ("\t_\t_\t0\troot", "\t_\t0\troot", 8, "9 columns, and CoNLL-U has 10"),
    "spaces": ("4\t.\t.\t", "4 . . ", 9, "7 columns, and CoNLL-U has 10"),
    "no tabs": ("\t", " ", 4, "1 column, and CoNLL-U has 10; are they separated by tabs?"),
    "a gap": ("3\tso", "4\tso", 8, "word 4 where word 3 should be"),
    "twice": ("3\tso", "2\tso", 8, "word 2 where word 3 should be"),
    "no number": ("3\tso", "x\tso", 8, "'x' is no number of a word, a range or an empty node"),
    "a range elsewhere": ("1-2\t", "2-3\t", 4, "range 2-3 after word 0"),
    "a range beyond": ("1-2\t", "1-7\t", 4, "range 1-7 of 4 words"),
    "an empty node": ("2.1\t", "3.1\t", 7, "empty node 3.1 after word 2"),
    "no form": ("3\tso\t", "3\t\t", 8, "'FORM' is empty"),
    "NUL": ("3\tso\t", "3\ts\0\t", 8, "'FORM' holds a NUL character, at position 2"),
    "no head": ("3\tcop", "_\tcop", 6, "word 2 has no head"),
    "a head in words": ("3\tcop", "so\tcop", 6, "the head 'so' is no number of a word"),
    "a head beyond": ("3\tcop", "5\tcop", 6, "the head of word 2 is 5, of 4 words"),
    "no relation": ("3\tcop", "3\t_", 6, "word 2 has a head, and no relation to it"),
    "no root": ("0\troot", "1\troot", 5, "no root"),
    "two roots": ("3\tpunct", "0\troot", 9, "two roots, words 3 and 4"),
    "a cycle": ("3\tnsubj", "1\tnsubj", 5, "the heads of word 1 lead back to it"),
    "not UTF-8": (
        "so\tso",
        "s\udcff\tso",
        8,
        "byte 0xff at position 4 is not utf-8 (--encoding NAME if it is in another)",
    ),
}


@pytest.mark.parametrize("chunk", [1, 1000])
@pytest.mark.parametrize(
    "data",
    [
        SHORT.encode(),
        b"\xef\xbb\xbf" + SHORT.replace("\n", "\r\n").encode(),
        SHORT.rstrip().encode(),
        b"\n# a file of ours\n\n" + SHORT.encode() + b" \n\n",
        SHORT.replace("\n", "\r").encode(),
    ],
)
def test_syntactic_words_and_what_is_said_of_them(data: bytes, chunk: int) -> None:
    with bounds(chunk=chunk):
        assert read(data, "conllu", notes=[]) == [RECORD]


def test_text_is_spelled_by_words_and_ranges_if_it_is_not_given() -> None:
    for treebank in (ENGLISH, GERMAN, CHINESE, ARABIC):
        bare = re.sub("# text = .*\n", "", treebank)
        assert read(bare.encode(), "conllu") == read(treebank.encode(), "conllu")


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_sentence_is_skipped_with_its_line(kind: str) -> None:
    """The sentences around it are read; of documents, the broken one is skipped."""
    before, after, line, reason = BROKEN[kind]
    broken = SHORT.replace(before, after) + FORM.replace("= s", "= t") + SHORT.replace("= d", "= e")
    data = broken.encode(errors="surrogateescape")
    skipped, second, third = read(data, "conllu")
    assert skipped == Skipped("-", line, reason, "s")
    assert [one.id for one in (second, third)] == ["t", "s"]
    document, other = read(data, "conllu-documents")
    assert document == Skipped("-", line, reason, "d")
    assert isinstance(other, Record)
    assert other.id == "e"


def test_words_without_heads_are_words() -> None:
    [record] = read(re.sub(r"\t\d\t(nsubj|cop|root|punct)", r"\t_\t_", SHORT).encode(), "conllu")
    assert isinstance(record, Record)
    assert record.words == RECORD.words
    assert "relations" not in record.labels


def test_long_sentence_is_skipped_and_not_held() -> None:
    with bounds(max_line=200):
        found = read((SHORT + "# sent_id = x\n" + "# and so on\n" * 100 + SHORT).encode(), "conllu")
    assert reasons(found) == [(1, "longer than 200 bytes"), (11, "longer than 200 bytes")]


def test_files_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conllu.gz").write_bytes(gzip.compress(ENGLISH.encode()))
    Path("b.CONLL").write_text(re.sub("# sent_id.*\n", "", GERMAN), encoding="utf-8")
    found = [record for record in read_records(find_sources(["a.conllu.gz", "b.CONLL"])) if isinstance(record, Record)]
    assert [record.id for record in found][5:] == ["english-6", "b.CONLL:1", "b.CONLL:14", "b.CONLL:25"]
    [source] = find_sources(["b.CONLL"])
    assert count_records(source) == 3


def test_there_are_no_columns() -> None:
    with pytest.raises(UsageError, match="- is read as CoNLL-U, which has no column 'text'"):
        read(SHORT.encode(), "conllu", text="text")


# Documents


def test_documents_have_sentences_heads_and_mentions() -> None:
    dog, king = read(DOCUMENTS.encode(), "conllu-documents")
    assert isinstance(dog, Record)
    assert isinstance(king, Record)
    assert (dog.id, king.id) == ("dog", "king")
    assert dog.text.startswith("Anna has a dog. She loves it. The dog")
    assert dog.words is not None
    assert dog.labels["sentences"] == [0, 5, 9, 18]
    assert dog.labels["heads"][:9] == [1, -1, 3, 1, 1, 6, -1, 6, 6]
    assert [" ".join(dog.words[start:end]) + f"={entity}" for start, end, entity in dog.labels["mentions"]] == [
        "Anna=e1", "a dog=e2", "She=e1", "it=e2", "The dog=e2", "her friend Ben=e3", "her=e1", "He=e3",
        "the animal=e2", "a bone=e4",
    ]  # fmt: skip
    assert all(len(dog.labels[name]) == len(dog.words) for name in ("upos", "feats", "lemmas", "heads"))
    [sentence, *_] = read(DOCUMENTS.encode(), "conllu")
    assert isinstance(sentence, Record)
    assert sentence.labels["document"] == "dog"


def test_file_without_documents_is_one() -> None:
    [document] = read(TREEBANK.encode(), "conllu-documents")
    assert isinstance(document, Record)
    assert (document.id, len(document.labels["sentences"]), document.labels["mentions"]) == ("1", 14, [])


def bracketed(*brackets: str, fields: str = "eid-etype") -> list[Record | Skipped]:
    """A document of one word a bracket; that of an empty node begins with a point."""
    lines, words = [f"# global.Entity = {fields}"], 0
    for each in brackets:
        words += not each.startswith(".")
        number = f"{words}.1" if each.startswith(".") else words
        misc = f"X=Y|Entity={each.removeprefix('.')}" if each.strip(".") else "_"
        head = "_\t_" if each.startswith(".") else f"{min(words - 1, 1)}\t{'root' if words == 1 else 'dep'}"
        lines.append(f"{number}\tw\tw\tX\t_\t_\t{head}\t_\t{misc}")
    return read("\n".join(lines).encode(), "conllu-documents")


@pytest.mark.parametrize(
    ("brackets", "mentions"),
    [
        (["(a-x(b-x)", "", "a)"], [[0, 3, "a"], [0, 1, "b"]]),
        (["(a-x(b-x", "a)", "b)"], [[0, 3, "b"], [0, 2, "a"]]),  # crossing
        (["(a-x", "(a-x)(b-x)", "a)"], [[0, 3, "a"], [1, 2, "a"], [1, 2, "b"]]),  # within itself
        (["(a[1/2]-x)", "(b-x)", "(a[2/2]-x", "a[2/2])"], [[0, 1, 2, 4, "a"], [1, 2, "b"]]),  # in two parts
        (["", ".(a-x)", "(b-x)"], [[1, 2, "b"]]),  # an empty node is no word
        ([".(a-x", "", "a)"], [[0, 2, "a"]]),
    ],
)
def test_mentions_nest_cross_and_come_in_parts(brackets: list[str], mentions: list[list[int | str]]) -> None:
    [record] = bracketed(*brackets)
    assert isinstance(record, Record)
    assert record.labels["mentions"] == mentions


def test_entity_is_the_field_that_the_file_names() -> None:
    [record] = bracketed("(x-a-y)", fields="etype-GRP-link")
    assert isinstance(record, Record)
    assert record.labels["mentions"] == [[0, 1, "a"]]


@pytest.mark.parametrize(
    ("brackets", "line", "reason"),
    [
        (["(a-x", "", ""], 2, "the bracket of Entity 'a' is not closed"),
        (["", "a)"], 3, "the bracket of Entity 'a' is closed, and was not opened"),
        (["", "(a-x))"], 3, "broken brackets of Entity: '(a-x))'"),
        (["a"], 2, "broken brackets of Entity: 'a'"),
        (["(-x)"], 2, "no entity in the bracket '-x'"),
        (["(a[2/2]-x)"], 2, "the mention 'a[2/2]' lacks its first part"),
    ],
)
def test_document_with_broken_brackets_is_skipped(brackets: list[str], line: int, reason: str) -> None:
    assert bracketed(*brackets) == [Skipped("-", line, reason, "1")]


# Other formats


def test_labels_are_read_where_they_are() -> None:
    also = ("words", "text", "relations")
    data = b'{"words": ["a", "b"], "relations": [[0, 1, "x"]], "lang": "en"}\n{"text": "a b", "words": ["a", "b"]}\n'
    first, second = read(data, "jsonl", also=also)
    assert first == Record("1", "a b", words=["a", "b"], labels={"relations": [[0, 1, "x"]]})
    assert second == Record("2", "a b", words=["a", "b"])
    assert read(
        b'[{"sentences": [["a", "b"], [], ["c"]], "clusters": []}]', "json", also=("sentences", "clusters")
    ) == [Record("1", "a b c", words=["a", "b", "c"], labels={"sentences": [0, 2], "clusters": []})]
    assert read(b"body,upos\nab,X\n", "csv", also=("upos", "feats")) == [Record("2", "ab", labels={"upos": "X"})]


def test_parquet_has_relations_as_objects(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    relations = [[{"dependent": 0, "head": 1, "label": "x"}], None]
    parquet.write_table(pa.table({"words": [["a", "b"], ["c"]], "relations": relations}), tmp_path / "a.parquet")
    found = list(
        read_records(find_sources([str(tmp_path / "a.parquet")]), Columns(also=("words", "relations", "upos")))
    )
    assert found == [
        Record("1", "a b", words=["a", "b"], labels={"relations": relations[0]}),
        Record("2", "c", words=["c"]),
    ]
