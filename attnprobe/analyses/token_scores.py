"""Gives each token of a text numbers: how much attention it receives, from all or from [CLS], how wide it looks.

To add a score: one Score, and one row in SCORES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.rollout import rollout_rows, with_residual
from attnprobe.errors import UsageError
from attnprobe.values.arguments import listed, nearest, shown
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Averaging, Options, Reading, Selection, Without, choice, option, whole
from attnprobe.values.runs import Run, join_tokens
from attnprobe.values.selection import as_ranges, select
from attnprobe.values.table import Table
from attnprobe.values.text import visible
from attnprobe.values.tokens import Role, Tokens
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from attnprobe.measure.by_token import TokenSums
    from attnprobe.models.encoder import Encoder

NO_CLS = "the tokenizer adds no classification token"


@dataclass(frozen=True)
class Asked:
    """The text that is measured, and the weights that count.

    Attributes:
        pieces: the tokens that the encoder reads.
        layers, heads: the numbers of those that count.
        queries: "all" or "content", see :class:`attnprobe.values.options.Averaging`.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
    """

    encoder: Encoder
    pieces: Tokens
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    queries: str
    level: str

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens, or words, that have scores."""
        return self.pieces.by_word() if self.level == "word" else self.pieces

    @cached_property
    def sums(self) -> TokenSums:
        """The sums by head and token, which one pass of the model gives to all scores that need them."""
        from attnprobe.measure.by_token import ByToken
        from attnprobe.measure.running import measure

        measurement = ByToken(self.layers, self.heads, self.queries, self.level)
        sums: TokenSums = measure([self.pieces], self.encoder.for_length(len(self.pieces)), measurement).texts[0]
        return sums


def _nothing(asked: Asked, values: np.ndarray) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A number for each token of a text.

    Attributes:
        take: called with what is asked; returns (token,), NaN where the score has no meaning.
        remark: called with the same and the score; a sentence on what a reader must know of it, or empty.
        meaning: in a few words.
        formula: a[q,k] is the weight that query q gives to key k.
        unit: with the range if it has one.
        source: who introduced the score, and how this one differs.
        is_share: whether the numbers of all tokens add up to 1, or to what does not fall outside of the text.
    """

    take: Callable[[Asked], np.ndarray]
    remark: Callable[[Asked, np.ndarray], str] = _nothing
    meaning: str
    formula: str
    unit: str
    source: str
    is_share: bool = False


def _of_outside(asked: Asked, received: np.ndarray) -> str:
    """Says how much attention falls on no token of the text, where that is possible."""
    total = float(received.sum())
    if asked.sums.complete or np.isnan(total):
        return ""
    return f"of all attention, {1 - total:.3f} falls on no token of the text: received adds up to {total:.3f}"


def _of_no_cls(asked: Asked, values: np.ndarray) -> str:
    return f"from_cls is empty: {NO_CLS}" if np.isnan(values).all() else ""


def _rollout(asked: Asked) -> np.ndarray:
    """Rolls attention out through all layers to the classification token, or to the mean of all tokens."""
    from attnprobe.measure.fused import FusedHeads, fuse_heads

    pieces = asked.pieces
    fused = fuse_heads(pieces, asked.encoder, FusedHeads(tuple(range(asked.encoder.layers)), asked.heads))
    matrices = [with_residual(matrix) for matrix in fused.matrices]
    shares = rollout_rows(matrices, np.array(pieces.positions(Role.CLS)[:1] or range(len(pieces)))).mean(0)
    return shares if asked.level == "token" else np.bincount(np.array(pieces.words), shares)


def _of_mean(asked: Asked, values: np.ndarray) -> str:
    has_cls, some = asked.pieces.positions(Role.CLS), len(asked.layers) < asked.encoder.layers
    whose = [] if has_cls else [f"what the mean of all tokens has, since {NO_CLS}"]
    through = ["through all layers, whatever -l chooses"] if some else []
    return f"rollout is {', '.join(whose + through)}" if whose or through else ""


SCORES: Mapping[str, Score] = {
    "received": Score(
        take=lambda asked: asked.sums.received.mean((0, 1)),
        remark=_of_outside,
        meaning="attention that the token receives",
        formula="mean of a[q,k] over queries q, heads and layers; of a word, the sum over its pieces",
        unit="share; all tokens add up to 1",
        is_share=True,
        source="attnprobe; the means of the columns of all maps",
    ),
    "from_cls": Score(
        take=lambda asked: asked.sums.from_cls.mean((0, 1)),
        remark=_of_no_cls,
        meaning="attention that the classification token gives it",
        formula="mean of a[cls,k] over heads and layers",
        unit="share; all tokens add up to 1",
        is_share=True,
        source="attnprobe; the row of [CLS] in the mean of all maps; empty where the tokenizer adds none (T5)",
    ),
    "entropy": Score(
        take=lambda asked: asked.sums.entropy.mean((0, 1)),
        meaning="how widely the token itself looks",
        formula="mean of −Σₖ a[q,k]·ln a[q,k] over heads and layers; of a word, of the mean of its pieces' rows",
        unit="nats, 0 … ln n",
        source="Clark et al. 2019, by query",
    ),
    "rollout": Score(
        take=_rollout,
        remark=_of_mean,
        meaning="share of it in the classification token after the last layer",
        formula="R[cls,k], the product of (A + I)/2 of all layers; A the mean over heads, whose rows are made to sum to 1",
        unit="share; all tokens add up to 1",
        is_share=True,
        source="Abnar & Zuidema 2020; in the mean of all tokens where the tokenizer adds no classification token",
    ),
}
DEFAULT = ("received", "from_cls", "entropy")
COLUMNS = {
    "position": "of the token in the text as the model reads it, counted from 0; of a word at level word",
    "token": "that token, or word",
    **{name: f"{score.meaning}: {score.formula}" for name, score in SCORES.items()},
}


@dataclass(frozen=True)
class Scoring(Options):
    """Chooses scores and rows.

    Attributes:
        scores: names from SCORES, one or a list, in the order of the columns; None: those of DEFAULT.
        special: "drop" leaves out the rows of tokens that the tokenizer added; no number changes.
        sort: a score by which the rows are sorted, highest first; also computed if ``scores`` lacks it.
        top: only so many rows.

    Raises:
        UsageError: no score has that name.
    """

    scores: list[str] | None = option(
        None,
        flags=("-k", "--score"),
        metavar="NAME",
        help=f"A score to compute; may be repeated: {', '.join(SCORES)}.",
        autocompletion=lambda: list(SCORES),
    )
    special: str = choice("keep", "drop", help="Of [CLS], [SEP] and their like: keep the rows, or leave them out.")
    sort: str | None = option(None, metavar="NAME", help="Highest first by this score.")
    top: int | None = whole(None, least=1, help="Only the first N rows.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.names_of_scores:
            if name not in SCORES:
                raise UsageError(f"no score {shown(name)}{nearest(name, SCORES)}", f"one of {' '.join(SCORES)}")

    @property
    def names_of_scores(self) -> list[str]:
        """The scores to compute, each once."""
        return list(dict.fromkeys([*(listed(self.scores) or DEFAULT), *listed(self.sort)]))


@dataclass(frozen=True, repr=False)
class TokenScores:
    """The scores of a text's tokens.

    Attributes:
        tokens: those that have rows, words at level "word".
        positions: of these tokens in the text as the model reads it.
        scores: (token,) of each score by name, NaN where it has no meaning.
        runs: the text as it reads, see :func:`attnprobe.values.runs.join_tokens`.
        by_word: whether they are words.
        sort, top: see :class:`Scoring`.
        remarks: what a reader must know of the numbers.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
    """

    tokens: Tokens
    positions: Sequence[int]
    scores: Mapping[str, np.ndarray]
    runs: Sequence[Run]
    by_word: bool
    sort: str | None
    top: int | None
    remarks: Sequence[str]
    notes: Mapping[str, Any]
    sign: Callable[[], str]

    @property
    def unit(self) -> str:
        """What has a row, in the plural."""
        return "words" if self.by_word else "tokens"

    def __repr__(self) -> str:
        return one_line("TokenScores", self.notes["model"], f"{len(self.tokens)} {self.unit}", ", ".join(self.scores))

    def _repr_html_(self) -> str:
        """Shows the first rows."""
        table = self.to_table()
        return html_table(repr(self), table.columns, table.rows)

    def to_table(self) -> Table:
        """Makes a row per token."""
        columns = [[None if np.isnan(value) else float(value) for value in of] for of in self.scores.values()]
        rows = list(zip(self.positions, self.tokens.strings, *columns, strict=True))
        table = Table(["position", "token", *self.scores], rows, self.notes, self.sign)
        return table.sorted_by(self.sort).head(self.top)


def score_tokens(
    text: str,
    encoder: Encoder,
    pair: str | None,
    selection: Selection,
    averaging: Averaging,
    scoring: Scoring,
    reading: Reading,
) -> TokenScores:
    """Computes the chosen scores of a text's tokens.

    Raises:
        UsageError: an option does not suit the text, or no token would be left.
        ModelError: a layer's weights belong to no tokens.
    """
    from attnprobe.measure.reading import notes_on, sign, windows_of

    layers = tuple(select(selection.layers, encoder.layers, "layer"))
    heads = tuple(select(selection.heads, encoder.heads, "head"))
    [pieces] = windows_of(encoder, text, pair, reading)
    asked = Asked(encoder, pieces, layers, heads, averaging.queries, reading.level)
    kept = _kept(asked.tokens, scoring.special)
    scores = {name: SCORES[name].take(asked) for name in scoring.names_of_scores}
    remarks = [SCORES[name].remark(asked, values) for name, values in scores.items()]
    signed = {
        "special": "kept" if scoring.special == "keep" else scoring.special,
        "queries": averaging.queries,
        "layers": as_ranges(layers),
        "heads": as_ranges(heads),
    }
    tokens = asked.tokens.take(kept)
    return TokenScores(
        tokens,
        kept,
        {name: values[kept] for name, values in scores.items()},
        join_tokens(tokens, [text] if pair is None else [text, pair]),
        reading.level == "word",
        scoring.sort,
        scoring.top,
        [remark for remark in (*remarks, _on_dropped(asked.tokens, kept, scores)) if remark],
        notes_on(encoder, [pieces], reading),
        partial(sign, encoder, reading, **signed),
    )


def _kept(tokens: Tokens, special: str) -> list[int]:
    """Lists the positions of tokens that have rows.

    Raises:
        UsageError: none is left.
    """
    kept = list(range(len(tokens))) if special == "keep" else tokens.positions(Role.CONTENT)
    if not kept:
        raise UsageError("the text has special tokens only, so that none is left", "--special keep shows them")
    return kept


def _on_dropped(tokens: Tokens, kept: Sequence[int], scores: Mapping[str, np.ndarray]) -> str:
    """Says what tokens without rows have of the scores that are shares."""
    dropped = sorted(set(range(len(tokens))) - set(kept))
    shares = [
        f"{values[dropped].sum():.3f} of {name}"
        for name, values in scores.items()
        if SCORES[name].is_share and not np.isnan(values).any()
    ]
    named = " ".join(dict.fromkeys(visible(tokens.strings[at]) for at in dropped))
    has = f", with {', '.join(shares)}: no number is changed to make up for it" if shares else ""
    return f"left out: {named}{has}" if dropped else ""


TOKENS = Analysis(
    score_tokens,
    COLUMNS,
    options=(Selection, Annotated[Averaging, Without("long_range")], Scoring, Annotated[Reading, Without("stride")]),
    view="attnprobe.render.token_scores:tokens_view",
    formats={
        "html": "attnprobe.render.shaded_page:write_page",
        **{name: f"attnprobe.render.shaded_figure:write_{name}" for name in FIGURES},
    },
    examples=(
        "attnprobe tokens 'The cat sat on the mat.'",
        "attnprobe tokens 'The cat sat.' --special drop --sort received",
        "attnprobe tokens 'Unbelievable news.' --level word -o words.html",
    ),
)
