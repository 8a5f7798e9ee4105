"""The library's functions, one for each command that measures; each imports what it runs when it is called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.twins import twin
from attnprobe.errors import CaseWarning
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    import pandas

    from attnprobe.analyses.trace import Trace
    from attnprobe.analyses.weights import Weights
    from attnprobe.corpus.prober import Result
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.stats import CorpusStats
    from attnprobe.measure.kinds import Measurement
    from attnprobe.render.figure import Figure
    from attnprobe.render.page import View
    from attnprobe.values.options import Engine
    from attnprobe.values.records import Columns, Given, Record, Skipped
    from attnprobe.values.selection import Indices

MOST_OF_A_PAGE = 10**8  # weights: a page of 120 to 160 MB


def head_stats(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> pandas.DataFrame:
    """Measures what each head attends to in a text, a row per layer and head; the twin of ``attnprobe heads``.

    Args:
        text: the text itself, never a path.
        encoder: from :func:`load_encoder`; or a folder or Hub id to load. None loads ``model``.
        metrics: names from ``attnprobe metrics``; None: all.
        model: the folder or Hub id to load where no encoder is given.
        options: pair, layers, heads, long_range, queries, level, max_length, stride, global_attention, as
            :func:`attnprobe.measure.heads.head_table` explains them.

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

    names = check_names(metrics)
    return head_table(text, loaded(encoder, model), names, **options).to_frame()


def corpus_stats(
    texts: Iterable[Given | Record | Skipped],
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    ids: Iterable[object] | None = None,
    pairs: Iterable[Given] | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    threads: int | None = None,
    **options: Any,
) -> CorpusStats:
    """Measures what each head attends to in each of many texts; the twin of ``attnprobe corpus``.

    Nothing is read before the result is iterated, and no more than two chunks of texts are held at a time.

    Args:
        texts: any iterable of texts, of lists of words as given, each the words of one text, or of records, such as
            from :func:`attnprobe.read_records`.
        encoder, metrics, model: as in :func:`attnprobe.head_stats`.
        ids: of the texts; None: their numbers, from 1.
        pairs: the second texts of pairs.
        threads: how many batches are computed at a time on a CPU; None: one per core. No number depends on it.
        options: layers, heads, long_range, queries, level, max_length, stride as in ``head_stats``; batch_tokens;
            profile; max_unknown, the largest share of tokens that the vocabulary may lack; on_error, "fail" (the
            default) or "skip".

    Returns:
        an iterable of :class:`RowBlock`, with ``.summary``, ``.skipped`` and ``.to_frame()``. Summaries add up.

    Raises:
        UsageError: a metric or option is unknown, or texts are no list; while iterating, the number of ids or pairs
            differs from that of the texts.
        InputError: while iterating, a text cannot be used (empty, not Unicode, the model gives NaN), unless such texts
            are skipped.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UnknownTokensWarning, WordsWarning, CaseWarning: texts are not read as they stand; the first two at the end.
    """
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.stats import CorpusStats
    from attnprobe.corpus.texts import check_columns, to_records

    names = check_names(metrics)
    check_columns(texts, ids, pairs)
    encoder = loaded(encoder, model)
    if encoder.case:
        warnings.warn(encoder.case, CaseWarning, stacklevel=2)
    settings = Settings.choose(encoder, **{"metrics": names, "on_error": "fail", **options})
    return CorpusStats(Prober(encoder, settings, threads), to_records(texts, ids, pairs))


def run_corpus(
    inputs: str | PathLike[str] | Sequence[str | PathLike[str]],
    output: str | PathLike[str] | None = None,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    measure: str | Measurement = "heads",
    summary: str | PathLike[str] | None = None,
    profile: str | PathLike[str] | None = None,
    columns: Columns | None = None,
    reading: Mapping[str, Any] | None = None,
    engine: Engine | None = None,
    resume: bool = False,
    overwrite: bool = False,
    spreadsheet_safe: bool = False,
    on_result: Callable[[Result], object] | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> CorpusRun:
    """Measures files into files, as ``attnprobe corpus`` does: resumable, in several processes or on Ray.

    Args:
        inputs: files, globs, datasets folders or ``hub:NAME``, as :func:`attnprobe.find_sources` takes them.
        output: the file of rows, in the format of its suffix; None: only the summary is kept.
        encoder: as in :func:`attnprobe.head_stats`; other processes can only load a model by name.
        metrics: as in :func:`attnprobe.head_stats`.
        measure: a name from ``attnprobe.measure.MEASUREMENTS``, or a measurement.
        summary, profile: the files of the tables over all texts.
        columns: the columns of text, id, pair and labels.
        reading: how the inputs are read: ``format``, ``delimiter``, ``quoting``, ``header``, ``encoding``, ``limit``,
            ``sample``, ``seed``.
        engine: the processes that measure; None: this process.
        resume: whether to go on with a run that was killed; a complete one is left as it is.
        overwrite: whether to start anew, and replace the files that exist.
        spreadsheet_safe: whether to keep spreadsheets from taking a text for a formula.
        on_result: called with each chunk's result, once it is stored.
        model: the folder or Hub id to load where no encoder is given.
        options: those of :func:`corpus_stats`; ``on_error`` is "skip" by default.

    Returns:
        the run, with ``state`` (texts, tokens, skipped, cut) and ``summary``.

    Raises:
        UsageError: an option is unknown, or has an invalid value.
        InputError, OutputError: a file cannot be read, written or replaced.
        ModelError: a model that cannot be loaded or measured.
    """
    from attnprobe.corpus.run import CorpusRun

    names = [inputs] if isinstance(inputs, str | PathLike) else inputs
    paths = {"output": output, "summary": summary, "profile": profile}
    options |= {} if metrics is None else {"metrics": check_names(metrics)}
    how: dict[str, Any] = {"columns": columns, "reading": reading, "engine": engine}
    how |= {"spreadsheet_safe": spreadsheet_safe, **options}
    run = CorpusRun.of([str(name) for name in names], paths, encoder, model, measure, **how)
    run.go(resume=resume, overwrite=overwrite, on_result=on_result)
    return run


def weights(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> pandas.DataFrame:
    """Returns the attention weights of a text, a row per layer, head, query and key; the twin of ``attnprobe weights``.

    Args:
        text, encoder, model: as in :func:`attnprobe.head_stats`.
        options: pair, layers, heads, level, max_length, global_attention as in :func:`attnprobe.head_stats`; query,
            top, min_weight, direction, max_rows as :class:`attnprobe.analyses.weights.Filters` explains them.

    Returns:
        columns ``layer``, ``head``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0) and ``weight``
        in float32, in the order of layers, heads and queries. Over all keys of a query, weights sum to 1.
        ``attrs["signature"]`` says what they depend on.

    Raises:
        UsageError: an option is invalid, the text is empty, the query is not found, or there are too many rows.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        as :func:`attnprobe.head_stats`.
    """
    found: Weights = load_analysis("weights")(text, loaded(encoder, model), **options)
    return found.to_table().to_frame()


def trace(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    layer: int | str,
    head: int | str,
    query: int | str | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> Trace:
    """Traces how one head computes one row of attention; the twin of ``attnprobe trace``.

    The weights are recomputed from the model's q and k in float64 and compared with those that the model used; q, k and
    v are compared with the layer's input times the weights of the linear maps.

    Args:
        text, encoder, model: as in :func:`attnprobe.head_stats`.
        layer, head: counted from 0, negative ones from the end.
        query: a position, or the characters of a token or word, see :func:`attnprobe.values.finding.find_matches`;
            None: the only token of the text.
        options: pair, max_length, as in :func:`attnprobe.head_stats`.

    Raises:
        UsageError: the layer, head or token does not exist, or the text is empty.
        ModelError: the scores have a term that is not separated here, or the numbers do not add up.

    Warns:
        as :func:`attnprobe.head_stats`.
    """
    encoder = loaded(encoder, model)
    traced: Trace = load_analysis("trace")(text, encoder, layer=layer, head=head, query=query, **options)
    return traced


def heatmap(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    stat: str | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> Figure:
    """Draws the attention weights of a text, or a statistic by layer and head; the twin of ``attnprobe heatmap``.

    Args:
        text, encoder, model: as in :func:`attnprobe.head_stats`.
        stat: a name from ``attnprobe metrics`` to map over layers and heads; None: the weights.
        options: layers, heads, pair, level, max_length, long_range, global_attention, as
            :func:`attnprobe.measure.heads.head_table` explains them. One layer and one head give one map, one layer a
            grid of its heads, several a grid of layers by heads.

    Returns:
        a Figure outside of pyplot, with the signature as its label; queries go down, keys across, and all
        maps share one scale from 0 to the largest weight. :func:`attnprobe.render.figure.save_figure` writes equal
        bytes for equal figures.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the metric is unknown, a layer or head out of range, the text empty, or there are too many weights.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        as :func:`attnprobe.head_stats`; and
        FontWarning: some characters are in no installed font.
    """
    from attnprobe.analyses.pictures import take_picture
    from attnprobe.render.figure import check_matplotlib, draw

    check_matplotlib()
    check_names(None if stat is None else [stat])
    look = {name: options.pop(name) for name in ("scale", "colours") if name in options}
    return draw(take_picture(text, loaded(encoder, model), stat, **options), **look)


def view(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    most: int | None = MOST_OF_A_PAGE,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> View:
    """Makes a page that shows what the heads look at in a text; the twin of ``attnprobe view``.

    Args:
        text, encoder, model: as in :func:`attnprobe.head_stats`.
        pair, layers, heads: as in :func:`attnprobe.head_stats`.
        most: how many weights the page may hold, at a bit more than a byte each; None: any number.
        options: max_length, global_attention, see :class:`attnprobe.values.options.Reading`.

    Raises:
        UsageError: a layer or head is out of range, the text is empty, or has more weights than ``most``.
        ModelError: the model cannot be loaded or measured, or the weights belong to no tokens.

    Warns:
        as :func:`attnprobe.head_stats`.
    """
    from attnprobe.analyses.exploring import explore
    from attnprobe.render.page import make_view

    found = explore(text, loaded(encoder, model), pair=pair, layers=layers, heads=heads, most=most, **options)
    return make_view(text if pair is None else f"{text} / {pair}", found)


def __getattr__(name: str) -> Callable[..., Any]:
    """Makes the twin of an analysis without a function here."""
    if name not in ANALYSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return twin(name, load_analysis(name))
