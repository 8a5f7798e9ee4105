"""Means by layer of what tokens write into each other, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.render.table import decimals, remarks, tokens_line

if TYPE_CHECKING:
    from attnprobe.analyses.layer_means import LayerMeans


@dataclass(frozen=True)
class LayerMeansView:
    """A row per layer, and what the columns mean."""

    means: LayerMeans
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.means.to_table()
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        for name in table.columns:
            drawn.add_column(Text(name.replace("_", "\n")), justify="right", no_wrap=True, vertical="bottom")
        numbers = iter(decimals([cell for row in self.means.rows for cell in row]))
        for layer, *cells in table.rows:
            drawn.add_row(str(layer), *(next(numbers) for _ in cells))
        yield tokens_line(table, self.width)
        yield ""
        yield drawn
        yield ""
        for name, meaning in self.means.meanings.items():
            yield Text(f"{name}: {meaning}.", "dim")
        for note in ["Layers count from 0.", *remarks(table.notes)]:
            yield Text(note, "dim")
