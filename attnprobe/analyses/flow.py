"""Shows where tokens have their information from after each layer, as far as a method can say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.following import Following
from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.layer_means import LayerMeans, take_means
from attnprobe.analyses.methods import Layers
from attnprobe.analyses.pictures import ShareMaps
from attnprobe.errors import UsageError
from attnprobe.values.finding import find_tokens, kept_positions
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Reading, Without
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Role, Tokens
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

COLUMNS = {
    "layer": "the layer after which, counted from 0",
    "query": "the position of the token whose information it is, counted from 0",
    "query_token": "that token",
    "key": "the position of the input token that it comes from",
    "key_token": "that token",
    "share": "how much of it comes from there; over all keys of a query, shares sum to 1. With --method flow another "
    "column follows, flow: the maximum flow, from 0 to 1, before the flows of a query are divided by their sum; with "
    "decompx and globenc --raw, norm likewise",
}


@dataclass(frozen=True, repr=False)
class Flow:
    """Shares of input tokens in tokens after some layers.

    Attributes:
        shares: (layer, query, key) in float64; rows sum to 1, unless some keys are left out. NaN in rows without any.
        numbers: the same before rows are divided by their sum; None: they are not divided.
        layers: the numbers of the layers after which they are.
        queries, keys: the positions of the queries and keys.
        tokens: all tokens of the text; words at level "word".
        following: the options.
        level: what a position is, "token" or "word".
        notes, sign: as in :class:`attnprobe.values.table.Table`.
        remarks: what a reader should know.
    """

    shares: np.ndarray
    numbers: np.ndarray | None
    layers: Sequence[int]
    queries: Sequence[int]
    keys: Sequence[int]
    tokens: Tokens
    following: Following
    level: str = "token"
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None
    remarks: Sequence[str] = ()

    def __repr__(self) -> str:
        layers, queries, keys = self.shares.shape
        return one_line("Flow", self.notes.get("model", ""), f"{layers} layers", f"{queries} queries × {keys} keys")

    def _repr_html_(self) -> str:
        """Shows the first rows."""
        table = self.to_table()
        return html_table(repr(self), table.columns, table.rows)

    def largest(self, top: int | None) -> np.ndarray:
        """Chooses the largest shares, as indices of keys (layer, query, place), largest first; None: all, in order."""
        if top is None:
            return np.broadcast_to(np.arange(len(self.keys)), self.shares.shape)
        return np.argsort(-self.shares, axis=-1, kind="stable")[..., :top]

    @property
    def beside(self) -> dict[str, np.ndarray]:
        """The numbers before rows are divided by their sum, if they are, under their name."""
        return {} if self.numbers is None else {self.following.how.number: self.numbers}

    def maps(self) -> ShareMaps:
        """Makes maps of queries and keys, one for each layer, if all tokens are queries; else of layers and keys."""
        after = [f"after layer {layer}" for layer in self.layers]
        queries = [f"of {self.level} {at} {self.tokens.strings[at]}" for at in self.queries]
        if self.following.all_queries:
            names, rows, axis, values = after, [self.tokens.strings[at] for at in self.queries], "query", self.shares
        else:
            names, rows, axis, values = queries, list(map(str, self.layers)), "layer", self.shares.transpose(1, 0, 2)
        of = " ".join([self.following.method, *names[: len(names) == 1]])
        unit = f"{len(self.keys)} {self.level}s" + ", special tokens left out" * (len(self.keys) < len(self.tokens))
        keys = [self.tokens.strings[at] for at in self.keys]
        return ShareMaps(f"{of}, {unit}", np.nan_to_num(values), names, rows, axis, keys, self.notes, self.sign)

    def to_table(self) -> Table:
        """Makes a row per layer, query and key."""
        places, strings = self.largest(self.following.top), np.array(self.tokens.strings, dtype=object)
        keys = np.array(self.keys)[places]
        numbers = {"share": self.shares, **self.beside}
        layer, query, _ = np.ix_(self.layers, self.queries, range(keys.shape[-1]))
        columns = [layer, query, strings[query], keys, strings[keys]]
        columns += [np.take_along_axis(values, places, -1) for values in numbers.values()]
        arrays = [np.broadcast_to(column, keys.shape).ravel() for column in columns]
        return Table([*COLUMNS, *list(numbers)[1:]], ArrayRows(arrays), self.notes, self.sign)


def follow(text: str, encoder: Encoder, pair: str | None, following: Following, reading: Reading) -> Flow | LayerMeans:
    """Measures the matrices of all layers, and follows tokens through them, or takes means of each.

    Raises:
        UsageError: an option does not suit the text, a token is not found, or the text is too long for the method.
        ModelError: a layer attends to no tokens of the text, but to pools of them, or has parts that are not known.
    """
    from attnprobe.measure.reading import notes_on, sign, windows_of

    if following.per_layer and reading.level == "word":
        raise UsageError("--level word has no effect on --per-layer, whose means are over tokens", "leave it out")
    [pieces] = windows_of(encoder, text, pair, reading)
    _check_length(pieces, following)
    if following.per_layer:
        return LayerMeans(
            following.how.means,
            *take_means(pieces, encoder, following.method),
            notes_on(encoder, [pieces], reading),
            lambda: sign(encoder, reading, method=following.method),
        )
    tokens = pieces.by_word() if reading.level == "word" else pieces
    keys = kept_positions(tokens, following.special)
    queries = keys if following.all_queries else find_queries(tokens, following.query)
    layers = measure_layers(pieces, encoder, following)
    words = np.array(pieces.words if reading.level == "word" else range(len(pieces)))
    shares, numbers, remarks = _followed(layers, words, queries, following)
    return Flow(
        shares[..., keys],
        None if numbers is None else numbers[..., keys],
        range(encoder.layers)[-len(shares) :],
        queries,
        keys,
        tokens,
        following,
        reading.level,
        notes_on(encoder, [pieces], reading),
        lambda: sign(encoder, reading, **signed(layers, following)),
        [*layers.remarks, *_left_out(shares[-1], keys), *remarks],
    )


def measure_layers(pieces: Tokens, encoder: Encoder, following: Following) -> Layers:
    """Measures what the method follows through the layers."""
    options = {name: getattr(following, name) for name in following.how.options if name != "max_tokens"}
    return following.how.measure(encoder, pieces, **options)


def signed(layers: Layers, following: Following) -> dict[str, object]:
    """Names what the numbers depend on, for the signature."""
    return {
        **layers.signed,
        "method": following.method,
        "residual": following.residual if "residual" in following.how.options else None,
        "raw": following.raw or None,
        "special": "kept" if following.special == "keep" else following.special,
    }


def _followed(
    layers: Layers, words: np.ndarray, queries: Sequence[int], following: Following
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Follows tokens through the layers: the shares (layer, query, key), the numbers before rows are divided, if they
    are, and remarks. A query without any share has NaN.

    Args:
        words: the word of each token, or the token itself.
        queries: the words that are asked for.
    """
    rows, how = np.flatnonzero(np.isin(words, queries)), following.how
    followed = how.join(layers.matrices, rows, following.all_layers)
    total = followed.sum(-1, keepdims=True)
    divided = bool(how.number) and (following.raw or "raw" not in how.options)
    shares = np.divide(followed, total if divided else 1, out=np.full_like(followed, np.nan), where=total > 0)
    shares, numbers = (by_word(values, words[rows], words) for values in (shares, followed))
    return shares, numbers if divided else None, list(how.remark(followed, layers))


def find_queries(tokens: Tokens, query: str | int | None) -> list[int]:
    """Finds the positions of the queries, ascending; None: of the classification token.

    Raises:
        UsageError: the query is not found, or none is named and the text has no classification token.
    """
    if query is not None:
        return find_tokens(tokens, str(query))
    if not tokens.positions(Role.CLS):
        raise UsageError("the text has no classification token, whose information it would be", QUERIES)
    return tokens.positions(Role.CLS)[:1]


def _check_length(pieces: Tokens, following: Following) -> None:
    """Checks that a text is short enough for the method.

    Raises:
        UsageError: the text is too long.
    """
    what, hint = following.how.costly
    if what and len(pieces) > following.max_tokens:
        raise UsageError(f"the text has {len(pieces)} tokens; {what} for up to {following.max_tokens}", hint)


def by_word(values: np.ndarray, row_words: np.ndarray, key_words: np.ndarray) -> np.ndarray:
    """Adds up the keys of each word, and averages the rows of each word: (layer, word of rows, word).

    Args:
        values: (layer, row, key) of tokens.
        row_words, key_words: the word of each row and each key, ascending.
    """
    starts, sizes = np.unique(row_words, return_index=True, return_counts=True)[1:]
    values = np.add.reduceat(values, starts, axis=1) / sizes[:, None]
    return np.add.reduceat(values, np.unique(key_words, return_index=True)[1], axis=2)


def _left_out(shares: np.ndarray, keys: Sequence[int]) -> Iterator[str]:
    """Says how much of the last layer's shares, (query, key), special tokens have that were left out, if any were."""
    if shares.shape[-1] > len(keys):
        rest = shares.sum(-1) - shares[:, keys].sum(-1)
        low, high = f"{rest.min():.3f}", f"{rest.max():.3f}"
        have = low if low == high else f"{low} to {high}"
        yield f"special tokens are left out, which have {have} of a query's shares after the last layer"


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Fits the options to an output: pictures show all keys, and of some queries all layers.

    Raises:
        UsageError: an option does not suit the output.
    """
    if format not in PICTURES:
        return options
    if options["per_layer"]:
        raise UsageError("--per-layer is a table, and has no picture", "-o FILE.csv, or leave it out")
    if options["top"] is not None:
        raise UsageError("--top is for rows; a picture shows every key", "leave it out")
    return {**options, "all_layers": options["all_layers"] or not options["all_queries"]}


QUERIES = "name one with --query TOKEN or a position, or take --all-queries"
PICTURES = {name: f"attnprobe.render.flow:write_{name}" for name in (*FIGURES, "html")}
FLOW = Analysis(
    follow,
    COLUMNS,
    options=(Following, Annotated[Reading, Without("stride", "of")]),
    fit=fit,
    names_tokens=("query",),
    view="attnprobe.render.flow:flow_view",
    formats=PICTURES,
    examples=(
        "attnprobe flow 'The cat sat on the mat.' --all-layers",
        "attnprobe flow 'The cat sat here.' --query cat -o cat.png",
        "attnprobe flow 'The cat sat here.' --method flow -q",
    ),
)
