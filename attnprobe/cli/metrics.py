"""attnprobe metrics."""

from __future__ import annotations

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output
from attnprobe.metrics import METRICS, load_metrics
from attnprobe.values.table import Table


def metrics(
    output: flag.Output = None,
    format: flag.FormatOption = None,
    overwrite: flag.Overwrite = False,
    debug: flag.Debug = False,
) -> None:
    """The metrics of heads: name, meaning, formula for one query, unit and source."""
    destination = Output.choose(output, format, overwrite)
    rows = [
        (name, METRICS[name][1], metric.formula, metric.unit, metric.source) for name, metric in load_metrics().items()
    ]
    from attnprobe.render.table import text_table

    destination.write(Table(["metric", "meaning", "formula", "unit", "source"], rows), text_table)
