"""The library's functions of one text, one for each command; each imports what it runs when it is called.

Their options are those of the groups that the commands take, written out for whoever reads or completes them;
``tests/test_api.py`` holds names and defaults to these groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.twins import twin
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_one

if TYPE_CHECKING:
    import pandas

    from attnprobe.analyses.trace import Trace
    from attnprobe.analyses.weights import Weights
    from attnprobe.render.figure import Figure
    from attnprobe.render.page import View
    from attnprobe.values.selection import Indices

MOST_OF_A_PAGE = 10**8  # weights: a page of 120 to 160 MB


def head_stats(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", queries: str = "all", long_range: int = 10,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Measures what each head attends to in a text, a row per layer and head; the twin of ``attnprobe heads``.

    Args:
        text: the text itself, never a path.
        encoder: from :func:`load_encoder`; or a folder or Hub id to load. None loads ``model``.
        metrics: names from ``attnprobe metrics``; None: all.
        pair: the second text of a pair.
        layers, heads: those to report, counted from 0: ``3``, ``[0, 2, -1]``, ``"0-5"``, ``"0,2,-1"``, ``"all"``.
        queries: "all", or "content": means are over the tokens of the text only, not those that the tokenizer added.
        long_range: the distance in tokens from which long_range_share counts.
        max_length: how many tokens are read at most, a longer text is cut; None: as many as the model reads.
        stride: reads a longer text in windows that overlap by this many tokens instead of cutting it.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's.
        global_attention: of Longformer and LED, what sees and is seen by all: "none", "cls", "first" (the first text).
        model: the folder or Hub id to load where no encoder is given.

    Returns:
        columns ``layer``, ``head`` (from 0), then the metrics in the order of METRICS; NaN where a metric has no
        meaning. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an unknown metric, a layer or head out of range, an empty text.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.measure.reading.windows_of`.
    """
    from attnprobe.measure.heads import head_table

    check_one(text)
    names = check_names(metrics)
    return head_table(
        text,
        loaded(encoder, model),
        names,
        pair=pair,
        layers=layers,
        heads=heads,
        queries=queries,
        long_range=long_range,
        max_length=max_length,
        stride=stride,
        level=level,
        global_attention=global_attention,
    ).to_frame()


def weights(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all",
    heads: Indices = "all",
    query: int | str | None = None,
    top: int | None = None,
    min_weight: float | None = None,
    direction: str | None = None,
    max_rows: int = 10_000_000,
    max_length: int | None = None,
    level: str = "token",
    global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:
    """Returns the attention weights of a text, a row per layer, head, query and key; the twin of ``attnprobe weights``.

    Args:
        text, encoder, pair, layers, heads, max_length, level, global_attention, model: as in
            :func:`attnprobe.head_stats`.
        query: only this query, a position or a token, see :func:`attnprobe.values.finding.find_tokens`.
        top: only the keys with the largest weights, so many of each query in each head, largest first.
        min_weight: only weights of at least this.
        direction: only weights from one text of a pair to the other: "a-b" has the queries in the first text and the
            keys in the second, "b-a" the other way.
        max_rows: more rows than this are refused, if possible before the model runs.

    Returns:
        columns ``layer``, ``head``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0) and ``weight``
        in float32, in the order of layers, heads and queries. Over all keys of a query, weights sum to 1.
        ``attrs["signature"]`` says what they depend on.

    Raises:
        UsageError: an option is invalid, the text is empty, the query is not found, or there are too many rows.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    found: Weights = load_analysis("weights")(
        text,
        loaded(encoder, model),
        pair=pair,
        layers=layers,
        heads=heads,
        query=query,
        top=top,
        min_weight=min_weight,
        direction=direction,
        max_rows=max_rows,
        max_length=max_length,
        level=level,
        global_attention=global_attention,
    )
    return found.to_table().to_frame()


def trace(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    layer: int | str,
    head: int | str,
    query: int | str | None = None,
    pair: str | None = None,
    max_length: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Trace:
    """Traces how one head computes one row of attention; the twin of ``attnprobe trace``.

    The weights are recomputed from the model's q and k in float64 and compared with those that the model used; q, k and
    v are compared with the layer's input times the weights of the linear maps.

    Args:
        text, encoder, pair, max_length, model: as in :func:`attnprobe.head_stats`.
        layer, head: the one to trace, counted from 0, negative ones from the end.
        query: a position, or the characters of a token or word, see :func:`attnprobe.values.finding.find_matches`;
            None: the only token of the text.

    Raises:
        UsageError: the layer, head or token does not exist, or the text is empty.
        ModelError: the scores have a term that is not separated here, or the numbers do not add up.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    row = {"layer": layer, "head": head, "query": query}
    traced: Trace = load_analysis("trace")(text, loaded(encoder, model), pair=pair, max_length=max_length, **row)
    return traced


def heatmap(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    stat: str | None = None,
    pair: str | None = None,
    layers: Indices = "all",
    heads: Indices = "all",
    long_range: int = 10,
    max_length: int | None = None,
    level: str = "token",
    global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Figure:
    """Draws the attention weights of a text, or a statistic by layer and head; the twin of ``attnprobe heatmap``.

    Args:
        text, encoder, pair, long_range, max_length, level, global_attention, model: as in
            :func:`attnprobe.head_stats`.
        stat: a name from ``attnprobe metrics`` to map over layers and heads; None: the weights.
        layers, heads: as in :func:`attnprobe.head_stats`. One layer and one head give one map, one layer a grid of its
            heads, several a grid of layers by heads.

    Returns:
        a Figure outside of pyplot, with the signature as its label; queries go down, keys across, and all
        maps share one scale from 0 to the largest weight. :func:`attnprobe.render.figure.save_figure` writes equal
        bytes for equal figures.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the metric is unknown, a layer or head out of range, the text empty, or there are too many weights.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`; and
        FontWarning: some characters are in no installed font.
    """
    from attnprobe.analyses.pictures import take_picture
    from attnprobe.render.figure import check_matplotlib, draw

    check_one(text)
    check_matplotlib()
    check_names(None if stat is None else [stat])
    picture = take_picture(
        text,
        loaded(encoder, model),
        stat,
        pair=pair,
        layers=layers,
        heads=heads,
        long_range=long_range,
        max_length=max_length,
        level=level,
        global_attention=global_attention,
    )
    return draw(picture)


def view(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all",
    heads: Indices = "all",
    max_length: int | None = None,
    global_attention: str = "none",
    show: str | None = None,
    query: int | str | None = None,
    key: int | str | Sequence[int | str] | None = None,
    scale: str | None = None,
    most: int | None = MOST_OF_A_PAGE,
    steps: bool = True,
    lang: str = "en",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> View:
    """Makes a page that shows what the heads look at in a text; the twin of ``attnprobe view``.

    Args:
        text, encoder, pair, layers, heads, max_length, global_attention, model: as in :func:`attnprobe.head_stats`.
        show, query, key: what the page opens on, see :class:`attnprobe.values.options.Showing`.
        scale: "sqrt" colours by the root of a weight, which shows small ones, "linear" by itself; None: "sqrt". The
            page offers both.
        most: how many weights the page may hold, at a bit more than a byte each; None: any number.
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
    from attnprobe.values.explaining import Explaining
    from attnprobe.values.options import Scaling, Showing

    check_one(text)
    colours, explained = Scaling(scale), Explaining(steps, lang)
    found = explore(
        text,
        loaded(encoder, model),
        pair=pair,
        layers=layers,
        heads=heads,
        most=most,
        showing=Showing.of({"show": show, "query": query, "key": key}),
        steps=explained.steps,
        max_length=max_length,
        global_attention=global_attention,
    )
    title = text if pair is None else f"{text} / {pair}"
    return make_view(title, found, colours.scale or "sqrt", explained.lang)


def __getattr__(name: str) -> Callable[..., Any]:
    """Makes the twin of an analysis without a function here."""
    if name not in ANALYSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return twin(name, load_analysis(name))
