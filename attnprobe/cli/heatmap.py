"""attnprobe heatmap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from attnprobe.cli.options import Loading, Saving, Talking, Text
from attnprobe.cli.output import warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.metrics import check_names
from attnprobe.values.options import (
    Averaging,
    Drawn,
    Options,
    Reading,
    Scaling,
    Selection,
    Without,
    choice,
    option,
)
from attnprobe.writers import FIGURES


@dataclass(frozen=True)
class Drawing(Saving):
    """The destination and format of the picture."""

    format: str | None = choice(
        None,
        "table",
        *FIGURES,
        flags=("-f", "--format"),
        help="[default: by suffix; else table, which is text]",
    )


@dataclass(frozen=True)
class Summarized(Options):
    """The summary to draw in place of a text."""

    summary: Path | None = option(
        None, metavar="FILE", help="Map a metric of this summary, which corpus --summary made, in place of a text."
    )

    def check(self, text: Text) -> None:
        """Refuses a text beside a summary.

        Raises:
            UsageError: both are given.
        """
        if self.summary and (text.text, text.pair) != (None, None):
            raise UsageError("a summary is of many texts, and is drawn without TEXT", "leave out TEXT, or --summary")


def heatmap(
    text: Text,
    loading: Loading,
    selection: Selection,
    drawn: Drawn,
    summarized: Summarized,
    scaling: Scaling,
    averaging: Annotated[Averaging, Without("queries")],
    reading: Annotated[Reading, Without("stride")],
    saving: Annotated[Drawing, Without("spreadsheet_safe")],
    talking: Talking,
) -> None:
    """Draws attention: one head, a grid of heads, or a statistic by layer and head; -o FILE.svg, .pdf or .png."""
    drawn.check()
    summarized.check(text)
    words = "" if summarized.summary else text.read(quiet=talking.quiet)
    destination = saving.destination()
    if not summarized.summary:
        check_names(None if drawn.stat is None else [drawn.stat])
        loading.check()

    from attnprobe.analyses.pictures import Picture, picture_of_summary, take_picture
    from attnprobe.readers.summaries import read_summary
    from attnprobe.render.figure import check_matplotlib, draw, save_figure
    from attnprobe.render.heatmap import HeatmapView

    if destination.format in FIGURES:
        check_matplotlib()
    picture: Picture
    look: Any = {"scale": scaling.scale, "colours": drawn.colours}
    options = {**vars(selection), **averaging.without("queries"), **reading.without("stride")}
    with warnings_as_notes(talking.quiet):
        if summarized.summary:
            picture = picture_of_summary(read_summary(summarized.summary), drawn.stat, **vars(selection))
        else:
            picture = take_picture(words, loading.encoder(), drawn.stat, drawn.special, pair=text.pair, **options)
        if destination.format == "table":
            destination.show(partial(HeatmapView, picture, **look))
        else:
            destination.save(partial(save_figure, draw(picture, **look), format=destination.format))
