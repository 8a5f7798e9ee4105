"""An atlas on a terminal, in a model card, as a figure: what is written where, and that data are never markup."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from rich.cells import cell_len
from rich.console import Console

import attnprobe.render
from attnprobe.atlases.data import Atlas, Charted
from attnprobe.errors import MissingExtraError
from attnprobe.render import figure
from attnprobe.render.atlas_figure import write_pdf, write_png, write_svg
from attnprobe.render.atlas_markdown import write_markdown
from attnprobe.render.atlas_terminal import atlas_view
from attnprobe.render.atlas_text import changes_in_words, command_of, names_of
from attnprobe.render.colours import KINDS, NO_KIND
from tests.atlases import fabricated, make_alike

ON = "made-up on texts.txt, treebank.txt, documents.txt"
EVIL = "<b>|`*a*_[x](y) \x1b[31m$2$ 一致&lt;\u202e"


def small(**about: Any) -> dict[str, Any]:
    """An atlas of two layers, the second of which pools, with words that others take for markup."""
    data = fabricated(2, 3) | about
    for head, role in zip(data["heads"], ["previous token", "broad", "mixed", None, None, None], strict=True):
        head["role"] = role
    data["heads"][1]["findings"][0]["text"] = f"broad: {EVIL}"
    data["telling"] = [{"layer": 0, "head": 1, "finding": 0}, {"layer": 0, "head": 2, "finding": 1}]
    data["relations"] = [*data["relations"][2:], {**data["relations"][0], "n": 29}]
    for row, gain in zip(data["relations"], (0.1, 0.3, 0.9), strict=True):
        row |= {"layer": 0, "head": 1, "gain": gain, "relation": f"{row['relation']}|{EVIL}" if gain < 0.2 else "obj"}
    data["model"] |= {"name": f"models/{EVIL}", "source": f"org/{EVIL}"}
    return data


def shown(data: dict[str, Any], width: int, **options: Any) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, emoji=False, highlight=False, **options)
    console.print(atlas_view(Atlas(data), width))
    return stream.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.mark.parametrize(("width", "blocks"), [(40, 5), (80, 2), (200, 1)])
def test_the_grid_fits_the_terminal(width: int, blocks: int) -> None:
    data = fabricated(4, 24, against=True)
    text = shown(data, width)
    assert max(map(cell_len, text.splitlines())) <= width
    grid = [line.split() for line in text.split("\n\n")[1].splitlines()]
    rows = {layer: [cell for row in grid if row[0] == str(layer) for cell in row[1:]] for layer in range(4)}
    shorts = {role["name"]: role["short"] for role in data["roles"]}
    assert [row[0] for row in grid].count("head") == blocks
    for layer, cells in rows.items():
        assert cells == [shorts[head["role"]] for head in data["heads"] if head["layer"] == layer]


def test_colours_add_nothing_that_is_not_written() -> None:
    data = small()
    coloured = shown(data, 80, force_terminal=True, color_system="truecolor")
    assert re.search(r"48;[25];", coloured)  # of 256 colours, if a test before drew the style for such a terminal
    words = shown(data, 80)
    assert plain(coloured).split() == words.replace("prev:", "prev").replace("·:", "·").split()
    assert "prev: previous token 1   broad 1   ·: mixed 1   no role 3" in words
    for options in ({"no_color": True, "color_system": "truecolor"}, {"color_system": "standard"}):
        assert "48;" not in (few := shown(data, 80, force_terminal=True, **options))
        assert plain(few) == words


def test_what_changed_is_listed() -> None:
    data = fabricated(2, 2, against=True)
    for head, other in zip(data["heads"], data["against"]["heads"], strict=True):
        head["role"] = other["role"] = "self"
        other["values"] = {name: list(value) for name, value in head["values"].items()}
    assert "0 of 4 heads have another role." in shown(data, 80)
    assert "No number with an interval has changed" in shown(data, 80)
    data["heads"][3]["role"] = None
    data["heads"][2]["values"]["statistics.entropy"] = [3.0, 2.9, 3.1]
    data["against"]["heads"][2]["values"]["statistics.entropy"] = [1.0, 0.9, 1.1]
    text = shown(data, 80)
    assert "1 of 4 heads has another role:\n1  self → no role: 1.1" in text.replace(" \n", "\n")
    assert re.search(r"^1\.0 +1 number: entropy 1 → 3 \(\+2\)", text, re.MULTILINE)
    assert "\n1 number has changed so much that" in text
    assert re.search(r"^1\.0 +entropy 1 → 3 \(\+2\)", text, re.MULTILINE)
    assert text.count("→") == 3
    card = written(write_markdown, data).decode()
    assert f"### Changes from {ON}\n\n1 of 4 heads has another role:\n\n- **1** self → no role: 1.1\n" in card
    assert "- **1.0** entropy 1 → 3" in card
    assert "- the two have other texts\n" in card
    for head in data["against"]["heads"]:
        head["role"] = None
    not_compared = "Roles are not compared: one of the two atlases has none."
    assert f"{not_compared}\n\nThe heads that" in shown(data, 80).replace(" \n", "\n")
    assert f"### Changes from {ON}\n\n{not_compared}\n\nThe heads that" in written(write_markdown, data).decode()


def test_heads_are_grouped_by_what_their_roles_were_and_are() -> None:
    data = fabricated(1, 4, against=True)
    for of, roles in ((data, "self self broad self"), (data["against"], "broad self self broad")):
        for head, role in zip(of["heads"], roles.split(), strict=True):
            head["role"] = role
    said, listed = next(changes_in_words(data))
    assert said == "3 of 4 heads have another role:"
    assert listed == [("2", "broad → self: 0.0, 0.3"), ("1", "self → broad: 0.2")]


def test_the_heads_that_changed_most_come_with_counts_and_their_largest_change() -> None:
    data = fabricated(1, 3, against=True)
    made = {"statistics.entropy": ((1, 2, 3), (1, 2, 4)), "importance.importance": ((0.1, 0.2, 0.4), (0.1, 0.3, 0.5))}
    for of, at in ((data["against"], 0), (data, 1)):
        for place, head in enumerate(of["heads"]):
            values = {name: pair[at][place] for name, pair in made.items()}
            head["values"] = {name: [value, value - 0.01, value + 0.01] for name, value in values.items()}
            head["role"] = "broad"
    data["heads"][2]["role"] = None
    _, (_, heads), (said, _) = changes_in_words(data)
    assert heads == [
        ("0.2", "2 numbers, most of all entropy 3 → 4 (+1); broad → no role"),
        ("0.1", "1 number: importance 0.2 → 0.3 (+0.1)"),
    ]
    assert said.startswith("3 numbers have changed so much")


def test_a_measure_in_which_heads_are_alike_is_neither_listed_nor_counted() -> None:
    data = fabricated(2, 3, against=True)
    made = [*changes_in_words(data)]
    for of in (data, data["against"]):
        for head in of["heads"]:
            del head["values"]["statistics.entropy"]
    without = [*changes_in_words(data)]
    assert without != made
    make_alike(data, "statistics.entropy")
    assert [*changes_in_words(data)] == without


def test_two_atlases_of_one_model_are_named_by_what_was_read() -> None:
    data = fabricated(1, 2, against=True, sections=("texts",))
    data["sections"][0]["sources"] = ["zh.txt"]
    assert names_of(data) == ["made-up on zh.txt", "made-up on texts.txt"]
    text = shown(data, 80)
    assert text.startswith("made-up on zh.txt: 1 layer")
    assert "\nChanges from made-up on texts.txt" in text
    data["against"]["sections"][0]["sources"] = [*"abcd"]
    data["sections"][0] |= {"sources": [], "sample": True}
    assert names_of(data) == ["made-up on the sample that comes with attnprobe", "made-up on a, b, c …"]
    data["sections"][0]["sample"] = False
    assert names_of(data)[0] == "made-up on texts in memory"
    data["against"]["signature"] += "|off:0:1(zero)"
    assert names_of(data) == ["made-up", "made-up with heads 0:1(zero) off"]
    assert names_of(fabricated(1, 2)) == ["made-up"]


def test_changes_are_ordered_beside_the_spread_of_heads_before() -> None:
    data = fabricated(1, 4, against=True)
    numbers = {"statistics.entropy": [1.0, 1.0, 1.0, 1.2], "importance.importance": [0.0, 0.1, 0.1, 0.1]}
    changed = {"statistics.entropy": (2, 3.0), "importance.importance": (0, 0.6)}  # by 23 and by 14 spreads
    for at, (head, other) in enumerate(zip(data["heads"], data["against"]["heads"], strict=True)):
        other["values"] = {name: [of[at], of[at] - 0.01, of[at] + 0.01] for name, of in numbers.items()}
        now = {name: [value, value - 0.01, value + 0.01] for name, (place, value) in changed.items() if place == at}
        head["values"] = other["values"] | now
    *_, (_, listed) = changes_in_words(data)
    assert listed == [("0.2", "entropy 1 → 3 (+2)"), ("0.0", "importance 0 → 0.6 (+0.6)")]


def test_data_never_steer_a_terminal() -> None:
    text = shown(small(), 200)
    assert "\x1b" not in text
    assert "0.1  broad: <b>|`*a*_[x](y) ␛[31m$2$ 一致&lt;<U+202E>" in text
    assert "0.2  obj → its verb" in text


def written(write: Callable[[Charted, IO[bytes]], None], data: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    write(Atlas(data), stream)
    return stream.getvalue()


SAFE = r"\<b\>\|\`\*a\*\_\[x\](y) ␛\[31m\$2\$ 一致\&lt;\<U+202E\>"
CARD = rf"""## Attention heads

What the heads of models/{SAFE} (bert, 2 layers × 3 heads) do in 40 texts (900 tokens), 40 sentences of a treebank (900 tokens), 40 documents (900 tokens), from texts.txt, treebank.txt, documents.txt; attnprobe 0.0.0.

| layer | 0 | 1 | 2 |
| --- | :-: | :-: | :-: |
| **0** | prev | broad | · |
| **1** |  |  |  |

Roles, and how many heads have each: prev: previous token 1, broad 1, ·: mixed 1, no role 3. Layers and heads count from 0.

### The most telling heads

- **0.1** broad: {SAFE}
- **0.2** obj → its verb 75 %, the best offset 37 %

### Relations, held out

Heads and offsets were chosen on even sentences; the numbers are those of odd ones, of relations with 30 links there or more, those with the most gain.

| relation | head | from → to | right | best fixed offset | gain | 95 % interval | n |
| --- | --- | --- | --- | --- | --- | --- | --- |
| obj | 0.1 | obj → its verb | 70 % | 40 % | +30.0 | +20.0 … +40.0 | 100 |
| obj\|{SAFE} | 0.1 | obj\|{SAFE} → its head word | 70 % | 40 % | +10.0 | +20.0 … +40.0 | 100 |

### Limits
"""  # noqa: E501


def test_the_card_is_markdown_that_holds_no_markup_of_the_data() -> None:
    card = written(write_markdown, small()).decode()
    assert card.startswith(CARD)
    command = "attnprobe atlas texts.txt --conllu treebank.txt --coref documents.txt --importance sensitivity -m 'org/"
    assert command in card
    assert card.endswith("\n```text\nmodel:made-up|seed:0\n```\n")
    assert "- contributions cannot be measured: no values of layer 0 are found\n" in card
    tables = [part for part in card.split("\n\n") if part.startswith("|")]
    assert [{len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()} for table in tables] == [{5}, {9}]


def test_the_command_repeats_the_flag_of_each_file() -> None:
    data = fabricated(1, 1, sections=("texts", "treebank"))
    data["sections"][0]["sources"] = ["a b.txt", "-x.txt"]
    data["sections"][1]["sources"] = ["en.conllu", "zh.conllu"]
    data["measures"] = [{"name": "importance.importance"}, {"name": "importance.pooled_change"}]
    files = "'a b.txt' -x.txt --conllu en.conllu --conllu zh.conllu"
    assert command_of(data) == f"attnprobe atlas {files} --importance zero -m org/made-up -o atlas.html"
    data["sections"][0]["sources"] = data["sections"][1]["sources"] = []  # texts in memory
    assert command_of(data).startswith("attnprobe atlas FILES --conllu FILES --importance zero -m org/made-up")


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", ""),
        ("/data/all-MiniLM-L6-v2", " -m /data/all-MiniLM-L6-v2"),
        ("../my models/it's", """ -m '../my models/it'"'"'s'"""),
        (None, " -m MODEL"),
    ],
)
def test_the_command_takes_the_model_as_it_was_given(source: str | None, flag: str) -> None:
    data = fabricated(1, 1, sections=("texts",))
    data["model"]["source"], data["signature"] = source, "off:3:1,5:*(mean)"
    command = f"attnprobe atlas texts.txt --importance sensitivity{flag} --off '3:1,5:*' --off-how mean -o atlas.html"
    assert command_of(data) == command
    assert f"```text\n{command}\n```" in written(write_markdown, data).decode()


def test_heads_that_are_off_are_marked_in_every_grid() -> None:
    data = fabricated(2, 2)
    for head, off in zip(data["heads"], (None, "zero", None, "mean"), strict=True):
        head |= {"role": "broad", "off": off}
    for options in ({}, {"force_terminal": True, "color_system": "truecolor"}):
        lines = [" ".join(line.split()) for line in plain(shown(data, 80, **options)).splitlines()]
        assert {"0 broad off", "1 broad off"} <= {*lines}
        assert [line for line in lines if line.endswith("off 2")] == ["broad 2 off 2"]
    card = written(write_markdown, data).decode()
    assert "| **0** | broad | off |" in card
    assert ": broad 2, off 2. Layers" in card
    comments = re.findall(r"<!-- (.*?) -->", written(write_svg, data).decode())
    assert comments.count("off") == 2
    assert "off: 2" in comments


def test_the_card_counts_roles_where_heads_are_many() -> None:
    data = fabricated(2, 20, sections=("texts",))
    data["sections"][0]["sample"] = True
    data["telling"] = []
    card = written(write_markdown, data).decode()
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| **")]
    assert [sum(int(cell.strip(" |") or 0) for cell in row[1:]) for row in rows] == [20, 20]
    assert "do in 40 texts of the sample that comes with attnprobe (900 tokens); attnprobe" in card
    assert "attnprobe atlas --importance sensitivity -m org/made-up -o atlas.html" in card
    assert not {"### The most telling heads", "### Relations, held out"} & {*card.splitlines()}


def test_the_figure_is_the_grid_with_its_legend_and_signature() -> None:
    data = small()
    data["model"]["name"] = "m$x$<b>" * 30
    drawn = written(write_svg, data)
    comments = re.findall(r"<!-- (.*?) -->", drawn.decode())
    for text in ("prev", "broad", "·", "previous token: 1", "mixed: 1", "no role: 3", "layer", "head"):
        assert text in comments
    assert "2 layers × 3 heads; roles in 40 texts (900 tokens)" in " ".join(comments)
    assert data["signature"] in drawn.decode()
    assert drawn == written(write_svg, data)
    assert written(write_png, data).startswith(b"\x89PNG")
    assert written(write_pdf, data).startswith(b"%PDF")


def test_a_figure_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="needs matplotlib"):
        Atlas(small()).save(tmp_path / "roles.svg")
    assert not [*tmp_path.iterdir()]


def test_roles_have_the_colours_of_the_page() -> None:
    css = (Path(attnprobe.render.__file__).parent / "browser" / "base.css").read_text(encoding="utf-8")
    named = dict(re.findall(r"--([\w-]+): light-dark\(#(\w{6}),", css))
    for at, colour in enumerate(KINDS):
        assert bytes(colour).hex() == named[f"head-{at}"]
    assert f"head-{len(KINDS)}" not in named
    assert bytes(NO_KIND).hex() == named["edge"]
