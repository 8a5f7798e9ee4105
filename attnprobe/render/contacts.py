"""Contacts found by heads: a table for a terminal, and a picture of one protein."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.contact_again import Drawing
from attnprobe.analyses.contact_scores import ContactScores
from attnprobe.errors import InputError
from attnprobe.render.figure import house_style, name_keys, name_queries, save_figure
from attnprobe.values.signature import counted, model_of, part_of
from attnprobe.values.text import visible
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

MOST = 10  # heads that are listed
CELL, SMALLEST, LARGEST = 0.1, 3.5, 7.0  # inches
CONTACT = "#d62728"
COLUMNS = ("head", "L", "L/2", "L/5", "AUC")


def contacts_view(result: ContactScores, width: int, **options: Any) -> RenderableType:
    """Tables the heads that see most contacts, and below them chance and the regression.

    Args:
        options: those of the command, of which none matters here.
    """
    if not result.n:
        return Group(Text(visible(title(result))), "", Text("No protein has known contacts.", "dim"))
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for name in COLUMNS:
        drawn.add_column(Text(name), justify="left" if name == "head" else "right", no_wrap=True)
    rows: list[Any] = list(result.table().rows)
    heads = sorted((row for row in rows if row[0] is not None), key=lambda row: -row[2])
    for number, row in enumerate(rows_shown := [*heads[:MOST], *(row for row in rows if row[0] is None)]):
        last = number + 1 < len(rows_shown) and row[0] is not None and rows_shown[number + 1][0] is None
        name = row[1] if row[0] is None else f"{row[0]}.{row[1]}"
        drawn.add_row(name, *(f"{value:.3f}" for value in row[2:-1]), end_section=last)
    return Group(Text(visible(title(result))), "", drawn, "", *(Text(note, "dim") for note in _notes(result)))


def title(result: ContactScores) -> str:
    """Names the model, and counts proteins."""
    proteins = f"{result.n:,} protein{'' if result.n == 1 else 's'}"
    return ", ".join(filter(None, [f"{model_of(result.signature)}: contacts in {proteins}", counted(result.signature)]))


def _notes(result: ContactScores) -> Iterator[str]:
    """Yields sentences on how to read the table."""
    apart = result.measurement.separation
    yield (
        f"Pairs: residues {apart} or more apart. L: the share of contacts among the L pairs with the largest values, L "
        "the length. AUC: how often a contact's value is above another pair's. Means over proteins."
    )
    if result.tested is not None and result.fitted_on:
        tested = len(result.tested)
        yield f"regression: fitted on {result.fitted_on:,} proteins of even number, tested on {tested:,} of odd number."
    if result.regression is not None and not result.regression.weights.any():
        yield "It gives no head any weight: to it, all pairs are equal."
    if part_of(result.signature, "positions") == "residues apart":
        yield "Each residue was read by itself; the tokenizer alone would join some."
    yield "The best of many heads is best by chance, too. Layers and heads count from 0."
    yield "-f csv has every head, -o FILE.png draws the best one, --maps DIR keeps the maps."


def write_figure(result: ContactScores, stream: IO[bytes], format: str) -> None:
    """Draws the map of the best head for the first protein, and writes png, svg or pdf.

    Raises:
        InputError: no protein has contacts.
    """
    if result.drawing is None:
        raise InputError("no protein has known contacts, so there is nothing to draw")
    layer, head = result.best
    named = f"layer {result.measurement.layers[layer]} head {result.measurement.heads[head]}"
    figure = draw_contacts(result.drawing, f"{model_of(result.signature)}, {named}: {result.drawing.id}")
    figure.set_label(result.signature)
    save_figure(figure, stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def draw_contacts(drawing: Drawing, title: str) -> Figure:
    """Draws a map above the diagonal, and the contacts below."""
    from matplotlib.figure import Figure as Figure

    count = len(drawing.residues)
    side = min(max(CELL * count, SMALLEST), LARGEST)
    i, j = np.triu_indices(count, 1)
    upper = np.full((count, count), np.nan)
    upper[i, j] = drawing.values[i, j]
    with house_style(title):
        figure = Figure(figsize=(side + 1.6, side + 1.1), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(np.ma.masked_invalid(upper), cmap="Blues", vmin=0)
        contacts = np.sort(np.array(drawing.contacts), 1)
        axes.scatter(contacts[:, 0], contacts[:, 1], s=(72 * 0.6 * side / count) ** 2, c=CONTACT, marker="s", lw=0)
        axes.plot([-0.5, count - 0.5], [-0.5, count - 0.5], color="#999999", linewidth=0.5)
        name_queries(drawing.residues, side, [axes])
        name_keys(drawing.residues, side, [axes])
        axes.set(xlabel="residue; below the diagonal: known contacts", ylabel="residue", title=visible(title))
        figure.colorbar(image, label="a + aᵀ, corrected", shrink=0.8)
        return figure
