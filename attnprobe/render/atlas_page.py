"""The page of an atlas: every head of a model in one HTML file that needs no network and allows none."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from string import Template
from typing import IO, Any

from attnprobe.analyses.rules import OTHER_PATTERN, PATTERNS, SHORT
from attnprobe.render.atlas_text import AGAIN, Data, command_of, count_of, name_on, names_of, size_of
from attnprobe.render.page import as_json, join_scripts, policy_of, read_part
from attnprobe.values.text import shorten, visible

SCRIPTS = (
    "dom",
    "fields",
    "theme",
    "keys",
    "tokens",
    "sorting",
    "png",
    "saving",
    "atlas/data",
    "atlas/state",
    "atlas/scales",
    "atlas/colours",
    "atlas/filters",
    "atlas/grid",
    "atlas/legend",
    "atlas/telling",
    "atlas/lines",
    "atlas/numbers",
    "atlas/card",
    "atlas/map",
    "atlas/plain",
    "atlas/table",
    "atlas/baselines",
    "atlas/changes",
    "atlas/edges",
    "atlas/save",
    "atlas/address",
    "atlas/main",
)
STYLES = ("base.css", "tokens.css", "atlas/atlas.css", "atlas/card.css", "atlas/table.css")


def write_html(summary: Any, stream: IO[bytes]) -> None:
    """Writes the page of an atlas, or of a summary that has one."""
    stream.write(make_atlas_page(summary.atlas.data).encode())


def make_atlas_page(data: Data) -> str:
    """Makes the whole page from the data of an atlas, which it holds as they are."""
    style, script = "".join(map(read_part, STYLES)), join_scripts(SCRIPTS)
    name = visible(names_of(data)[0])
    return Template(read_part("atlas/atlas.html")).substitute(
        policy=policy_of(style, script),
        signature=html.escape(data["signature"]),
        title=html.escape(f"attnprobe atlas: {shorten(name, 60)}"),
        heading=html.escape(shorten(name, 120)),
        about=html.escape(_about(data)),
        against=_against(data),
        notes=_paragraphs(_notes(data)),
        differences=_differences(data),
        command=_unbroken(visible(command_of(data))),
        again=_unbroken(AGAIN),
        style=style,
        patterns=as_json(_patterns()),
        data=as_json(data),
        script=script,
    )


def _about(data: Data) -> str:
    """Describes the model and what was read in one line."""
    size = f"{size_of(data)}, counted from 0"
    return " · ".join([visible(data["model"]["type"]), size, *_read(data), f"attnprobe {data['attnprobe']}"])


def _against(data: Data) -> str:
    """Says that a comparison is shown, with a button that leads to it; empty without one."""
    if "against" not in data:
        return ""
    button = '<button type="button" id="see-changes">Changes</button>'
    return f"compared with {html.escape(visible(names_of(data)[1]))}: see {button}"


def _differences(data: Data) -> str:
    """Writes what the two sides of a comparison are, and what else differs; empty without one."""
    if "against" not in data:
        return ""
    this, other = (visible(name_on(one)) for one in (data, data["against"]))
    read = ", ".join(_read(data["against"]))
    sides = f"“Other” is {other} ({read}; attnprobe {data['against']['attnprobe']}), “this” is {this}."
    remarks = _paragraphs(map(_sentence, data["against"]["remarks"]))
    return f"<p>{html.escape(sides)} A change is this minus the other.</p>\n{remarks}"


def _paragraphs(notes: Iterable[str]) -> str:
    """Writes each note as a paragraph."""
    return "\n".join(f'<p class="note">{_unbroken(note)}</p>' for note in notes)


def _unbroken(text: str) -> str:
    """Writes text in HTML, with flags such as --explain that no line break takes apart."""
    return re.sub(r"--\w[\w-]*", r'<span class="flag">\g<0></span>', html.escape(text))


def _read(data: Data) -> list[str]:
    """Describes what was read for an atlas."""
    return [f"{count_of(section)} with {section['tokens']:,} tokens" for section in data["sections"]]


def _notes(data: Data) -> Iterator[str]:
    """Writes what a reader must know before trusting the page."""
    if any(section["sample"] for section in data["sections"]):
        others = len(data["sections"]) > 1
        yield (
            f"{'Statistics, roles, likeness and contributions' if others else 'These numbers'} come from the built-in "
            "sample of plain sentences, not from texts of yours: name files of your own to see what heads do in them."
        )
    if any(head["off"] for head in [*data["heads"], *data.get("against", {}).get("heads", ())]):
        yield "Heads that are off are struck through in the grid: their weights are computed, and go nowhere."
    yield from map(_sentence, data["remarks"])


def _sentence(remark: str) -> str:
    """Makes a remark a sentence of the page."""
    text = visible(remark)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _patterns() -> list[dict[str, str]]:
    """Lists the patterns that a head can have, as the data list roles."""
    known = [{"name": rule.name, "short": rule.short, "meaning": rule.meaning} for rule in PATTERNS]
    return [*known, {"name": OTHER_PATTERN, "short": SHORT[OTHER_PATTERN], "meaning": "no rule of a pattern is met"}]
