"""A probe of head words: a map of its weights, and on a terminal its scores and the largest weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.probed import Fit, Probed, Scores
from attnprobe.errors import InputError
from attnprobe.render.colours import CHANGE
from attnprobe.render.figure import colours_between, draw_cells, house_style, save_figure
from attnprobe.values.signature import model_of
from attnprobe.values.text import visible
from attnprobe.writers import FIGURES

MOST = 10  # weights that are listed
CELL = (0.45, 0.3)  # inches, with room for a number
NOTES = (
    "UAS: share of dependents, all words but punctuation and roots, whose head word is found. NLL: in nats.",
    "Offset: the best fixed distance from dependent to head word in training. Chance: any other word.",
    "dep->head: the weight of a dependent on its head word; head->dep: the reverse. Heads alike share a weight.",
    "--weights-out FILE has all weights, -o FILE.png a map of them. Layers and heads count from 0.",
)


def probe_view(result: Probed, width: int, **options: Any) -> RenderableType:
    """Lays out the scores beside the baselines, and the largest weights.

    Args:
        width: of the terminal, to which notes are wrapped.
        options: those of the command, of which none matters here.
    """
    heading = Text(visible(title(result)))
    if not (result.fit and result.fit.train):
        return Group(heading, "", Text("No sentence trains the probe.", "dim"))
    notes = (Text(note, "dim") for note in NOTES)
    return Group(heading, "", _scores(result.fit), "", _largest(result), "", *notes)


def title(result: Probed) -> str:
    """Names the model, and counts heads and sentences."""
    sentences = result.fit.n_texts if result.fit else 0
    heads = len(result.layers) * len(result.heads)
    named = [
        f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in ((heads, "head"), (sentences, "sentence"))
    ]
    return f"{model_of(result.signature)}: a probe of {' on '.join(named)}"


def _scores(fit: Fit) -> RichTable:
    """Tables the scores of training and test."""
    names = ("", "words", "UAS", "NLL", f"offset {fit.offset:+d}", "chance", "NLL of chance")
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for name in names:
        drawn.add_column(Text(name), justify="right" if name else "left", no_wrap=True)
    for name, scores in (("train", fit.train), ("test", fit.test)):
        drawn.add_row(name, *(_cells(scores) if scores else ["0", *[""] * (len(names) - 2)]))
    return drawn


def _cells(scores: Scores) -> Iterator[str]:
    """Writes scores, shares in percent."""
    yield f"{scores.n:,}"
    yield f"{scores.uas:.1%}"
    yield f"{scores.nll:.3f}"
    yield from (f"{share:.1%}" for share in (scores.baseline, scores.chance))
    yield f"{scores.chance_nll:.3f}"


def _largest(result: Probed) -> RichTable:
    """Tables the weights that are farthest from 0."""
    rows: list[Any] = sorted(result.weights().rows, key=lambda row: -abs(row[-1]))
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for name in ("layer", "head", "direction", "weight"):
        drawn.add_column(name, justify="left" if name == "direction" else "right", no_wrap=True)
    for layer, head, direction, weight in rows[:MOST]:
        drawn.add_row(str(layer), str(head), direction, f"{weight:+.2f}")
    return drawn


def write_figure(result: Probed, stream: IO[bytes], format: str) -> None:
    """Draws the weights of both directions side by side, and writes png, svg or pdf.

    Raises:
        InputError: no sentence trains the probe.
    """
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    maps = result.pictures()
    if not maps:
        raise InputError("no sentence trains the probe, so there is nothing to draw")
    high = max(float(np.abs(stat.values).max()) for stat in maps) or 1.0
    heading = visible(title(result))
    size = CELL[0] * len(result.heads) * len(maps) + 2, CELL[1] * len(result.layers) + 1.2
    with house_style(heading):
        figure = Figure(figsize=size, layout="constrained")
        grid = list(figure.subplots(1, len(maps), squeeze=False)[0])
        for axes, stat in zip(grid, maps, strict=True):
            image = draw_cells(axes, stat, Normalize(-high, high), colours_between(CHANGE))
            axes.set_title(stat.name)
        figure.colorbar(image, ax=grid, label="weight in the probe")
        figure.suptitle(heading)
    figure.set_label(result.signature)
    save_figure(figure, stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)
