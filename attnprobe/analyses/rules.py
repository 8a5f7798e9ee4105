"""The rules by which a head has a pattern and a role: what each reads, and from which value on.

The patterns are the classes of Kovaleva et al. (2019), whose classifier and labels were never released; the thresholds
are attnprobe's. Rules are asked in order, and the first that is met names the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attnprobe.values.options import Options, share

Scores = Mapping[str, float | None]
"""The mean over texts of each share, by the name of its column; None: it has no meaning in these texts."""


@dataclass(frozen=True)
class Thresholds(Options):
    """The shares from which rules are met.

    Attributes:
        vertical, diagonal: of the weight, for the patterns of these names.
        both, least: of the weight, for the two patterns together, and for each of the two.
        block: on the way from even attention, 0, to all between the texts' own tokens, 1, that stays in one text.
        most: of the weight, for roles that say where a head looks.
        same: on the way from even attention, 0, to all weight, 1, that other occurrences of a token have.
        broad: of the largest possible entropy.
    """

    vertical: float = share(0.6, help="Weight on added tokens from which a head is vertical.")
    diagonal: float = share(0.6, help="Weight on neighbours and itself from which it is diagonal.")
    both: float = share(0.7, help="Weight of the two together, for vertical+diagonal.")
    least: float = share(0.2, help="Weight of each of the two, for vertical+diagonal.")
    block: float = share(0.75, help="How far from even, 0, to all weight, 1, in the own text, for block.")
    most: float = share(0.5, help="Weight on one kind of token from which this is the role.")
    same: float = share(0.1, help="How far from even, 0, to all weight, 1, on the same token, for same word.")
    broad: float = share(0.8, help="Share of the largest possible entropy from which a head is broad.")


@dataclass(frozen=True)
class Rule:
    """A rule that names heads.

    Attributes:
        name: of the pattern or role.
        short: the name in at most five characters, for grids.
        met: tests the scores of a head, all of which have a meaning, against the thresholds.
        reads: the scores that the rule reads.
        text: the condition, in which ``{most}`` stands for a threshold.
        meaning: what it says of the head.
    """

    name: str
    short: str
    met: Callable[[Mapping[str, float], Thresholds], bool]
    reads: tuple[str, ...]
    text: str
    meaning: str


def _most(name: str, short: str, score: str, meaning: str) -> Rule:
    """Makes the rule that most of the weight falls on one kind of token."""
    return Rule(name, short, lambda scores, at: scores[score] >= at.most, (score,), f"{score} ≥ {{most}}", meaning)


def beyond_even(even: float, part: float) -> float:
    """The share that lies this part of the way from even attention to all of it.

    >>> beyond_even(0.5, 0.75)
    0.875
    """
    return even + part * (1 - even)


def _is_block(scores: Mapping[str, float], at: Thresholds) -> bool:
    return scores["block"] >= beyond_even(scores["block_even"], at.block) and scores["vertical"] <= at.vertical


def _is_both(scores: Mapping[str, float], at: Thresholds) -> bool:
    shares = scores["vertical"], scores["diagonal"]
    return sum(shares) >= at.both and min(shares) >= at.least


def _is_same(scores: Mapping[str, float], at: Thresholds) -> bool:
    return scores["same_token_share"] >= beyond_even(scores["same_token_even"], at.same)


BLOCK = ("block", "block_even", "vertical")
OWN_TEXT = "block ≥ e + {block}·(1 − e), e = block_even, and vertical ≤ {vertical}"
PATTERNS = (
    Rule(
        "vertical",
        "vert",
        lambda scores, at: scores["vertical"] >= at.vertical,
        ("vertical",),
        "vertical ≥ {vertical}",
        "most weight falls on tokens that the tokenizer added",
    ),
    Rule(
        "diagonal",
        "diag",
        lambda scores, at: scores["diagonal"] >= at.diagonal,
        ("diagonal",),
        "diagonal ≥ {diagonal}",
        "most weight falls on the token itself and its neighbours",
    ),
    Rule(
        "vertical+diagonal",
        "v+d",
        _is_both,
        ("vertical", "diagonal"),
        "vertical + diagonal ≥ {both}, each ≥ {least}",
        "added tokens, and the token itself with its neighbours, together have most of the weight",
    ),
    Rule("block", "block", _is_block, BLOCK, OWN_TEXT, "of a pair, each text looks at itself"),
)
OTHER_PATTERN = "heterogeneous"
ROLES = (
    _most("previous token", "prev", "previous_share", "it looks at the token before"),
    _most("next token", "next", "next_share", "it looks at the token after"),
    _most("self", "self", "self_share", "each token looks at itself"),
    Rule(
        "same word",
        "same",
        _is_same,
        ("same_token_share", "same_token_even"),
        "same_token_share ≥ e + {same}·(1 − e), e = same_token_even",
        "a token that recurs looks at its other occurrences; one that does not often rests on [CLS]",
    ),
    _most("classification token", "cls", "cls_share", "it rests on [CLS] or its like"),
    _most("separator", "sep", "sep_share", "it rests on [SEP] or its like"),
    _most("first token", "first", "first_share", "it rests on the first token, where the tokenizer adds none"),
    _most("punctuation", "punct", "punctuation_share", "it looks at punctuation"),
    Rule("block of a pair", "block", _is_block, BLOCK, OWN_TEXT, "of a pair, each text looks at itself"),
    Rule(
        "local",
        "local",
        lambda scores, at: scores["diagonal"] >= at.most,
        ("diagonal",),
        "diagonal ≥ {most}",
        "it looks at the token itself and its neighbours, at no single one of them mostly",
    ),
    Rule(
        "broad",
        "broad",
        lambda scores, at: scores["relative_entropy"] >= at.broad,
        ("relative_entropy",),
        "relative_entropy ≥ {broad}",
        "it spreads its weight almost evenly",
    ),
)
OTHER_ROLE = "mixed"
ROLE_NAMES = (*(rule.name for rule in ROLES), OTHER_ROLE)
SHORT = {**{rule.name: rule.short for rule in (*PATTERNS, *ROLES)}, OTHER_PATTERN: "·", OTHER_ROLE: "·"}


def pattern_of(scores: Scores, thresholds: Thresholds) -> str | None:
    """Names the pattern of a head; None if the layer's positions are no tokens."""
    return _first(PATTERNS, scores, thresholds, OTHER_PATTERN)


def role_of(scores: Scores, thresholds: Thresholds) -> str | None:
    """Names the role of a head; None if the layer's positions are no tokens."""
    return _first(ROLES, scores, thresholds, OTHER_ROLE)


def _first(rules: tuple[Rule, ...], scores: Scores, thresholds: Thresholds, other: str) -> str | None:
    if scores["vertical"] is None:
        return None
    known = {name: score for name, score in scores.items() if score is not None}
    return next((rule.name for rule in rules if known.keys() >= {*rule.reads} and rule.met(known, thresholds)), other)
