"""Heads that find relations, for a terminal: what was chosen on one half of the texts, and how it does on the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.related import OFFSETS, Choice, Relations
from attnprobe.values.signature import counted, model_of
from attnprobe.values.text import visible

FEW = 100  # Clark et al. 2019 report no relation with fewer
RELATION = 10  # characters that the names of relations have at least
COLUMNS = ("relation", "n", "head", "direction", "right", "offset", "gain", "95 % interval", "remark")


def relations_view(result: Relations, width: int, **options: Any) -> RenderableType:
    """Tables the relations, dim where the gain may be none.

    Args:
        options: those of the command, of which none matters here.
    """
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in COLUMNS:
        words = name in ("relation", "direction", "remark")
        fixed: Any = {"overflow": "fold", "min_width": RELATION} if name == "relation" else {"no_wrap": True}
        drawn.add_column(Text(name), justify="left" if words else "right", **fixed)
    for row in result.choices:
        drawn.add_row(*map(Text, _cells(result, row)), style="dim" if is_unsure(row) else "")
    return Group(Text(visible(title(result))), "", drawn, "", *(Text(note, "dim") for note in _notes(result)))


def title(result: Relations) -> str:
    """Names the model, and counts relations and texts."""
    counts = {"relation": len(result.outcomes), "text": result.n_texts}
    relations, texts = (f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    return ", ".join(filter(None, [f"{model_of(result.signature)}: {relations}", texts, counted(result.signature)]))


def is_unsure(row: Choice) -> bool:
    """Tests whether the gain may be none, since its interval holds 0 or is unknown."""
    return row.low is None or row.high is None or row.low <= 0 <= row.high


def _cells(result: Relations, row: Choice) -> Iterator[str]:
    """Yields the cells of a row, rates in percent."""
    yield visible(row.relation)
    yield f"{row.n:,}"
    layer, head, direction = ("", "", "") if row.head is None else result.labels[row.head]
    yield "" if row.head is None else f"{layer}.{head}"
    yield direction
    yield _percent(row.accuracy)
    offset = "" if row.offset is None else f"{OFFSETS[row.offset]:+d}"
    yield offset if row.baseline is None else f"{offset}: {_percent(row.baseline)}"
    yield _percent(row.gain, "+")
    yield "" if row.low is None else "…".join(_percent(end, "+") for end in (row.low, row.high))
    yield ", ".join(word for word, holds in (("few", row.n < FEW), ("unsure", is_unsure(row))) if holds)


def _percent(rate: float | None, sign: str = "") -> str:
    return "" if rate is None else f"{100 * rate:{sign}.1f}"


def _notes(result: Relations) -> Iterator[str]:
    """Yields sentences on how to read the table."""
    if not result.n_texts:
        yield "No text was measured."
        return
    yield "Head (layer.head), direction and offset: the best in even texts. All numbers: in odd texts, in percent."
    yield "dep->head: the dependent attends to its head most; head->dep: its head attends to it most, of all words."
    yield "offset: how far off the head most often is, and how often it is there. gain: right minus that."
    yield f"few: n is below {FEW}. unsure: the interval of the gain, by a bootstrap over texts, holds 0."
    yield "-f csv has all digits, --all-heads FILE every head on all texts, -o FILE.png a picture of these."
