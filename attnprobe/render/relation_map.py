"""Relations by heads as a figure: how much more often each head is right than the best offset."""

from __future__ import annotations

from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.related import DIRECTIONS, Relations
from attnprobe.errors import InputError
from attnprobe.render.colours import CHANGE
from attnprobe.render.figure import colours_between, house_style, save_figure
from attnprobe.render.relations import FEW, title
from attnprobe.values.text import visible
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

WIDTH, ROW = 8.0, 0.19  # inches: of all heads at most if they can be told apart, and of a relation
CELL = (0.06, 0.3)  # inches: of a head, at least and at most
LEAST = 0.05  # the gain that full colour stands for at least
LEAST_WIDTH = 7.0  # inches, of the title
MEANING = (
    "gain in all texts: how much more often a head is right, in its better direction, than the best offset; "
    "framed: chosen in even texts"
)
POINTS = 7.0  # of names and numbers


def draw_relations(result: Relations) -> Figure:
    """Draws a row for each relation and a column for each head, layer by layer, framed where it was chosen.

    Raises:
        InputError: no text was measured, or none has a relation.
    """
    from matplotlib.figure import Figure as Figure

    if not len(result.outcomes):
        raise InputError("no relation was measured, so there is nothing to draw")
    gains = result.gains()
    names = [f"{visible(name)}  {count:,}" for name, count in result.counts()]
    cell = min(max(WIDTH / gains.shape[1], CELL[0]), CELL[1])
    with house_style("".join([title(result), *names])):
        figure = Figure(
            figsize=(max(cell * gains.shape[1] + 3.4, LEAST_WIDTH), ROW * len(names) + 1.7), layout="constrained"
        )
        axes = figure.subplots()
        limit = 100 * _limit(result, gains)
        image = axes.imshow(gains * 100, cmap=colours_between(CHANGE), vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(range(len(names)), names, fontsize=POINTS)
        _name_heads(axes, result, cell)
        _frame(axes, result)
        figure.colorbar(image, extend="both", label="gain, points", pad=0.01)
        figure.suptitle(f"{visible(title(result))}\n{MEANING}")
        figure.set_label(result.signature)
        return figure


def _limit(result: Relations, gains: np.ndarray) -> float:
    """Finds the largest gain of relations that are not few, or else of all; colours go no further."""
    many = [row for row, (_, count) in enumerate(result.counts()) if count >= FEW]
    return max(float(np.nanmax(gains[many] if many else gains)), LEAST)


def write_figure(result: Relations, stream: IO[bytes], format: str) -> None:
    """Draws relations by heads, and writes png, svg or pdf."""
    save_figure(draw_relations(result), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _name_heads(axes: Axes, result: Relations, cell: float) -> None:
    """Writes the number of each head, if it can be read, and below those of a layer its number; lines part layers."""
    size, count = 0.75 * 72 * cell, len(result.heads)
    numbers = [str(head) for _ in result.layers for head in result.heads]
    axes.set_xticks(range(len(numbers)), numbers if size >= 3.5 else [""] * len(numbers), fontsize=min(size, POINTS))
    for index, layer in enumerate(result.layers):
        middle = index * count + (count - 1) / 2
        style: Any = {"xytext": (0, -14), "textcoords": "offset points", "ha": "center", "va": "top"}
        axes.annotate(
            f"layer {layer}" if index == 0 else str(layer), (middle, 0), xycoords=("data", "axes fraction"), **style
        )
        if index:
            axes.axvline(index * count - 0.5, color="black", linewidth=0.8)


def _frame(axes: Axes, result: Relations) -> None:
    """Frames the head that was chosen for each relation."""
    from matplotlib.patches import Rectangle

    count = len(result.labels) // len(DIRECTIONS)
    for row, choice in enumerate(result.choices):
        if choice.head is not None:
            at = choice.head % count - 0.5, row - 0.5
            axes.add_patch(Rectangle(at, 1, 1, fill=False, linewidth=1.0, clip_on=False))
