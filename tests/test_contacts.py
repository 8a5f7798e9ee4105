"""Contacts of proteins: maps, scores, a regression over heads, and the files they come from and go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from transformers import BertConfig, BertModel

import attnprobe
from attnprobe import Encoder, Record, SequenceWarning, load_encoder
from attnprobe.analyses import contact_again
from attnprobe.attention.contacts import scores_of
from attnprobe.attention.regression import Examples, fit_regression
from attnprobe.errors import InputError
from attnprobe.measure.residues import read_residues
from attnprobe.models.sequences import PROTEIN
from attnprobe.readers.contacts import read_contacts
from attnprobe.values.options import SequenceReading
from tests.exact import EXACT, float64
from tests.families import no_progress_bars
from tests.plain import Plain
from tests.test_vocabulary import KMERS, RESIDUES, folder_of

LENGTH = 24
RING = [[at, (at + 8) % LENGTH] for at in range(LENGTH)]  # each residue touches those 8 and 16 further on
CASED = {"do_lower_case": False}


def sequence(length: int, seed: int = 0) -> str:
    return "".join(Random(seed).choices(PROTEIN, k=length))


def protein(number: int, length: int, contacts: int) -> Record:
    chance = Random(number)
    pairs = [sorted(chance.sample(range(length), 2)) for _ in range(contacts)]
    return Record(f"p{number}", sequence(length, number), labels={"contacts": pairs})


PROTEINS = [protein(number, length, 12) for number, length in enumerate([31, 18, 31, 40, 25, 31])]


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head 0 looks at the residues that touch, by position alone, and whose head 1 at all alike."""
    folder = folder_of(tmp_path_factory.mktemp("ring"), RESIDUES, tokenizer_config=CASED)
    size, count = 64, len((folder / "vocab.txt").read_text().split())
    sizes = {"hidden_size": size, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertModel(BertConfig(vocab_size=count, max_position_embeddings=size, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        embeddings, attention = model.embeddings, model.encoder.layer[0].attention.self
        embeddings.position_embeddings.weight.copy_(torch.eye(size))
        embeddings.LayerNorm.weight.fill_(1)
        attention.key.weight[: size // 2, : size // 2] = torch.eye(size // 2)
        for one, other in [*RING, *(pair[::-1] for pair in RING)]:
            attention.query.weight[1 + other, 1 + one] = 5.0
    with no_progress_bars():
        model.save_pretrained(folder)
    return folder


def loops(attention: np.ndarray, pairs: Sequence[Sequence[int]], separation: int) -> list[float]:
    """The scores of one head, given its weights between residues, as the papers write them."""
    n = len(attention)
    both = [[attention[i][j] + attention[j][i] for j in range(n)] for i in range(n)]
    row = [sum(both[i]) for i in range(n)]
    total = sum(row)
    values, truth = [], []
    for i in range(n):
        for j in range(i + separation, n):
            values.append(both[i][j] - row[i] * row[j] / total)
            truth.append([i, j] in pairs or [j, i] in pairs)
    ranked = sorted(range(len(values)), key=lambda pair: -values[pair])
    precisions = [float(np.mean([truth[pair] for pair in ranked[: n // part]])) for part in (1, 2, 5)]
    return [*precisions, float(roc_auc_score(truth, values))]


@pytest.mark.parametrize(("family", "separation"), [("esm", 6), ("esm", 1)])
def test_scores_are_those_of_plain_loops(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain], family: str, separation: int
) -> None:
    plain, encoder = plain_of(family), exact_of(family)
    with float64():
        found = attnprobe.contacts(PROTEINS, encoder, separation=separation, fit_proteins=0)
    expected = []
    for record in PROTEINS:
        encoding = plain.encode([record.text])
        maps = plain.model(**plain.inputs(encoding), output_attentions=True).attentions
        heads = [head[1:-1, 1:-1].detach().numpy() for layer in maps for head in layer[0]]
        expected.append([loops(head, record.labels["contacts"], separation) for head in heads])
    table = found.to_frame().query("head != 'chance'")
    np.testing.assert_allclose(table.iloc[:, 2:6].to_numpy(float), np.mean(expected, 0), rtol=0, atol=EXACT)
    assert set(found.to_frame()["n"]) == {len(PROTEINS)}
    pairs = [(len(record.text) - separation) * (len(record.text) - separation + 1) / 2 for record in PROTEINS]
    known = [len({(i, j) for i, j in each.labels["contacts"] if j - i >= separation}) for each in PROTEINS]
    [chance] = found.to_frame().query("head == 'chance'")["precision_l"]
    assert chance == pytest.approx(np.mean(np.array(known) / pairs))


def test_blocks_of_rows_change_no_score(exact_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, frames = exact_of("esm"), []
    for elements in (2**20, 150):
        monkeypatch.setattr("attnprobe.attention.blocks.BLOCK_ELEMENTS", elements)
        monkeypatch.setattr("attnprobe.attention.blocks.BLOCK_ROWS", elements // 40)
        with float64():
            frames.append(attnprobe.contacts(PROTEINS[:2], encoder).to_frame())
    np.testing.assert_allclose(*(frame.iloc[:, 2:].to_numpy(float) for frame in frames), rtol=0, atol=EXACT)


def test_equal_values() -> None:
    values, contacts = np.array([[1.0, 2, 2, 2, 0, 2]]), np.array([False, True, False, True, True, False])
    assert scores_of(values, contacts, 3)[0].tolist() == [2 / 3, 1.0, 1.0, roc_auc_score(contacts, values[0])]
    assert scores_of(values, contacts, 60)[0, :2].tolist() == [0.5, 0.5]


def test_a_head_that_looks_at_contacts(ring: Path) -> None:
    """It finds all of them, and so does a regression that was fitted on other proteins."""
    proteins = [Record(f"r{number}", sequence(LENGTH, number), labels={"contacts": RING}) for number in range(4)]
    with pytest.warns(SequenceWarning, match="a residue a word"):
        found = attnprobe.contacts(proteins, load_encoder(ring))
    rows = {head: scores for _, head, *scores in found.to_frame().itertuples(index=False)}
    assert rows[0] == [1.0, 1.0, 1.0, 1.0, 4]
    assert rows["regression"] == [1.0, 1.0, 1.0, 1.0, 2]
    assert rows["chance"] == [len(RING) / 171] * 3 + [0.5, 4]
    assert found.regression.weights[0, 0] > 0 == found.regression.weights[0, 1]
    assert found.remarks == []
    assert found.best == (0, 0)


def test_the_regression_is_that_of_another_library() -> None:
    """Without intercept, which liblinear would punish, and with pairs that stand for several."""
    draw = np.random.default_rng(0)
    values, counts = draw.normal(size=(300, 5)) * [1, 0.1, 1, 2, 1], draw.integers(1, 4, 300)
    is_contact = draw.random(300) < 1 / (1 + np.exp(-(values @ [1, 20, 0, -0.5, 0])))
    mirrored = Examples(np.concatenate([values, -values]), np.r_[is_contact, ~is_contact], np.r_[counts, counts] * 1.0)
    found = fit_regression([mirrored], (1, 5))
    other = LogisticRegression(l1_ratio=1, C=0.15, solver="saga", tol=1e-9, max_iter=20_000, fit_intercept=False)
    other.fit(mirrored.values, mirrored.is_contact, sample_weight=mirrored.counts)
    np.testing.assert_allclose(found.weights, other.coef_, atol=1e-5)
    assert found.bias == pytest.approx(0, abs=1e-6)
    assert found.weights[0, 0] > 0.3


def test_a_sample_of_pairs_stands_for_all(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_again, "MOST_FEATURES", 12 * 3 * 40)
    seen: list[Sequence[Examples]] = []
    monkeypatch.setattr(
        "attnprobe.analyses.contact_scores.fit_regression",
        lambda examples, shape: seen.append(examples) or fit_regression(examples, shape),
    )
    for _ in range(2):
        attnprobe.contacts(PROTEINS, encoder_of("esm"))
    [first, again] = seen
    for one, other in zip(first, again, strict=True):
        assert len(one.counts) == 40
        length = (1 + np.sqrt(1 + 8 * one.counts.sum())) / 2 + 5
        assert length == pytest.approx(round(length))
        assert (one.values == other.values).all()


def test_kmers_are_their_middle_residue(tmp_path: Path) -> None:
    encoder = load_encoder(folder_of(tmp_path, KMERS, tokenizer_config=CASED))
    tokens, residues = read_residues(encoder, "acg-tac*", SequenceReading(kmer=3))
    assert list(tokens.strings[1:-1]) == ["ACG", "CGT", "GTA", "TAC"]
    assert (residues.texts, residues.owner) == (tuple("ACGTAC"), (-1, 1, 2, 3, 4, -1))
    found = attnprobe.contacts(
        [Record("a", "ACGTACGTAC", labels={"contacts": [[0, 9], [1, 8]]})], encoder, kmer=3, fit_proteins=0
    )
    assert found.to_frame()["precision_l"].iloc[-1] == 1 / 3  # of (1, 7), (1, 8), (2, 8): 0 and 9 have no word


def test_other_tokenizers_read_residues(minilm: Encoder, encoder_of: Callable[[str], Encoder]) -> None:
    for encoder in (minilm, encoder_of("t5"), encoder_of("byt5")):
        tokens, residues = read_residues(encoder, "MKTAYIAKQR", SequenceReading())
        assert sorted({*residues.owner} - {-1}) == list(range(10))
    assert len(tokens) == 11  # letters of ByT5, without spaces


CONTACTS = "id,i,j,distance\np0,0,20,7.5\np0,20,1,8.0\np0,3,17,\np1,1,9,2\n"


def test_files_of_contacts(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(CONTACTS)
    every, near = read_contacts(path), read_contacts(path, 8.0)
    assert every.of("p0", 21) == [[0, 20], [20, 1], [3, 17]]
    assert (near.of("p0", 21), near.of("p1", 10), near.of("p2", 10)) == ([[0, 20]], [[1, 9]], None)
    assert every.digest != near.digest
    for row, wrong in [("p0,x,3,1", "i is 'x'"), ("p0,1,-3,1", "j is '-3'"), ("p0,1,3,far", "distance is 'far'")]:
        path.write_text(f"{CONTACTS}{row}\n")
        with pytest.raises(InputError, match=f"x.csv:6: {wrong}"):
            read_contacts(path, 8.0)
