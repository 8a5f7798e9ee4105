"""Makes rows of the weights of one text, of all or some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.errors import UsageError
from attnprobe.values.attention import MOST_WEIGHTS, Excerpt
from attnprobe.values.finding import find_tokens
from attnprobe.values.notebook import html_table
from attnprobe.values.options import Options, Reading, Selection, Without, choice, option, share, whole
from attnprobe.values.selection import select
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

COLUMNS = {
    "layer": "counted from 0",
    "head": "counted from 0",
    "query": "the position of the token that attends, counted from 0",
    "query_token": "that token",
    "key": "the position of the token that is attended to",
    "key_token": "that token",
    "weight": "what the query gives to the key, in float32; over all keys of a query, weights sum to 1",
}
ROW_BYTES = 40  # of CSV, about
SEGMENTS = {None: None, "a-b": (1, 2), "b-a": (2, 1)}  # of queries and of keys, by direction


@dataclass(frozen=True)
class Filters(Options):
    """Chooses weights: by queries and keys, by size, and how many at most.

    Attributes:
        query: only this query, as :func:`attnprobe.values.finding.find_tokens` finds it.
        top: only the keys with the largest weights, so many of each query in each head, largest first.
        min_weight: only weights of at least this.
        direction: only weights from one text of a pair to the other: "a-b" has the queries in the first text and the
            keys in the second, "b-a" the other way.
        max_rows: more rows than this are refused, if possible before the model runs.
    """

    query: str | None = option(
        None,
        metavar="TOKEN|N",
        help="Only this query: its position, counted from 0, or a token; all that are alike.",
    )
    top: int | None = whole(None, least=1, help="Only the N largest weights of each query.")
    min_weight: float | None = share(None, metavar="W", help="Only weights of at least W.")
    direction: str | None = choice(
        None,
        "a-b",
        "b-a",
        help="Of a pair: only from the first text to the second, or the other way.",
    )
    max_rows: int = whole(10_000_000, least=1, help="Refuse to write more rows than this.")


@dataclass(frozen=True, repr=False)
class Weights(Excerpt):
    """The weights that were asked for.

    Attributes:
        filters: choose the weights that become rows.
    """

    filters: Filters

    def _repr_html_(self) -> str:
        """Shows the first rows."""
        table = self.to_table()
        return html_table(repr(self), table.columns, table.rows)

    def to_table(self) -> Table:
        """Makes a row per weight.

        Raises:
            UsageError: there are more rows than ``max_rows``.
        """
        return weights_table(self, self.filters)


def take_weights(
    text: str, encoder: Encoder, pair: str | None, selection: Selection, filters: Filters, reading: Reading
) -> Weights:
    """Measures the weights of a text, or of some of its queries and keys.

    Raises:
        UsageError: an option does not suit the text, the query is not found, or there are too many rows.
        ModelError: the model's weights belong to no tokens.
    """
    from attnprobe.measure.weights import keep_weights

    _check_direction(filters.direction, pair)
    n_layers = len(select(selection.layers, encoder.layers, "layer"))
    n_heads = len(select(selection.heads, encoder.heads, "head"))

    def check(tokens: Tokens) -> None:
        queries, keys = find_axes(tokens, tokens, filters.query, filters.direction)
        if filters.min_weight is None:
            n_keys = min(filters.top or len(keys), len(keys))
            check_row_count(n_layers * n_heads * len(queries) * n_keys, filters.max_rows)

    attention = keep_weights(
        text,
        encoder,
        pair=pair,
        most=max(MOST_WEIGHTS, filters.max_rows),
        check=check,
        **vars(selection),
        **reading.without("stride"),
    )
    queries, keys = find_axes(attention.query_tokens, attention.key_tokens, filters.query, filters.direction)
    return Weights(attention.weights[:, :, queries][..., keys], queries, keys, attention, filters)


def weights_table(excerpt: Excerpt, filters: Filters) -> Table:
    """Makes a row per weight that is large enough.

    Raises:
        UsageError: there are more rows than ``max_rows``.
    """
    attention, values = excerpt.attention, excerpt.weights
    query_tokens, key_tokens = (
        np.array(tokens.strings, dtype=object) for tokens in (attention.query_tokens, attention.key_tokens)
    )
    axes = (attention.layers, attention.heads, excerpt.queries, excerpt.keys)
    layer, head, query, key = np.ix_(*(np.array(axis, dtype=np.int32) for axis in axes))
    if filters.top is not None:
        order = np.argsort(-values, axis=-1, kind="stable")[..., : filters.top]
        values, key = np.take_along_axis(values, order, -1), key.ravel()[order]
    kept = values >= (filters.min_weight or 0)
    check_row_count(int(kept.sum()), filters.max_rows)
    columns = (layer, head, query, query_tokens[query], key, key_tokens[key], values)
    arrays = [np.broadcast_to(column, kept.shape)[kept] for column in columns]
    return Table(list(COLUMNS), ArrayRows(arrays), attention.notes, attention.sign)


def find_axes(
    query_tokens: Tokens, key_tokens: Tokens, query: str | int | None, direction: str | None
) -> tuple[list[int], list[int]]:
    """Finds the positions of the chosen queries and keys.

    Raises:
        UsageError: the query is not found.
    """
    queries = list(range(len(query_tokens))) if query is None else find_tokens(query_tokens, str(query))
    segments = SEGMENTS[direction]
    if segments is None:
        return queries, list(range(len(key_tokens)))
    of_queries, of_keys = (
        [at for at, segment in enumerate(tokens.segments) if segment == wanted]
        for tokens, wanted in zip((query_tokens, key_tokens), segments, strict=True)
    )
    chosen = [at for at in queries if at in of_queries]
    if not chosen:
        raise UsageError(f"the query {query!r} is not in the {'first' if direction == 'a-b' else 'second'} text")
    return chosen, of_keys


def check_row_count(count: int, most: int) -> None:
    """Checks how many rows there would be.

    Raises:
        UsageError: there would be more than ``most``.
    """
    if count > most:
        raise UsageError(
            f"{count:,} rows, about {count * ROW_BYTES / 1e9:.1f} GB of CSV; the limit is {most:,}",
            "choose with -l, --head, --query or --top, write .npz or .safetensors, or raise --max-rows",
        )


def _check_direction(direction: str | None, pair: str | None) -> None:
    if direction and pair is None:
        raise UsageError("a direction needs two texts", "give the second with --pair")


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Fits the options to an output: a terminal shows few keys of each query, and tensors hold every weight.

    Raises:
        UsageError: an option does not suit the output, or a direction is given without a pair.
    """
    _check_direction(options["direction"], options["pair"])
    unfiltered = (options["top"], options["min_weight"]) == (None, None)
    if format == "table" and unfiltered:
        return {**options, "top": KEYS_SHOWN}
    if format not in TENSORS:
        return options
    if not unfiltered:
        raise UsageError("--top and --min-weight choose rows; tensors hold every weight", "use -f csv or parquet")
    return {**options, "max_rows": max(options["max_rows"], MOST_WEIGHTS)}


KEYS_SHOWN = 3  # of each query in a terminal, by default
TENSORS = {
    "npz": "attnprobe.writers.tensors:write_npz",
    "safetensors": "attnprobe.writers.tensors:write_safetensors",
}
WEIGHTS = Analysis(
    take_weights,
    COLUMNS,
    options=(Selection, Filters, Annotated[Reading, Without("stride")]),
    fit=fit,
    names_tokens=("query",),
    view="attnprobe.render.weights:weights_view",
    formats=TENSORS,
    examples=(
        "attnprobe weights 'The cat sat on the mat.' -l 0 --head 2 --top 1",
        "attnprobe weights 'The cat sat on the mat.' --query cat --min-weight 0.2",
        "attnprobe weights 'The cat sat on the mat.' -o weights.parquet",
    ),
)
