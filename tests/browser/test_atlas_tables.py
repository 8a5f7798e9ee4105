"""The tables of an atlas's page: all heads, what they are measured against, and what changed."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from attnprobe.atlases.changes import changed_most, changes, largest
from tests.atlases import RELATIONS, fabricated, make_alike
from tests.browser.atlas_reading import column, number, rows_of, sparse
from tests.browser.conftest import Open

ATLAS = fabricated()
COMPARED = fabricated(against=True)
MEASURES = [measure["name"] for measure in ATLAS["measures"]]
ENTROPY = "statistics.entropy"
VALUES: dict[str, Callable[[float, float], float]] = {
    "this": lambda this, other: this,
    "other": lambda this, other: other,
    "change": lambda this, other: this - other,
}
NOTES = {"this": "Click a column", "other": "the other atlas’s.", "change": "minus the other’s."}


def test_every_number_of_the_table_is_that_of_the_data(open_atlas: Open) -> None:
    page = open_atlas(COMPARED)
    rows_of(page)
    others = {(head["layer"], head["head"]): head for head in COMPARED["against"]["heads"]}
    pairs = [(head["values"], others[head["layer"], head["head"]]["values"]) for head in COMPARED["heads"]]
    for shown, of in VALUES.items():
        page.locator(f"input[name=shown][value={shown}]").check(force=True)
        for group in dict.fromkeys(name.split(".")[0] for name in MEASURES):
            page.locator("#table-group").select_option(group)
            names = [name for name in MEASURES if name.startswith(f"{group}.")]
            titles = [name.partition(".")[2].replace("_", " ") for name in names]  # without what the group's title says
            expect(page.locator("#heads thead th")).to_have_text(["head", "role", "in words", *titles])
            expect(page.locator("#heads-note")).to_contain_text(NOTES[shown])
            assert column(page, 0) == [f"{head['layer']}.{head['head']}" for head in COMPARED["heads"]]
            for at, name in enumerate(names, 3):
                for (this, other), text in zip(pairs, column(page, at), strict=True):
                    digits = len(text.partition(".")[2])
                    assert digits >= 1
                    assert number(text) == pytest.approx(of(this[name][0], other[name][0]), abs=0.5001 * 10**-digits)


def test_columns_sort_and_what_is_missing_comes_last(open_atlas: Open) -> None:
    data = sparse()
    page = open_atlas(data)
    rows_of(page)
    at = page.locator("#heads thead th").all_text_contents().index("entropy")
    header = page.locator("#heads thead th").nth(at)
    values = sorted(head["values"][ENTROPY][0] for head in data["heads"] if ENTROPY in head["values"])
    for direction, ordered in (("descending", values[::-1]), ("ascending", values)):
        header.locator("button").press("Enter")
        expect(header).to_have_attribute("aria-sort", direction)
        expect(page.locator("#heads [aria-sort]")).to_have_count(1)
        texts = column(page, at)
        assert [number(text) for text in texts[: len(values)]] == pytest.approx(ordered, abs=1e-3)
        assert texts[len(values) :] == [""] * (len(data["heads"]) - len(values))
    page.locator("#heads thead button").nth(1).click()
    expect(page.locator("#heads thead th").nth(1)).to_have_attribute("aria-sort", "ascending")
    roles = [head["role"] or "" for head in data["heads"]]
    assert column(page, 1) == [*sorted(filter(None, roles)), ""]


def test_an_address_says_how_the_table_is_sorted(open_atlas: Open) -> None:
    page = open_atlas(ATLAS, at="sort=-trees.uuas")
    rows_of(page)
    expect(page.locator("#heads thead th").last).to_have_attribute("aria-sort", "descending")
    values = sorted((head["values"]["trees.uuas"][0] for head in ATLAS["heads"]), reverse=True)
    assert [number(text) for text in column(page, 3)] == pytest.approx(values, abs=1e-3)
    page.locator("#heads thead button").nth(2).click()
    assert "sort=-finding" in page.evaluate("location.hash")


def test_an_address_says_which_numbers_the_table_shows(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    headers = page.locator("#heads thead th")
    page.locator("#table-group").select_option("relations")
    expect(headers).to_have_text(["head", "role", "in words", *RELATIONS])
    expect(page).to_have_url(re.compile("&group=relations&sort=layer$"))
    page.reload()
    expect(headers).to_have_text(["head", "role", "in words", *RELATIONS])
    expect(page.locator("#table-group")).to_have_value("relations")
    page.go_back()
    expect(headers.last).to_have_text("offset")
    expect(page.locator("#table-group")).to_have_value("statistics")


def test_a_row_chooses_its_head_and_filtered_roles_are_hidden(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    rows_of(page).nth(17).click()
    expect(page.locator("#heads .on th")).to_have_text("1.5")
    assert page.evaluate("keyOf(state.head)") == "1.5"
    page.locator("#heads tbody .on button").focus()
    for key in ("ArrowDown", "End", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("keyOf(state.head)") == "5.11"
    page.evaluate("change({ roles: new Set(['broad', 'mixed']) })")
    kept = [f"{head['layer']}.{head['head']}" for head in ATLAS["heads"] if head["role"] in ("broad", "mixed")]
    expect(page.locator("#heads tbody tr:not([hidden])")).to_have_count(len(kept))
    assert column(page, 0) == kept


def test_what_is_held_out_stands_beside_its_baselines(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    for name, count in (
        ("relations", len(ATLAS["relations"])),
        ("trees", 6),
        ("coreference", len(ATLAS["coreference"])),
    ):
        expect(page.locator(f"#{name} tbody tr")).to_have_count(count)
    row = ATLAS["relations"][0]
    cells = [
        row["relation"],
        "100",
        f"{row['layer']}.{row['head']}",
        "dep->head",
        "70.0",
        "+1",
        "40.0",
        "+30.0",
        "+20.0 … +40.0",
    ]
    assert page.locator("#relations tbody tr").first.locator("td").all_text_contents() == cells
    expect(page.locator("#relations")).to_contain_text("held out")
    page.locator("#relations tbody button").first.click()
    assert page.evaluate("keyOf(state.head)") == f"{row['layer']}.{row['head']}"
    best = max(ATLAS["heads"], key=lambda head: head["values"]["trees.uuas"][0])
    trees = page.locator("#trees tbody td:first-child").all_text_contents()
    assert trees[0] == f"{best['layer']}.{best['head']}"
    assert trees[-2:] == ["chain", "offset"]


def test_without_treebank_and_documents_there_is_nothing_of_them(open_atlas: Open) -> None:
    page = open_atlas(fabricated(2, 3, sections=("texts",)))
    rows_of(page)
    for name in ("relations", "trees", "coreference", "changes"):
        expect(page.locator(f"#{name}")).to_have_count(0)


def test_changes_are_those_that_python_finds(open_atlas: Open) -> None:
    data = fabricated(against=True)
    make_alike(data, ENTROPY)
    page = open_atlas(data)
    found = changes(data)
    of_roles, of_heads, of_numbers = page.locator("#changes table").all()
    expect(page.locator("#changes h3").first).to_have_text(f"{len(found.roles or ())} of 72 heads have another role")
    listed = {
        (before, now, head)
        for row in of_roles.locator("tbody tr").all()
        for before, now in [row.locator("td").all_text_contents()[:2]]
        for head in row.locator("button").all_text_contents()
    }
    assert listed == {(one.before, one.now, f"{one.layer}.{one.head}") for one in found.roles or ()}
    titles = {measure["name"]: measure["title"] for measure in data["measures"]}
    heads = [row.locator("td").all_text_contents() for row in of_heads.locator("tbody tr").all()]
    for row, one in zip(heads, changed_most(found)[:10], strict=True):
        role = f"{one.role.before} → {one.role.now}" if one.role else ""
        assert [*row[:2], row[3]] == [f"{one.layer}.{one.head}", str(one.changed), role]
        assert row[2].startswith(f"{titles[one.largest.measure]} ")
        values = [one.largest.before, one.largest.now, one.largest.change]
        assert [number(text) for text in re.findall(r"[+−]?\d[\d.]*", row[2])] == pytest.approx(values, abs=0.051)
    expect(page.locator("#changes")).to_contain_text(f"{len(found.numbers):,} numbers changed so much")
    rows = [row.locator("td").all_text_contents() for row in of_numbers.locator("tbody tr").all()]
    ordered = largest(found.numbers, most=3)
    assert [row[:2] for row in rows] == [[f"{one.layer}.{one.head}", titles[one.measure]] for one in ordered]
    for row, one in zip(rows, ordered, strict=True):
        values = [number(text) for text in row[2:]]
        assert values == pytest.approx([one.before, one.now, one.change, one.size], abs=0.051)
        (digits,) = {len(text.partition(".")[2]) for text in row[2:5]}
        assert values[:3] == pytest.approx([one.before, one.now, one.change], abs=0.5001 * 10**-digits)
    assert page.locator(".note").all_text_contents()[1:] == ["The two have other texts."]
    expect(page.locator("#changes .note")).to_have_count(1)
    of_numbers.locator("tbody button").nth(1).click()
    assert page.evaluate("[state.colour, state.shown]") == [ordered[0].measure, "change"]


def test_two_atlases_of_one_model_are_named_by_what_was_read(open_atlas: Open) -> None:
    data = fabricated(2, 3, against=True, sections=("texts",))
    data["sections"][0]["sources"] = ["<b>zh.txt"]
    page = open_atlas(data)
    expect(page.locator("h1")).to_have_text("made-up on <b>zh.txt")
    expect(page.locator("#against")).to_have_text("compared with made-up on texts.txt: see Changes")
    sides = (
        "“Other” is made-up on texts.txt (40 texts with 900 tokens; attnprobe 0.0.0), “this” is made-up on <b>zh.txt."
    )
    expect(page.locator("#changes p").first).to_have_text(f"{sides} A change is this minus the other.")


def test_roles_of_an_atlas_without_any_are_not_compared(open_atlas: Open) -> None:
    data = fabricated(2, 3, against=True)
    for head in data["against"]["heads"]:
        head["role"] = None
    page = open_atlas(data)
    expect(page.locator("#changes")).to_contain_text("Roles are not compared: one of the two atlases has none.")
    for said in ("another role", "no role"):  # the latter beside the heads that changed most
        expect(page.locator("#changes")).not_to_contain_text(said)
