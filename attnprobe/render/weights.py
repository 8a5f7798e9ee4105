"""Single weights in a terminal: rows with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich import box
from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.render.colours import Ink
from attnprobe.render.table import about_counted, number, tokens_line
from attnprobe.values.averaging import short_name
from attnprobe.values.table import Cell, Table

if TYPE_CHECKING:
    from attnprobe.analyses.weights import Weights

MOST_SHOWN = 300  # rows
NUMBERS = 40  # characters for all columns but tokens and bar
LONGEST_BAR, SHORTEST_BAR = 40, 8


@dataclass(frozen=True)
class WeightsView:
    """The first rows of a table of weights, fitted to a width.

    Attributes:
        top: how many keys of each query, or rows of a ranking, are in the table though nobody asked for so few.
        ranked: whether the rows are a ranking.
    """

    table: Table
    width: int
    top: int | None = None
    ranked: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink, rows = Ink.of(console, options), list(islice(self.table.rows, MOST_SHOWN))
        yield tokens_line(self.table, self.width)
        yield ""
        yield self._drawn(rows, ink)
        yield ""
        for note in self._notes():
            yield Text(note, "dim")

    def _drawn(self, rows: Sequence[Sequence[Cell]], ink: Ink) -> RichTable:
        """Draws the rows; cells equal to those of the row above are left empty."""
        queries, keys = (max((cell_len(ink.label(str(row[at]))) for row in rows), default=0) for at in (3, 5))
        room = self.width - NUMBERS
        query_width = max(5, min(queries, room // 3))
        key_width = max(5, min(keys, room - query_width - SHORTEST_BAR))
        bar_width = max(1, min(LONGEST_BAR, room - query_width - key_width))
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
        for name in ("layer", "head", "query", "", "key", "", "weight", ""):
            drawn.add_column(name, justify="right" if name else "left", no_wrap=True)
        above: Sequence[Cell] = ()
        longest = max(1.0, *(float(row[-1] or 0) for row in rows), 1.0)  # a raw contribution may be any length
        for row in rows:
            new, above = self.ranked or row[:3] != above, row[:3]
            texts = [*map(short_name, row[:2]), *map(number, row[2:])]
            texts[3], texts[5] = (
                ink.label(str(row[at]), width).strip() for at, width in ((3, query_width), (5, key_width))
            )
            weight = float(row[-1] or 0)
            share = weight / longest
            bar = Text("#" * round(share * bar_width)) if ink.ascii else Bar(1, 0, share, width=bar_width)
            drawn.add_row(*(texts[:4] if new else [""] * 4), *texts[4:], bar)
        return drawn

    def _notes(self) -> Iterator[str]:
        """Yields notes on what is not shown, and how to see it."""
        if self.top and len(self.table.rows) >= self.top:
            of = "all" if self.ranked else "each query"
            yield f"The {self.top} largest weights of {of}; --top N or --min-weight W show others."
        if len(self.table.rows) > MOST_SHOWN:
            yield (
                f"The first {MOST_SHOWN} of {len(self.table.rows):,} rows; choose with -l, --head, --query, --key. "
                "-o FILE or -f csv have all."
            )
        if self.table.notes.get("mean"):
            yield f"Weights are the {self.table.notes['mean']}."
        if self.table.notes.get("counted"):
            yield f"Weights are {about_counted(self.table.notes)}."
        yield "Layers, heads and positions count from 0."


def weights_view(
    weights: Weights, width: int, *, top: int | None, min_weight: float | None, **others: Any
) -> WeightsView:
    """The rows that were asked for, or so few of each query, or of them all, that they can be looked at."""
    few = weights.filters.top if (top, min_weight) == (None, None) else None
    return WeightsView(weights.to_table(), width, few, weights.filters.sort is not None)
