"""The trees of heads: a map of their agreement by layer and head, and on a terminal the best beside the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.tree_scores import TreeScores
from attnprobe.errors import InputError
from attnprobe.render.figure import draw, save_figure
from attnprobe.render.heatmap import HeatmapView
from attnprobe.render.table import number
from attnprobe.values.signature import part_of
from attnprobe.writers import FIGURES

MOST = 8  # heads that are listed


def trees_view(scores: TreeScores, width: int, **options: Any) -> RenderableType:
    """Lays out the map of all heads, and a table of the best heads, the best mean and the baselines.

    Args:
        options: those of the command, of which none matters here.
    """
    if not scores.edges:
        return Text("No sentence has edges between two words.", "dim")
    notes = (Text(note, "dim") for note in _notes(scores))
    return Group(HeatmapView(scores.picture(), width), "", _best(scores), "", *notes)


def write_figure(scores: TreeScores, stream: IO[bytes], format: str) -> None:
    """Writes the map as png, svg or pdf, with the baselines on its scale.

    Raises:
        InputError: no sentence has edges.
    """
    if not scores.edges:
        raise InputError("no sentence has edges between two words, so there is nothing to draw")
    save_figure(draw(scores.picture()), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _best(scores: TreeScores) -> RichTable:
    """Tables the best heads, the best mean of a layer, and the baselines, with intervals."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    several = scores.n_texts > 1
    for name in ("layer", "head", "UUAS", *(("95 % interval", "above chain", "95 % interval") if several else ())):
        drawn.add_column(name, justify="right", no_wrap=True)
    for layer, head, uuas, low, high, above, above_low, above_high, *_ in _chosen(scores):
        more = [_interval(low, high)] if several else []
        if several and layer is not None:
            more += [number(above), _interval(above_low, above_high)]
        drawn.add_row("" if layer is None else str(layer), str(head), number(uuas), *more)
    return drawn


def _chosen(scores: TreeScores) -> list[Sequence[Any]]:
    """Chooses the rows that are listed."""
    rows: list[Sequence[Any]] = list(scores.intervals().sorted_by("uuas").rows)
    heads = [row for row in rows if isinstance(row[1], int)]
    means = [row for row in rows if row[1] == "mean"]
    return [*heads[:MOST], *means[:1], *(row for row in rows if row[0] is None)]


def _interval(low: float, high: float) -> str:
    return f"{number(low)} … {number(high)}"


def _notes(scores: TreeScores) -> Iterator[str]:
    """Yields sentences on how to read the numbers."""
    weight = {"sum": "both ways together", "max": "the larger of both ways"}[part_of(scores.signature, "edges")]
    yield (
        "UUAS: the share of annotated edges that the maximum spanning tree over words has, whatever their direction; "
        f"punctuation left out. An edge weighs what its words give each other, {weight}."
    )
    yield f"chain joins neighbours; offset joins words at the best fixed distance, here {scores.best_offset}."
    yield (
        f"mean: the tree of a layer's mean weights. The best of {len(scores.layers) * len(scores.heads)} heads "
        "is chosen on the sentences it is reported on."
    )
    yield "-f csv has every head, --intervals FILE all intervals, -o FILE.png the map."
