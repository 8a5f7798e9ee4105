"""Heads drawn by their distances: a map, coloured by cluster, above the tree that the clusters are cut from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.likeness import Similarity
from attnprobe.errors import InputError
from attnprobe.render.figure import house_style, save_figure
from attnprobe.render.similarity import label_of, title
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

COLOURS = (
    *("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"),
    *("#8c564b", "#e377c2", "#17becf", "#7f8c00", "#555555"),
)
MARKERS = "os^DvP*X<>"  # the next one once all colours are used
MIXED = "#999999"  # branches of several clusters
LEAF, WIDTH, TREE = 0.12, 7.0, 2.4  # inches: of a leaf of the tree, of a map at least, and the height of a tree
LABEL = 6.0  # points
LETTER, LINE = 0.6 * LABEL / 72, 1.25 * LABEL / 72  # inches: about a character's width, and a line's height
LEFT, RIGHT, ABOVE, BELOW = 0.7, 0.2, 0.4, 0.55  # inches around map and tree


def draw_similarity(summary: Similarity) -> Figure:
    """Draws the map and the tree of all heads, each labelled ``layer.head``.

    Raises:
        InputError: no text was measured.
    """
    from matplotlib.figure import Figure as Figure

    if not summary.n_texts:
        raise InputError("no text was measured, so there is nothing to draw")
    with house_style(title(summary)):
        width = max(WIDTH, LEAF * len(summary.labels))
        height, tree = _map_height(summary, width), TREE if len(summary.labels) > 1 else 0.0
        below = BELOW + (tree + BELOW if tree else 0)
        figure = Figure(figsize=(LEFT + width + RIGHT, below + height + ABOVE))
        whole = np.array([*figure.get_size_inches()] * 2)
        _draw_map(figure.add_axes(tuple(np.array([LEFT, below, width, height]) / whole)), summary, width, height)
        if tree:
            _draw_tree(figure.add_axes(tuple(np.array([LEFT, BELOW, width, tree]) / whole)), summary, width)
        figure.suptitle(visible(title(summary)), y=1 - 0.6 * ABOVE / whole[1])
        figure.set_label(summary.signature)
        return figure


def save_similarity(summary: Similarity, stream: IO[bytes], format: str) -> None:
    """Draws the heads, and writes png, svg or pdf."""
    save_figure(draw_similarity(summary), stream, format)


save_png, save_svg, save_pdf = (partial(save_similarity, format=name) for name in ("png", "svg", "pdf"))


def _span(summary: Similarity) -> np.ndarray:
    """The extent of the places on both axes of the map, at least so wide that something is seen."""
    extent = np.maximum(np.ptp(summary.places, axis=0), 0.05)
    span: np.ndarray = np.maximum(extent, extent.max() / 4)
    return span


def _map_height(summary: Similarity, width: float) -> float:
    """Chooses the map's height, so that both axes have one scale where this is neither low nor high."""
    wide, high = _span(summary)
    return float(min(max(width * high / wide, 0.4 * WIDTH), 8.0))


def _draw_map(axes: Axes, summary: Similarity, width: float, height: float) -> None:
    """Draws a mark for each head, and labels close to them that do not overlap."""
    middle = (summary.places.min(0) + summary.places.max(0)) / 2
    inch = float(max(_span(summary) / (width - 6 * LETTER, height - 6 * LINE)))
    axes.set_xlim(middle[0] - inch * width / 2, middle[0] + inch * width / 2)
    axes.set_ylim(middle[1] - inch * height / 2, middle[1] + inch * height / 2)
    for number, members in enumerate(summary.members()):
        mark: Any = {"color": _colour(number), "marker": _marker(number), "linestyle": ""}
        count = f"{len(members)} head{'' if len(members) == 1 else 's'}"
        axes.plot(*summary.places[members].T, markersize=3, label=f"cluster {number}: {count}", **mark)
    room = np.array([width, height]) / 2
    inches = (summary.places - middle) / inch
    for index, place in enumerate(_apart(inches, [label_of(summary, at) for at in range(len(inches))], room)):
        colour = _colour(int(summary.clusters[index]))
        head, end = summary.places[index], place * inch + middle
        if np.hypot(*(place - inches[index])) > 2 * LINE:
            axes.plot(*np.array([head, end]).T, color=colour, linewidth=0.3, zorder=1)
        style: Any = {"ha": "center", "va": "center", "fontsize": LABEL, "color": colour}
        axes.text(float(end[0]), float(end[1]), label_of(summary, index), **style)
    axes.set(xlabel="x", ylabel="y")
    axes.legend(loc="best", fontsize=LABEL, frameon=True, framealpha=0.8, ncols=1 + len(summary.members()) // 12)


def _apart(places: np.ndarray, labels: list[str], room: np.ndarray) -> Iterator[np.ndarray]:
    """Finds a centre for each label, in inches: the nearest to its place where it meets no mark and no other label."""
    taken: list[tuple[np.ndarray, np.ndarray]] = [(place, np.array([0.025, 0.025])) for place in places]
    for place, label in zip(places, labels, strict=True):
        half = np.array([LETTER * len(label), LINE]) / 2
        centres, halves = (np.array(part) for part in zip(*taken, strict=True))
        for offset in _spiral():
            centre = place + offset * (1, 0.7)
            free = not (np.abs(centres - centre) < halves + half).all(1).any()
            if free and (np.abs(centre) + half <= room).all():
                break
        taken.append((centre, half))
        yield centre


def _spiral() -> Iterator[np.ndarray]:
    """Yields offsets in inches, from the nearest to the farthest."""
    for ring in range(1, 60):
        radius = 0.07 * ring
        for turn in range(4 + 4 * ring):
            angle = math.pi / 2 + 2 * math.pi * turn / (4 + 4 * ring)
            yield np.array([math.cos(angle), math.sin(angle)]) * radius


def _draw_tree(axes: Axes, summary: Similarity, width: float) -> None:
    """Draws the tree: leaves below, and a bridge where two branches merge."""
    count = len(summary.labels)
    order = summary.leaves()
    spots = {leaf: (float(at), 0.0, int(summary.clusters[leaf])) for at, leaf in enumerate(order)}
    for node, (left, right, height, _) in enumerate(summary.linkage.tolist(), count):
        (x1, y1, one), (x2, y2, other) = spots[int(left)], spots[int(right)]
        same = one if one == other else -1
        axes.plot([x1, x1, x2, x2], [y1, height, height, y2], color=_colour(same), linewidth=0.8)
        spots[node] = ((x1 + x2) / 2, height, same)
    if 1 < len(summary.members()) < count:
        axes.axhline(summary.cut, color=MIXED, linewidth=0.5, linestyle="--")
    size = min(LABEL, 0.85 * 72 * width / count)
    axes.set_xticks(range(count), [label_of(summary, leaf) for leaf in order], rotation=90, fontsize=size)
    for text, leaf in zip(axes.get_xticklabels(), order, strict=True):
        text.set_color(_colour(int(summary.clusters[leaf])))
    axes.set_xlim(-0.7, count - 0.3)
    axes.set_ylim(0, 1.05 * float(summary.linkage[-1, 2]) or 1)
    axes.set_ylabel("√ distance at which they merge")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _colour(cluster: int) -> str:
    return MIXED if cluster < 0 else COLOURS[cluster % len(COLOURS)]


def _marker(cluster: int) -> str:
    return next(itertools.islice(itertools.cycle(MARKERS), cluster // len(COLOURS), None))
