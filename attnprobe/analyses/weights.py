"""Makes rows of the weights of one text, of all or some."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.errors import UsageError
from attnprobe.values.arguments import listed
from attnprobe.values.attention import MOST_WEIGHTS, Excerpt
from attnprobe.values.averaging import averaged_axes
from attnprobe.values.finding import find_tokens
from attnprobe.values.notebook import html_table
from attnprobe.values.options import Mean, Options, Reading, Selection, Without, choice, option, share, whole
from attnprobe.values.selection import select
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

COLUMNS = {
    "layer": "counted from 0; empty if layers are averaged",
    "head": "counted from 0; empty if heads are averaged",
    "query": "the position of the token that attends, counted from 0",
    "query_token": "that token",
    "key": "the position of the token that is attended to; of keys that add up, the first",
    "key_token": "that token; of keys that add up, all of them, joined by +",
    "weight": "what the query gives to the key, or with --of norms what the key adds, in float32; over all keys of "
    "a query, weights sum to 1 unless --raw is given",
}
ROW_BYTES = 40  # of CSV, about
SEGMENTS = {None: (None, None), "a-b": (1, 2), "b-a": (2, 1)}  # of queries and of keys, by direction
SUM = " + "  # between the tokens of keys that add up


@dataclass(frozen=True)
class Filters(Options):
    """Chooses weights: by queries and keys, by size, and how many at most.

    Attributes:
        query: only this query, as :func:`attnprobe.values.finding.find_tokens` finds it.
        key: only this key, found likewise, or a list of keys: one row per query, which adds up the weights of all
            pieces and all keys named, each position once.
        sort: "weight": the rows of all heads and queries, largest weight first.
        top: only the keys with the largest weights, so many of each query in each head, largest first; with ``sort``,
            so many rows of them all.
        min_weight: only weights of at least this.
        direction: only weights from one text of a pair to the other: "a-b" has the queries in the first text and the
            keys in the second, "b-a" the other way.
        max_rows: more rows than this are refused, if possible before the model runs.
        raw: whether contributions are given as they are, ‖a·v·W_O‖, instead of divided by the sum of each row.
    """

    query: str | None = option(
        None,
        metavar="TOKEN|N",
        help="Only this query: its position, counted from 0, or a token; all that are alike.",
    )
    key: list[str] | None = option(
        None,
        metavar="TOKEN|N",
        help="Only what goes to this key, found likewise; may be repeated. Pieces and keys add up to one row.",
    )
    sort: str | None = choice(None, "weight", help="Rank the heads: rows of all, largest weight first.")
    top: int | None = whole(None, least=1, help="Only the N largest weights of each query; with --sort, of all.")
    min_weight: float | None = share(None, metavar="W", help="Only weights of at least W.")
    direction: str | None = choice(
        None,
        "a-b",
        "b-a",
        help="Of a pair: only from the first text to the second, or the other way.",
    )
    max_rows: int = whole(10_000_000, least=1, help="Refuse to write more rows than this.")
    raw: bool = option(False, help="With --of norms: ‖a·v·W_O‖ itself, rows not made to sum to 1.")

    def count(self, n_queries: int, n_keys: int) -> int:
        """Counts the rows, if no weight is too small, of queries in all heads and their keys."""
        of_query = 1 if self.key is not None else n_keys
        if self.top is None:
            return n_queries * of_query
        return min(self.top, n_queries * of_query) if self.sort else n_queries * min(self.top, of_query)


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
    text: str,
    encoder: Encoder,
    pair: str | None,
    selection: Selection,
    mean: Mean,
    filters: Filters,
    reading: Reading,
) -> Weights:
    """Measures the weights of a text, or of some of its queries and keys.

    Raises:
        UsageError: an option does not suit the text, the query is not found, or there are too many rows.
        ModelError: the model's weights belong to no tokens.
    """
    from attnprobe.measure.weights import keep_weights

    _check(filters.direction, pair, filters.raw, reading.of)
    layers = select(selection.layers, encoder.layers, "layer")
    n_maps = math.prod(map(len, averaged_axes(mean, layers, select(selection.heads, encoder.heads, "head"))))

    def check(tokens: Tokens) -> None:
        queries, keys = find_axes(tokens, tokens, filters)
        if filters.min_weight is None:
            check_row_count(filters.count(n_maps * len(queries), len(keys)), filters.max_rows)

    attention = keep_weights(
        text,
        encoder,
        pair=pair,
        most=max(MOST_WEIGHTS, filters.max_rows),
        check=check,
        raw=filters.raw,
        **vars(selection),
        **vars(mean),
        **reading.without("stride"),
    )
    queries, keys = find_axes(attention.query_tokens, attention.key_tokens, filters)
    return Weights(attention.weights[:, :, queries][..., keys], queries, keys, attention, filters)


def weights_table(excerpt: Excerpt, filters: Filters) -> Table:
    """Makes a row per weight that is large enough.

    Raises:
        UsageError: there are more rows than ``max_rows``.
    """
    attention, values, keys = excerpt.attention, excerpt.weights, excerpt.keys
    query_tokens, key_tokens = (
        np.array(tokens.strings, dtype=object) for tokens in (attention.query_tokens, attention.key_tokens)
    )
    if filters.key is not None:
        key_tokens[keys[0]] = SUM.join(key_tokens[keys])
        values, keys = values.sum(-1, keepdims=True, dtype=np.float64).astype(values.dtype), keys[:1]
    axes = (attention.layers, attention.heads, excerpt.queries, keys)
    layer, head, query, key = np.ix_(*map(_numbers, axes))
    if filters.top is not None and filters.sort is None:
        order = np.argsort(-values, axis=-1, kind="stable")[..., : filters.top]
        values, key = np.take_along_axis(values, order, -1), key.ravel()[order]
    kept = np.flatnonzero(values >= (filters.min_weight or 0))
    if filters.sort is not None:
        kept = kept[np.argsort(-values.ravel()[kept], kind="stable")[: filters.top]]
    check_row_count(len(kept), filters.max_rows)
    columns = (layer, head, query, query_tokens[query], key, key_tokens[key], values)
    at = np.unravel_index(kept, values.shape)
    arrays = [np.broadcast_to(column, values.shape)[at] for column in columns]
    return Table(list(COLUMNS), ArrayRows(arrays), attention.notes, attention.sign)


def _numbers(axis: Sequence[int | None]) -> np.ndarray:
    """Makes the numbers of an axis, or a missing one of a mean."""
    return np.array(axis, dtype=np.float32 if None in axis else np.int32)


def find_axes(query_tokens: Tokens, key_tokens: Tokens, filters: Filters) -> tuple[list[int], list[int]]:
    """Finds the positions of the chosen queries and keys.

    Raises:
        UsageError: a query or key is not found, or not in the text that the direction asks for.
    """
    sides = ("query", query_tokens, filters.query), ("key", key_tokens, filters.key)
    queries, keys = (
        _in_segment(side, tokens, names, segment)
        for (side, tokens, names), segment in zip(sides, SEGMENTS[filters.direction], strict=True)
    )
    return queries, keys


def _in_segment(side: str, tokens: Tokens, names: Any, segment: int | None) -> list[int]:
    """Finds the positions of the named tokens, all if none is named, that are in the segment, if one is given.

    Raises:
        UsageError: a token is not found, or none is in the segment.
    """
    wanted = listed(names)
    if names is not None and not wanted:
        raise UsageError("the list of keys is empty", "leave it out for every key")
    found = range(len(tokens)) if names is None else {at for name in wanted for at in find_tokens(tokens, name)}
    chosen = [at for at in sorted(found) if segment is None or tokens.segments[at] == segment]
    if not chosen:
        named = ", ".join(map(repr, wanted)) or "of any token"
        raise UsageError(f"the {side} {named} is not in the {'first' if segment == 1 else 'second'} text")
    return chosen


def check_row_count(count: int, most: int) -> None:
    """Checks how many rows there would be.

    Raises:
        UsageError: there would be more than ``most``.
    """
    if count > most:
        raise UsageError(
            f"{count:,} rows, about {count * ROW_BYTES / 1e9:.1f} GB of CSV; the limit is {most:,}",
            "choose with -l, --head, --query, --key or --top, write .npz or .safetensors, or raise --max-rows",
        )


def _check(direction: str | None, pair: str | None, raw: bool, of: str) -> None:
    """Refuses options that need another one.

    Raises:
        UsageError: a direction is given without a pair, or raw contributions are asked for of attention.
    """
    if direction and pair is None:
        raise UsageError("a direction needs two texts", "give the second with --pair")
    if raw and of == "attention":
        raise UsageError("attention has no raw numbers, its rows sum to 1 as they are", "--of norms --raw")


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Fits the options to an output: a terminal shows few keys of each query, and tensors hold every weight.

    Raises:
        UsageError: an option does not suit the output, or needs another one.
    """
    _check(options["direction"], options["pair"], options["raw"], options["of"])
    unfiltered = (options["top"], options["min_weight"]) == (None, None)
    if format == "table" and unfiltered:
        shown = ROWS_SHOWN if options["sort"] else None if options["key"] else KEYS_SHOWN
        return {**options, "top": shown}
    if format not in TENSORS:
        return options
    if not unfiltered or options["sort"]:
        raise UsageError(
            "--top, --min-weight and --sort are for rows; tensors hold every weight", "use -f csv or parquet"
        )
    return {**options, "max_rows": max(options["max_rows"], MOST_WEIGHTS)}


KEYS_SHOWN = 3  # of each query in a terminal, by default
ROWS_SHOWN = 10  # in a terminal, by default, of those that are sorted
TENSORS = {
    "npz": "attnprobe.writers.tensors:write_npz",
    "safetensors": "attnprobe.writers.tensors:write_safetensors",
}
WEIGHTS = Analysis(
    take_weights,
    COLUMNS,
    options=(Selection, Mean, Filters, Annotated[Reading, Without("stride")]),
    fit=fit,
    names_tokens=("query", "key"),
    view="attnprobe.render.weights:weights_view",
    formats=TENSORS,
    examples=(
        "attnprobe weights 'The cat sat on the mat.' -l 0 --head 2 --top 1",
        "attnprobe weights 'The cat sat here.' --query here --key cat --sort weight",
        "attnprobe weights 'The cat sat on the mat.' -o weights.parquet",
    ),
)
