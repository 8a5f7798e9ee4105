"""The heads that join two words, in a terminal: a ranking for each direction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.links import NUMBERS
from attnprobe.render.colours import Ink
from attnprobe.render.table import number, remarks, tokens_line
from attnprobe.values.averaging import short_name

if TYPE_CHECKING:
    from attnprobe.analyses.links import Links, Way

HEADS_SHOWN = 5  # of each direction, by default
NUMBERS_WIDTH = len("layer head weight unusual excess ")
LONGEST_BAR = 40
ABOUT = (
    "unusual: the share of the head's other weights in the text that are smaller.",
    "excess: beyond what the key gets from others, and what is usual at this distance.",
    "Layers and heads count from 0.",
)


@dataclass(frozen=True)
class LinksView:
    """The highest heads of each direction of a link.

    Attributes:
        sort: the number they are ranked by.
        top: how many; None: a few.
    """

    links: Links
    width: int
    sort: str = "weight"
    top: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink = Ink.of(console, options)
        yield tokens_line(self.links.to_table(), self.width)
        for way in self.links.ways:
            query, key = (f"{ink.label(self.links.characters(at))} ({at[0]})" for at in (way.query, way.key))
            yield ""
            yield Text(f"{query} -> {key}")
            yield ""
            yield self._drawn(way, ink)
        yield ""
        for note in self._notes():
            yield Text(note, "dim")

    def _drawn(self, way: Way, ink: Ink) -> RichTable:
        """Draws the heads with the highest numbers."""
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
        for name in ("layer", "head", *NUMBERS, ""):
            drawn.add_column(name, justify="right" if name else "left", no_wrap=True)
        bar_width = max(1, min(LONGEST_BAR, self.width - NUMBERS_WIDTH))
        for layer, head in zip(*way.ranked(self.sort, self.top or HEADS_SHOWN), strict=True):
            numbers = [float(value) for value in way.numbers[:, layer, head]]
            share = min(1.0, numbers[0])
            bar = Text("#" * round(share * bar_width)) if ink.ascii else Bar(1, 0, share, width=bar_width)
            places = short_name(self.links.layers[layer]), short_name(self.links.heads[head])
            drawn.add_row(*places, *("" if math.isnan(value) else number(value) for value in numbers), bar)
        return drawn

    def _notes(self) -> Iterator[str]:
        """Yields notes on what the numbers are, and how to see the others."""
        count = len(self.links.layers) * len(self.links.heads)
        if self.top is None and count > HEADS_SHOWN:
            yield f"The {HEADS_SHOWN} highest of {count} heads each way; --top N shows others, -f csv has all."
        yield from remarks(self.links.notes)
        yield from ABOUT
