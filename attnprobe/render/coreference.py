"""How well heads find antecedents: for a terminal what one half of the documents chose, and a map of all heads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.coreferences import ANSWERS, GROUPED, Coreferences
from attnprobe.analyses.sieves import BASELINES
from attnprobe.render.figure import draw, save_figure
from attnprobe.render.table import number
from attnprobe.values.outcomes import CHOOSING, REPORTING
from attnprobe.values.signature import counted, model_of, part_of
from attnprobe.values.text import visible
from attnprobe.writers import FIGURES

FEW = 100  # mentions, below which a share says little
SHOWN = "mentions"  # the answer that is comparable to the baselines


def coreference_view(summary: Coreferences, width: int, **options: object) -> RenderableType:
    """Lays out the heads that one half chose, with their gain on the other, and the shares on all documents.

    Args:
        options: those of the command, of which none matters here.
    """
    if not len(summary.outcomes):
        return Text("No mention has an antecedent in its window.", "dim")
    choosing, reporting = (_count(summary.n_documents(half), "document") for half in (CHOOSING, REPORTING))
    about = f"Chosen on {choosing} with even numbers, reported on {reporting} with odd numbers:"
    on_all = "On all documents; the best head is optimistic, chosen on what it is reported on:"
    return Group(
        Text(visible(title(summary))), "", Text(about), _halves(summary), "", Text(on_all), _on_all(summary), "",
        *(Text(note, "dim") for note in _notes(summary)),
    )  # fmt: skip


def title(summary: Coreferences) -> str:
    """Names the model, and counts what was asked."""
    documents, windows, _ = summary.counts.tolist()
    window = part_of(summary.signature, "window")
    tokens = "" if window == "document" else f" of up to {window} tokens"
    asked = f"{_count(len(summary.outcomes), 'mention')} with an antecedent in the same window"
    sizes = f"{_count(windows, 'window')}{tokens}, {_count(documents, 'document')}"
    return ", ".join(filter(None, [f"{model_of(summary.signature)}: {asked}", sizes, counted(summary.signature)]))


def write_figure(summary: Coreferences, stream: IO[bytes], format: str) -> None:
    """Writes the map of heads as png, svg or pdf.

    Raises:
        InputError: no mention has an antecedent in its window.
    """
    save_figure(draw(summary.picture()), stream, format)


write_png, write_svg, write_pdf = (partial(write_figure, format=format) for format in FIGURES)


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _halves(summary: Coreferences) -> RichTable:
    """Tables, by group, the chosen head beside the chosen baseline."""
    drawn = _table()
    for name in ("group", "mentions", "head", "baseline", "gain", "95 % interval"):
        drawn.add_column(name, justify="left" if name == "group" else "right", overflow="fold")
    for row in summary.chosen:
        if row.answer == SHOWN and row.layer is not None:
            n = f"{row.n:,}{'*' if row.n < FEW else ''}"
            head, baseline = f"{row.layer}.{row.head}", row.baseline_name
            interval = "" if row.gain_low is None else f"{number(row.gain_low)} … {number(row.gain_high)}"
            shares = f"{head}  {number(row.accuracy)}", f"{baseline}  {number(row.baseline)}", number(row.gain)
            drawn.add_row(row.group, n, *shares, interval)
    return drawn


def _on_all(summary: Coreferences) -> RichTable:
    """Tables the share of each baseline and of the best head, a group in each column."""
    drawn = _table()
    drawn.add_column("")
    for group in GROUPED:
        drawn.add_column(group, justify="right", no_wrap=True)
    found = [summary.counts_right(group) for group in GROUPED]
    drawn.add_row("mentions", *(f"{n:,}{'*' if n < FEW else ''}" for _, n in found))
    for name, candidate in zip(BASELINES, summary.baselines, strict=True):
        drawn.add_row(name, *(number(counts[candidate] / n) if n else "" for counts, n in found))
    for answer in ANSWERS:
        best = [summary.best(group, answer) for group in GROUPED]
        drawn.add_row(f"best head, {answer}", *(f"{one[0]}.{one[1]}  {number(one[2])}" if one else "" for one in best))
    return drawn


def _table() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)


def _notes(summary: Coreferences) -> Iterator[str]:
    """Yields sentences on how to read the numbers."""
    yield (
        "Accuracy: share of mentions where the head's largest weight falls on the word that stands for an earlier "
        "mention of the same entity. mentions: from the mention to earlier mentions; words: to all earlier words; "
        "back: from earlier mentions to the mention."
    )
    yield "Gain: over the baseline, with a 95 % interval over documents, of which few make it wide and rough."
    if any(summary.counts_right(group)[1] < FEW or row.n < FEW for group in GROUPED for row in summary.chosen):
        yield f"* Fewer than {FEW} mentions."
    yield "Layers and heads count from 0. -f csv has every head, --halves FILE all answers, -o FILE.png a map of heads."
