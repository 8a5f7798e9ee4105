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
    from attnprobe.analyses.faithfulness import Faithfulness
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
        label: the label whose reasons are asked for, by name or number; None: the one that the model predicts.
        query: of a token classifier, the token whose label it is, as
            :func:`attnprobe.values.finding.find_tokens` finds it.
        faithfulness: whether to test the scores, see :mod:`attnprobe.analyses.faithfulness`; its curves are then the
            table.

    Raises:
        UsageError: no score has that name, or none says why.
    """

    scores: list[str] | None = option(
        None,
        flags=("-k", "--score"),
        metavar="NAME",
        help=f"May be repeated: {' '.join(SCORES)}.",
        autocompletion=lambda: list(SCORES),
    )
    special: str = choice("keep", "drop", help="Of [CLS], [SEP] and their like: keep the rows, or leave them out.")
    sort: str | None = option(None, metavar="NAME", help="Highest first by this score.")
    top: int | None = whole(None, least=1, help="Only the first N rows.")
    label: str | None = option(
        None, metavar="NAME|N", help="Why this label, of a classifier.  [default: the predicted one]"
    )
    query: str | None = option(None, metavar="TOKEN|N", help="Of a token classifier: why the label of this token.")
    faithfulness: bool = option(
        False, help="Test the scores: take tokens out in their order, and show how the answer changes."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.names_of_scores:
            if name not in SCORES:
                raise UsageError(f"no score {shown(name)}{nearest(name, SCORES)}", f"one of {' '.join(SCORES)}")
        given = [name for name in ("label", "query") if getattr(self, name) is not None]
        if given and not self.says_why:
            says_why = [name for name, score in SCORES.items() if score.says_why]
            raise UsageError(f"--{given[0]} is for scores that say why", f"add -k {' or -k '.join(says_why)}")

    @property
    def names_of_scores(self) -> list[str]:
        """The scores to compute, each once."""
        return list(dict.fromkeys([*(listed(self.scores) or DEFAULT), *listed(self.sort)]))

    @property
    def says_why(self) -> bool:
        """Whether the model's answer counts."""
        return self.faithfulness or any(SCORES[name].says_why for name in self.names_of_scores)


def loads(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Asks for a classifier's head, if the model has one, where a score is of its answer."""
    known = {name: value for name, value in options.items() if name in Scoring.names()}
    return {"task": None} if Scoring.from_given(known).says_why else {}


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
        faithfulness: the test of the scores; None if it was not asked for.
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
    faithfulness: Faithfulness | None = None

    @property
    def unit(self) -> str:
        """What has a row, in the plural."""
        return "words" if self.by_word else "tokens"

    def __repr__(self) -> str:
        return one_line("TokenScores", self.notes["model"], f"{len(self.tokens)} {self.unit}", ", ".join(self.scores))

    def _repr_html_(self) -> str:
        """Shows the first rows."""
        table = self.by_token()
        return html_table(repr(self), table.columns, table.rows)

    def to_table(self) -> Table:
        """Makes a row per token; or one per point of each curve, if the scores are tested."""
        if self.faithfulness is None:
            return self.by_token()
        curves = self.faithfulness.to_table()
        return Table(curves.columns, curves.rows, self.notes, self.sign)

    def by_token(self) -> Table:
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
    names, weighed = tuple(scoring.names_of_scores), weighing(encoder, reading)
    how = averaging.queries, reading.level, scoring.label, scoring.query
    asked = Asked(encoder, pieces, layers, heads, *how, names, weighed)
    kept = kept_positions(asked.tokens, scoring.special)
    scores = {name: SCORES[name].take(asked) for name in scoring.names_of_scores}
    remarks = [asked.answer.sentence if any(SCORES[name].says_why for name in scores) else ""]
    remarks += [SCORES[name].remark(asked, values) for name, values in scores.items()]
    tested = None
    if scoring.faithfulness:
        from attnprobe.analyses.faithfulness import put_to_test

        known = {name: values for name, values in scores.items() if not np.isnan(values).any()}
        tested = put_to_test(encoder, pieces, asked.answer, asked.units, known)
        remarks.append(tested.remark)
    signed = {
        "special": "kept" if scoring.special == "keep" else scoring.special,
        "queries": averaging.queries,
        "layers": as_ranges(layers),
        "heads": as_ranges(heads),
        "answer": asked.answer.name if scoring.says_why else None,
        "tested": tested and f"{tested.how} in {len(tested.shares) - 1} steps",
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
        tested,
    )


def _on_dropped(tokens: Tokens, kept: Sequence[int], scores: Mapping[str, np.ndarray]) -> str:
    """Says what tokens without rows have of the scores that add up to something."""
    dropped = sorted(set(range(len(tokens))) - set(kept))
    shares = [
        f"{values[dropped].sum():.3f} of {name}"
        for name, values in scores.items()
        if (SCORES[name].is_share or SCORES[name].is_signed) and not np.isnan(values).any()
    ]
    named = " ".join(dict.fromkeys(visible(tokens.strings[at]) for at in dropped))
    has = f", with {', '.join(shares)}: no number is changed to make up for it" if shares else ""
    return f"left out: {named}{has}" if dropped else ""


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Checks that options suit the output: that of a test of scores is its curves, except on a terminal.

    Raises:
        UsageError: an option does not suit the output.
    """
    if options["faithfulness"] and format == "html":
        raise UsageError("--faithfulness gives curves, which the page does not show", "-o FILE.svg draws them")
    if options["faithfulness"] and format != "table" and (options["top"] or options["sort"]):
        raise UsageError("--sort and --top are for rows of tokens, and --faithfulness gives curves", "leave them out")
    return options


TOKENS = Analysis(
    score_tokens,
    COLUMNS,
    options=(Selection, Annotated[Averaging, Without("long_range")], Scoring, Annotated[Reading, Without("stride")]),
    fit=fit,
    names_tokens=("query",),
    loads=loads,
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
