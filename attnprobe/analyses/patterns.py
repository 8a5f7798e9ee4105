"""Declares the analysis ``patterns``: what kind of head each one is, in many texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.analyses.rules import OTHER_PATTERN, OTHER_ROLE, PATTERNS, ROLES, Rule, Thresholds

COLUMNS = {
    "layer": "counted from 0",
    "head": "counted from 0",
    "pattern": "the first pattern whose rule is met: vertical, diagonal, vertical+diagonal, block, else heterogeneous",
    "role": "the first role whose rule is met, see --explain, else mixed",
    "vertical": "weight on the tokens that the tokenizer added; where it adds none, on the first token",
    "diagonal": "weight on the token itself and its neighbours, added tokens left out",
    "block": "of a pair: of the weight between the texts' own tokens, the share that stays in the query's text",
    "block_even": "block if attention were even: (m₁² + m₂²) / (m₁ + m₂)² for texts of m₁ and m₂ tokens",
    "previous_share": "weight on the token before",
    "next_share": "weight on the token after",
    "self_share": "weight of each token on itself",
    "same_token_share": "weight on other occurrences of the same token, of tokens that have such",
    "same_token_even": "same_token_share if attention were even",
    "cls_share": "weight on classification tokens",
    "sep_share": "weight on separators",
    "punctuation_share": "weight on punctuation",
    "first_share": "weight on the first token, where the tokenizer adds none",
    "relative_entropy": "entropy as a share of the largest possible",
    "n_texts": "how many texts the means are over; block, and tokens that recur, may have fewer",
}


def explain(options: Mapping[str, Any]) -> str:
    """Writes every rule with its thresholds, in the order in which they are asked."""
    thresholds = Thresholds(**{name: options[name] for name in Thresholds.names() if name in options})
    parts = [
        "Each score is a mean over the queries of a text, then over texts. The first rule that is met names the head.",
        _listed("pattern", PATTERNS, OTHER_PATTERN, thresholds),
        _listed("role", ROLES, OTHER_ROLE, thresholds),
    ]
    return "\n\n".join(parts)


def _listed(what: str, rules: tuple[Rule, ...], other: str, thresholds: Thresholds) -> str:
    width = max(len(rule.name) for rule in rules)
    indent = " " * (width + 4)
    lines = [f"{what}:"]
    for rule in rules:
        lines.append(f"  {rule.name.ljust(width)}  {rule.text.format(**vars(thresholds))}")
        lines.append(f"{indent}{rule.meaning}")
    return "\n".join([*lines, f"  {other.ljust(width)}  none of these"])


PATTERN_CLASSES = CorpusAnalysis(
    measurement="attnprobe.analyses.shares:HeadShares",
    columns=COLUMNS,
    options=(Thresholds,),
    view="attnprobe.render.patterns:patterns_view",
    explain="attnprobe.analyses.patterns:explain",
    examples=(
        "attnprobe patterns reviews.txt",
        "attnprobe patterns reviews.txt -o patterns.csv",
        "attnprobe patterns --explain   # every rule with its threshold",
    ),
)
