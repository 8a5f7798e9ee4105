"""attnprobe heatmap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from attnprobe.cli.options import Loading, Saving, Talking, Text, format_among
from attnprobe.cli.output import warnings_as_notes
from attnprobe.metrics import check_names
from attnprobe.values.options import Averaging, Options, Reading, Selection, Without, option
from attnprobe.writers import FIGURES

EXAMPLES = (
    "attnprobe heatmap 'The cat sat on the mat.' -l 3 --head 1",
    "attnprobe heatmap 'The cat sat on the mat.' -l 3 -o layer3.pdf",
    "attnprobe heatmap 'The cat sat on the mat.' --stat entropy -o entropy.svg",
)


@dataclass(frozen=True)
class Drawing(Saving):
    """The destination and format of the picture."""

    format: str | None = format_among(*FIGURES, default="by suffix; else table, which is text")


@dataclass(frozen=True)
class Drawn(Options):
    """The numbers to draw."""

    stat: str | None = option(None, metavar="METRIC", help="Map a metric over layers and heads instead.")


def heatmap(
    text: Text,
    loading: Loading,
    selection: Selection,
    drawn: Drawn,
    averaging: Annotated[Averaging, Without("queries")],
    reading: Annotated[Reading, Without("stride")],
    saving: Annotated[Drawing, Without("spreadsheet_safe")],
    talking: Talking,
) -> None:
    """Draws one head, a grid of heads, or a statistic by head."""
    words = text.read(quiet=talking.quiet)
    if drawn.stat:
        check_names([drawn.stat])
    destination = saving.destination()
    loading.check(talking.quiet, **vars(selection))

    from attnprobe.analyses.pictures import take_picture
    from attnprobe.render.figure import check_matplotlib, draw, save_figure
    from attnprobe.render.heatmap import HeatmapView

    if destination.format in FIGURES:
        check_matplotlib()
    encoder = loading.encoder()
    options = {**vars(selection), **averaging.without("queries"), **reading.without("stride")}
    with warnings_as_notes(talking.quiet):
        picture = take_picture(words, encoder, drawn.stat, pair=text.pair, **options)
        if destination.format == "table":
            destination.show(partial(HeatmapView, picture))
        else:
            destination.save(partial(save_figure, draw(picture), format=destination.format))
