"""The functions that draw a text: a figure, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_one
from attnprobe.values.display import Drawn, Scaling

if TYPE_CHECKING:
    from attnprobe.render.figure import Figure
    from attnprobe.render.page import View
    from attnprobe.values.selection import Indices

MOST_OF_A_PAGE = 10**8  # weights: a page of 120 to 160 MB


def heatmap(
    text: str | None = None,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    stat: str | None = None, summary: str | PathLike[str] | None = None,
    special: str = "keep", scale: str | None = None, colours: str = "viridis",
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    long_range: int = 10, max_length: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Figure:  # fmt: skip
    """Draws the attention weights of a text, or a statistic by layer and head; the twin of ``attnprobe heatmap``.

    Args:
        text, encoder, pair, long_range, max_length, level, global_attention, of, model: as in
            :func:`attnprobe.head_stats`.
        stat: a name from ``attnprobe metrics`` to map over layers and heads; None: the weights.
        summary: a file that ``attnprobe corpus --summary`` wrote, of which ``stat`` is drawn in place of a text's; no
            model is loaded.
        special: "drop" leaves out rows and columns of the tokens that the tokenizer added, "renormalise" also makes
            the rows sum to 1 again; a row with less than 1 % left is then empty.
        scale: colours by the root of each number, "sqrt", or by itself, "linear"; None: by the root where there are
            several maps.
        colours: "viridis", or "white", which begins at white.
        mean: "heads", "layers" or "all": averages what is drawn over the chosen heads, layers, or both.
        layers, heads: as in :func:`attnprobe.head_stats`. One layer and one head give one map, one layer a grid of its
            heads, several a grid of layers by heads.

    Returns:
        a Figure outside of pyplot, with the signature as its label; queries go down, keys across, and all maps share
        one scale from 0 to the largest weight. A single map of few tokens has the weights in two decimals, but those
        below 0.005. :func:`attnprobe.render.figure.save_figure` writes equal bytes for equal figures.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the summary cannot be read, or is none.
        UsageError: the metric is unknown, a layer or head out of range, the text empty, or there are too many weights.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`; and
        FontWarning: some characters are in no installed font.
    """
    from attnprobe.analyses.pictures import picture_of_summary, take_picture
    from attnprobe.readers.summaries import read_summary
    from attnprobe.render.figure import check_matplotlib, draw

    Scaling(scale)
    drawn = Drawn(stat, None if summary is None else Path(summary), special, colours)
    drawn.check(text, pair)
    check_matplotlib()
    if drawn.summary is not None:
        return draw(picture_of_summary(read_summary(drawn.summary), stat, layers, heads, mean), scale, colours)
    check_one(text)
    check_names(None if stat is None else [stat])
    picture = take_picture(
        str(text), loaded(encoder, model), stat, special, pair=pair, layers=layers, heads=heads, mean=mean,
        long_range=long_range, max_length=max_length, level=level, global_attention=global_attention, of=of,
    )  # fmt: skip
    return draw(picture, scale, colours)


def view(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    max_length: int | None = None, global_attention: str = "none", of: str = "attention",
    show: str | None = None, query: int | str | None = None, key: int | str | Sequence[int | str] | None = None,
    scale: str | None = None,
    against: str | None = None, against_model: Encoder | str | PathLike[str] | None = None,
    most: int | None = MOST_OF_A_PAGE,
    steps: bool = True,
    lang: str = "en",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> View:  # fmt: skip
    """Makes a page that shows what the heads look at in a text; the twin of ``attnprobe view``.

    Args:
        text, encoder, pair, layers, heads, max_length, global_attention, of, model: as in :func:`attnprobe.head_stats`.
        mean: "heads", "layers" or "all": the page has the mean weights over the chosen heads, layers, or both.
        show, query, key: what the page opens on, see :class:`attnprobe.values.display.Showing`.
        scale: "sqrt" colours by the root of a weight, which shows small ones, "linear" by itself; None: "sqrt". The
            page offers both.
        against: another text, whose page stands beside the first in the same file; ``pair`` is the second text of both.
        against_model: an encoder, a folder or a Hub id, which reads the text beside, ``against`` or the same.
        most: how many weights a page may hold, at a bit more than a byte each; None: any number.
        steps: whether the page shows the steps of the computation, which more than double its size.
        lang: the language that explains these steps first, "en" or "zh".

    Raises:
        UsageError: a layer or head is out of range, a token is not in the text, the text is empty, or has more weights
            than ``most``.
        ModelError: the model cannot be loaded or measured, or the weights belong to no tokens.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    from attnprobe.analyses.exploring import explore
    from attnprobe.render.page import make_view
    from attnprobe.render.side_by_side import side_by_side
    from attnprobe.values.display import Explaining, Showing

    check_one(text)
    colours, explained = Scaling(scale).scale or "sqrt", Explaining(steps, lang)
    showing = Showing.from_given({"show": show, "query": query, "key": key})
    sides = [(text, loaded(encoder, model))]
    if (against, against_model) != (None, None):
        other = text if against is None else against
        sides.append((other, sides[0][1] if against_model is None else loaded(against_model)))
    pages = []
    for shown, reader in sides:
        check_one(shown)
        found = explore(
            shown, reader, pair=pair, layers=layers, heads=heads, mean=mean, most=most, showing=showing,
            steps=explained.steps, max_length=max_length, global_attention=global_attention, of=of,
        )  # fmt: skip
        title = shown if pair is None else f"{shown} / {pair}"
        pages.append((f"{reader.name}: {title}", make_view(title, found, colours, explained.lang)))
    return pages[0][1] if len(pages) == 1 else side_by_side(pages)
