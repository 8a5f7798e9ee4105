"""attnprobe models."""

from __future__ import annotations

from typing import Annotated

from attnprobe.cli.options import Saving, Talking
from attnprobe.models.families import family_table
from attnprobe.values.options import Without

EXAMPLES = (
    "attnprobe models",
    "attnprobe models -f csv -o models.csv",
    "attnprobe models -f markdown",
)


def models(
    saving: Annotated[Saving, Without("spreadsheet_safe")], talking: Annotated[Talking, Without("quiet")]
) -> None:
    """The model types that are known, and how they are measured."""
    destination = saving.destination()
    from attnprobe.render.table import text_table

    destination.write(family_table(), text_table)
