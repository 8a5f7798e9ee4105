"""The atlas as data: what its JSON holds, who refuses what, and what is made of it without a model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from statistics import pstdev
from typing import Any

import jsonschema
import pytest

from attnprobe import Atlas, read_atlas
from attnprobe.atlases.changes import HeadChange, RoleChange, changed_most, changes, largest, spread_of
from attnprobe.atlases.data import write_json
from attnprobe.atlases.declared import is_atlas
from attnprobe.atlases.schemas import KEYWORDS, schema
from attnprobe.errors import InputError, OutputError, UsageError
from tests.atlases import RELATIONS, fabricated, make_alike

SCHEMA = jsonschema.Draft202012Validator(schema())


def as_json(data: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    write_json(Atlas(data), stream)
    return stream.getvalue()


@pytest.mark.parametrize("against", [False, True])
def test_an_atlas_is_read_as_it_was_written(against: bool) -> None:
    data = fabricated(2, 2, against)
    content = as_json(data)
    assert list(SCHEMA.iter_errors(json.loads(content))) == []
    assert read_atlas(content).data == data
    assert as_json(dict(read_atlas(io.BytesIO(content)).data)) == content
    assert len([line for line in content.splitlines() if line.startswith(b'{"layer":1,"head":1,"role"')]) == 1 + against


def put(value: Any, *where: str | int) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        at: Any = data
        for step in where[:-1]:
            at = at[step]
        at[where[-1]] = value

    return change


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (lambda data: data["heads"][1].pop("role"), "heads[1].role is missing"),
    "unknown": (put(1, "heads", 1, "importance"), "heads[1].importance is no field of an atlas"),
    "a text": (put("3", "heads", 1, "layer"), "heads[1].layer must be a whole number; got '3'"),
    "below 0": (put(-1, "heads", 1, "head"), "heads[1].head must be at least 0; got -1"),
    "true for 1": (put(True, "version"), "version must be 1; got true"),
    "a list that is too short": (
        put([0.5, None], "heads", 0, "values", "trees.uuas"),
        "heads[0].values.trees.uuas must hold at least 3; got 0.5, null",
    ),
    "no value": (
        put([None, None, None], "heads", 0, "values", "trees.uuas"),
        "heads[0].values.trees.uuas[0] must be a number; got null",
    ),
    "one of few": (
        put("beyond", "heads", 0, "examples", 0, "why"),
        "heads[0].examples[0].why must be one of 'clearest', 'random'; got 'beyond'",
    ),
    "a weight": (
        put("<b>", "heads", 0, "examples", 0, "weights", 2, 1),
        "heads[0].examples[0].weights[2][1] must be a number; got '<b>'",
    ),
    "a weight above 1": (
        put(7.5, "heads", 0, "examples", 0, "weights", 2, 1),
        "heads[0].examples[0].weights[2][1] must be at most 1; got 7.5",
    ),
    "a weight below 0": (
        put(-0.1, "heads", 0, "examples", 0, "weights", 2, 1),
        "heads[0].examples[0].weights[2][1] must be at least 0; got -0.1",
    ),
    "too large a gain": (put(1.2, "relations", 0, "gain"), "relations[0].gain must be at most 1; got 1.2"),
    "another kind of measure": (
        put("secret.entropy", "measures", 0, "name"),
        "measures[0].name must match",
    ),
    "too long a name": (put("previous", "roles", 0, "short"), "roles[0].short must have at most 5 characters"),
    "too many": (lambda data: data["telling"].extend(data["telling"][:1] * 10), "telling must hold at most 10"),
    "too long a text": (put(["a"] * 25, "texts", 0, "tokens"), "texts[0].tokens must hold at most 24"),
    "off in no way": (put("one", "heads", 0, "off"), "heads[0].off must be one of 'zero', 'mean', 'uniform', null"),
    "no source": (lambda data: data["against"]["model"].pop("source"), "against.model.source is missing"),
    "too strong": (put(1.2, "heads", 0, "findings", 0, "strength"), "findings[0].strength must be at most 1; got 1.2"),
    "of the other": (put("x", "against", "heads", 1, "layer"), "against.heads[1].layer must be a whole number"),
    "a group": (put("verb", "coreference", 0, "group"), "coreference[0].group must be one of"),
    "a layer twice": (put([0, 1, 0], "model", "layers"), "model.layers must hold nothing twice; got 0, 1, 0"),
    "an object": (put([], "model"), "model must be an object; got a list of 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_schema_refuses_is_refused_and_named(name: str) -> None:
    data = fabricated(1, 2, against=True)
    change, said = BROKEN[name]
    change(data)
    assert not SCHEMA.is_valid(data)
    with pytest.raises(InputError) as refused:
        read_atlas(as_json(data))
    assert said in str(refused.value)


def test_every_keyword_of_the_schema_is_obeyed() -> None:
    def words(rules: Any) -> set[str]:
        if not isinstance(rules, dict):
            return set()
        inner = [*rules.get("properties", {}).values(), *rules.get("$defs", {}).values(), *rules.get("prefixItems", ())]
        inner += [rules.get("items"), rules.get("additionalProperties")]
        return set(rules).union(*map(words, inner))

    assert words(schema()) - {"$schema", "$id", "$defs", "title", "description"} == set(KEYWORDS)


UNFIT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a head twice": (lambda data: data["heads"].insert(1, data["heads"][0]), "heads are not those of model.layers"),
    "a measure twice": (
        lambda data: data["measures"].append(data["measures"][0]),
        "measures has 'statistics.entropy' 2",
    ),
    "no measure": (put([1, None, None], "heads", 1, "values", "norms.x"), "heads[1].values has 'norms.x'"),
    "ends that changed places": (
        put([0.5, 0.9, 0.1], "heads", 1, "values", "trees.uuas"),
        "heads[1].values.trees.uuas has an interval whose lower end 0.9 is above 0.1",
    ),
    "no role": (put("magic", "heads", 1, "role"), "heads[1].role is 'magic'"),
    "no text": (put(7, "heads", 1, "examples", 0, "text"), "heads[1].examples[0].text is 7, but there are 2"),
    "a row too few": (lambda data: data["heads"][1]["examples"][0]["weights"].pop(), "weights are not 11 rows of 11"),
    "no finding": (put(9, "telling", 0, "finding"), "telling[0] is not among the findings"),
    "no such head": (put(99, "heads", 0, "nearest", 0, "head"), "heads[0].nearest[0] is not among the heads"),
    "of the other": (lambda data: data["against"]["heads"].reverse(), "against.heads are not some of the heads"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_names_nothing_is_refused(name: str) -> None:
    data = fabricated(1, 2, against=True)
    change, said = UNFIT[name]
    change(data)
    assert SCHEMA.is_valid(data)
    with pytest.raises(InputError) as refused:
        read_atlas(as_json(data))
    assert "this is not a sound atlas: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (as_json(fabricated(1, 2))[:-9], "it ends too early"),
        (b"", "it ends too early"),
        (b"<!doctype html>", "it is not JSON: line 1, column 1"),
        (b"[1]", "it is JSON of something else"),
        (as_json(fabricated(1, 2)).replace(b"0.36", b"NaN"), "it holds NaN"),
        (b'{"format": "attnprobe-atlas", "version": 2}', "is an atlas of version 2, which a newer attnprobe made"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_atlas_says_why(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "atlas.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="atlas") as refused:
        read_atlas(path)
    assert said in str(refused.value)
    assert refused.value.hint


def test_infinity_is_refused_where_json_reads_it_as_a_number() -> None:
    content = as_json(fabricated(1, 2)).replace(b'"strength":0.8', b'"strength":1e999', 1)
    with pytest.raises(InputError, match=r"strength must be a number"):
        read_atlas(content)


def test_tables_have_a_row_for_each_head_and_number() -> None:
    atlas = Atlas(fabricated(2, 3))
    head = atlas.data["heads"][4]
    assert atlas.table().rows[4] == (
        *(1, 1, head["role"], "heterogeneous", head["cluster"], *head["place"], 40),
        head["findings"][0]["text"],
    )
    frame = atlas.to_frame()
    assert list(frame.columns[:7]) == ["layer", "head", "role", "pattern", "cluster", "x", "y"]
    assert list(frame.columns[7:]) == [measure["name"] for measure in atlas.data["measures"]]
    assert frame["trees.uuas"][4] == head["values"]["trees.uuas"][0]
    assert frame.attrs["signature"] == atlas.signature
    entropy = [row for row in atlas.numbers().rows if row[:3] == (1, 1, "statistics.entropy")]
    assert entropy == [(1, 1, "statistics.entropy", *head["values"]["statistics.entropy"])]


def test_what_has_no_meaning_is_missing_in_tables() -> None:
    data = fabricated(1, 2, sections=("treebank",))
    del data["heads"][1]["values"]["trees.uuas"]
    data["heads"][1].update(role=None, place=None, cluster=None, findings=[])
    atlas = Atlas(data)
    assert atlas.table().rows[1] == (0, 1, None, "heterogeneous", None, None, None, 0, None)
    assert [row[2] for row in atlas.numbers().rows if row[:2] == (0, 1)] == [f"relations.{name}" for name in RELATIONS]
    assert atlas.to_frame()["trees.uuas"].isna().tolist() == [False, True]


def test_an_atlas_is_saved_by_its_suffix(tmp_path: Path) -> None:
    atlas, path = Atlas(fabricated(1, 2)), tmp_path / "atlas.json"
    atlas.save(path)
    assert path.read_bytes() == as_json(dict(atlas.data))
    assert [one.name for one in tmp_path.iterdir()] == ["atlas.json"]
    with pytest.raises(OutputError, match="exists already"):
        atlas.save(path)
    atlas.save(path, overwrite=True)
    with pytest.raises(UsageError, match=r"cannot tell the format of .*atlas\.doc"):
        atlas.save(tmp_path / "atlas.doc")


def test_half_a_surrogate_pair_is_written_as_json_escapes_it() -> None:
    data = fabricated(1, 2)
    data["texts"][0]["tokens"][1] = "它\ud83d"
    assert "它\\ud83d".encode() in as_json(data)
    assert read_atlas(as_json(data)).data == data


def test_the_other_atlas_is_reduced_to_what_both_have() -> None:
    one, other = Atlas(fabricated(2, 3)), Atlas(fabricated(3, 2, sections=("texts",), seed=1))
    both = one.against(other)
    assert list(SCHEMA.iter_errors(json.loads(as_json(dict(both.data))))) == []
    assert "against" not in one.data
    beside = both.data["against"]
    assert [(head["layer"], head["head"]) for head in beside["heads"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert list(beside["heads"][2]["values"]) == [name for name in one.measures if name in other.measures]
    assert beside["remarks"] == [
        "only heads whose numbers both have are compared: 2 layers × 3 heads here, 3 layers × 2 heads in the other",
        "measured in other ways: seed 0 here, 1 there",
        "in one of the two only, and not compared: relations.all, relations.nsubj, relations.obj, relations.amod, "
        "and 5 more",
    ]
    assert "against made-up" in repr(both)


def test_remarks_say_why_a_change_may_mean_less() -> None:
    data, other = fabricated(1, 2), fabricated(1, 2)
    data["signature"] = "attnprobe:0.2|model:a@1|max_length:128|long_range:8"
    other["signature"] = "attnprobe:0.1|model:b@2|off:3:1(zero)|max_length:256|seed:0"
    other["sections"][0] |= {"sources": ["old.txt"], "texts": 1000}
    assert Atlas(data).against(Atlas(other)).data["against"]["remarks"] == [
        "two models, a@1 and b@2: heads of one number are the same head only where one model was trained on from the "
        "other",
        "other texts, which alone may change numbers: texts.txt (40, 900 tokens) here, old.txt (1,000, 900 tokens) in "
        "the other",
        "measured in other ways: attnprobe 0.2 here, 0.1 there; max length 128 here, 256 there; long range 8 here, "
        "none there; off none here, 3:1(zero) there",
    ]
    assert Atlas(data).against(Atlas(data)).data["against"]["remarks"] == []


@pytest.mark.parametrize(
    ("other", "lacking"),
    [
        (fabricated(1, 2, sections=("documents",)), "no measure"),
        ({**fabricated(1, 2), "heads": []}, "no head"),
    ],
)
def test_atlases_that_share_nothing_are_not_compared(other: dict[str, Any], lacking: str) -> None:
    with pytest.raises(UsageError, match=f"have {lacking} in common"):
        Atlas(fabricated(1, 2, sections=("texts",))).against(Atlas(other))


def test_changes_are_roles_and_numbers_whose_intervals_are_apart() -> None:
    data = fabricated(1, 4, sections=("texts",))
    for head in data["heads"]:
        head["role"] = "broad"
    atlas = Atlas(data)
    other = json.loads(as_json(data))
    other["heads"][1]["role"] = "separator"
    for head, (value, reach) in zip(other["heads"], [(0.5, 0.1), (0.9, 0.3), (0.1, 0.1), (0.4, 0.5)], strict=True):
        head["values"]["importance.importance"] = [value, value - reach, value + reach]
        head["values"]["similarity.nearest_distance"][0] += 5  # without an interval
    for head in data["heads"]:
        head["values"]["importance.importance"] = [0.2, 0.1, 0.25]
    found = changes(atlas.against(Atlas(other)).data)
    assert found.roles == [RoleChange(0, 1, "separator", "broad")]
    measure = "importance.importance"
    assert [one[:-1] for one in found.numbers] == [(measure, 0, 1, 0.9, 0.2), (measure, 0, 0, 0.5, 0.2)]
    assert found.numbers[0].change == pytest.approx(-0.7)
    assert found.numbers[0].size == pytest.approx(0.7 / pstdev([0.5, 0.9, 0.1, 0.4]))
    assert largest(found.numbers, most=1) == found.numbers[:1]
    assert changed_most(found) == [
        HeadChange(0, 1, 1, found.numbers[0], found.roles[0]),
        HeadChange(0, 0, 1, found.numbers[1], None),
    ]
    assert changes(data) == ([], [])


def test_a_measure_in_which_heads_are_alike_says_nothing_of_heads() -> None:
    data, measure = fabricated(2, 3, against=True), "statistics.entropy"
    make_alike(data, measure)
    assert len({head["values"][measure][0] for head in data["against"]["heads"]}) > 1
    found = changes(data)
    assert found.numbers
    assert measure not in {one.measure for one in found.numbers}
    assert spread_of(data, measure) == 0


def test_heads_that_were_alike_and_are_not_have_changed() -> None:
    data, measure = fabricated(1, 4, against=True, sections=("texts",)), "statistics.entropy"
    make_alike(data, measure)
    for head, value in zip(data["heads"], (0.2, 0.4, 0.4, 0.6), strict=True):
        head["values"][measure] = [value, value - 0.01, value + 0.01]
    found = [one for one in changes(data).numbers if one.measure == measure]
    assert [one.head for one in found] == [3, 1, 2, 0]
    assert found[0].size == pytest.approx((0.6 - 0.01) / pstdev([0.2, 0.4, 0.4, 0.6]))


def test_of_a_single_head_all_changes_are_found() -> None:
    data = fabricated(1, 1, against=True)
    data["heads"][0]["values"] = {"statistics.entropy": [3.0, 2.9, 3.1]}
    data["against"]["heads"][0]["values"] = {"statistics.entropy": [1.0, 0.9, 1.1]}
    assert [(one.change, one.size) for one in changes(data).numbers] == [(2, 0)]


@pytest.mark.parametrize("lacking", ["this", "the other"])
def test_roles_that_were_not_measured_are_not_compared(lacking: str) -> None:
    data = fabricated(2, 2, against=True)
    for name, heads in {"this": data["heads"], "the other": data["against"]["heads"]}.items():
        for head in heads if lacking == name else heads[2:]:
            head["role"] = None
    assert changes(data).roles is None
    for heads in (data["heads"], data["against"]["heads"]):
        heads[0]["role"], heads[1]["role"] = None, "self"
    data["heads"][0]["role"] = "broad"
    assert changes(data).roles == [RoleChange(0, 0, None, "broad")]
    for heads in (data["heads"], data["against"]["heads"]):
        heads[0]["role"] = heads[1]["role"] = None
    assert changes(data).roles == []


def test_to_be_off_is_a_role_of_its_own() -> None:
    data = fabricated(1, 3, against=True)
    for head in (*data["heads"], *data["against"]["heads"]):
        head["role"] = "broad"
    data["heads"][0]["off"] = data["heads"][1]["off"] = data["against"]["heads"][1]["off"] = "zero"
    data["against"]["heads"][2]["off"] = "mean"
    assert changes(data).roles == [RoleChange(0, 0, "broad", "off"), RoleChange(0, 2, "off", "broad")]


class Endless(io.RawIOBase):
    """JSON Lines without end, which counts the bytes that are read."""

    line, count = b'{"text": "\\"format\\": \\"attnprobe-atlas\\""}\n', 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        at = self.count % len(self.line)
        buffer[:] = (self.line * (len(buffer) // len(self.line) + 2))[at : at + len(buffer)]
        self.count += len(buffer)
        return len(buffer)


def test_only_the_beginning_tells_an_atlas_from_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, path = fabricated(against=True), tmp_path / "atlas.json"
    others = (json.dumps(data, indent=1), json.dumps(fabricated(), sort_keys=True))
    for content in (as_json(data), *map(str.encode, others)):
        path.write_bytes(b"\xef\xbb\xbf" + content)
        assert is_atlas(path)
    texts = Endless()
    monkeypatch.setattr(Path, "open", lambda path, mode: io.BufferedReader(texts))
    assert not is_atlas(path)
    assert texts.count <= 2**17


def test_a_notebook_shows_the_page_in_a_frame_of_its_own() -> None:
    shown = Atlas(fabricated(1, 2))._repr_html_()
    assert shown.startswith('<iframe title="attnprobe" sandbox="allow-scripts allow-downloads"')
    assert shown.count("<") == 2  # nothing of the page is markup of the notebook


@pytest.mark.parametrize(("name", "begins"), [("page.html", b"<!doctype html>"), ("card.md", b"## ")])
def test_what_is_made_of_an_atlas_is_saved(name: str, begins: bytes, tmp_path: Path) -> None:
    Atlas(fabricated(1, 2)).save(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
