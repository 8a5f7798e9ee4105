"""Draws the roles of all heads of an atlas as a figure: layers down, heads across, with a legend."""

from __future__ import annotations

import textwrap
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.rules import OTHER_ROLE
from attnprobe.atlases.data import Charted
from attnprobe.render.atlas_text import NO_ROLE, Data, counts_of, model_name, read_of, roles_of, shorts_of, size_of
from attnprobe.render.colours import KINDS, NO_KIND, Colour, ink_on
from attnprobe.render.figure import check_matplotlib, house_style, save_figure
from attnprobe.values.text import shorten, visible
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

CELL = (0.42, 0.27)  # inches: of a head
LEGEND, ABOVE = 2.2, 1.0  # inches: beside the grid, and for title and numbers
LEAST_WIDTH = 5.0  # inches
LETTERS = 15  # of the title in an inch
NAME = 80  # characters of a model's name at most
POINTS = 7.0
WHITE: Colour = (255, 255, 255)


def draw_roles(data: Data) -> Figure:
    """Draws the grid of roles in the colours of the page, each head by its role's short name.

    Args:
        data: of an atlas.
    """
    from matplotlib.figure import Figure as Figure

    layers, heads = data["model"]["layers"], data["model"]["heads"]
    size = max(CELL[0] * len(heads) + LEGEND, LEAST_WIDTH), CELL[1] * len(layers) + ABOVE
    title = visible(f"{shorten(model_name(data), NAME)}: {size_of(data)}; roles in {next(read_of(data))}")
    with house_style("".join([title, *(role["name"] + role["short"] for role in data["roles"])])):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        _draw_grid(axes, data)
        _draw_legend(axes, data)
        figure.suptitle("\n".join(textwrap.wrap(title, int(LETTERS * size[0]))))
        figure.set_label(data["signature"])
        return figure


def write_figure(summary: Charted, stream: IO[bytes], format: str) -> None:
    """Draws the grid of roles, and writes png, svg or pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_matplotlib()
    save_figure(draw_roles(summary.atlas.data), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _draw_grid(axes: Axes, data: Data) -> None:
    layers, heads, roles = data["model"]["layers"], data["model"]["heads"], roles_of(data)
    shorts = shorts_of(data)
    found = [[roles.get((layer, head)) or NO_ROLE for head in heads] for layer in layers]
    colours = [[_shares(colour_of(data, role)) for role in row] for row in found]
    axes.pcolormesh(np.array(colours), edgecolors="white", linewidth=1)
    for row, names in enumerate(found):
        for column, role in enumerate(names):
            how: Any = {"ha": "center", "va": "center", "fontsize": POINTS, "color": ink_on(colour_of(data, role))}
            axes.text(column + 0.5, row + 0.5, visible(shorts.get(role, "")), **how)
    axes.set_xticks(np.arange(len(heads)) + 0.5, list(map(str, heads)))
    axes.set_yticks(np.arange(len(layers)) + 0.5, list(map(str, layers)))
    axes.set(xlabel="head", ylabel="layer")
    axes.invert_yaxis()
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_legend(axes: Axes, data: Data) -> None:
    """Names the roles, and counts their heads, at the right of the grid."""
    from matplotlib.patches import Patch

    named = [
        Patch(facecolor=_shares(colour_of(data, role)), edgecolor="silver", label=f"{visible(role)}: {count}")
        for role, count in counts_of(data).items()
    ]
    axes.legend(handles=named, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)


def colour_of(data: Data, role: str) -> Colour:
    """Returns the colour that a role has on the page, too."""
    names = [known["name"] for known in data["roles"]]
    if role == NO_ROLE:
        return WHITE
    return NO_KIND if role == OTHER_ROLE or role not in names else KINDS[names.index(role) % len(KINDS)]


def _shares(colour: Colour) -> tuple[float, float, float]:
    """Returns red, green and blue from 0 to 1."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
