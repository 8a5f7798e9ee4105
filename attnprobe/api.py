"""The library's functions of one text, one for each command; each imports what it runs when it is called.

Their options are those of the groups that the commands take, written out for whoever reads or completes them;
``tests/test_api.py`` holds names and defaults to these groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.twins import twin
from attnprobe.corpus.twins import twin_of_many
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_one
from attnprobe.values.display import Drawn, Scaling

if TYPE_CHECKING:
    import pandas

    from attnprobe.analyses.flow import Flow
    from attnprobe.analyses.token_scores import TokenScores
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
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    queries: str = "all", long_range: int = 10,
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
        mean: "heads", "layers" or "all": averages over these; layers where a metric has no meaning are left out.
        queries: "all", or "content": means are over the tokens of the text only, not those that the tokenizer added.
        long_range: the distance in tokens from which long_range_share counts.
        max_length: how many tokens are read at most, a longer text is cut; None: as many as the model reads.
        stride: reads a longer text in windows that overlap by this many tokens instead of cutting it.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's.
        global_attention: of Longformer and LED, what sees and is seen by all: "none", "cls", "first" (the first text).
        model: the folder or Hub id to load where no encoder is given.

    Returns:
        columns ``layer``, ``head`` (from 0, NaN where averaged), then the metrics in the order of METRICS; NaN where a
        metric has no meaning. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an unknown metric, a layer or head out of range, an empty text.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.measure.reading.windows_of`.
        PartialMeanWarning: a mean over layers leaves out those where a metric has no meaning.
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
        mean=mean,
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
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    query: int | str | None = None, key: int | str | Sequence[int | str] | None = None, sort: str | None = None,
    top: int | None = None, min_weight: float | None = None, direction: str | None = None, max_rows: int = 10_000_000,
    max_length: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Returns the attention weights of a text, a row per layer, head, query and key; the twin of ``attnprobe weights``.

    Args:
        text, encoder, pair, layers, heads, max_length, level, global_attention, model: as in
            :func:`attnprobe.head_stats`.
        mean: "heads", "layers" or "all": averages the weights over the chosen heads, layers, or both.
        query: only this query, a position or a token, see :func:`attnprobe.values.finding.find_tokens`.
        key: only this key, found likewise, or a list of keys: one row per query, which adds up the weights of all
            pieces and all keys named, each position once.
        sort: "weight": the rows of all heads and queries, largest weight first.
        top: only the keys with the largest weights, so many of each query in each head, largest first; with ``sort``,
            so many rows of them all.
        min_weight: only weights of at least this.
        direction: only weights from one text of a pair to the other: "a-b" has the queries in the first text and the
            keys in the second, "b-a" the other way.
        max_rows: more rows than this are refused, if possible before the model runs.

    Returns:
        columns ``layer``, ``head``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0, layer
        and head missing where averaged) and ``weight``
        in float32, in the order of layers, heads and queries. Over all keys of a query, weights sum to 1. Of keys that
        add up, ``key`` is the first position and ``key_token`` has all tokens, joined by +.
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
        pair=pair, layers=layers, heads=heads, mean=mean, query=query, key=key, sort=sort, top=top,
        min_weight=min_weight, direction=direction, max_rows=max_rows, max_length=max_length, level=level,
        global_attention=global_attention,
    )  # fmt: skip
    return found.to_table().to_frame()


def tokens(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    scores: str | Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", queries: str = "all",
    special: str = "keep", sort: str | None = None, top: int | None = None,
    max_length: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Gives each token of a text scores, such as the attention it receives; the twin of ``attnprobe tokens``.

    Args:
        text, encoder, pair, max_length, level, global_attention, model: as in :func:`attnprobe.head_stats`.
        scores: one name of ``attnprobe.analyses.scores.SCORES`` or a list, in the order of the columns; None:
            ``received``, ``from_cls`` and ``entropy``.
        layers, heads: those whose weights count, as in :func:`attnprobe.head_stats`.
        queries: "all", or "content": ``received`` is a mean over the tokens of the text only.
        special: "drop" leaves out the rows of tokens that the tokenizer added; no number changes.
        sort: a score by which the rows are sorted, highest first.
        top: only so many rows.

    Returns:
        columns ``position`` (of the token, or word, in the text as the model reads it, from 0), ``token``, then the
        scores; NaN where a score has no meaning.

    Raises:
        UsageError: an option is invalid, or the text is empty.
        ModelError: a model that cannot be loaded or measured, or a layer whose weights belong to no tokens.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    found: TokenScores = load_analysis("tokens")(
        text,
        loaded(encoder, model),
        pair=pair, layers=layers, heads=heads, queries=queries, scores=scores, special=special, sort=sort, top=top,
        max_length=max_length, level=level, global_attention=global_attention,
    )  # fmt: skip
    return found.to_table().to_frame()


def trace(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    layer: int | str,
    head: int | str,
    query: int | str | None = None,
    top: int | None = None,
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
        top: only so many keys in the table, largest weight first; None: all in order.

    Raises:
        UsageError: the layer, head or token does not exist, or the text is empty.
        ModelError: the scores have a term that is not separated here, or the numbers do not add up.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    row = {"layer": layer, "head": head, "query": query, "top": top}
    traced: Trace = load_analysis("trace")(text, loaded(encoder, model), pair=pair, max_length=max_length, **row)
    return traced


def flow(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    method: str = "rollout",
    query: int | str | None = None, all_queries: bool = False, all_layers: bool = False,
    fusion: str = "mean", heads: Indices = "all", residual: float = 0.5,
    special: str = "keep", max_tokens: int = 256, top: int | None = None,
    pair: str | None = None,
    max_length: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Follows attention down through the layers to the input tokens; the twin of ``attnprobe flow``.

    Args:
        text, encoder, pair, max_length, level, global_attention, model: as in :func:`attnprobe.head_stats`.
        method: "rollout", the product of the layers' matrices, or "flow", the maximum flow through them (both Abnar &
            Zuidema 2020). A flow is at most the column sum of its key in layer 0, and mostly just that.
        query: the tokens whose information it is, a position or a token, see
            :func:`attnprobe.values.finding.find_tokens`; None: the classification token.
        all_queries: all tokens instead.
        all_layers: after each layer; else after the last.
        fusion: how the heads of a layer become one matrix: by their "mean", "max" or "min"; rows then sum to 1 again.
        heads: the heads that are fused, as in :func:`attnprobe.head_stats`; one of them is taken as it is.
        residual: the share of a token that comes around attention, through the residual connection.
        special: "drop" leaves out the shares of tokens that the tokenizer added, and of all queries their rows; no
            number changes.
        max_tokens: with "flow", a longer text is refused.
        top: only the keys with the largest shares, so many of each query, largest first.

    Returns:
        columns ``layer``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0) and ``share``: how much
        of the query after the layer comes from the key before the first. Over all keys of a query, shares sum to 1.
        With "flow" also ``flow``, before the flows of a query are divided by their sum. Words are computed by their
        pieces: the key's are added up, the query's averaged. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an option is invalid, the text is empty or too long for "flow", or the query is not found.
        ModelError: a model that cannot be loaded or measured, or whose layers attend to pools of tokens.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    found: Flow = load_analysis("flow")(
        text,
        loaded(encoder, model),
        pair=pair, method=method, query=query, all_queries=all_queries, all_layers=all_layers, fusion=fusion,
        heads=heads, residual=residual, special=special, max_tokens=max_tokens, top=top, max_length=max_length,
        level=level, global_attention=global_attention,
    )  # fmt: skip
    return found.to_table().to_frame()


def heatmap(
    text: str | None = None,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    stat: str | None = None, summary: str | PathLike[str] | None = None,
    special: str = "keep", scale: str | None = None, colours: str = "viridis",
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    long_range: int = 10, max_length: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Figure:  # fmt: skip
    """Draws the attention weights of a text, or a statistic by layer and head; the twin of ``attnprobe heatmap``.

    Args:
        text, encoder, pair, long_range, max_length, level, global_attention, model: as in
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
        long_range=long_range, max_length=max_length, level=level, global_attention=global_attention,
    )  # fmt: skip
    return draw(picture, scale, colours)


def view(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    max_length: int | None = None, global_attention: str = "none",
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
        text, encoder, pair, layers, heads, max_length, global_attention, model: as in :func:`attnprobe.head_stats`.
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
    showing = Showing.of({"show": show, "query": query, "key": key})
    sides = [(text, loaded(encoder, model))]
    if (against, against_model) != (None, None):
        other = text if against is None else against
        sides.append((other, sides[0][1] if against_model is None else loaded(against_model)))
    pages = []
    for shown, reader in sides:
        check_one(shown)
        found = explore(
            shown, reader, pair=pair, layers=layers, heads=heads, mean=mean, most=most, showing=showing,
            steps=explained.steps, max_length=max_length, global_attention=global_attention,
        )  # fmt: skip
        title = shown if pair is None else f"{shown} / {pair}"
        pages.append((f"{reader.location.short_name}: {title}", make_view(title, found, colours, explained.lang)))
    return pages[0][1] if len(pages) == 1 else side_by_side(pages)


def __getattr__(name: str) -> Callable[..., Any]:
    """Makes the twin of an analysis without a function here."""
    if name not in ANALYSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    analysis = load_analysis(name)
    return twin(name, analysis) if isinstance(analysis, Analysis) else twin_of_many(name)
