"""attnprobe models."""

from __future__ import annotations

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output
from attnprobe.models.families import family_table


def models(
    output: flag.Output = None,
    format: flag.FormatOption = None,
    overwrite: flag.Overwrite = False,
    debug: flag.Debug = False,
) -> None:
    """The model types that are known: whether and how their attention is measured, and what to know of it."""
    destination = Output.choose(output, format, overwrite)
    from attnprobe.render.table import text_table

    destination.write(family_table(), text_table)
