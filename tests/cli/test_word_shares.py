"""relations --shares: how much weight between words falls on parts of speech and dependencies, held to plain loops."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import attnprobe
from attnprobe import Encoder, Record
from attnprobe.analyses.word_shares import FEWEST, ShareSums
from attnprobe.attention import blocks
from attnprobe.attention.word_shares import LARGE, WordShares
from attnprobe.values.relations import Relation, Sentence
from attnprobe.values.words import Words
from tests.cli.commandline import Run
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.treebank import CHINESE, ENGLISH, GERMAN

Sums = dict[tuple[str, int, int], float]


def records(treebank: str) -> list[Record]:
    """The sentences of a treebank, read by the plainest means."""
    found = []
    for number, block in enumerate(treebank.strip().split("\n\n")):
        rows = [line.split("\t") for line in block.splitlines() if line.split("\t")[0].isdigit()]
        related = [[int(row[0]) - 1, int(row[6]) - 1, row[7]] for row in rows if row[6] != "0"]
        labels = {"relations": related, "upos": [row[3] for row in rows]}
        found.append(Record(str(number), words=[row[1] for row in rows], labels=labels))
    return found


def by_loops(plain: Plain, texts: list[Record], heads: list[int]) -> tuple[Sums, Sums, dict[str, float]]:
    """Of each property and head the weight and the number of large weights, and what even attention would give."""
    weight, over, even = defaultdict[Any, float](float), defaultdict[Any, float](float), Counter[str]()
    for text in texts:
        words, tags = list(text.words or ()), text.labels["upos"]
        encoding = plain.tokenizer(words, is_split_into_words=True, return_tensors="pt")
        pieces = [[at for at, word in enumerate(encoding.word_ids()) if word == number] for number in range(len(words))]
        pairs = {frozenset(related[:2]) for related in text.labels["relations"]}
        even["dependency"] += 2 * len(pairs) / len(words)
        even.update(tags)
        for layer, found in enumerate(plain.layers(encoding)):
            weights = found.weights.tolist()
            for head in heads:
                for i in range(len(words)):
                    for j, tag in enumerate(tags):
                        a = sum(weights[head][q][k] for q in pieces[i] for k in pieces[j]) / len(pieces[i])
                        for name in ("", tag, *["dependency"] * (frozenset((i, j)) in pairs)):
                            weight[name, layer, head] += a
                            over[name, layer, head] += a >= LARGE
    total = sum(len(text.words or ()) for text in texts)
    return weight, over, {name: count / total for name, count in even.items()}


@pytest.mark.numeric
def test_shares_are_those_of_loops(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [one for treebank in (ENGLISH, GERMAN, CHINESE) for one in records(treebank)[:2]]
    encoder, plain, heads = exact_of("bert"), plain_of("bert"), [0, 2]
    with float64():
        summary = attnprobe.relations(texts, encoder, heads=heads, shares=True)
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 40)
        in_blocks = attnprobe.relations(texts[:2], encoder, heads=heads, shares=True, batch_tokens=1)
        rest = attnprobe.relations(texts[2:], encoder, heads=heads, shares=True)
        weight, over, even = by_loops(plain, texts, heads)
    fewest = sorted(over["", layer, head] for layer in range(encoder.layers) for head in heads)[1]
    monkeypatch.setattr("attnprobe.analyses.word_shares.FEWEST", fewest)
    table = summary.shares().to_frame()
    assert list(table["property"].unique()) == ["dependency", *sorted(even.keys() - {"dependency"})]
    assert table["share_over"].isna().any()
    assert table["share_over"].gt(0).any()
    for layer, head, name, share, base, weights_over, share_over in table.itertuples(index=False):
        total, large = weight["", layer, head], over["", layer, head]
        assert share == pytest.approx(weight[name, layer, head] / total, abs=EXACT)
        assert base == pytest.approx(even[name], abs=EXACT)
        assert weights_over == large
        expected = over[name, layer, head] / large if large >= fewest else np.nan
        assert share_over == pytest.approx(expected, nan_ok=True)
    for same in (in_blocks + rest, rest + in_blocks, summary.restored(summary.arrays())):
        pd.testing.assert_frame_equal(same.shares().to_frame(), table, rtol=EXACT)


def test_head_that_looks_at_its_head_word() -> None:
    """Three words: the head looks from each to its head word, from the root to itself, and one weight is just large."""
    related = Relation((0,), (1,), "det"), Relation((1,), (2,), "nsubj"), Relation((2,), (1,), "again")
    tagged = Sentence(Words(("a", "b", "c"), (0, 1, 2)), related, ("DET", "NOUN", "VERB"))
    bare = Sentence(Words(("a", "b"), (0, 1, -1)), related[:1])
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0] = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.3, 0.5]])
    weights[1, 0, :2, :2] = torch.tensor([[0.5, 0.25], [0.0, 0.25]])
    found = WordShares([tagged, bare], 1, 1, torch.device("cpu"))
    found.add(0, slice(0, 2), slice(0, 1), slice(0, 1), weights[:, :, :1])
    found.add(0, slice(0, 2), slice(0, 1), slice(1, 3), weights[:, :, 1:])
    sums = ShareSums.of([tagged, bare], found.tags, found.found.numpy())
    table = pd.DataFrame(sums.rows([4], [7])).set_index(2)
    assert table[3].to_dict() == pytest.approx(
        {"dependency": 2.55 / 3.8, "DET": 0, "NOUN": 1.3 / 2.8, "VERB": 1.5 / 2.8}
    )
    assert table[4].to_dict() == pytest.approx(
        {"dependency": (4 / 3 + 2 / 2) / 5, "DET": 1 / 3, "NOUN": 1 / 3, "VERB": 1 / 3}
    )
    assert table[5].tolist() == [5, 4, 4, 4]
    assert table[6].isna().all()
    many = sum([sums] * (FEWEST // 4 - 1), sums)
    assert [row[6] for row in many.rows([4], [7])] == pytest.approx([3 / 5, 0, 2 / 4, 2 / 4])


def test_command_writes_shares(run: Run, tmp_path: Path, tiny: Path) -> None:
    """Only where the file is named are they measured, and a run without them is other work."""
    source, out = tmp_path / "some.conllu", tmp_path / "shares.csv"
    source.write_text(ENGLISH + CHINESE, encoding="utf-8")
    where = ("relations", source, "-m", tiny, "-q")
    result = run(*where, "--shares", out)
    assert (result.code, result.err) == (0, "")
    expected = attnprobe.relations(records(ENGLISH + CHINESE), tiny, shares=True)
    found = pd.read_csv(out, keep_default_na=False, na_values={"share_over": [""]})
    pd.testing.assert_frame_equal(found, expected.shares().to_frame(), check_dtype=False, rtol=1e-6)
    plain = attnprobe.relations(records(ENGLISH), tiny)
    assert (len(plain.shares().rows), plain.sums.found.any()) == (0, False)
    untagged = [Record("1", words=["a", "cat"], labels={"relations": [[0, 1, "det"]]})]
    assert {row[2] for row in attnprobe.relations(untagged, tiny, shares=True).shares().rows} == {"dependency"}
