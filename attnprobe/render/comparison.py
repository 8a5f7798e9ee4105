"""What changed between two models or corpora, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.comparison import PASSES, Comparison
from attnprobe.analyses.map_changes import MapChanges
from attnprobe.render.figure import draw, save_figure
from attnprobe.render.heatmap import HeatmapView
from attnprobe.render.table import number, text_table
from attnprobe.values.signature import counted
from attnprobe.values.text import visible
from attnprobe.writers import FIGURES

MOST = 15  # heads that are shown


def comparison_view(result: Comparison | MapChanges, width: int, **options: Any) -> RenderableType:
    """Shows what changed: of one metric, or of maps, a picture; of several, the heads that changed most."""
    if isinstance(result, Comparison) and len(result.metrics) > 1:
        return _most_changed(result)
    picture = HeatmapView(result.picture(), width)
    matched = isinstance(result, MapChanges) and result.matched
    return Group(picture, "", text_table(result.table(), width)) if matched else picture


def write_figure(result: Comparison | MapChanges, stream: IO[bytes], format: str) -> None:
    """Writes the picture of one metric, or of maps, as png, svg or pdf."""
    save_figure(draw(result.picture()), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _most_changed(comparison: Comparison) -> RenderableType:
    """Lists the heads that changed most, each with the metric that did."""
    named = [f"{' → '.join(comparison.names)}: {int(comparison.n_texts.max(initial=0)):,} texts"]
    title = Text(visible(", ".join(filter(None, [*named, counted(comparison.signature)]))))
    ranked = comparison.most_changed()
    if not ranked:
        return Group(title, "", Text(f"No difference has q ≤ {PASSES}.", "dim"))
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name in ("layer", "head", "metric", "A", "B", "change", "95 % interval", "q"):
        drawn.add_column(name, justify="left" if name == "metric" else "right", no_wrap=True)
    for at in ranked[:MOST]:
        drawn.add_row(*(Text(cell) for cell in _cells(comparison, at)))
    rest = f" {len(ranked) - MOST} more heads changed." if len(ranked) > MOST else ""
    note = f"Of each head the metric, with q ≤ {PASSES}, that changed most beside its spread over A's heads.{rest}"
    return Group(title, "", drawn, "", Text(f"{note} All rows: -f csv; one metric by layer and head: -k NAME.", "dim"))


def _cells(comparison: Comparison, at: tuple[int, int, int]) -> Iterator[str]:
    i, j, k = at
    found = {name: float(column[at]) for name, column in comparison.numbers.items()}
    yield from (str(comparison.layers[i]), str(comparison.heads[j]), comparison.metrics[k])
    yield from (number(found["mean_a"]), number(found["mean_b"]), f"{found['difference']:+.3f}")
    yield f"{found['ci_low']:+.3f} … {found['ci_high']:+.3f}"
    yield "<1e-9" if found["q_value"] < 1e-9 else f"{found['q_value']:.2g}"
