"""Makes tables for a terminal, fitted to the width."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.render.colours import shade
from attnprobe.values.averaging import short_name
from attnprobe.values.table import Cell, Table
from attnprobe.values.text import visible

# Shown first where not all columns fit: what tells sharp, [SEP]-bound, positional and long-range heads apart.
FIRST = (
    "vertical",
    "diagonal",
    "block",
    "entropy",
    "cls_share",
    "sep_share",
    "cross_share",
    "outside_share",
    "previous_share",
    "next_share",
    "self_share",
    "distance",
    "long_range_share",
    "confidence",
    "punctuation_share",
    "sink_share",
)
MORE = "Use -k NAME, -f csv or a wider terminal."
INDEX_WIDTH = len("layer head ")
FEW = 28  # characters, about four numbers, for which words give way


def heads_table(table: Table, width: int) -> RenderableType:
    """Tables layers by heads, each column of numbers shaded from its lowest to its highest; names those left out."""
    columns = {name: [row[index] for row in table.rows] for index, name in enumerate(table.columns) if index > 1}
    empty = [name for name, cells in columns.items() if all(cell is None for cell in cells)]
    widths = {name: _column_width(name, columns[name]) for name in columns if name not in empty}
    texts = [name for name, cells in columns.items() if any(isinstance(cell, str) for cell in cells)]
    numbers = {name: needed for name, needed in widths.items() if name not in texts}
    room = width - INDEX_WIDTH - sum(widths[name] + 1 for name in texts)
    words = texts if room >= min(FEW, sum(numbers.values()) + len(numbers)) else []
    room = room if words else width - INDEX_WIDTH
    shown = fitting(numbers, room, [table.notes.get("sorted_by", ""), *FIRST])
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("layer", "head", *words, *shown):
        justify: Any = "left" if name in words else "right"
        drawn.add_column(Text(name.replace("_", "\n")), justify=justify, no_wrap=True, vertical="bottom")
    shades = {name: _shades(columns[name]) for name in shown}
    for index, row in enumerate(table.rows):
        named = [Text(str(columns[name][index] or "")) for name in words]
        cells = [Text(number(columns[name][index]).rjust(widths[name]), shades[name][index]) for name in shown]
        drawn.add_row(*(short_name(of) for of in row[:2]), *named, *cells)
    notes = ["Brighter is higher within a column. Layers and heads count from 0."]
    notes += remarks(table.notes)
    hidden = [name for name in widths if name not in (*words, *shown)]
    if hidden:
        notes.append(f"Not shown at this width: {', '.join(hidden)}. {table.notes.get('more', MORE)}")
    if empty:
        notes.append(f"Without meaning here: {', '.join(empty)}.")
    title = Text(visible(table.notes["title"])) if "title" in table.notes else tokens_line(table, width)
    return Group(title, "", drawn, "", *(Text(note, "dim") for note in notes))


def overview_table(table: Table, width: int) -> RenderableType:
    """What a run over many texts says of them all: numbers of heads as above, else the title and the rows."""
    of_numbers = not any(isinstance(cell, str) for row in table.rows for cell in row)
    if list(table.columns[:2]) == ["layer", "head"] and of_numbers:
        return heads_table(table, width)
    return Group(Text(visible(table.notes["title"])), *([text_table(table, width)] if table.columns else []))


def remarks(notes: Mapping[str, Any]) -> list[str]:
    """Yields a sentence on each thing that a reader should know about how numbers were computed."""
    mean = notes.get("mean", "")
    found = [f"Rows are the {mean}."] if mean else []
    if notes.get("counted"):
        found.append(f"Weights are {about_counted(notes)}.")
    found += ["A layer where a metric has no meaning is left out."] if "layer" in mean else []
    found += [f"Reach of {layers}: {kind}." for layers, kind in notes.get("reach", {}).items() if kind != "all tokens"]
    if notes.get("roles"):
        found.append(notes["roles"])
    if notes.get("changed"):
        found.append(f"Not as the checkpoint computes: {notes['changed']}.")
    if notes.get("n_unknown"):
        found.append(f"Tokens unknown to the model's vocabulary: {notes['n_unknown']}.")
    return found


def about_counted(notes: Mapping[str, Any]) -> str:
    """Explains contributions; of words, that they are no more than a bound."""
    of_words = "; of a word, the sum over its pieces, at least its own" if notes.get("level") == "word" else ""
    rows = "" if notes.get("raw") else ", rows made to sum to 1"
    return f"contributions: ‖a·v·W_O‖, what a key adds to the head's output{rows}{of_words}"


def text_table(table: Table, width: int) -> RenderableType:
    """Makes a table of words: columns wrap, nothing is cut."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for name in table.columns:
        drawn.add_column(Text(name), overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text("" if cell is None else visible(str(cell))) for cell in row))
    return drawn


def tokens_line(table: Table, width: int) -> Text:
    """Writes the line on what was read: the model, how many tokens, and the first of them."""
    windows: Sequence[Sequence[str]] = table.notes["tokens"]
    count = f"{len(windows[0])} tokens" if len(windows) == 1 else f"{len(windows)} windows"
    line = Text(
        f"{visible(table.notes['model'])}, {count}: {' '.join(visible(token) for token in windows[0][:width])}",
        no_wrap=True,
    )
    line.truncate(width, overflow="ellipsis")
    return line


def _column_width(name: str, cells: Sequence[Cell]) -> int:
    return max(map(len, [*name.split("_"), *map(number, cells)]))


def fitting(widths: dict[str, int], room: int, first: Sequence[str]) -> list[str]:
    """Chooses the columns that fit, those of ``first`` before others, in the order of the table; at least one."""
    chosen: list[str] = []
    for name in sorted(widths, key=lambda name: first.index(name) if name in first else len(first)):
        if room >= widths[name] or not chosen:
            chosen.append(name)
            room -= widths[name] + 1
    return [name for name in widths if name in chosen]


def number(cell: Cell) -> str:
    """Writes a number in about five characters."""
    if not isinstance(cell, float):
        return "" if cell is None else str(cell)
    return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:.2f}" if abs(cell) < 100 else f"{cell:.0f}"


def written_like(numbers: Iterable[float]) -> Callable[[Cell], str]:
    """Chooses how numbers of one kind are written: as :func:`number` does, or with three digits of the largest.

    >>> written_like([0.0123])(0.001)
    '0.0010'
    """
    largest = max((abs(value) for value in numbers if not math.isnan(value)), default=0.0)
    if not 0 < largest < 0.1:
        return number
    places = 2 - math.floor(math.log10(largest))
    return lambda cell: "" if cell is None else f"{cell:.{places}f}"


def decimals(cells: Sequence[Any]) -> list[str]:
    """Writes a column of numbers with equally many decimals: at least three, and three digits of the largest.

    >>> decimals([0.0123, None, 0.1 / 32])
    ['0.0123', '', '0.0031']
    """
    largest = max((abs(cell) for cell in cells if cell is not None), default=0)
    places = max(3, 2 - math.floor(math.log10(largest))) if largest else 3
    return ["" if cell is None else f"{cell:.{places}f}" for cell in cells]


def two_decimals(weight: float) -> str:
    """Writes a weight in four characters; empty for one that would read 0.00."""
    return f"{weight:.2f}" if weight >= 0.005 else ""


def _shades(cells: Sequence[Cell]) -> list[Style]:
    """Shades each cell by its value between the column's lowest and highest."""
    numbers = [cell for cell in cells if isinstance(cell, float)]
    low, span = min(numbers), max(numbers) - min(numbers)
    return [shade((cell - low) / span) if isinstance(cell, float) and span > 0 else Style() for cell in cells]
