"""Draws what is left of a model as its heads are switched off."""

from __future__ import annotations

from itertools import groupby
from typing import IO, TYPE_CHECKING, Any

from attnprobe.errors import InputError
from attnprobe.render.figure import house_style, save_figure
from attnprobe.values.signature import model_of, part_of
from attnprobe.values.table import Table
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

STYLES = {"importance": ("#1f77b4", "o", "-", "least important first"), "random": ("#777777", "s", "--", "at random")}
WHAT = {
    "cosine": "cosine with the whole model's vector",
    "agreement": "share of the whole model's predictions",
    "mlm": "pseudo-loss",
    "similarity": "cosine of the pair",
}


def draw_curve(table: Table) -> Figure:
    """Draws a curve for each order, with its intervals.

    Raises:
        InputError: no text was measured.
    """
    from matplotlib.figure import Figure as Figure

    rows: list[Any] = list(table.rows)
    if not rows or rows[0][3] is None:
        raise InputError("no text was measured, so there is nothing to draw")
    sign = table.sign() if table.sign else ""
    title = visible(f"{model_of(sign)}, heads off by {part_of(sign, 'off_how')}, {rows[0][-1]:,} texts")
    with house_style(title):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for order, points in groupby(rows, lambda row: row[2]):
            colour, marker, line, label = STYLES[order]
            _, shares, _, values, low, high, _ = zip(*points, strict=True)
            percent = [100 * share for share in shares]
            axes.plot(
                percent,
                values,
                line,
                color=colour,
                marker=marker,
                markersize=3,
                linewidth=1,
                label=label,
                clip_on=False,
            )
            if None not in low:
                axes.fill_between(percent, low, high, color=colour, alpha=0.15, linewidth=0)
        value = part_of(sign, "curve")
        axes.set(xlabel="heads off, percent", ylabel=WHAT.get(value, value), xlim=(0, 100), title=title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.set_label(sign)
    return figure


def write_curve(table: Table, stream: IO[bytes], format: str) -> None:
    """Writes the curves as png, svg or pdf."""
    save_figure(draw_curve(table), stream, format)
