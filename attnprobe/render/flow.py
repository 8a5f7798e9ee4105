"""Where tokens have their information from: tables of a query's keys for a terminal, maps for a terminal and files."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from string import Template
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.layer_means import LayerMeans
from attnprobe.analyses.pictures import title
from attnprobe.render.colours import Ink, shade
from attnprobe.render.figure import check_matplotlib, draw, save_figure
from attnprobe.render.heatmap import HeatmapView
from attnprobe.render.layer_means import LayerMeansView
from attnprobe.render.page import hash_of
from attnprobe.render.table import decimals, fitting, remarks, tokens_line
from attnprobe.render.trace import Bar
from attnprobe.values.finding import token_label
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.analyses.flow import Flow

KEYS_SHOWN = 10  # by default
LONGEST_TOKEN, LONGEST_BAR = 24, 40
STYLE = "body { font: 0.9em sans-serif; max-width: 60em; overflow-wrap: anywhere } img { max-width: 100% }"
PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '$allowed'">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>$style</style>
<p><img alt="$title" src="data:image/svg+xml;base64,$picture">
$notes
</html>
""")


@dataclass(frozen=True)
class FlowView:
    """The keys with the largest shares in each query, a column per layer; bars if there is one layer.

    Attributes:
        top: how many keys.
    """

    flow: Flow
    width: int
    top: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink = Ink.of(console, options)
        yield tokens_line(self.flow.to_table(), self.width)
        hidden: list[int] = []
        for place, query in enumerate(self.flow.queries):
            yield ""
            yield Text(f"{self.flow.following.method} of {query} {token_label(self.flow.tokens, query)}")
            yield ""
            drawn, hidden = self._drawn(place, ink)
            yield drawn
        yield ""
        for note in self._notes(hidden):
            yield Text(note, "dim")

    def _drawn(self, place: int, ink: Ink) -> tuple[RichTable, list[int]]:
        """Draws the keys of a query, and lists the layers that do not fit."""
        flow, alone = self.flow, len(self.flow.layers) == 1
        places = flow.largest(self.top)[-1, place]
        keys = [flow.keys[at] for at in places]
        labels = [ink.label(token_label(flow.tokens, key)) for key in keys]
        longest = min(LONGEST_TOKEN, max([4, *map(cell_len, labels)]))
        room = self.width - len("position ") - longest - 1
        columns = {f"layer {layer}": row for layer, row in zip(flow.layers, flow.shares[:, place], strict=True)}
        if alone:
            columns = {"share": flow.shares[0, place]} | {name: of[0, place] for name, of in flow.beside.items()}
        width = max(5, *map(len, columns))
        shown = fitting(dict.fromkeys(columns, width), room, list(columns)[::-1])
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        drawn.add_column("position", justify="right", no_wrap=True)
        drawn.add_column("from", no_wrap=True, overflow="ellipsis", max_width=longest)
        for name in shown:
            drawn.add_column(name, justify="right", no_wrap=True, width=width)
        if alone:
            drawn.add_column("", width=max(1, min(LONGEST_BAR, room - (width + 1) * len(shown))), no_wrap=True)
        high = float(np.nan_to_num(flow.shares[:, place]).max()) or 1.0
        written = iter(decimals([float(columns[name][at]) for at in places for name in shown]))
        for at, key, label in zip(places, keys, labels, strict=True):
            shares = [float(columns[name][at]) for name in shown]
            styles = [Style() if alone else shade((share / high) ** 0.5) for share in shares]
            texts = [Text(next(written).rjust(width), style) for style in styles]
            drawn.add_row(str(key), Text(label), *texts, *([Bar(shares[0] / high)] if alone else []))
        return drawn, [layer for layer in flow.layers if not alone and f"layer {layer}" not in shown]

    def _notes(self, hidden: Sequence[int]) -> Iterator[str]:
        """Yields how to read it, and what is not shown."""
        rest = len(self.flow.keys) - self.top
        if rest > 0:
            yield f"{rest} more tokens have less: --top N shows them. -o FILE or -f csv have all."
        if hidden:
            yield f"Not shown at this width: layers {hidden[0]} to {hidden[-1]}. Use -f csv or a wider terminal."
        yield f"{self.flow.following.how.note} Layers and positions count from 0."
        yield from remarks(self.flow.notes)


def flow_view(
    flow: Flow | LayerMeans, width: int, top: int | None = None, **others: Any
) -> FlowView | HeatmapView | LayerMeansView:
    """Shows a map of all queries; of some, the ``top`` keys with the largest shares, None: a few; or means by layer."""
    if isinstance(flow, LayerMeans):
        return LayerMeansView(flow, width)
    return HeatmapView(flow.maps(), width) if flow.following.all_queries else FlowView(flow, width, top or KEYS_SHOWN)


def write_html(flow: Flow, stream: IO[bytes]) -> None:
    """Writes a page that shows the figure, needs no network and runs nothing."""
    picture = io.BytesIO()
    _write(flow, picture, "svg")
    maps = flow.maps()
    notes = [*flow.remarks, *remarks(flow.notes), maps.sign() if maps.sign else ""]
    page = PAGE.substitute(
        title=html.escape(visible(title(maps))),
        style=STYLE,
        allowed=hash_of(STYLE),
        picture=base64.b64encode(picture.getvalue()).decode(),
        notes="\n".join(f"<p>{html.escape(visible(note))}" for note in notes),
    )
    stream.write(page.encode())


def _write(flow: Flow, stream: IO[bytes], format: str) -> None:
    check_matplotlib()
    save_figure(draw(flow.maps()), stream, format)


write_png, write_svg, write_pdf = (partial(_write, format=name) for name in ("png", "svg", "pdf"))
