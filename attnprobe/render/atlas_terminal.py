"""Shows an atlas on a terminal: the roles of all heads as a grid, the most telling heads, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.rules import OTHER_ROLE
from attnprobe.atlases.changes import OFF
from attnprobe.atlases.data import Charted
from attnprobe.render.atlas_text import (
    Data,
    changes_in_words,
    counts_of,
    names_of,
    read_of,
    roles_of,
    shorts_of,
    size_of,
    told,
)
from attnprobe.render.role_grid import RoleGrid
from attnprobe.values.text import visible

NOTES = (
    "A head is layer.head, from 0. Attention is not importance: where a head looks is not yet what the model needs.",
    "-o FILE.html is the page with all numbers, -f json the data, -f markdown a section for a model card.",
)


def atlas_view(summary: Charted, width: int, **options: Any) -> RenderableType:
    """Lays out the grid of roles, how many heads have each, the most telling heads, and what changed.

    Args:
        options: those of the command, of which none matters here.
    """
    data = summary.atlas.data
    grid = RoleGrid(roles_of(data), shorts_of(data), width, (OTHER_ROLE, OFF))
    parts: list[RenderableType] = [_text(f"{names_of(data)[0]}: {size_of(data)}; {', '.join(read_of(data))}"), ""]
    parts += [grid, "", grid.legend(counts_of(data)), ""]
    if data["telling"]:
        parts += [Text("The most telling heads", "bold"), _lines(told(data)), ""]
    if "against" in data:
        parts += _changes(data)
    remarks = [*data["remarks"], *data.get("against", {}).get("remarks", ())]
    return Group(*parts, *(_text(note, "dim") for note in (*remarks, *NOTES)))


def _changes(data: Data) -> Iterator[RenderableType]:
    """Lists heads with other roles, the heads that changed most, and the largest changes, one of each measure."""
    yield _text(f"Changes from {names_of(data)[1]}", "bold")
    for said, listed in changes_in_words(data):
        yield _text(said)
        yield _lines(listed)
        yield ""


def _lines(named: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> RichTable:
    """Tables heads and what is said of them, which wraps beside them."""
    drawn = RichTable.grid(padding=(0, 2, 0, 0))
    drawn.add_column(justify="right", no_wrap=True)
    drawn.add_column(overflow="fold")
    for label, said in named:
        drawn.add_row(Text(label, "bold"), _text(said))
    return drawn


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style)
