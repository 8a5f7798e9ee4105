"""The table of token scores: how much attention a token receives, from all or from [CLS], how wide it looks itself.

To add a score: one Score, and one row in SCORES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from attnprobe.analyses.rollout import rollout_rows, shares_of_rows, with_residual
from attnprobe.values.finding import find_tokens
from attnprobe.values.tokens import Role, Tokens

if TYPE_CHECKING:
    from attnprobe.analyses.answers import Answer
    from attnprobe.analyses.contributions import Contributions
    from attnprobe.analyses.reasons import Reasons
    from attnprobe.measure.by_token import TokenSums
    from attnprobe.measure.fused import Fused
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
        label: the label whose reasons are asked for; None: the one that the model predicts.
        query: the token whose label it is, of a token classifier.
        names: the scores that are asked for, so that those of one kind share a pass.
        weighed: the encoder whose weights add up, and are rolled out, see :func:`attnprobe.measure.reading.weighing`;
            None: the same.
    """

    encoder: Encoder
    pieces: Tokens
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    queries: str
    level: str
    label: str | int | None = None
    query: str | int | None = None
    names: tuple[str, ...] = ()
    weighed: Encoder | None = None

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens, or words, that have scores."""
        return self.pieces.by_word() if self.level == "word" else self.pieces

    @property
    def units(self) -> Sequence[int]:
        """The unit that each piece belongs to: itself, or its word."""
        return range(len(self.pieces)) if self.level == "token" else self.pieces.words or ()

    @cached_property
    def sums(self) -> TokenSums:
        """The sums by head and token, which one pass of the model gives to all scores that need them."""
        from attnprobe.measure.by_token import ByToken
        from attnprobe.measure.running import measure

        measurement = ByToken(self.layers, self.heads, self.queries, self.level)
        encoder = (self.weighed or self.encoder).for_length(len(self.pieces))
        sums: TokenSums = measure([self.pieces], encoder, measurement).texts[0]
        return sums

    @cached_property
    def fused(self) -> Fused:
        """The mean over heads of every layer, which another pass gives to scores that follow attention through them."""
        from attnprobe.measure.fused import FusedHeads, fuse_heads

        measurement = FusedHeads(tuple(range(self.encoder.layers)), self.heads)
        return fuse_heads(self.pieces, self.weighed or self.encoder, measurement)

    @cached_property
    def answer(self) -> Answer:
        """The answer of the model, which one run gives to all scores that say why."""
        from attnprobe.analyses.answers import answer_of

        found = [] if self.query is None else find_tokens(self.tokens, str(self.query))
        at = [place for place, unit in enumerate(self.units) if unit in found]
        return answer_of(self.encoder, self.pieces, self.label, at)

    @cached_property
    def reasons(self) -> Reasons:
        """What tokens did for the answer, which another run gives to all scores that say why."""
        from attnprobe.analyses.reasons import reasons_of

        return reasons_of(self.encoder, self.pieces, self.answer, self.heads)

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """Adds up the numbers of each word's pieces, at level "word"."""
        return np.bincount(np.array(self.units), values)

    @cached_property
    def contributions(self) -> Contributions:
        """What tokens write into each other, which another pass gives to all scores that follow it."""
        from attnprobe.analyses.contributions import contributions

        return contributions(self.encoder, self.pieces, self.contributed)

    @property
    def contributed(self) -> list[str]:
        """The scores asked for that follow what tokens write."""
        return [name for name in self.names if name in CONTRIBUTED]


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
        is_signed: whether numbers are above or below 0, which stands for none.
        says_why: whether it is of the model's answer, and so of a label.
    """

    take: Callable[[Asked], np.ndarray]
    remark: Callable[[Asked, np.ndarray], str] = _nothing
    meaning: str
    formula: str
    unit: str
    source: str
    is_share: bool = False
    is_signed: bool = False
    says_why: bool = False


def _of_outside(asked: Asked, received: np.ndarray) -> str:
    """Says how much attention falls on no token of the text, where that is possible."""
    total = float(received.sum())
    if asked.sums.complete or np.isnan(total):
        return ""
    return f"of all attention, {1 - total:.3f} falls on no token of the text: received adds up to {total:.3f}"


def _of_no_cls(asked: Asked, values: np.ndarray) -> str:
    return f"from_cls is empty: {NO_CLS}" if np.isnan(values).all() else ""


def _rolled_out(asked: Asked, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Multiplies layers to a row of the classification token, or to the mean of all; NaN if nothing gets there."""
    pieces = asked.pieces
    shares = rollout_rows(matrices, np.array(pieces.positions(Role.CLS)[:1] or range(len(pieces)))).mean(0)
    shares = shares if shares.any() else np.full_like(shares, np.nan)
    return asked.by_unit(shares)


def _rollout(asked: Asked) -> np.ndarray:
    return _rolled_out(asked, [with_residual(matrix) for matrix in asked.fused.matrices])


def _contributed(name: str, asked: Asked) -> np.ndarray:
    return _rolled_out(asked, list(shares_of_rows(asked.contributions.matrices[name])))


def _of_rows(asked: Asked) -> list[str]:
    """Says whose row it is, and through which layers, if that is not as expected."""
    facts = []
    if not asked.pieces.positions(Role.CLS):
        facts.append(f"of the mean of all tokens, since {NO_CLS}")
    if len(asked.layers) < asked.encoder.layers:
        facts.append("through all layers, whatever -l chooses")
    return facts


def _of_rollout(asked: Asked, values: np.ndarray) -> str:
    """Says whose rollout it is, through which layers, and what was left out of them."""
    facts = _of_rows(asked)
    if asked.fused.outside.any():
        facts.append(f"without the {asked.fused.outside.mean():.3f} of attention that falls on no token of the text")
    return f"rollout is {', '.join(facts)}" if facts else ""


def _gradient(asked: Asked) -> np.ndarray:
    """Adds up what the chosen layers and heads give to each token."""
    return asked.by_unit(asked.reasons.by_key[list(asked.layers)][:, list(asked.heads)].sum((0, 1)))


def _of_gradient(asked: Asked, values: np.ndarray) -> str:
    """Says what all tokens add up to."""
    return f"gradient adds up to {values.sum():.3g}, the derivative of F by a factor of all chosen heads"


def _of_chefer(asked: Asked, values: np.ndarray) -> str:
    """Says that layers are not chosen."""
    chosen = len(asked.layers) < asked.encoder.layers
    return "chefer is through all layers, whatever -l chooses" if chosen else ""


def _of_contributions(asked: Asked, values: np.ndarray) -> str:
    """Says the same of scores of contributions, and what is peculiar to the model; once for all of them."""
    facts = _of_rows(asked)
    if len(asked.heads) < asked.encoder.heads:
        facts.append("of all heads, whatever --head chooses")
    named = f"{' and '.join(asked.contributed)}: {', '.join(facts)}" if facts else ""
    return "; ".join(filter(None, [named, *asked.contributions.remarks()]))


def _score_of_contributions(name: str, *, meaning: str, formula: str, source: str) -> Score:
    return Score(
        take=partial(_contributed, name),
        remark=lambda asked, values: _of_contributions(asked, values) if asked.contributed[0] == name else "",
        meaning=meaning,
        formula=f"row of the classification token in the product of all layers' matrices, rows divided by their sum: "
        f"{formula}",
        unit="share; all tokens add up to 1",
        is_share=True,
        source=source,
    )


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
        remark=_of_rollout,
        meaning="share of it in the classification token after the last layer",
        formula="R[cls,k], R the product of (A + I)/2 of all layers, A the mean over heads with rows that sum to 1",
        unit="share; all tokens add up to 1",
        is_share=True,
        source="Abnar & Zuidema 2020; in the mean of all tokens where the tokenizer adds no classification token",
    ),
    "gradient": Score(
        take=_gradient,
        remark=_of_gradient,
        meaning="what attention to it did for (+) or against (−) the answer F",
        formula="Σ over queries, heads and layers of a[q,k]·∂F/∂a[q,k]",
        unit="that of F; all tokens add up to the signed importance of all heads",
        is_signed=True,
        says_why=True,
        source="gradient times attention; F is the logit of a label, or ½‖h‖² without a classifier's head",
    ),
    "chefer": Score(
        take=lambda asked: asked.by_unit(asked.reasons.relevance),
        remark=_of_chefer,
        meaning="how much it did for the answer F, through all layers",
        formula="R − I of the token that F reads, R ← R + Ā·R from I, Ā the mean over heads of (a·∂F/∂a)⁺",
        unit="≥ 0",
        says_why=True,
        source="Chefer et al. 2021 (ICCV, equations 5 and 6); the mean where F reads several tokens",
    ),
    "norms": _score_of_contributions(
        "norms",
        meaning="share of it in the classification token, by the length of what tokens write",
        formula="‖t(q,k)‖ after the norm of the sum (not in pre-LN), t = Σₕ a[q,k]·vₕ(k)·W_O + x(q) if q = k",
        source="Kobayashi et al. 2021, whose matrices are multiplied here as in rollout",
    ),
    "globenc": _score_of_contributions(
        "globenc",
        meaning="the same, after the feed-forward layer's norm",
        formula="‖t(q,k)‖ after both norms, the feed-forward layer itself left out; post-LN only",
        source="Modarressi et al. 2022, who multiply norms whose rows are not divided by their sum",
    ),
    "alti": _score_of_contributions(
        "alti",
        meaning="the same, by how near what tokens write comes to the sum",
        formula="max(0, ‖y(q)‖₁ − ‖y(q) − t(q,k)‖₁), y the sum after its norm",
        source="Ferrando et al. 2022",
    ),
    "value_zeroing": _score_of_contributions(
        "value_zeroing",
        meaning="the same, by how far a layer's output turns without the token's value",
        formula="1 − cos(out(q), out(q) with v(k) = 0)",
        source="Mohebbi et al. 2023; what the residual connection carries is not in it",
    ),
}
CONTRIBUTED = ("norms", "globenc", "alti", "value_zeroing")
DEFAULT = ("received", "from_cls", "entropy")
