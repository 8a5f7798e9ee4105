"""The weights of one text as rows, all of them or what is asked for."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.errors import UsageError
from attnprobe.measure.weights import MOST_WEIGHTS, keep_weights
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_whole
from attnprobe.values.attention import Excerpt
from attnprobe.values.filters import MOST_ROWS, SEGMENTS, check_filters
from attnprobe.values.finding import find_tokens
from attnprobe.values.selection import Indices, select
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    import pandas

COLUMNS = ("layer", "head", "query", "query_token", "key", "key_token", "weight")
ROW_BYTES = 40  # of CSV, about


def weights(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    top: int | None = None,
    min_weight: float | None = None,
    max_rows: int = MOST_ROWS,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> pandas.DataFrame:
    """The attention weights of a text, a row per layer, head, query and key; the twin of ``attnprobe weights``.

    Args:
        text: the text itself, never a path.
        encoder: from :func:`load_encoder`; or a folder or Hub id to load. None loads ``model``.
        top: only the keys with the largest weights, so many of each query in each head, largest first.
        min_weight: only weights of at least this.
        max_rows: more rows than this are refused, where possible before the model runs.
        model: the folder or Hub id to load where no encoder is given.
        options: layers, heads, query, pair, direction, level, max_length, global_attention, as :func:`take_excerpt`
            explains them.

    Returns:
        columns ``layer``, ``head``, ``query``, ``query_token``, ``key``, ``key_token`` (numbers from 0) and ``weight``
        in float32, in the order of layers, heads and queries. Over all keys of a query, weights sum to 1.
        ``attrs["signature"]`` says what they depend on.

    Raises:
        UsageError: an option that cannot be meant, an empty text, no such query, or too many rows.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.measure.reading.windows_of`.
    """
    excerpt = take_excerpt(text, loaded(encoder, model), top=top, min_weight=min_weight, max_rows=max_rows, **options)
    return weights_table(excerpt, top=top, min_weight=min_weight, max_rows=max_rows).to_frame()


def take_excerpt(
    text: str,
    encoder: Encoder,
    *,
    layers: Indices = None,
    heads: Indices = None,
    query: str | int | None = None,
    pair: str | None = None,
    direction: str | None = None,
    top: int | None = None,
    min_weight: float | None = None,
    max_rows: int | None = None,
    **options: Any,
) -> Excerpt:
    """The weights of a text, or of some of its queries and keys.

    Args:
        query: only this query, as :func:`attnprobe.values.finding.find_tokens` finds it.
        direction: only weights from one text of a pair to the other: "a-b" has the queries in the first text and the
            keys in the second, "b-a" the other way.
        layers, heads, pair: as in :func:`attnprobe.measure.heads.head_table`.
        options: those of :class:`attnprobe.values.options.Reading` but ``stride``.
        top, min_weight, max_rows: refuses before the model runs what :func:`weights_table` would; None: no limit.
    """
    check_filters(pair=pair, direction=direction, top=top, min_weight=min_weight)
    if max_rows is not None:
        check_whole("max_rows", max_rows)
    count = len(select(layers, encoder.layers, "layer")) * len(select(heads, encoder.heads, "head"))

    def check(tokens: Tokens) -> None:
        queries, keys = places(tokens, query, direction)
        if max_rows is not None and min_weight is None:
            check_row_count(count * len(queries) * min(top or len(keys), len(keys)), max_rows)

    attention = keep_weights(
        text,
        encoder,
        pair=pair,
        layers=layers,
        heads=heads,
        most=max(MOST_WEIGHTS, max_rows or 0),
        check=check,
        **options,
    )
    queries, keys = places(attention.tokens, query, direction)
    return Excerpt(attention.weights[:, :, queries][..., keys], queries, keys, attention)


def weights_table(
    excerpt: Excerpt, *, top: int | None = None, min_weight: float | None = None, max_rows: int = MOST_ROWS
) -> Table:
    """A row per weight; the arguments are those of :func:`weights`.

    Raises:
        UsageError: there are more rows than ``max_rows``.
    """
    attention, values = excerpt.attention, excerpt.weights
    tokens = np.array(attention.tokens.strings, dtype=object)
    axes = (attention.layers, attention.heads, excerpt.queries, excerpt.keys)
    layer, head, query, key = np.ix_(*(np.array(axis, dtype=np.int32) for axis in axes))
    if top is not None:
        order = np.argsort(-values, axis=-1, kind="stable")[..., :top]
        values, key = np.take_along_axis(values, order, -1), key.ravel()[order]
    kept = values >= (min_weight or 0)
    check_row_count(int(kept.sum()), max_rows)
    columns = (layer, head, query, tokens[query], key, tokens[key], values)
    arrays = [np.broadcast_to(column, kept.shape)[kept] for column in columns]
    return Table(COLUMNS, ArrayRows(arrays), attention.notes, attention.sign)


def places(tokens: Tokens, query: str | int | None, direction: str | None) -> tuple[list[int], list[int]]:
    """The positions of the queries and keys that are meant.

    Raises:
        UsageError: there is no such query.
    """
    queries = list(range(len(tokens))) if query is None else find_tokens(tokens, str(query))
    segments = SEGMENTS[direction]
    if segments is None:
        return queries, list(range(len(tokens)))
    theirs = [[at for at in range(len(tokens)) if tokens.segments[at] == segment] for segment in segments]
    chosen = [at for at in queries if at in theirs[0]]
    if not chosen:
        raise UsageError(f"the query {query!r} is not in the {'first' if direction == 'a-b' else 'second'} text")
    return chosen, theirs[1]


def check_row_count(count: int, most: int) -> None:
    """Refuses more rows than are wanted.

    Raises:
        UsageError: there would be more.
    """
    if count > most:
        raise UsageError(
            f"{count:,} rows, about {count * ROW_BYTES / 1e9:.1f} GB of CSV; the limit is {most:,}",
            "choose with -l, --head, --query or --top, write .npz or .safetensors, or raise --max-rows",
        )
