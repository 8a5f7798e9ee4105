"""The functions that give numbers of one text."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

from attnprobe.analyses import load_analysis
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_one
from attnprobe.values.options import Mean, Selection, SequenceReading

if TYPE_CHECKING:
    import pandas

    from attnprobe.analyses.flow import Flow
    from attnprobe.analyses.token_scores import TokenScores
    from attnprobe.analyses.trace import Trace
    from attnprobe.analyses.weights import Weights
    from attnprobe.values.selection import Indices


def head_stats(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    queries: str = "all", long_range: int = 10,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention", kmer: int | None = None,
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
        of: what counts as a weight: "attention", or "norms": what the key adds to the query's output, ‖a·v·W_O‖, with
            rows made to sum to 1 (Kobayashi et al. 2020).
        kmer: cuts a sequence of residues into overlapping words of so many; None: it is read as it stands, or a residue
            a word where the vocabulary knows nothing longer.
        model: the folder or Hub id to load where no encoder is given.

    Returns:
        columns ``layer``, ``head`` (from 0, NaN where averaged), then the metrics in the order of METRICS; NaN where a
        metric has no meaning. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an unknown metric, a layer or head out of range, an empty text.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning, SequenceWarning: the text is not read as it
            stands, see :func:`attnprobe.measure.reading.windows_of`.
        PartialMeanWarning: a mean over layers leaves out those where a metric has no meaning.
    """
    from attnprobe.measure.heads import head_table

    check_one(text)
    names = check_names(metrics)
    return head_table(
        text,
        loaded(encoder, model),
        names,
        pair=pair, layers=layers, heads=heads, mean=mean, queries=queries, long_range=long_range,
        max_length=max_length, stride=stride, level=level, global_attention=global_attention, of=of,
        kmer=kmer,
    ).to_frame()  # fmt: skip


def links(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    link: str | Sequence[str],
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    max_length: int | None = None, level: str = "token", global_attention: str = "none", of: str = "attention",
    kmer: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Finds the heads that join two words of a text; the twin of ``attnprobe heads --link``.

    Args:
        text, encoder, pair, layers, heads, max_length, level, global_attention, of, kmer, model: as in
            :func:`attnprobe.head_stats`.
        link: two words with a colon between them, or two positions, such as ``"it:animal"``, or a list of such; each
            word is found as by :func:`attnprobe.values.finding.find_matches`, and the first match is taken.
        mean: "heads", "layers" or "all": averages the weights over the chosen heads, layers, or both.

    Returns:
        a row per link, direction, layer and head, of each direction the largest weight first: columns ``layer``,
        ``head``, ``query``, ``query_token``, ``key``, ``key_token`` (the first position, and all tokens) and

        - ``weight``: what the query gives to the key, the mean over its tokens of the sum over the key's;
        - ``unusual``: the share of the head's other weights that are smaller, between any as many tokens of the text;
        - ``excess``: the weight less the usual one, the larger of two means: of what other queries give to this key,
          and of the other weights at this distance.

        NaN where the text has nothing to compare with. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an option is invalid, the text is empty, or a word is not found.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    from attnprobe.analyses.links import measure_links

    check_one(text)
    reading = SequenceReading(max_length=max_length, level=level, global_attention=global_attention, of=of, kmer=kmer)
    selection = Selection(layers, heads)
    return measure_links(text, loaded(encoder, model), pair, link, selection, Mean(mean), reading).to_table().to_frame()


def weights(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    query: int | str | None = None, key: int | str | Sequence[int | str] | None = None, sort: str | None = None,
    top: int | None = None, min_weight: float | None = None, direction: str | None = None, max_rows: int = 10_000_000,
    raw: bool = False,
    max_length: int | None = None, level: str = "token", global_attention: str = "none", of: str = "attention",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Returns the attention weights of a text, a row per layer, head, query and key; the twin of ``attnprobe weights``.

    Args:
        text, encoder, pair, layers, heads, max_length, level, global_attention, of, model: as in
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
        raw: with ``of="norms"``, whether rows are left as they are instead of divided by their sums.

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
        global_attention=global_attention, of=of, raw=raw,
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
    label: str | int | None = None, query: str | int | None = None, faithfulness: bool = False,
    max_length: int | None = None, level: str = "token", global_attention: str = "none", of: str = "attention",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Gives each token of a text scores, such as the attention it receives; the twin of ``attnprobe tokens``.

    Args:
        text, encoder, pair, max_length, level, global_attention, of, model: as in :func:`attnprobe.head_stats`.
        scores: one name of ``attnprobe.analyses.scores.SCORES`` or a list, in the order of the columns; None:
            ``received``, ``from_cls`` and ``entropy``.
        layers, heads: those whose weights count, as in :func:`attnprobe.head_stats`.
        queries: "all", or "content": ``received`` is a mean over the tokens of the text only.
        special: "drop" leaves out the rows of tokens that the tokenizer added; no number changes.
        sort: a score by which the rows are sorted, highest first.
        top: only so many rows.
        label: of ``gradient`` and ``chefer``, the label whose reasons are asked for, by name or number; None: the one
            that the model predicts. The task head of a classifier is loaded for them; an encoder has it from
            ``load_encoder(task=True)``. Without one they are of half the squared norm of the text's vector.
        query: of a token classifier, the token whose label it is, a position or a token.
        faithfulness: tests the scores: tokens are taken out, and put back, in the order of each, and in random orders.

    Returns:
        columns ``position`` (of the token, or word, in the text as the model reads it, from 0), ``token``, then the
        scores; NaN where a score has no meaning. With ``faithfulness`` instead the points of curves: ``score``,
        ``curve`` ("deletion" or "insertion"), ``share`` (of the tokens), ``value`` (of the answer), ``area``.

    Raises:
        UsageError: an option is invalid, or the text is empty.
        ModelError: a model that cannot be loaded or measured, or a layer whose weights belong to no tokens.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    analysis = load_analysis("tokens")
    found: TokenScores = analysis(
        text,
        loaded(encoder, model, **analysis.loads({"scores": scores, "sort": sort, "faithfulness": faithfulness})),
        pair=pair, layers=layers, heads=heads, queries=queries, scores=scores, special=special, sort=sort, top=top,
        label=label, query=query, faithfulness=faithfulness,
        max_length=max_length, level=level, global_attention=global_attention, of=of,
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
    special: str = "keep", max_tokens: int = 256, top: int | None = None, raw: bool = False, per_layer: bool = False,
    pair: str | None = None,
    max_length: int | None = None, level: str = "token", global_attention: str = "none",
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> pandas.DataFrame:  # fmt: skip
    """Follows tokens down through the layers to the input; the twin of ``attnprobe flow``.

    Args:
        text, encoder, pair, max_length, level, global_attention, model: as in :func:`attnprobe.head_stats`.
        method: of attention, "rollout", the product of the layers' matrices, or "flow", the maximum flow through them
            (both Abnar & Zuidema 2020), at most the column sum of its key in layer 0, and mostly just that. Of what
            tokens write into each other, "norms" (Kobayashi et al. 2021), "globenc" (Modarressi et al. 2022), "alti"
            (Ferrando et al. 2022), "value_zeroing" (Mohebbi et al. 2023) or "decompx" (Modarressi et al. 2023).
        query: the tokens whose information it is, a position or a token, see
            :func:`attnprobe.values.finding.find_tokens`; None: the classification token.
        all_queries: all tokens instead.
        all_layers: after each layer; else after the last.
        fusion: how the heads of a layer become one matrix: by their "mean", "max" or "min"; rows then sum to 1 again.
        heads: the heads that are fused, as in :func:`attnprobe.head_stats`; one of them is taken as it is.
        residual: the share of a token that comes around attention, through the residual connection.
        special: "drop" leaves out the shares of tokens that the tokenizer added, and of all queries their rows; no
            number changes.
        max_tokens: with "flow" and "decompx", a longer text is refused.
        top: only the keys with the largest shares, so many of each query, largest first.
        raw: with "globenc", multiplies norms whose rows were not divided by their sum, as the published code does.
        per_layer: instead of shares, a row per layer: with "norms" and "globenc" the mean norms and mixing ratios at
            each point of the layer, with others the mean share that a token has in itself.

    Returns:
        columns ``layer``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0) and ``share``: how much
        of the query after the layer comes from the key before the first. Over all keys of a query, shares sum to 1.
        With "flow" also ``flow``, before the flows of a query are divided by their sum; with "decompx" and ``raw``,
        ``norm`` likewise. Words are computed by their pieces: the key's are added up, the query's averaged.
        ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an option is invalid or has no effect on the method, the text is empty or too long for the method,
            or the query is not found.
        ModelError: a model that cannot be loaded or measured, whose layers attend to pools of tokens, or have parts
            that the method does not know.

    Warns:
        UserWarning: as :func:`attnprobe.head_stats`.
    """
    check_one(text)
    found: Flow = load_analysis("flow")(
        text,
        loaded(encoder, model),
        pair=pair, method=method, query=query, all_queries=all_queries, all_layers=all_layers, fusion=fusion,
        heads=heads, residual=residual, special=special, max_tokens=max_tokens, top=top, raw=raw, per_layer=per_layer,
        max_length=max_length, level=level, global_attention=global_attention,
    )  # fmt: skip
    return found.to_table().to_frame()
