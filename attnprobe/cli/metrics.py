"""attnprobe metrics."""

from __future__ import annotations

from typing import Annotated

from attnprobe.cli.options import Saving, Talking
from attnprobe.metrics import METRICS, ON_REQUEST, load_metrics
from attnprobe.values.options import Without
from attnprobe.values.table import Table

EXAMPLES = (
    "attnprobe metrics",
    "attnprobe metrics -f markdown -o metrics.md",
    "attnprobe metrics -f json",
)


def metrics(
    saving: Annotated[Saving, Without("spreadsheet_safe")], talking: Annotated[Talking, Without("quiet")]
) -> None:
    """The metrics of heads: meaning, formula, unit and source."""
    destination = saving.destination()
    known = {**METRICS, **ON_REQUEST}
    rows = [
        (name, known[name][1], metric.formula, metric.unit, metric.source)
        for name, metric in load_metrics(list(known)).items()
    ]
    from attnprobe.render.table import text_table

    destination.write(Table(["metric", "meaning", "formula", "unit", "source"], rows), text_table)
