"""Shows where tokens have their information from after each layer, as far as attention weights say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.maxflow import bounds, maximum_flows
from attnprobe.analyses.pictures import ShareMaps
from attnprobe.analyses.rollout import rollout, rollout_rows, with_residual
from attnprobe.errors import UsageError
from attnprobe.values.finding import find_tokens, kept_positions
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Options, Reading, Without, choice, indices, option, share, whole
from attnprobe.values.selection import Indices
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Role, Tokens
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from attnprobe.measure.fused import Fused
    from attnprobe.models.encoder import Encoder

COLUMNS = {
    "layer": "the layer after which, counted from 0",
    "query": "the position of the token whose information it is, counted from 0",
    "query_token": "that token",
    "key": "the position of the input token that it comes from",
    "key_token": "that token",
    "share": "how much of it comes from there; over all keys of a query, shares sum to 1. With --method flow another "
    "column follows, flow: the maximum flow, from 0 to 1, before the flows of a query are divided by their sum",
}
LIMIT = "no flow is larger than 1, or than the column sum of its key in layer 0 (attention and residual)"


@dataclass(frozen=True)
class Following(Options):
    """How attention is followed through the layers, and for which tokens.

    Attributes:
        method: "rollout", the product of the layers' matrices, or "flow", the maximum flow through them, both as in
            Abnar & Zuidema 2020.
        query: only these tokens after the layer, as :func:`attnprobe.values.finding.find_tokens` finds them; None: the
            classification token.
        all_queries: all tokens instead.
        all_layers: after each layer; else after the last.
        fusion: how the heads of a layer become one matrix: by their "mean", "max" or "min"; rows then sum to 1 again.
        heads: the heads that are fused, counted from 0; one of them is taken as it is.
        special: "drop" leaves out the shares of tokens that the tokenizer added, and of all queries their rows; no
            number changes.
        residual: the share of a token that comes around attention, through the residual connection.
        max_tokens: with "flow", a longer text is refused.
        top: only the keys with the largest shares, so many of each query, largest first.

    Raises:
        UsageError: an option has an invalid value, or a query is named beside all.
    """

    method: str = choice(
        "rollout", "flow", help="The layers multiplied; or flow through them: mostly the column sums of layer 0."
    )
    query: str | None = option(
        None,
        metavar="TOKEN|N",
        help="Whose information: a token, or its position from 0.  [default: [CLS] or its like]",
    )
    all_queries: bool = option(False, help="Of all tokens instead.")
    all_layers: bool = option(False, help="After each layer, not the last only.")
    fusion: str = choice("mean", "max", "min", help="What of all heads; rows are then made to sum to 1.")
    heads: Indices = indices(
        "all", flags=("--head",), metavar="HEADS", help="Fuse only these heads of each layer: 3, 0-5, 0,2,-1 or all."
    )
    residual: float = share(0.5, help="The share of a token that comes around attention.")
    special: str = choice("keep", "drop", help="Of [CLS], [SEP] and their like: keep what they give, or leave it out.")
    max_tokens: int = whole(256, least=1, help="With --method flow, refuse a longer text: it takes a flow per key.")
    top: int | None = whole(
        None, least=1, help="Only the N largest shares of each query.  [default: 10 on a terminal, else all]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_queries and self.query is not None:
            raise UsageError("--query chooses among the queries, and --all-queries takes all", "leave out one of them")


@dataclass(frozen=True, repr=False)
class Flow:
    """Shares of input tokens in tokens after some layers.

    Attributes:
        shares: (layer, query, key) in float64; rows sum to 1, unless some keys are left out.
        flows: the same before rows are divided by their sum; None: the method has no such number.
        layers: the numbers of the layers after which they are.
        queries, keys: the positions of the queries and keys.
        tokens: all tokens of the text; words at level "word".
        following: the options.
        level: what a position is, "token" or "word".
        notes, sign: as in :class:`attnprobe.values.table.Table`.
        remarks: what a reader should know.
    """

    shares: np.ndarray
    flows: np.ndarray | None
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
        return ShareMaps(f"{of}, {unit}", values, names, rows, axis, keys, self.notes, self.sign)

    def to_table(self) -> Table:
        """Makes a row per layer, query and key."""
        places, strings = self.largest(self.following.top), np.array(self.tokens.strings, dtype=object)
        keys = np.array(self.keys)[places]
        numbers = {"share": self.shares, **({} if self.flows is None else {"flow": self.flows})}
        layer, query, _ = np.ix_(self.layers, self.queries, range(keys.shape[-1]))
        columns = [layer, query, strings[query], keys, strings[keys]]
        columns += [np.take_along_axis(values, places, -1) for values in numbers.values()]
        arrays = [np.broadcast_to(column, keys.shape).ravel() for column in columns]
        return Table([*COLUMNS, *list(numbers)[1:]], ArrayRows(arrays), self.notes, self.sign)


def follow(text: str, encoder: Encoder, pair: str | None, following: Following, reading: Reading) -> Flow:
    """Measures the matrices of all layers, and follows attention through them.

    Raises:
        UsageError: an option does not suit the text, a token is not found, or the text is too long for the method.
        ModelError: a layer attends to no tokens of the text, but to pools of them.
    """
    from attnprobe.measure.fused import FusedHeads, fuse_heads
    from attnprobe.measure.reading import notes_on, sign, windows_of

    fused_heads = FusedHeads.choose(encoder, following.heads, following.fusion)
    [pieces] = windows_of(encoder, text, pair, reading)
    tokens = pieces.by_word() if reading.level == "word" else pieces
    keys = kept_positions(tokens, following.special)
    queries = keys if following.all_queries else find_queries(tokens, following.query)
    _check_length(pieces, following)
    fused = fuse_heads(pieces, encoder, fused_heads)
    words = np.array(pieces.words if reading.level == "word" else range(len(pieces)))
    shares, flows, remarks = _followed(fused, words, queries, following)
    special = "kept" if following.special == "keep" else following.special
    settings = {**fused_heads.signed(), "method": following.method, "residual": following.residual, "special": special}
    return Flow(
        shares[..., keys],
        None if flows is None else flows[..., keys],
        range(encoder.layers)[-len(shares) :],
        queries,
        keys,
        tokens,
        following,
        reading.level,
        notes_on(encoder, [pieces], reading),
        lambda: sign(encoder, reading, **settings),
        [*_outside(fused), *_left_out(shares[-1], keys), *remarks],
    )


def _followed(
    fused: Fused, words: np.ndarray, queries: Sequence[int], following: Following
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Follows attention through the layers: the shares (layer, query, key), the flows if there are any, and a remark.

    Args:
        words: the word of each token, or the token itself.
        queries: the words that are asked for.
    """
    matrices = [with_residual(matrix, following.residual) for matrix in fused.matrices]
    rows = np.flatnonzero(np.isin(words, queries))
    followed = METHODS[following.method](matrices, rows, following.all_layers)
    shares = by_word(followed / followed.sum(-1, keepdims=True), words[rows], words)
    if following.method != "flow":
        return shares, None, []
    return shares, by_word(followed, words[rows], words), [limit(followed[-1], matrices[0])]


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
    """Checks that the maximum flows of a text can be computed.

    Raises:
        UsageError: the text is too long.
    """
    if following.method == "flow" and len(pieces) > following.max_tokens:
        raise UsageError(
            f"the text has {len(pieces)} tokens; maximum flows are computed for up to {following.max_tokens}",
            "take --method rollout, cut the text with --max-length, or raise --max-tokens: it takes seconds a query",
        )


def roll(matrices: Sequence[np.ndarray], rows: np.ndarray, all_layers: bool) -> np.ndarray:
    """Computes rows of the rollout after each layer or the last one, (layer, row, key)."""
    if not all_layers:
        return rollout_rows(matrices, rows)[None]
    if len(rows) == len(matrices[0]):
        return np.stack(list(rollout(matrices)))
    return np.stack([rollout_rows(matrices[: layer + 1], rows) for layer in range(len(matrices))])


def flow(matrices: Sequence[np.ndarray], rows: np.ndarray, all_layers: bool) -> np.ndarray:
    """Computes maximum flows after each layer or the last one, (layer, row, key)."""
    depths = range(1, len(matrices) + 1) if all_layers else [len(matrices)]
    return np.array([[maximum_flows(matrices[:depth], row) for row in rows] for depth in depths])


METHODS: Mapping[str, Callable[[Sequence[np.ndarray], np.ndarray, bool], np.ndarray]] = {"rollout": roll, "flow": flow}


def by_word(values: np.ndarray, row_words: np.ndarray, key_words: np.ndarray) -> np.ndarray:
    """Adds up the keys of each word, and averages the rows of each word: (layer, word of rows, word).

    Args:
        values: (layer, row, key) of tokens.
        row_words, key_words: the word of each row and each key, ascending.
    """
    starts, sizes = np.unique(row_words, return_index=True, return_counts=True)[1:]
    values = np.add.reduceat(values, starts, axis=1) / sizes[:, None]
    return np.add.reduceat(values, np.unique(key_words, return_index=True)[1], axis=2)


def _outside(fused: Fused) -> Iterator[str]:
    """Says how much attention falls on no token of the text."""
    if fused.outside.any():
        low, high = (f"{100 * share:.1f} %" for share in (fused.outside.min(), fused.outside.max()))
        yield (
            f"of a layer's attention, {low if low == high else f'{low} to {high}'} falls on no token of the text, "
            "and is left out: rows were made to sum to 1 before layers were joined"
        )


def _left_out(shares: np.ndarray, keys: Sequence[int]) -> Iterator[str]:
    """Says how much of the last layer's shares, (query, key), special tokens have that were left out, if any were."""
    if shares.shape[-1] > len(keys):
        rest = 1 - shares[:, keys].sum(-1)
        low, high = f"{rest.min():.3f}", f"{rest.max():.3f}"
        have = low if low == high else f"{low} to {high}"
        yield f"special tokens are left out, which have {have} of a query's shares after the last layer"


def limit(flows: np.ndarray, first: np.ndarray) -> str:
    """Says how many of the flows from the last layer, (row, key), are as large as layer 0 allows."""
    met = int((np.abs(flows - bounds(first)) < CLOSE).sum())
    return f"{LIMIT}; {met} of these {flows.size} flows are just that, whatever the layers above do"


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Fits the options to an output: pictures show all keys, and of some queries all layers.

    Raises:
        UsageError: an option does not suit the output.
    """
    if format not in PICTURES:
        return options
    if options["top"] is not None:
        raise UsageError("--top is for rows; a picture shows every key", "leave it out")
    return {**options, "all_layers": options["all_layers"] or not options["all_queries"]}


CLOSE = 1e-7  # flows are whole multiples of 1e-9, and sums of them
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
