"""The importance of heads: a map by layer and head, and on a terminal the heads that matter most."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.importances import Importances
from attnprobe.errors import InputError
from attnprobe.render.figure import draw, save_figure
from attnprobe.render.heatmap import HeatmapView
from attnprobe.render.table import fitting, written_like
from attnprobe.writers import FIGURES

MOST = 10  # heads that are listed
FIRST = ("importance", "95 % interval", "normalized")


def importance_view(result: Importances, width: int, **options: Any) -> RenderableType:
    """Lays out the map of all heads, and a table of those that matter most.

    Args:
        options: those of the command, of which none matters here.
    """
    if not result.n_texts:
        return Text("No text was measured.", "dim")
    notes = [
        "Importance: mean over texts. Normalized: divided by the root of the sum of squares over the layer's heads.",
        "-f csv has every head, -o FILE.png the map.",
    ]
    return Group(
        HeatmapView(result.picture(), width), "", _most(result, width), "", *(Text(note, "dim") for note in notes)
    )


def write_figure(result: Importances, stream: IO[bytes], format: str) -> None:
    """Writes the map as png, svg or pdf.

    Raises:
        InputError: no text was measured.
    """
    if not result.n_texts:
        raise InputError("no text was measured, so there is nothing to draw")
    save_figure(draw(result.picture()), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _most(result: Importances, width: int) -> RichTable:
    """Tables the heads that matter most, with as many columns as fit."""
    columns = dict(_columns(result))
    widths = {name: max(map(len, [name, *cells])) + 1 for name, cells in columns.items()}
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    shown = ["layer", "head", *fitting({name: widths[name] for name in list(widths)[2:]}, width - 14, FIRST)]
    for name in shown:
        drawn.add_column(Text(name), justify="right", no_wrap=True)
    for row in zip(*(columns[name] for name in shown), strict=True):
        drawn.add_row(*row)
    return drawn


def _columns(result: Importances) -> Iterator[tuple[str, list[str]]]:
    """Yields the columns of the table: each name with the cells as they are written."""
    names = list(result.table().columns)
    by_name: dict[str, list[Any]] = dict(zip(names, map(list, zip(*result.ranked()[:MOST], strict=True)), strict=True))
    yield from ((name, list(map(str, by_name[name]))) for name in ("layer", "head"))
    write = written_like(by_name["importance"])
    yield "importance", list(map(write, by_name["importance"]))
    if result.n_texts > 1:
        yield (
            "95 % interval",
            [f"{write(a)} … {write(b)}" for a, b in zip(by_name["ci_low"], by_name["ci_high"], strict=True)],
        )
    for name in ("normalized", *names[names.index("n_texts") + 1 :]):
        write = written_like(value for value in by_name[name] if value is not None)
        yield name, list(map(write, by_name[name]))
