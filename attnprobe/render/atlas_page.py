"""The page of an atlas: every head of a model in one HTML file that needs no network and allows none."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from string import Template
from typing import IO, Any

from attnprobe.analyses.rules import OTHER_PATTERN, PATTERNS, SHORT
from attnprobe.render.atlas_text import model_name
from attnprobe.render.page import as_json, join_scripts, policy_of, read_part
from attnprobe.values.text import shorten, visible

SCRIPTS = (
    "dom",
    "fields",
    "tokens",
    "theme",
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
    "atlas/table",
    "atlas/changes",
    "atlas/save",
    "atlas/address",
    "atlas/main",
)
STYLES = ("base.css", "tokens.css", "atlas/atlas.css", "atlas/card.css")
FLAGS = {"treebank": "--conllu", "documents": "--coref"}  # by section; the texts themselves need none


def write_html(summary: Any, stream: IO[bytes]) -> None:
    """Writes the page of an atlas, or of a summary that has one."""
    stream.write(make_atlas_page(summary.atlas.data).encode())


def make_atlas_page(data: Mapping[str, Any]) -> str:
    """Makes the whole page from the data of an atlas, which it holds as they are."""
    style, script = "".join(map(read_part, STYLES)), join_scripts(SCRIPTS)
    model = visible(model_name(data))
    return Template(read_part("atlas/atlas.html")).substitute(
        policy=policy_of(style, script),
        signature=html.escape(data["signature"]),
        title=html.escape(f"attnprobe atlas: {shorten(model, 60)}"),
        heading=html.escape(shorten(model, 120)),
        about=html.escape(_about(data)),
        notes="\n".join(f'<p class="note">{html.escape(visible(note))}</p>' for note in _notes(data)),
        command=html.escape(_command(data)),
        style=style,
        patterns=as_json(_patterns()),
        data=as_json(data),
        script=script,
    )


def _about(data: Mapping[str, Any]) -> str:
    """Describes the model and what was read in one line."""
    model = data["model"]
    size = f"{len(model['layers'])} layers × {len(model['heads'])} heads, counted from 0"
    read = [
        f"{section['name']}: {section['texts']:,} texts, {section['tokens']:,} tokens" for section in data["sections"]
    ]
    return " · ".join([visible(model["type"]), size, *read, f"attnprobe {data['attnprobe']}"])


def _notes(data: Mapping[str, Any]) -> Iterator[str]:
    """Writes what a reader must know before trusting the page."""
    if any(section["sample"] for section in data["sections"]):
        yield (
            "These numbers come from attnprobe's built-in sample of plain sentences, not from texts of yours. "
            "Name files of your own to see what heads do in them."
        )
    yield from data["remarks"]


def _patterns() -> list[dict[str, str]]:
    """Lists the patterns that a head can have, as the data list roles."""
    known = [{"name": rule.name, "short": rule.short, "meaning": rule.meaning} for rule in PATTERNS]
    return [*known, {"name": OTHER_PATTERN, "short": SHORT[OTHER_PATTERN], "meaning": "none of these"}]


def _command(data: Mapping[str, Any]) -> str:
    """Writes the command that makes the page again, but for the options that the signature names."""
    given = [
        " ".join(filter(None, [FLAGS.get(section["name"], ""), *section["sources"]]))
        for section in data["sections"]
        if not section["sample"]
    ]
    return " ".join(["attnprobe atlas", *map(visible, given), "-m", visible(data["model"]["name"]), "-o atlas.html"])
