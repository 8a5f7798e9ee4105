"""The atlas that is built from summaries: whose numbers stand where, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

import attnprobe
from attnprobe import Atlas, Encoder, load_encoder
from attnprobe.atlases.building import build_atlas
from attnprobe.atlases.measures import FEWEST
from attnprobe.atlases.measuring import AtlasMeasurement
from attnprobe.atlases.schemas import schema
from attnprobe.atlases.sources import Source, Sources
from attnprobe.atlases.summary import AtlasSummary
from attnprobe.corpus.twins import summarize
from attnprobe.values.options import Reading
from tests.test_atlas_data import as_json

EXAMPLES = Path(__file__).parent.parent / "examples"
TEXTS = (EXAMPLES / "sentences.txt").read_text(encoding="utf-8").splitlines()[:4]


@pytest.fixture(scope="module")
def summed(encoder_of: Callable[[str], Encoder]) -> AtlasSummary:
    files = {"treebank": EXAMPLES / "treebank.conllu", "documents": EXAMPLES / "coreference.conllu"}
    found: AtlasSummary = summarize("atlas", TEXTS, encoder_of("bert"), importance="zero", **files)
    return found


@pytest.fixture(scope="module")
def atlas(summed: AtlasSummary) -> Atlas:
    return build_atlas(summed)


@pytest.fixture(scope="module")
def numbers(atlas: Atlas) -> pandas.DataFrame:
    return atlas.numbers().to_frame().set_index(["measure", "layer", "head"]).sort_index()


def test_it_follows_the_schema_and_is_the_same_each_time(atlas: Atlas, summed: AtlasSummary) -> None:
    jsonschema.validate(atlas.data, schema())
    content = as_json(dict(atlas.data))
    assert attnprobe.read_atlas(content).data == atlas.data
    assert as_json(dict(build_atlas(summed).data)) == content


def test_means_and_intervals_are_those_of_the_summaries(
    numbers: pandas.DataFrame, atlas: Atlas, summed: AtlasSummary
) -> None:
    counts = {measure["name"]: measure["n"] for measure in atlas.data["measures"]}
    groups = {"statistics": summed.statistics, "norms": summed.norms, "importance": summed.importance.sums}
    for group, summary in groups.items():
        rows = [row for row in summary.table().rows if row[3] is not None]
        assert rows
        for layer, head, metric, mean, _, low, high, _, n_texts, _ in rows:
            if metric != "importance":  # of heads switched off it is pooled_change
                found = numbers.loc[(f"{group}.{metric}", layer, head)]
                assert found.tolist() == [mean, low, high]
                assert counts[f"{group}.{metric}"] == n_texts
    assert ("statistics.cross_share", 0, 0) not in numbers.index  # there are no pairs
    shares = summed.patterns.to_frame().set_index(["layer", "head"])
    assert numbers.loc["patterns.diagonal"]["value"].tolist() == shares["diagonal"].tolist()
    assert not {"patterns.previous_share", "patterns.block"} & {*numbers.index.get_level_values(0)}


def test_relations_count_in_the_better_direction(numbers: pandas.DataFrame, atlas: Atlas, summed: AtlasSummary) -> None:
    rows = summed.relations.all_heads().to_frame()
    better = rows.dropna(subset="layer").groupby(["relation", "layer", "head"])["accuracy"].max()
    counts = rows.groupby("relation")["n"].first()
    named = [name for name in counts.index if name == "all" or (counts[name] >= FEWEST and name != "all+punct")]
    assert {name for name in atlas.measures if name.startswith("relations.")} == {f"relations.{name}" for name in named}
    assert 3 < len(named) < len(counts)
    for name in named:
        assert numbers.loc[f"relations.{name}"]["value"].tolist() == better[name].tolist()
    offsets = rows[rows["layer"].isna()].groupby("relation")["accuracy"].max()
    for head in atlas.data["heads"]:
        gains = [one["gain"] for one in head["relations"]]
        assert gains == sorted(gains, reverse=True)
        for one in head["relations"]:
            assert one["accuracy"] == better[one["relation"], head["layer"], head["head"]]
            assert one["baseline"] == offsets[one["relation"]]
            assert one["gain"] == one["accuracy"] - one["baseline"] > 0
            [found] = rows[
                (rows["relation"] == one["relation"])
                & (rows["layer"] == head["layer"])
                & (rows["head"] == head["head"])
                & (rows["direction"] == one["direction"])
            ]["accuracy"]
            assert found == one["accuracy"]
    assert any(head["relations"] for head in atlas.data["heads"])
    assert [row["relation"] for row in atlas.data["relations"]] == [row[0] for row in summed.relations.table().rows]


def test_trees_and_antecedents_are_those_of_the_tables(
    numbers: pandas.DataFrame, atlas: Atlas, summed: AtlasSummary
) -> None:
    of_heads = [row for row in summed.trees.intervals().rows if isinstance(row[1], int)]
    assert numbers.loc["trees.uuas"].to_numpy().tolist() == [list(row[2:5]) for row in of_heads]
    others = [list(row) for row in summed.trees.table().rows if isinstance(row[1], str)]
    assert [list(row.values()) for row in atlas.data["trees"]] == others
    found = summed.coreference.to_frame().query("answer == 'mentions' and group == 'pronoun'")
    assert numbers.loc["coreference.pronoun"]["value"].tolist() == found["accuracy"].tolist()
    assert [list(row.values()) for row in atlas.data["coreference"]] == [
        list(row) for row in summed.coreference.halves().rows
    ]


def test_heads_are_placed_among_those_like_them(atlas: Atlas, summed: AtlasSummary) -> None:
    rows = summed.similarity.table().rows
    for head, (layer, number, cluster, x, y, *nearest) in zip(atlas.data["heads"], rows, strict=True):
        assert (head["layer"], head["head"], head["cluster"], head["place"]) == (layer, number, cluster, [x, y])
        assert [*head["nearest"][0].values()] == nearest
        distances = [one["distance"] for one in head["nearest"]]
        assert distances == sorted(distances)
        assert head["values"]["similarity.nearest_distance"] == [nearest[2], None, None]
    roles = [role for of_layer in summed.patterns.roles() for role in of_layer]
    assert [head["role"] for head in atlas.data["heads"]] == roles
    assert atlas.to_frame()["role"].tolist() == roles


def test_sources_are_named_without_the_folders_of_this_machine(summed: AtlasSummary) -> None:
    names = {"texts": ("/home/someone/letters.txt", "a/b.txt"), "documents": ("built-in sample (English)",)}
    sources = Sources({"texts": Source(names["texts"], 3, 40, 2), "documents": Source(names["documents"], 3, 40)})
    atlas = build_atlas(replace(summed, sources=sources, left_out=("left out: norms",)))
    assert atlas.data["sections"] == [
        {"name": "texts", "sources": ["letters.txt", "a/b.txt"], "sample": False, "texts": 3, "tokens": 40},
        {"name": "documents", "sources": [*names["documents"]], "sample": True, "texts": 3, "tokens": 40},
    ]
    assert atlas.data["remarks"][:4] == [
        "texts: only 3, so that much of what stands out may be chance",
        "texts with more than a third of their tokens unknown to the vocabulary: 2",
        "documents: only 3, so that much of what stands out may be chance",
        "left out: norms",
    ]


def test_heads_that_are_off_are_named_and_never_told(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("bert")
    with encoder.heads_off("0:1"), encoder.heads_off([(1, 0)], how="mean"):
        atlas = attnprobe.atlas(TEXTS * 3, encoder)
    off = {(0, 1): "zero", (1, 0): "mean"}
    assert {place: head["off"] for place, head in heads_of(atlas).items() if head["off"]} == off
    for place, how in off.items():
        first, *others = heads_of(atlas)[place]["findings"]
        assert (first["kind"], first["key"]) == ("off", how)
        assert others
        assert place not in {(told["layer"], told["head"]) for told in atlas.data["telling"]}
    now = attnprobe.atlas(TEXTS * 3, encoder).against(atlas).data
    assert not any(head["off"] for head in now["heads"])
    assert [head["off"] for head in now["against"]["heads"]] == [head["off"] for head in atlas.data["heads"]]


def heads_of(atlas: Atlas) -> dict[tuple[int, int], Any]:
    return {(head["layer"], head["head"]): head for head in atlas.data["heads"]}


def test_the_model_is_named_as_it_was_given(encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    encoder, given = encoder_of("bert"), str(tmp_path / "a model")
    named = replace(encoder, location=replace(encoder.location, name=given))
    model = AtlasMeasurement.choose(named, Reading(), sections=["texts"]).model
    assert (model["name"], model["source"]) == ("a model", given)
    in_memory = load_encoder(encoder.model, tokenizer=encoder.tokenizer)
    assert AtlasMeasurement.choose(in_memory, Reading(), sections=["texts"]).model["source"] is None


@pytest.mark.parametrize("given", ["org/a model", "../a model", "/home/anna/a model", None])
def test_an_atlas_does_not_tell_where_the_model_lies(summed: AtlasSummary, given: str | None) -> None:
    model = build_atlas(replace(summed, model={**summed.model, "source": given})).data["model"]
    assert model["source"] == ("a model" if given == "/home/anna/a model" else given)


def test_what_was_not_measured_is_absent(summed: AtlasSummary) -> None:
    nothing = dict.fromkeys(("statistics", "patterns", "norms", "similarity", "importance", "relations", "trees"))
    sources = Sources({"documents": summed.sources["documents"]})
    atlas = build_atlas(replace(summed, **nothing, examples=None, sources=sources))
    assert atlas.measures == [f"coreference.{group}" for group in ("all", "pronoun", "proper", "nominal")]
    head = attnprobe.read_atlas(as_json(dict(atlas.data))).data["heads"][0]
    assert [head[name] for name in ("role", "pattern", "cluster", "place")] == [None] * 4
    assert [head[name] for name in ("nearest", "relations", "examples")] == [[]] * 3
    assert atlas.data["relations"] == atlas.data["trees"] == []
    assert atlas.n_texts == 0


def test_every_measure_says_what_it_is(atlas: Atlas) -> None:
    for measure in atlas.data["measures"]:
        assert all(measure[name] for name in ("title", "meaning", "unit", "command")), measure["name"]
        assert "likewise" not in measure["meaning"], measure["name"]
    titles = [measure["title"] for measure in atlas.data["measures"]]
    assert len({*titles}) == len(titles)
    diverging = {measure["name"] for measure in atlas.data["measures"] if measure["diverging"]}
    assert {"statistics.offset", "norms.offset"} <= diverging
    assert "statistics.entropy" not in diverging


def test_a_label_called_all_is_not_taken_for_the_total(summed: AtlasSummary, numbers: pandas.DataFrame) -> None:
    relations = summed.relations
    assert relations is not None
    names = tuple("all" if name == "det" else name for name in relations.outcomes.names)
    renamed = replace(relations, outcomes=replace(relations.outcomes, names=names))
    atlas = attnprobe.read_atlas(as_json(dict(build_atlas(replace(summed, relations=renamed)).data)))
    assert "relations.det" not in atlas.measures
    found = atlas.numbers().to_frame().set_index("measure").loc["relations.all"]["value"]
    assert found.tolist() == numbers.loc["relations.all"]["value"].tolist()
