"""What an atlas measures in one pass is what each command measures alone; what a model does not allow is left out."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from attnprobe import (
    Encoder,
    Record,
    coreference,
    corpus_stats,
    importance,
    patterns,
    relations,
    similarity,
    trees,
)
from attnprobe.atlases.data import Atlas
from attnprobe.atlases.measuring import AtlasMeasurement
from attnprobe.atlases.sources import Source
from attnprobe.atlases.summary import AtlasSummary
from attnprobe.attention.value_norms import value_norms
from attnprobe.corpus.again import completed
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.models import sources
from attnprobe.values.options import Reading, Running
from attnprobe.values.signature import part_of
from attnprobe.values.table import Table
from tests.exact import EXACT, float64
from tests.test_coreference import RECORDS as DOCUMENTS
from tests.test_trees import records_of
from tests.treebank import ENGLISH

TEXTS = [
    Record("1", "The old cat sees the old boat and the cat."),
    Record("2", "A pair, of course?", pair="Its other half."),
    Record("3", "Heads attend to heads."),
    Record("4", "They rest."),
    Record("5", "The researchers quietly probed unremarkable attention heads, and the heads they probed rested."),
]
SENTENCES = records_of(ENGLISH)
SECTIONS = ("texts", "treebank", "documents")
SUMMARIES = ("statistics", "patterns", "norms", "similarity", "importance", "relations", "trees", "coreference")


def of(section: str, records: Sequence[Record], file: str = "") -> list[Record]:
    return [replace(record, section=section, file=file or f"{section}.txt") for record in records]


def chosen(encoder: Encoder, sections: Sequence[str] = SECTIONS, **options: Any) -> AtlasMeasurement:
    return AtlasMeasurement.choose(encoder, Reading(), sections=sections, **options)


def measured(encoder: Encoder, records: Sequence[Record], measurement: AtlasMeasurement) -> AtlasSummary:
    """The summary of a run in small batches, so that these are none of those that a command alone would run."""
    settings = Settings(measurement, running=Running(batch_tokens=40, on_error="fail"))
    summary = CorpusStats(Prober(encoder, settings, 1), records).complete()
    assert isinstance(summary, AtlasSummary)
    return summary


@contextmanager
def exact() -> Iterator[None]:
    """Computes in float64, where no loop is compiled: these are for float32."""
    with float64(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "_can_be_compiled", False)
        yield


def assert_equal(found: Table, expected: Table) -> None:
    """Names and counts are equal, and numbers to EXACT."""
    assert [*found.columns] == [*expected.columns]
    assert len(found.rows) == len(expected.rows) > 0
    for name in expected.columns:
        ours, alone = found.column(name), expected.column(name)
        if any(isinstance(cell, float) for cell in alone):
            np.testing.assert_allclose(*(np.array(cells, float) for cells in (ours, alone)), rtol=EXACT, atol=EXACT)
        else:
            assert ours == alone


def assert_shown(atlas: Atlas, alone: Mapping[str, Any]) -> None:
    """The numbers of all heads in the data of an atlas are those of the commands, by the columns of their tables."""
    shown = atlas.to_frame().set_index(["layer", "head"])
    frames = {name: summary.to_frame() for name, summary in alone.items()}
    frames |= {name: of_means(frames[name]) for name in ("statistics", "norms")}
    frames["relations"] = better_of(alone["relations"].tables()["all_heads"]().to_frame())
    frames["trees"] = frames["trees"].query("layer.notna() and head != 'mean'").astype({"layer": int, "head": int})
    found = frames["coreference"].query("answer == 'mentions'").astype({"layer": int, "head": int})
    frames["coreference"] = found.pivot(index=["layer", "head"], columns="group", values="accuracy").reset_index()
    for measure in atlas.measures:
        group, _, column = measure.partition(".")
        expected = frames[group].set_index(["layer", "head"])[column].astype(float)
        np.testing.assert_allclose(shown[measure], expected.loc[shown.index], rtol=EXACT, atol=EXACT, err_msg=measure)
    assert {measure.partition(".")[0] for measure in atlas.measures} == {*alone}


def of_means(frame: pd.DataFrame) -> pd.DataFrame:
    """A column for each metric."""
    return frame.pivot(index=["layer", "head"], columns="metric", values="mean").reset_index()


def better_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A column for each relation: how often a head is right in the better direction."""
    heads = frame[frame["layer"].notna()].astype({"layer": int, "head": int, "accuracy": float})
    best = heads.groupby(["layer", "head", "relation"])["accuracy"].max()
    return best.unstack().reset_index()


@pytest.mark.parametrize(("family", "method"), [("bert", "zero"), ("mpnet", "sensitivity"), ("gpt2", "none")])
def test_all_numbers_are_those_of_the_commands_alone(
    family: str, method: str, exact_of: Callable[[str], Encoder]
) -> None:
    """Of a model in blocks, of hooked weights, and where no tokens are added."""
    encoder = exact_of(family)
    texts = [text for text in TEXTS if family != "gpt2" or text.pair is None]
    with exact():
        records = [*of("texts", texts), *of("treebank", SENTENCES), *of("documents", DOCUMENTS)]
        found = measured(encoder, records, chosen(encoder, importance=method, seed=3, clusters=4))
        alone: dict[str, Any] = {
            "statistics": corpus_stats(texts, encoder, threads=1).complete(),
            "norms": corpus_stats(texts, encoder, of="norms", threads=1).complete(),
            "patterns": patterns(texts, encoder, threads=1),
            "similarity": similarity(texts, encoder, seed=3, clusters=4, threads=1),
            "relations": relations(SENTENCES, encoder, seed=3, threads=1),
            "trees": trees(SENTENCES, encoder, threads=1),
            "coreference": coreference(DOCUMENTS, encoder, seed=3, threads=1),
        }
        if method != "none":
            how = "gradient" if method == "sensitivity" else method
            alone["importance"] = importance(texts, encoder, method=how, threads=1)
        atlas = completed(found, encoder, 1).atlas
    assert found.remarks == alone["patterns"].remarks
    for name, expected in alone.items():
        summary = getattr(found, name)
        for table in sorted(expected.tables().keys() - {"curve", "profile", "shares"}):
            assert_equal(summary.tables()[table](), expected.tables()[table]())
    assert (found.importance is None) == (method == "none")
    assert_shown(atlas, alone)


def test_parts_are_stored_and_add_up(exact_of: Callable[[str], Encoder]) -> None:
    """Texts of two files, then sentences, as chunks of a run that is killed between them."""
    encoder = exact_of("bert")
    records = [*of("texts", TEXTS[:2], "a.txt"), *of("texts", TEXTS[2:], "b.txt"), *of("treebank", SENTENCES)]
    with exact():
        measurement = pickle.loads(pickle.dumps(chosen(encoder, ("texts", "treebank"))))
        whole = measured(encoder, records, measurement)
        parts = [measured(encoder, some, measurement) for some in (records[:1], records[1:5], records[5:])]
    stored = [measurement.empty(whole.signature).restored(part.arrays()) for part in parts]
    summed = stored[0] + stored[1] + stored[2]
    n_tokens = [sum(len(encoder.tokenize(*text.given)[0]) for text in some) for some in (TEXTS, SENTENCES)]
    assert summed.sources == whole.sources
    assert dict(summed.sources) == {
        "texts": Source(("a.txt", "b.txt"), 5, n_tokens[0]),
        "treebank": Source(("treebank.txt",), len(SENTENCES), n_tokens[1]),
    }
    for name, array in whole.arrays().items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(summed.arrays()[name], array, rtol=EXACT, atol=EXACT)
    for wrong in ({}, {**stored[0].arrays(), "texts.other.mean": np.zeros(1)}, {"sources": parts[0].sources.array()}):
        with pytest.raises(ValueError, match="wrong"):
            measurement.empty(whole.signature).restored(wrong)


def test_the_signature_has_the_parts_of_all_members(encoder_of: Callable[[str], Encoder]) -> None:
    """Two members have a part of one name: the queries of means, and of the sample that heads are compared by."""
    encoder = encoder_of("bert")
    signature = Settings(chosen(encoder, importance="sensitivity", seed=5)).sign(encoder)
    parts = {"queries": "all", "similarity_queries": "32", "seed": "5", "method": "gradient"}
    assert {name: part_of(signature, name) for name in parts} == parts


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_norms_of_values_are_computed_of_texts_alone(
    family: str, encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where values come out of hooked modules (deberta-v2)."""
    lengths: list[int] = []

    def noted(value: Tensor, matrices: Tensor) -> Tensor:
        lengths.append(value.shape[2])
        return value_norms(value, matrices)

    monkeypatch.setattr(sources, "value_norms", noted)
    encoder = encoder_of(family)
    records = [*of("texts", TEXTS[2:4]), *of("treebank", SENTENCES[:2]), *of("documents", DOCUMENTS[:1])]
    assert measured(encoder, records, chosen(encoder)).norms
    windows = [window for text in TEXTS[2:4] for window in encoder.tokenize(*text.given)]
    assert sorted(lengths) == sorted(len(window) for window in windows for _ in range(encoder.layers))


PAIRS = "similarity, relations, trees, coreference"
LEFT_OUT = {
    "longformer": [],
    "gpt_oss": [],
    "deberta-v2": ["importance"],
    "longt5_tglobal": ["contributions", "importance"],
    "xlnet": ["contributions", "importance"],
    "funnel": ["contributions", PAIRS, "importance"],
}


@pytest.mark.parametrize("family", LEFT_OUT)
def test_what_a_model_does_not_allow_is_left_out(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """The rest is measured, of texts whose sections have nothing left, too."""
    encoder = encoder_of(family)
    measurement = chosen(encoder, importance="sensitivity")
    records = [*of("texts", TEXTS[2:4]), *of("treebank", SENTENCES[:1]), *of("documents", DOCUMENTS[:1])]
    found = completed(measured(encoder, records, measurement), encoder, 1)
    left_out = ", ".join(LEFT_OUT[family])
    assert [remark.partition(":")[0] for remark in found.left_out] == [f"no {names}" for names in LEFT_OUT[family]]
    assert all(encoder.kind in remark for remark in found.left_out)
    assert {*found.left_out} <= {*found.remarks}
    for field, name in {**dict.fromkeys(SUMMARIES), "norms": "contributions"}.items():
        assert (getattr(found, field) is None) == ((name or field) in left_out)
    assert [source.texts for source in found.sources.values()] == [2, 1, 1]
    measures = {measure.partition(".")[0] for measure in found.atlas.measures}
    assert measures == {field for field in SUMMARIES if getattr(found, field) is not None}


def test_names_of_many_files_are_cut() -> None:
    names = [f"{number}.txt" for number in range(30)]
    one_by_one = Source()
    for name in names:
        one_by_one += Source((name,), 1, 5)
    halves = sum((Source((name,), 1, 5) for name in names[15:]), Source())
    halves = sum((Source((name,), 1, 5) for name in names[:15]), Source()) + halves
    assert one_by_one == halves == Source((*names[:20], "…"), 30, 150)


def test_what_is_compared_with_is_part_of_the_work(encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    path, described = tmp_path / "old.json", []
    for content in ("one", "other"):
        path.write_text(content)
        chosen = AtlasMeasurement.choose(encoder_of("bert"), Reading(), sections=["texts"], against=str(path))
        described.append(chosen.described()["against"])
    assert described[0] != described[1]
