"""Gives each token of a text the scores of ``scores.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.scores import DEFAULT, SCORES, Asked
from attnprobe.errors import UsageError
from attnprobe.values.arguments import listed, nearest, shown
from attnprobe.values.finding import kept_positions
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Averaging, Options, Reading, Selection, Without, choice, option, whole
from attnprobe.values.runs import Run, join_tokens
from attnprobe.values.selection import as_ranges, select
from attnprobe.values.table import Table
from attnprobe.values.text import visible
from attnprobe.values.tokens import Tokens
from attnprobe.writers import FIGURES

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

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
    from attnprobe.measure.reading import notes_on, sign, weighing, windows_of

    layers = tuple(select(selection.layers, encoder.layers, "layer"))
    heads = tuple(select(selection.heads, encoder.heads, "head"))
    [pieces] = windows_of(encoder, text, pair, reading)
    asked = Asked(weighing(encoder, reading), pieces, layers, heads, averaging.queries, reading.level)
    kept = kept_positions(asked.tokens, scoring.special)
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
        "attnprobe tokens 'The cat sat here.' --sort received --top 3",
        "attnprobe tokens 'Unbelievable news.' --level word -o words.html",
    ),
)
