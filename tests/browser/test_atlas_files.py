"""What an atlas's page saves: pictures, numbers and all of the data."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from attnprobe.atlases.data import Atlas
from tests.atlases import fabricated
from tests.browser.atlas_reading import number, saved, sparse
from tests.browser.conftest import Open

COMPARED = fabricated(against=True)
FORMULA = '=1+1 "quoted", and\na line'
SVG = "{http://www.w3.org/2000/svg}"


def test_numbers_as_csv_and_data_as_json(open_atlas: Open) -> None:
    data = sparse()
    data["heads"][1]["role"] = FORMULA
    page = open_atlas(data)
    text = saved(page, "#table-buttons", 0).decode()
    assert text.endswith("\r\n")
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    frame = Atlas(data).to_frame().drop(columns=["x", "y"])
    assert names == list(frame.columns)
    for row, head in zip(rows, data["heads"], strict=True):
        assert row[:2] == [str(head["layer"]), str(head["head"])]
        assert row[2] == {FORMULA: f"'{FORMULA}", None: ""}.get(head["role"], head["role"])
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
    words = "offset (tokens), Statistics of weights, change from the other atlas, made-up (texts: texts.txt (40) · "
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


def test_a_frame_saves_files(browser: Browser) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.set_content(f"<p>notebook</p>{Atlas(COMPARED)._repr_html_()}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#heads tbody tr")).to_have_count(72)
    for box, at, suffix in (("#grid", 0, "svg"), ("#map", 1, "png"), ("#table", 0, "csv"), ("#table", 1, "json")):
        with page.expect_download() as download:
            frame.locator(f"{box}-buttons button").nth(at).click()
        assert download.value.suggested_filename.endswith(f".{suffix}")
    assert wrong == []
    page.close()
