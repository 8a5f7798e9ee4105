"""Relations whose answers are known: of heads made by hand, of labels by chance, and by eager attention."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import AutoTokenizer

import attnprobe
from attnprobe import Encoder, load_encoder
from attnprobe.values.bootstrap import draw_counts
from attnprobe.values.outcomes import REPORTING
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.syntactic import NEXT, TO_ANTECEDENT, TO_HEAD, build_syntactic, coreferences, treebank
from tests.treebank import ENGLISH

# One of each kind of tokenizer that takes words, and of capture: blocks, hooks, local, banded, grouped, shared layers.
FAMILIES = [
    "bert",
    "distilbert",
    "albert",
    "electra",
    "mpnet",
    "xlm-roberta",
    "roberta",
    "modernbert",
    "eurobert",
    "nomic_bert",
    "deberta-v2",
    "convbert",
    "longformer",
    "led",
    "bart",
    "t5",
    "longt5_local",
    "xlnet",
    "gemma3_text",
    "gpt2",
]
SPACED = ["roberta", "modernbert", "eurobert", "gemma3_text"]  # whose saved tokenizers heed no add_prefix_space


@pytest.fixture(scope="module")
def syntactic(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(build_syntactic(tmp_path_factory.mktemp("syntactic") / "model"))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return write(tmp_path / "bank.conllu", treebank())


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def interval(gains: dict[int, list[int]], seed: int = 0) -> list[float]:
    """The 95 % interval of a mean by the texts' differences, one draw after another."""
    counts, means = draw_counts([str(text) for text in gains], seed), []
    for drawn in counts.T:
        total = sum(int(times) * len(own) for times, own in zip(drawn, gains.values(), strict=True))
        if total:
            means.append(sum(times * sum(own) for times, own in zip(drawn, gains.values(), strict=True)) / total)
    return [float(np.quantile(means, share)) for share in (0.025, 0.975)]


# Heads that are known


def test_head_that_looks_at_heads_is_found_with_its_gain(syntactic: Encoder, bank: Path) -> None:
    """The keeper is before the verb in even sentences: offset +1 is chosen, and right in one odd sentence of four."""
    rows = attnprobe.relations(bank, syntactic).to_frame().set_index("relation")
    found = rows.loc["nsubj"]
    assert found[["n", "layer", "head", "direction"]].tolist() == [4, *TO_HEAD, "dep->head"]
    assert found[["accuracy", "baseline_offset", "baseline", "gain"]].tolist() == [1, 1, 0.25, 0.75]
    assert found[["gain_low", "gain_high"]].tolist() == pytest.approx(interval({1: [1], 3: [1], 5: [0], 7: [1]}))
    assert rows.loc["all", ["n", "accuracy", "gain"]].tolist() == pytest.approx([21, 1, 10 / 21])
    assert rows.loc["all+punct", ["layer", "head"]].tolist() == list(TO_HEAD)


def test_head_that_is_an_offset_gains_nothing(syntactic: Encoder, bank: Path) -> None:
    layer, head = NEXT
    rows = attnprobe.relations(bank, syntactic, layers=layer, heads=head).to_frame().set_index("relation")
    for relation in ("all", "nsubj", "nummod"):
        assert rows.loc[relation, "baseline_offset"] == 1
        assert rows.loc[relation, "accuracy"] == rows.loc[relation, "baseline"] > 0
        assert rows.loc[relation, ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]


def test_tree_of_the_head_that_looks_at_heads_is_that_of_the_treebank(syntactic: Encoder, bank: Path) -> None:
    rows = attnprobe.trees(bank, syntactic).to_frame().set_index(["layer", "head"])
    assert rows.loc[TO_HEAD].tolist() == [1, 40]
    neighbours = [abs(at - head) == 1 for words, heads in sentences(treebank()) for at, head in edges(words, heads)]
    assert len(neighbours) == 40
    assert rows.loc[(np.nan, "chain"), "uuas"] == pytest.approx(sum(neighbours) / 40)


def test_probe_of_the_head_that_looks_at_heads_is_always_right(syntactic: Encoder, bank: Path) -> None:
    """Each of four words and more a sentence; of all heads and directions, this one weighs most."""
    found = attnprobe.probe(bank, syntactic)
    assert found.to_frame()["uas"].tolist() == [1, 1]
    weights = found.tables()["weights_out"]().to_frame().set_index(["layer", "head", "direction"])["weight"]
    assert weights.idxmax() == (*TO_HEAD, "dep->head")


def test_head_that_looks_at_antecedents_is_found(syntactic: Encoder, tmp_path: Path) -> None:
    """Of eight pronouns two come next after what they stand for, and one has the same word before."""
    documents = write(tmp_path / "documents.conllu", coreferences())
    found = attnprobe.coreference(documents, syntactic)
    rows = found.to_frame()
    rows = rows[rows["group"] == "pronoun"]
    heads = rows[rows["answer"] == "mentions"].set_index(["layer", "head"])
    assert heads.loc[TO_ANTECEDENT, ["accuracy", "n"]].tolist() == [1, 8]
    assert heads["accuracy"].nlargest(2).tolist()[1] < 1
    baselines = rows[rows["layer"].isna()].set_index("head")["accuracy"] * 8
    assert baselines.round(9).to_dict() == {
        "nearest": 2, "head_match": 1, "head_match_else_nearest": 3, "sieves": 3,
    }  # fmt: skip
    [halves] = found.halves().to_frame().query("group == 'pronoun' and answer == 'mentions'").to_dict("records")
    assert [halves[name] for name in ("n", "layer", "head", "accuracy")] == [3, *TO_ANTECEDENT, 1]


# Labels by chance


def by_chance(seed: int, texts: int = 60) -> str:
    """A treebank without any structure: words, heads and labels are drawn."""
    chance, rows = random.Random(seed), []
    for _ in range(texts):
        words = chance.sample(
            ["cats", "dogs", "birds", "often", "saw", "old", "big", "houses", "with", "me", "there"], 8
        )
        order = chance.sample(range(1, 9), 8)  # a word's head is any of those before it here
        head = {at: chance.choice(order[:place]) if place else 0 for place, at in enumerate(order)}
        for at, word in enumerate(words, start=1):
            label = f"r{chance.randrange(12)}" if head[at] else "root"
            rows.append(f"{at}\t{word}\t_\tNOUN\t_\t_\t{head[at]}\t{label}\t_\t_")
        rows.append("")
    return "\n".join(rows) + "\n"


def test_labels_by_chance_are_not_found_by_the_half_that_did_not_choose(minilm: Encoder, tmp_path: Path) -> None:
    """Chosen on the texts that report, a head seems to find each relation: the best of many by chance."""
    found = attnprobe.relations(write(tmp_path / "chance.conllu", by_chance(0)), minilm)
    rows = found.to_frame().set_index("relation")
    assert rows.loc["all", "gain_low"] <= 0 <= rows.loc["all", "gain_high"]
    relations = rows.drop("all")
    known = (relations["gain_low"] <= 0) & (relations["gain_high"] >= 0)
    assert len(relations) == 12
    assert known.sum() >= 10
    same = []
    for relation in relations.index:
        outcomes = found.outcomes.where([relation], REPORTING)
        heads, offsets = np.split(outcomes.count_right() / len(outcomes), [-10])
        same.append(heads.max() - offsets.max())
    assert abs(relations["gain"].mean()) < 0.05 < 0.1 < np.mean(same)


# Families


def sentences(written: str) -> Iterator[tuple[list[str], list[tuple[int, str, str]]]]:
    """The words of each sentence, and of each the number of its head (-1: root), its relation and part of speech."""
    for block in written.strip().split("\n\n"):
        rows = [row.split("\t") for row in block.splitlines() if row.split("\t")[0].isdigit()]
        yield [row[1] for row in rows], [(int(row[6]) - 1, row[7].split(":")[0], row[3]) for row in rows]


def edges(words: Sequence[str], heads: Sequence[tuple[int, str, str]]) -> list[tuple[int, int]]:
    """The edges between words that are no punctuation; positions are counted among these."""
    place = {at: number for number, at in enumerate(spoken(heads))}
    return [(place[at], place[heads[at][0]]) for at in place if heads[at][0] in place]


def spoken(heads: Sequence[tuple[int, str, str]]) -> list[int]:
    return [at for at, (_, _, tag) in enumerate(heads) if tag != "PUNCT"]


def maps_of(plain: Plain, tokenizer: Any, words: Sequence[str]) -> np.ndarray:
    """(layer, head, word, word): summed over the key's pieces, the mean over the query's."""
    spaced = [f" {word}" if plain.family in SPACED else word for word in words]
    encoding = tokenizer(spaced, is_split_into_words=True, return_tensors="pt")
    owner = np.array([-1 if word is None else word for word in encoding.word_ids()])
    owns = (owner == np.arange(len(words))[:, None]).astype(float)
    weights = np.stack([layer.weights for layer in plain.layers(encoding)])
    found: np.ndarray = owns / owns.sum(1, keepdims=True) @ weights @ owns.T
    return found


def best_trees(scores: np.ndarray) -> np.ndarray:
    """(..., word, word) whether an edge is in the maximum spanning tree: no path of heavier edges goes around it."""
    widest = scores.copy()
    for via in range(scores.shape[-1]):
        widest = np.maximum(widest, np.minimum(widest[..., :, via, None], widest[..., None, via, :]))
    found: np.ndarray = scores == widest
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_relations_and_trees_are_those_of_eager_attention(
    family: str,
    folder_of: Callable[[str], Path],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
    tmp_path: Path,
) -> None:
    """Word by word and edge by edge, for all layers and heads at once."""
    exact, plain, bank = exact_of(family), plain_of(family), write(tmp_path / "bank.conllu", ENGLISH)
    tokenizer = AutoTokenizer.from_pretrained(folder_of(family), add_prefix_space=True)  # of words apart
    with float64():
        relations, trees = attnprobe.relations(bank, exact), attnprobe.trees(bank, exact)
        read = [(heads, maps_of(plain, tokenizer, words), words) for words, heads in sentences(ENGLISH)]
    right: dict[tuple[str, str], list[np.ndarray]] = {}  # of (layer, head)
    weight: dict[tuple[str, str], list[np.ndarray]] = {}
    parsed: list[np.ndarray] = []
    for heads, maps, words in read:
        either = (maps + maps.swapaxes(-2, -1))[..., spoken(heads), :][..., spoken(heads)]
        in_tree = best_trees(either)
        parsed += [in_tree[..., at, of] for at, of in edges(words, heads)]
        a = np.where(np.eye(len(words), dtype=bool), -1, maps)
        for at, (of, label, _) in enumerate(heads):
            for direction, row in (("dep->head", a[..., at, :]), ("head->dep", a[..., at])):
                if of >= 0:
                    right.setdefault((label, direction), []).append(row.argmax(-1) == of)
                    weight.setdefault((label, direction), []).append(row[..., of])
    rows = relations.all_heads().to_frame()
    rows = rows[rows["layer"].notna() & ~rows["relation"].isin(["all", "all+punct"])]
    rows = rows.set_index(["relation", "layer", "head", "direction"])
    check(rows["accuracy"], by_head(right))
    check(rows["weight"], by_head(weight))
    uuas = trees.to_frame().query("layer == layer and head != 'mean'").set_index(["layer", "head"])["uuas"]
    check(uuas, dict(np.ndenumerate(np.mean(parsed, 0))))


def by_head(found: dict[tuple[str, str], list[np.ndarray]]) -> dict[tuple[str, int, int, str], float]:
    """The means by relation, layer, head and direction."""
    return {
        (label, layer, head, direction): mean
        for (label, direction), each in found.items()
        for (layer, head), mean in np.ndenumerate(np.mean(each, 0))
    }


def check(found: pd.Series, expected: dict[Any, float]) -> None:
    assert set(found.index) == set(expected)
    np.testing.assert_allclose(found.to_numpy(), [expected[key] for key in found.index], rtol=0, atol=10 * EXACT)
