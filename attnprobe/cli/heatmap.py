"""attnprobe heatmap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from attnprobe.cli.options import Loading, Saving, Talking, Text, format_among
from attnprobe.cli.output import warnings_as_notes
from attnprobe.metrics import check_names
from attnprobe.values.display import Drawn, Scaling
from attnprobe.values.options import Averaging, Mean, Reading, Selection, Without
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


def heatmap(
    text: Text,
    loading: Loading,
    selection: Selection,
    mean: Mean,
    drawn: Drawn,
    scaling: Scaling,
    averaging: Annotated[Averaging, Without("queries")],
    reading: Annotated[Reading, Without("stride")],
    saving: Annotated[Drawing, Without("spreadsheet_safe")],
    talking: Talking,
) -> None:
    """Draws one head, a grid of heads, or a statistic by head."""
    drawn.check(text.text, text.pair)
    words = "" if drawn.summary else text.read(quiet=talking.quiet)
    destination = saving.destination()
    if not drawn.summary:
        check_names(None if drawn.stat is None else [drawn.stat])
        loading.check(talking.quiet, **vars(selection))

    from attnprobe.analyses.pictures import Picture, picture_of_summary, take_picture
    from attnprobe.readers.summaries import read_summary
    from attnprobe.render.figure import check_matplotlib, draw, save_figure
    from attnprobe.render.heatmap import HeatmapView

    if destination.format in FIGURES:
        check_matplotlib()
    picture: Picture
    look: Any = {"scale": scaling.scale, "colours": drawn.colours}
    options = {**vars(selection), **vars(mean), **averaging.without("queries"), **reading.without("stride")}
    with warnings_as_notes(talking.quiet):
        if drawn.summary:
            picture = picture_of_summary(read_summary(drawn.summary), drawn.stat, **vars(selection), **vars(mean))
        else:
            picture = take_picture(words, loading.encoder(), drawn.stat, drawn.special, pair=text.pair, **options)
        if destination.format == "table":
            destination.show(partial(HeatmapView, picture, **look))
        else:
            destination.save(partial(save_figure, draw(picture, **look), format=destination.format))
