"""Attention drawn in a terminal: one head as a map, many as thumbnails, a statistic as numbers on colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from attnprobe.analyses.pictures import Picture, ShareMaps, StatMap, scale_of, title
from attnprobe.render.colours import CHANGE, MAPS, Colours, Ink, shade
from attnprobe.render.table import two_decimals, written_like
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import name_of, short_name

CELL, NUMBER_CELL = 2, 5  # characters wide: about a square, and with the weight in two decimals
SHORTEST_LABEL = 8
TALLEST_HEAD = 12  # characters of a column's label
NOTE = "dim"
MARK = "*"
SMALLEST_THUMBNAIL = 8  # pixels, where there are so many tokens


@dataclass(frozen=True)
class HeatmapView:
    """A picture fitted to a width.

    Attributes:
        scale: see :func:`attnprobe.analyses.pictures.scale_of`.
        colours: of :data:`attnprobe.render.colours.MAPS`.
    """

    picture: Picture
    width: int
    scale: str | None = None
    colours: str = "viridis"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink = Ink.of(console, options, MAPS[self.colours])
        root = scale_of(self.picture, self.scale) == "sqrt"
        if isinstance(self.picture, StatMap):
            lines = _stat(self.picture, self.width, root, CHANGE if self.picture.centred else ink.map)
        elif isinstance(self.picture, ShareMaps):
            lines = _share_maps(self.picture, self.width, root, ink)
        elif self.picture.weights.shape[:2] == (1, 1):
            labels = (self.picture.query_tokens.strings, self.picture.key_tokens.strings)
            lines = _matrix(self.picture.weights[0, 0], *labels, self.width, root, ink)
        else:
            lines = _thumbnails(self.picture, self.width, root, ink)
        yield Text(ink.label(title(self.picture)))
        yield ""
        for line in lines:
            line.no_wrap = line.style != NOTE
            if not ink.colours:
                line.rstrip()
            yield line


def _amounts(weights: np.ndarray, high: float, root: bool) -> np.ndarray:
    """Computes from 0 to 1 what the colours of weights stand for, the root of each or itself."""
    amounts: np.ndarray = np.sqrt(weights / high) if root else weights / high
    return amounts


def _matrix(
    weights: np.ndarray, rows: Sequence[str], keys: Sequence[str], width: int, root: bool, ink: Ink
) -> Iterator[Text]:
    """Draws queries down and keys across, with numbers if they fit; keys that do not fit are left out and named."""
    count, labels = len(keys), [ink.label(row) for row in rows]
    longest = max(map(cell_len, labels))
    cell = NUMBER_CELL if ink.colours and min(longest, SHORTEST_LABEL) + 1 + NUMBER_CELL * count <= width else CELL
    room = max(SHORTEST_LABEL, width - 1 - cell * count)
    label_width = min(longest, room, width - 1 - cell)
    shown = min(count, (width - 1 - label_width) // cell)
    high = float(weights.max()) or 1.0
    yield from _column_heads(keys[:shown], label_width + 1, cell, ink)
    for label, row, amounts in zip(labels, weights, _amounts(weights, high, root), strict=True):
        spots = (_spot(*pair, cell, ink) for pair in zip(row[:shown].tolist(), amounts.tolist(), strict=False))
        yield Text.assemble(ink.label(label, label_width), " ", *spots)
    yield Text()
    yield ink.scale(0, high, root)
    yield Text("Rows are queries, columns are keys.", NOTE)
    if shown < count:
        yield Text(f"Not shown at this width: keys {shown} to {count - 1}.", NOTE)


def _share_maps(maps: ShareMaps, width: int, root: bool, ink: Ink) -> Iterator[Text]:
    """Draws one map below the other."""
    for name, values in zip(maps.names, maps.values, strict=True):
        if len(maps.names) > 1:
            yield Text(name)
        yield from _matrix(values, maps.rows, maps.keys, width, root, ink)
        yield Text()


def _spot(weight: float, amount: float, cell: int, ink: Ink) -> tuple[str, Style]:
    """Draws a weight as a cell so many characters wide, and writes it there if it fits."""
    if cell == CELL:
        return ink.spot(amount, CELL)
    return two_decimals(weight).rjust(cell), shade(amount, ink.map)


def _column_heads(tokens: Sequence[str], indent: int, cell: int, ink: Ink) -> Iterator[Text]:
    """Writes tokens downwards, each ending above its column."""
    columns = []
    for token in tokens:
        letters = _letters(ink.label(ink.marked(token)))
        columns.append([*letters[: TALLEST_HEAD - 1], ink.ellipsis] if len(letters) > TALLEST_HEAD else letters)
    height = max(map(len, columns))
    for line in range(height):
        across = (column[line - height] if line >= height - len(column) else "" for column in columns)
        yield Text(" " * indent + "".join(" " * (cell - CELL) + _filled(letter) for letter in across))


def _filled(letter: str) -> str:
    return letter + " " * (CELL - cell_len(letter))


def _letters(label: str) -> list[str]:
    """Splits a label into characters, each with the marks that have no width."""
    letters: list[str] = []
    for character in label:
        if letters and cell_len(character) == 0:
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _thumbnails(attention: Attention, width: int, root: bool, ink: Ink) -> Iterator[Text]:
    """Draws a small picture of each head, layer by layer."""
    indent = max(len(name_of("layer", layer)) for layer in attention.layers) + 1
    count, heads = len(attention.key_tokens), len(attention.heads)
    fitting = max(1, (width - indent) // (min(count, SMALLEST_THUMBNAIL) + 1))
    per_line = math.ceil(heads / math.ceil(heads / fitting))
    size = max(1, min(count, (width - indent) // per_line - 1))
    high = float(attention.weights.max()) or 1.0
    for layer, maps in zip(attention.layers, _amounts(attention.weights, high, root), strict=True):
        for start in range(0, heads, per_line):
            part = slice(start, start + per_line)
            names = (_head_label(head, size) for head in attention.heads[part])
            yield Text(name_of("layer", layer).ljust(indent) + " ".join(names))
            pictures = (_thumbnail(amounts, size, ink) for amounts in maps[part])
            for parts in zip(*pictures, strict=True):
                yield Text(" " * indent) + Text(" ").join(parts)
            yield Text()
    yield ink.scale(0, high, root)
    yield Text("Rows are queries, columns are keys.", NOTE)
    if size < count or not ink.colours:
        yield Text("A spot is the largest weight of those it stands for.", NOTE)
    yield Text("One head large: -l LAYER --head HEAD; all at once: -o FILE.svg, .pdf or .png.", NOTE)


def _head_label(head: int | None, size: int) -> str:
    text = name_of("head", head)
    return (text if len(text) <= size else short_name(head)).ljust(size)[:size]


def _thumbnail(amounts: np.ndarray, size: int, ink: Ink) -> Iterator[Text]:
    """Draws the lines of a picture that is size characters wide and half as many high."""
    spots = [[float(weight) for weight in row] for row in largest_of_patches(amounts, size)]
    for upper, lower in itertools.zip_longest(spots[::2], spots[1::2]):
        yield Text.assemble(*(ink.halves(*pair) for pair in zip(upper, lower or [None] * size, strict=True)))


def largest_of_patches(weights: np.ndarray, size: int) -> np.ndarray:
    """Shrinks (query, key) to (size, size), at most the number of tokens, by the largest weight of each patch."""
    starts = np.arange(size) * len(weights) // size
    patches: np.ndarray = np.maximum.reduceat(np.maximum.reduceat(weights, starts, axis=0), starts, axis=1)
    return patches


def _stat(stat: StatMap, width: int, root: bool, colours: Colours) -> Iterator[Text]:
    """Draws layers down and heads across, split to fit the width; a cell without a number is empty."""
    low, high = stat.limits
    cells = _numbers(stat)
    cell_width = max(len(text) for text in [*itertools.chain(*cells), *map(short_name, stat.heads)])
    indent = max(len("layer"), *(len(short_name(layer)) for layer in stat.layers))
    fitting = max(1, (width - indent) // (cell_width + 1))
    for start in range(0, len(stat.heads), fitting):
        part = slice(start, start + fitting)
        yield Text(" " * (indent + 1) + "head")
        yield Text(
            " ".join(["layer".rjust(indent), *(short_name(head).rjust(cell_width) for head in stat.heads[part])])
        )
        for layer, texts, values in zip(stat.layers, cells, stat.values, strict=True):
            row = zip(texts[part], values[part], strict=True)
            shown = [(text.rjust(cell_width), _shade(value - low, high - low, root, colours)) for text, value in row]
            yield Text.assemble(short_name(layer).rjust(indent), *(piece for cell in shown for piece in (" ", cell)))
        yield Text()
    if np.isnan(stat.values).all():
        yield Text(f"{stat.name} has no meaning here.", NOTE)
    marks = "" if stat.marked is None else f"{MARK} {stat.mark_means}. "
    yield Text(f"{marks}Layers and heads count from 0.", NOTE)


def _numbers(stat: StatMap) -> list[list[str]]:
    """Writes the numbers of a statistic, each with a mark or room for it if some are marked."""
    write = written_like(stat.values.flat)
    cells = [[write(None if math.isnan(value) else float(value)) for value in row] for row in stat.values]
    if stat.marked is None:
        return cells
    marks = np.where(stat.marked, MARK, " ")
    return [[cell + str(mark) for cell, mark in zip(*row, strict=True)] for row in zip(cells, marks, strict=True)]


def _shade(value: float, high: float, root: bool, colours: Colours) -> Style:
    """Shades a value between 0 and ``high``."""
    if math.isnan(value) or not high:
        return Style()
    return shade(math.sqrt(value / high) if root else value / high, colours)
