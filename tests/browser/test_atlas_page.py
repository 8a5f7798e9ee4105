"""The page of an atlas as a whole: its tables, comparisons and files, and what it must never do."""

import csv
import io
import json
import re
from pathlib import Path
from statistics import pstdev
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from attnprobe.atlas.changes import changes
from attnprobe.atlas.data import Atlas
from attnprobe.render.atlas_page import make_atlas_page
from tests.atlases import fabricated
from tests.browser.conftest import Open
from tests.browser.test_access import NAMELESS, contrast
from tests.browser.test_safety import ATTEMPTS

ATLAS = fabricated()
COMPARED = fabricated(against=True)
HOSTILE = "=1+1<script>alert(1)</script>\"'&${alert(1)}\u202e\u2028\n]]>"
SVG = "{http://www.w3.org/2000/svg}"
ENTROPY = "statistics.entropy"


def sparse() -> dict[str, Any]:
    """An atlas in which some heads have no entropy, and one no role."""
    data = fabricated(3, 4)
    for head in data["heads"][::3]:
        del head["values"][ENTROPY]
    data["heads"][5]["role"] = None
    return data


def rows_of(page: Page) -> Locator:
    rows = page.locator("#heads tbody tr")
    expect(rows.first).to_be_attached()
    return rows


def column(page: Page, at: int) -> list[str]:
    return page.locator(f"#heads tbody tr:not([hidden]) > :nth-child({at + 1})").all_text_contents()


def number(text: str) -> float | None:
    return float(text.replace("−", "-")) if text else None


def saved(page: Page, box: str, at: int) -> bytes:
    with page.expect_download() as download:
        page.locator(f"{box} button").nth(at).click()
    return Path(download.value.path()).read_bytes()


def headers(page: Page) -> list[str]:
    return page.locator("#heads thead th").all_text_contents()


@pytest.mark.parametrize("shown", ["this", "other", "change"])
def test_every_number_of_the_table_is_that_of_the_data(open_atlas: Open, shown: str) -> None:
    page = open_atlas(COMPARED)
    page.evaluate("(shown) => change({ shown })", shown)
    others = {(head["layer"], head["head"]): head for head in COMPARED["against"]["heads"]}
    for group in dict.fromkeys(measure["name"].split(".")[0] for measure in ATLAS["measures"]):
        page.locator("select[name=table-group]").select_option(group)
        names = [measure["name"] for measure in ATLAS["measures"] if measure["name"].startswith(f"{group}.")]
        expect(page.locator("#heads thead th")).to_have_count(3 + len(names))
        assert column(page, 0) == [f"{head['layer']}.{head['head']}" for head in COMPARED["heads"]]
        for at, name in enumerate(names, 3):
            for head, text in zip(COMPARED["heads"], column(page, at), strict=True):
                this, other = head["values"][name][0], others[head["layer"], head["head"]]["values"][name][0]
                value = {"this": this, "other": other, "change": this - other}[shown]
                digits = len(text.partition(".")[2])
                assert digits >= 1
                assert number(text) == pytest.approx(value, abs=0.5001 * 10**-digits), (name, text)


def test_columns_sort_and_what_is_missing_comes_last(open_atlas: Open) -> None:
    data = sparse()
    page = open_atlas(data)
    rows_of(page)
    at = headers(page).index("entropy")
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
    roles = [head["role"] or "" for head in data["heads"]]
    assert column(page, 1) == [*sorted(filter(None, roles)), ""]


def test_a_row_chooses_its_head_and_filtered_roles_are_hidden(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    rows_of(page).nth(17).click()
    expect(page.locator("#heads .on")).to_have_count(1)
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
    page = open_atlas(COMPARED)
    roles, numbers = changes(COMPARED)
    tables = page.locator("#changes table")
    expect(page.locator("#changes h3").first).to_have_text(f"{len(roles)} of 72 heads have another role")
    listed = {
        (before, now, head)
        for row in tables.nth(0).locator("tbody tr").all()
        for before, now in [row.locator("td").all_text_contents()[:2]]
        for head in row.locator("button").all_text_contents()
    }
    assert listed == {(one.before, one.now, f"{one.layer}.{one.head}") for one in roles}
    of_other = COMPARED["against"]["heads"]
    spread = {one.measure: pstdev(head["values"][one.measure][0] for head in of_other) for one in numbers}
    ordered = sorted(numbers, key=lambda one: -abs(one.change) / spread[one.measure])
    titles = {measure["name"]: measure["title"].replace("_", " ") for measure in COMPARED["measures"]}
    rows = [row.locator("td").all_text_contents() for row in tables.nth(1).locator("tbody tr").all()]
    assert [row[:2] for row in rows] == [[f"{one.layer}.{one.head}", titles[one.measure]] for one in ordered]
    for row, one in zip(rows, ordered, strict=True):
        found = [number(text) for text in row[2:]]
        wanted = [one.before, one.now, one.change, abs(one.change) / spread[one.measure]]
        assert found == pytest.approx(wanted, abs=0.051)
        assert found[:3] == pytest.approx(wanted[:3], abs=6e-3 * spread[one.measure])
    expect(page.locator("#changes li")).to_have_text(COMPARED["against"]["remarks"])
    tables.nth(1).locator("tbody button").nth(1).click()
    assert page.evaluate("[state.colour, state.shown]") == [ordered[0].measure, "change"]


def test_numbers_as_csv_and_data_as_json(open_atlas: Open) -> None:
    data = sparse()
    data["heads"][1]["role"] = HOSTILE
    page = open_atlas(data)
    text = saved(page, "#table-buttons", 0).decode()
    assert text.endswith("\r\n")
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    frame = Atlas(data).to_frame().drop(columns=["x", "y"])
    assert names == list(frame.columns)
    for row, head in zip(rows, data["heads"], strict=True):
        assert row[:2] == [str(head["layer"]), str(head["head"])]
        assert row[2] == {HOSTILE: f"'{HOSTILE}", None: ""}.get(head["role"], head["role"])
        assert row[3:5] == [head["pattern"], str(head["cluster"])]
        assert [number(cell) for cell in row[5:]] == [head["values"].get(name, [None])[0] for name in names[5:]]
    assert json.loads(saved(page, "#table-buttons", 1)) == data


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_say_what_they_show(open_atlas: Open, scheme: str) -> None:
    page = open_atlas(COMPARED, scheme)
    page.evaluate("change({ roles: new Set(['broad']) })")
    grid = ElementTree.fromstring(saved(page, "#grid-buttons", 0))
    words = "made-up: heads by layer · colour by role · only broad · texts: texts.txt (40)"
    assert (grid.findtext(f"{SVG}desc") or "").startswith(words)
    assert grid.findtext(f"{SVG}metadata") == COMPARED["signature"]
    shown = [group for group in grid.iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]
    assert len(shown) == len(COMPARED["heads"])
    clear = [group.findtext(f"{SVG}title") for group in shown if group.get("opacity") == "1"]
    heads = [f"layer {head['layer']}, head {head['head']}" for head in COMPARED["heads"] if head["role"] == "broad"]
    assert clear == heads
    page.evaluate("change({ colour: 'statistics.offset', shown: 'change', roles: new Set() })")
    fills = dict(page.evaluate("atlas.heads.map((head) => [headName(head), colourOf(head)])"))
    grid = ElementTree.fromstring(saved(page, "#grid-buttons", 0))
    shown = [group for group in grid.iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]
    assert {group.findtext(f"{SVG}title"): group.find(f"{SVG}rect").get("fill") for group in shown} == fills
    words = "colour by offset (tokens), Statistics of weights, change from the other atlas, made-up"
    assert words in (grid.findtext(f"{SVG}desc") or "")
    map_ = ElementTree.fromstring(saved(page, "#map-buttons", 0))
    assert len(list(map_.iter(f"{SVG}circle"))) == len(COMPARED["heads"])
    for root in (grid, map_):
        assert root.find(f"{SVG}rect").get("fill") == page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert not re.search(r"var\(|href|style=|NaN|undefined", ElementTree.tostring(root, encoding="unicode"))
    for box, root in (("#grid-buttons", grid), ("#map-buttons", map_)):
        with Image.open(io.BytesIO(saved(page, box, 1))) as image:
            image.load()
            assert image.size == tuple(int(2 * float(root.get(side))) for side in ("width", "height"))
            assert image.text == {
                "Description": root.findtext(f"{SVG}desc"),
                "Signature": COMPARED["signature"],
                "Software": "attnprobe",
            }


def test_names_of_any_kind_are_shown_and_do_nothing(open_atlas: Open) -> None:
    data = json.loads(json.dumps(fabricated(2, 3, against=True)).replace("previous token", "PREVIOUS"))
    data["model"]["name"] = data["against"]["model"]["name"] = data["signature"] = HOSTILE
    data["relations"][0]["relation"] = data["against"]["remarks"][0] = data["remarks"][0] = HOSTILE
    data["sections"][0]["sources"] = [HOSTILE]
    data["texts"][0]["tokens"][1] = HOSTILE
    data["measures"][0] |= {"title": HOSTILE, "meaning": HOSTILE, "unit": HOSTILE, "command": HOSTILE}
    for head in data["heads"]:
        head["role"] = head["pattern"] = head["findings"][0]["text"] = HOSTILE
        head["relations"][0]["relation"] = HOSTILE
        head["values"][f"relations.{HOSTILE}"] = [0.5, None, None]
    data["measures"].append({**data["measures"][5], "name": f"relations.{HOSTILE}", "title": HOSTILE})
    data["roles"].append({"name": HOSTILE, "short": HOSTILE, "meaning": HOSTILE})
    page = open_atlas(data)
    assert column_after(page, 1)[0] == HOSTILE
    page.locator("select[name=table-group]").select_option("relations")
    page.locator("#heads thead button").last.click()
    page.evaluate("(colour) => change({ colour })", f"relations.{HOSTILE}")
    expect(page.locator("#heads thead th").last).to_have_attribute("aria-sort", "descending")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == page.evaluate("document.scripts.length") <= 4
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1
    for box in ("#grid-buttons", "#map-buttons"):
        ElementTree.fromstring(saved(page, box, 0))


def column_after(page: Page, at: int) -> list[str]:
    rows_of(page)
    return column(page, at)


def test_policy_holds(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "atlas.html"
    path.write_text(make_atlas_page(ATLAS), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    answers: list[str] = []
    page.on("response", lambda response: answers.append(response.url))
    page.on("requestfailed", lambda request: answers.append(str(request.failure)))
    page.evaluate("document.addEventListener('securitypolicyviolation', () => (window.refused = true))")
    for attempt in ATTEMPTS:
        page.evaluate("window.refused = window.broken = null")
        page.evaluate(f"() => {{ {attempt}; }}")
        page.wait_for_function("window.refused")
        assert page.evaluate("window.broken") is None, attempt
    assert set(answers) <= {"csp"}
    page.close()


def test_a_frame_saves_files(browser: Browser) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.set_content(f"<p>notebook</p>{Atlas(ATLAS)._repr_html_()}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#heads tbody tr")).to_have_count(72)
    for box, at, suffix in (("#grid", 0, "svg"), ("#map", 1, "png"), ("#table", 0, "csv"), ("#table", 1, "json")):
        with page.expect_download() as download:
            frame.locator(f"{box}-buttons button").nth(at).click()
        assert download.value.suggested_filename.endswith(f".{suffix}")
    assert wrong == []
    page.close()


STOP = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element.matches(".options input") ? element.nextElementSibling : element);
    const name = element.getAttribute("aria-label") || element.textContent.trim() || element.title
        || [...(element.labels ?? [])].map((label) => label.textContent).join("");
    const isSeen = style.outlineStyle !== "none" || style.stroke === colour("var(--accent)");
    return [element.outerHTML.slice(0, 120), element === document.body, Boolean(name.trim()), isSeen];
}"""


def test_every_tab_stop_has_a_name_and_is_seen(open_atlas: Open) -> None:
    page = open_atlas(COMPARED)
    rows_of(page)
    stops = []
    while len(stops) < 120:
        page.keyboard.press("Tab")
        stop, is_over, *good = page.evaluate(STOP)
        if is_over:
            break
        assert good == [True, True], stop
        stops.append(stop)
    assert 15 < len(stops) < 70
    assert page.evaluate(NAMELESS) == []


COLOURS = """() => {
    const style = (element) => getComputedStyle(element);
    const isClear = (element) => /, 0\\)$/.test(style(element).backgroundColor);
    const under = (element) => (isClear(element) ? under(element.parentElement) : element);
    const found = document.querySelectorAll("h2, h3, p, #heads td, #heads .on button, .plain td");
    return [...found].map((element) => [style(element).color, style(under(element)).backgroundColor]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(open_atlas: Open, scheme: str) -> None:
    page = open_atlas(COMPARED, scheme)
    rows_of(page)
    pairs = page.evaluate(COLOURS)
    plain = [pair for pair in map(tuple, pairs) if all(colour.startswith("rgb") for colour in pair)]
    assert min(contrast(*pair) for pair in set(plain)) >= 4.5


@pytest.mark.parametrize("width", [360, 900, 1280])
def test_the_document_does_not_scroll_sideways(open_atlas: Open, width: int) -> None:
    page = open_atlas(COMPARED, width=width, height=700)
    rows_of(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_size_of_a_large_atlas() -> None:
    """144 heads with 45 measures, two examples of 32 tokens each, no weight of them 0."""
    data = fabricated(12, 12, against=True)
    tokens = [f"token{at}" for at in range(32)]
    data["texts"] = [{"id": str(at), "tokens": tokens, "special": [False] * 32, "n_tokens": 40} for at in range(200)]
    weights = [[0.1234] * 32] * 32
    for at, head in enumerate(data["heads"]):
        head["values"] |= {f"statistics.{more}": [1 / 3, 1 / 7, 2 / 3] for more in range(30)}
        head["examples"] = [{**head["examples"][0], "text": at + one, "weights": weights} for one in range(2)]
    assert len(make_atlas_page(data).encode()) <= 5_000_000
