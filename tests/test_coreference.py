"""Which heads find antecedents: documents, windows, rules of thumb, and all answers as plain loops give them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from attnprobe import Encoder, Record, coreference, find_sources, read_records
from attnprobe.analyses.antecedents import Antecedents
from attnprobe.analyses.coreferences import ANSWERS, COLUMNS, GROUPED, Coreferences
from attnprobe.analyses.questions import Questions, cut
from attnprobe.analyses.sieves import BASELINES, Traits, agreeing, group_of, guess
from attnprobe.attention import blocks
from attnprobe.errors import InputError, UsageError
from attnprobe.render.coreference import coreference_view, write_png, write_svg
from attnprobe.values.documents import Document, head_of
from attnprobe.values.options import Reading
from attnprobe.values.outcomes import Outcomes
from tests.eager import eager_layers
from tests.exact import float64
from tests.plain import Plain
from tests.treebank import tabbed

KING = "[k the old king] had [s two sons] . / [s they] feared [k him] . / [k the king] gave [c [k his] crown] away ."
CAT = "[c the cat] sat on [m the mat] . / [m it] was warm . / [c she] and [c the cat] slept on [m the mat] ."
CHINESE = "[它 苹果] 在 桌子 上 。 / [它 它们] 很 新鲜 。 / [我 我] 喜欢 [它 苹果] 。"


def written(text: str, **labels: Any) -> Record:
    """A record of a text in which ``[e two words]`` mentions e, and / ends a sentence."""
    words: list[str] = []
    sentences, mentions, open_now = [0], [], list[list[Any]]()
    for piece in text.split():
        if piece == "/":
            sentences.append(len(words))
        elif piece.startswith("["):
            open_now.append([len(words), 0, piece[1:]])
            mentions.append(open_now[-1])
        else:
            words.append(piece.rstrip("]"))
            for _ in range(piece.count("]")):
                open_now.pop()[1] = len(words)
    return Record(text[:4], words=words, labels={"sentences": sentences, "mentions": mentions, **labels})


def tagged(record: Record) -> Record:
    """The record with parts of speech: pronouns by their form, names by a capital."""
    pronouns = {"they", "him", "his", "it", "she", "它们", "我"}
    upos = ["PRON" if word in pronouns else "PROPN" if word[:1].isupper() else "NOUN" for word in record.words or ()]
    return Record(record.id, words=record.words, labels={**record.labels, "upos": upos})


def as_clusters(record: Record, last: int) -> Record:
    """The record as JSON Lines have it, without syntax, with ends that are one beyond the last word, or ``last``."""
    clusters: dict[str, list[list[int]]] = {}
    for start, end, entity in record.labels["mentions"]:
        clusters.setdefault(entity, []).append([start, end - last])
    labels = {"sentences": record.labels["sentences"], "clusters": list(clusters.values())}
    return Record(record.id, words=record.words, labels=labels)


RECORDS = [tagged(written(text)) for text in (KING, CAT, CHINESE)]


def test_the_head_of_a_mention_is_the_first_word_whose_head_is_outside() -> None:
    """In "the man in the hat saw him"; of a nested, a crossing and a discontinuous mention."""
    heads = [1, 5, 4, 4, 1, -1, 5]
    assert head_of(range(5), heads) == 1
    assert head_of(range(3, 5), heads) == 4
    assert head_of([0, 1, 6], heads) == 1
    assert head_of(range(5), ()) == 4
    mentions = [[0, 5, "a"], [3, 5, "b"], [4, 7, "a"], [0, 2, 6, 7, "b"], [6, 7, "a"], [5, 7, "a"], [0, 1, "once"]]
    record = Record(
        "1", words=["the", "man", "in", "the", "hat", "saw", "him"], labels={"mentions": mentions, "heads": heads}
    )
    found = [(mention.head, mention.entity, mention.text) for mention in Document.of(record).mentions]
    assert found == [
        (1, "a", "the man in the hat"),
        (1, "b", "the man him"),
        (4, "a", "hat saw him"),
        (4, "b", "the hat"),
        (5, "a", "saw him"),
        (6, "a", "him"),
    ]
    assert len(Document.of(record, singletons=True).mentions) == len(found) + 1


IN_PARTS = tabbed("""\
1 Every every DET _ _ 2 det _ Entity=(e1[1/2]-thing
2 house house NOUN _ _ 3 nsubj _ Entity=e1[1/2])
3 fell fall VERB _ _ 0 root _ _
4 that that PRON _ _ 5 nsubj _ Entity=(e1[2/2]-thing(e1-thing)
5 stood stand VERB _ _ 2 acl _ Entity=e1[2/2])

""")


def test_a_mention_in_parts_leaves_out_the_words_between(tmp_path: Path) -> None:
    file = tmp_path / "parts.conllu"
    file.write_text(IN_PARTS, encoding="utf-8")
    [record] = read_records(find_sources([str(file)], format="conllu-documents"))
    assert isinstance(record, Record)
    assert record.labels["mentions"] == [[0, 2, 3, 5, "e1"], [3, 4, "e1"]]
    assert [mention[::2] for mention in Document.of(record).mentions] == [(1, "Every house that stood"), (3, "that")]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no entities": ({}, "names no entities"),
    "no list": ({"mentions": 3}, "label mentions is not of the form"),
    "no span": ({"mentions": [["a"]]}, "is no span"),
    "an empty span": ({"clusters": [[[2, 2]]]}, r"\[2, 2\] is no span"),
    "a span beyond": ({"mentions": [[0, 4, "a"]]}, "is no span of the 3 words"),
    "half a span": ({"clusters": [[[0]]]}, "label clusters is not of the form"),
    "text for a number": ({"clusters": [[["0", "1"]]]}, "label clusters"),
    "too few heads": ({"mentions": [], "heads": [0]}, "heads is no list of 3"),
    "heads of another kind": ({"mentions": [], "upos": [1, 2, 3]}, "upos is no list of 3"),
    "sentences out of order": ({"mentions": [], "sentences": [0, 2, 1]}, "sentences is not of the form"),
    "sentences that are words": ({"mentions": [], "sentences": [["a"], ["b", "c"]]}, "sentences is not of the form"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_labels_are_refused(name: str) -> None:
    labels, message = BROKEN[name]
    with pytest.raises(UsageError, match=message):
        Document.of(Record("1", words=["a", "b", "c"], labels=labels))


def test_sieves_one_by_one() -> None:
    """Nearest mentions come last; each rule is asked of all of them before the next rule."""

    def mention(text: str, feats: str = "_") -> Traits:
        return Traits(text, text.split()[-1], agreeing(feats))

    earlier = [
        mention("the old king", "Gender=Masc|Number=Sing"),
        mention("a king", "Number=Sing"),
        mention("sons", "Number=Plur"),
        mention("his queen", "Gender=Fem|Number=Sing|Person=3"),
    ]
    guessed: list[tuple[Traits, dict[str, int | None]]] = [
        (mention("the old king"), {"nearest": 3, "head_match": 1, "head_match_else_nearest": 1, "sieves": 0}),
        (mention("that king"), {"nearest": 3, "head_match": 1, "head_match_else_nearest": 1, "sieves": 1}),
        (mention("they", "Number=Plur"), {"head_match": None, "head_match_else_nearest": 3, "sieves": 2}),
        (mention("he", "Gender=Masc|Number=Sing"), {"head_match": None, "sieves": 1}),
        (mention("she", "Gender=Fem,Neut|Person=3"), {"sieves": 3}),
        (mention("I", "Number=Sing|Person=1"), {"sieves": 1}),
        (mention("you", "Gender=Neut|Number=Dual"), {"head_match_else_nearest": 3, "sieves": 3}),  # none agrees
    ]
    for asked, wanted in guessed:
        for name, number in wanted.items():
            assert guess(BASELINES[name], asked, earlier) == number, (asked.text, name)
    assert guess(BASELINES["sieves"], earlier[0], []) is None


def test_groups_are_those_of_the_head_word() -> None:
    words = ("she", "Anna", "dog", "mine")
    document = Document(
        words, (range(4),), (), ("PRON", "PROPN", "NOUN", "DET"), ("_", "_", "_", "PronType=Prs|Poss=Yes")
    )
    assert [group_of(at, document) for at in range(4)] == ["pronoun", "proper", "nominal", "pronoun"]
    assert group_of(0, Document(words, (range(4),), ())) == ""


def test_questions_count_mentions_with_an_antecedent_in_the_window() -> None:
    document = Document.of(tagged(written(KING)))
    questions = Questions.of(document, range(len(document.words)))
    assert [document.words[at] for at in questions.places] == ["king", "sons", "they", "him", "king", "his"]
    assert [document.words[at] for at in questions.asking] == ["they", "him", "king", "his"]
    assert questions.answers == ((5,), (2,), (2, 9), (2, 9, 12))
    assert questions.groups == ("pronoun", "pronoun", "nominal", "pronoun")
    later = Questions.of(document, range(document.sentences[1].start, len(document.words)))
    assert [document.words[at + document.sentences[1].start] for at in later.asking] == ["king", "his"]


def test_windows_hold_whole_sentences_and_as_many_as_fit(encoder_of: Callable[[str], Encoder]) -> None:
    assert cut([range(0, 2), range(2, 4), range(4, 9), range(9, 10)], [2, 2, 5, 1], 4) == (
        [range(0, 4), range(9, 10)],
        1,
    )
    encoder, record = encoder_of("bert"), RECORDS[1]
    sizes = [len(encoder.tokenize(sentence)[0]) - 2 for sentence in sentences(record)]
    for window, lengths in ((sum(sizes) + 2, [20]), (sum(sizes) + 1, [11, 9]), (max(sizes) + 2, [7, 4, 9])):
        windows = chosen(encoder, window=window).read(record, encoder, Reading())
        texts = [made.labels["words"].texts for made in windows]
        assert list(map(len, texts)) == lengths
        assert max(map(len, windows)) <= window
        assert sum(texts, ()) == record.words
    windows = chosen(encoder, window=min(sizes) + 2).read(record, encoder, Reading())
    assert [window.labels["words"].texts for window in windows] == [("it", "was", "warm", ".")]
    with pytest.raises(UsageError, match="no sentence of the document fits into a window of 3 tokens"):
        chosen(encoder, window=3).read(record, encoder, Reading())


def chosen(encoder: Encoder, **options: Any) -> Antecedents:
    usual = {"layers": "all", "heads": "all", "window": None, "singletons": False, "inclusive": False, "seed": 0}
    return Antecedents.choose(encoder, Reading(), **{**usual, **options})


def looped(plain: Plain, encoder: Encoder, records: Sequence[Record], window: int | None) -> dict[Any, list[bool]]:
    """Whether each head, answer and group is right, mention by mention: (layer, head, answer) -> answers."""
    right: dict[Any, list[bool]] = {}
    for record in records:
        words, given = record.words or (), record.labels["mentions"]
        mentions = [one for one in given if [entity for _, _, entity in given].count(one[2]) > 1]
        starts = [*record.labels["sentences"], len(words)]
        lengths = [len(encoder.tokenize(words[a:b])[0]) - 2 for a, b in itertools.pairwise(starts)]
        first, runs = 0, []
        for number in range(len(lengths)):
            if window and sum(lengths[first : number + 1]) + 2 > window:
                runs.append((starts[first], starts[number]))
                first = number
        runs.append((starts[first], len(words)))
        for start, stop in runs:
            heads = sorted((end - 1 - start, entity) for _, end, entity in mentions if start <= end - 1 < stop)
            for layer, head, weights in by_word(plain, encoder, words[start:stop]):
                for asking, entity in heads:
                    earlier = sorted({place for place, _ in heads if place < asking})
                    answers = [place for place, other in heads if place < asking and other == entity]
                    if answers:
                        row, column = weights[asking], weights[:, asking]
                        for answer, of, among in zip(
                            ANSWERS, (row, row, column), (earlier, range(asking), earlier), strict=True
                        ):
                            best = max(among, key=of.__getitem__)
                            right.setdefault((layer, head, answer), []).append(of[best] > 0 and best in answers)
    return right


def by_word(plain: Plain, encoder: Encoder, words: Sequence[str]) -> Any:
    """Yields layer, head, and weights between words: summed over the key's pieces, mean over the query's."""
    [tokens] = encoder.tokenize(words)
    inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
    of_word = [[at for at, unit in enumerate(tokens.words or ()) if unit == number + 1] for number in range(len(words))]
    for number, layer in enumerate(eager_layers(plain.model, inputs)):
        for head, weights in enumerate(layer.weights):
            by_key = np.array([weights[:, pieces].sum(1) for pieces in of_word]).T
            yield number, head, np.array([by_key[pieces].mean(0) for pieces in of_word])


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
def test_answers_are_those_of_loops_over_eager_attention(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    """Of all heads; in one window or several; whole, or in blocks of few rows and one head."""
    plain, encoder, exact = plain_of(family), encoder_of(family), exact_of(family)
    longest = max(len(encoder.tokenize(sentence)[0]) for record in RECORDS for sentence in sentences(record))
    for window, elements in ((None, blocks.BLOCK_ELEMENTS), (None, 400), (longest, blocks.BLOCK_ELEMENTS)):
        with float64(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "BLOCK_ELEMENTS", elements)
            patch.setattr(blocks, "BLOCK_ROWS", 4)
            expected = looped(plain, encoder, RECORDS, window)
            found = coreference(RECORDS, exact, window=window)
        rows = {tuple(row[:3]): row[4:] for row in found.table().rows if row[3] == "all" and row[0] is not None}
        assert rows == {key: (sum(right) / len(right), len(right)) for key, right in expected.items()}


def sentences(record: Record) -> list[Sequence[str]]:
    words, starts = record.words or (), [*record.labels["sentences"], len(record.words or ())]
    return [words[start:stop] for start, stop in itertools.pairwise(starts)]


def test_clusters_are_mentions_whose_heads_are_last_words(encoder_of: Callable[[str], Encoder]) -> None:
    """With ends beyond the last word or at it; without parts of speech only all mentions are a group."""
    encoder = encoder_of("bert")
    known = {tuple(row[:4]): row[4:] for row in coreference(RECORDS, encoder).table().rows if row[3] == "all"}
    for last, inclusive in ((0, False), (1, True)):
        found = coreference([as_clusters(record, last) for record in RECORDS], encoder, inclusive=inclusive)
        rows = found.table().rows
        assert {tuple(row[:4]): row[4:] for row in rows if row[3] == "all"} == known
        assert {row[4:] for row in rows if row[3] != "all"} == {(None, 0)}


def test_json_lines_hold_sentences_and_clusters(encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    """As from Python; a line without clusters, and one with a span of no words, are no documents."""
    encoder, file = encoder_of("bert"), tmp_path / "documents.jsonl"
    lines = [
        {"sentences": sentences(record), "clusters": as_clusters(record, 0).labels["clusters"]} for record in RECORDS
    ]
    wrong = [{"sentences": [["a"]]}, {"sentences": [["a"], ["b"]], "clusters": [[[1, 1]]]}]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, *wrong]), encoding="utf-8")
    found = coreference(file, encoder, on_error="skip")
    assert found.table().rows == coreference([as_clusters(record, 0) for record in RECORDS], encoder).table().rows
    with pytest.raises(InputError, match=r"documents\.jsonl:4: the record names no entities"):
        coreference(file, encoder)


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_what_was_chosen(width: int, encoder_of: Callable[[str], Encoder]) -> None:
    found = coreference(RECORDS, encoder_of("bert"), window=60)
    console = Console(width=width, file=io.StringIO())
    console.print(coreference_view(found, width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= width
    for words in ("of up to 60 tokens, 3 documents", "Chosen on 2 documents", "best head, back", "* Fewer than 100"):
        assert words in " ".join(shown.split())
    drawn = io.BytesIO()
    write_svg(found, drawn)
    assert b"accuracy on pronouns minus that of" in drawn.getvalue()
    assert found.picture().values.shape == (3, 4)


def test_a_document_without_questions_has_no_numbers(encoder_of: Callable[[str], Encoder]) -> None:
    """One sentence, no mention twice, no mention: empty cells, and nothing is drawn."""
    alone = [written("[a a cat] sees [b a dog] ."), written("nobody is here ."), written("[a a cat] sees .")]
    found = coreference(alone, encoder_of("bert"), singletons=True)
    assert {row[4:] for row in found.table().rows} == {(None, 0)}
    assert {row[2:] for row in found.halves().rows} == {(0, *[None] * 8)}
    assert found.counts.tolist() == [3, 3, 0]
    with pytest.raises(InputError, match="nothing to draw"):
        write_png(found, io.BytesIO())
    console = Console(width=80, file=io.StringIO())
    console.print(coreference_view(found, 80))
    assert "No mention has an antecedent" in console.file.getvalue()  # type: ignore[attr-defined]


def test_one_half_chooses_and_the_other_reports() -> None:
    """Two heads and four baselines by hand: head 1 wins on even documents, head 0 on odd ones."""
    empty = Coreferences.empty((0,), (0, 1), "", seed=0)
    right = np.zeros((6, 10), bool)
    right[:3, 1] = right[0, 0] = right[3:, 0] = True  # head 0, head 1 by mentions
    right[3, 1] = right[:2, 7] = right[4:, 7] = True  # head_match
    outcomes = Outcomes.of([0, 0, 2, 1, 1, 3], ["pronoun"] * 5 + [""], right)
    found = Coreferences((0,), (0, 1), "", 0, outcomes, empty.counts)
    rows = {row[:2]: row[2:] for row in found.halves().rows}
    assert rows["all", "mentions"][:-2] == (3, 0, 1, 1 / 3, "head_match", 2 / 3, -1 / 3)
    assert rows["pronoun", "mentions"][:-2] == (2, 0, 1, 1 / 2, "head_match", 1 / 2, 0.0)
    low, high = rows["all", "mentions"][-2:]
    assert -1 <= low < high <= 1
    assert rows["pronoun", "mentions"][-2:] == (None, None)  # one document has no interval
    assert rows["proper", "mentions"] == (0, *[None] * 8)
    assert found.best("all", "mentions") == (0, 0, 4 / 6)
    assert found.best("proper", "mentions") is None
    assert {row[3]: row[5] for row in found.table().rows} == {"all": 6, "pronoun": 5, "proper": 0, "nominal": 0}
    assert list(GROUPED) == ["all", "pronoun", "proper", "nominal"]
    assert found.table().columns == COLUMNS
