"""The same metrics in plain loops over Python floats, which define each number and test ``reduce.py``.

Each function has the name of its metric and gives its value for one query: ``a`` is that query's row of weights, ``q``
the position. None leaves the query out of the mean. Written from the definitions, for clearness instead of speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attnprobe.values.options import Averaging
from attnprobe.values.text import is_punctuation
from attnprobe.values.tokens import Role, Tokens


@dataclass(frozen=True)
class Setting:
    """What a metric may need besides the row.

    Attributes:
        reach: how many keys the query can reach; None if unknown.
        complete: whether rows sum to 1 by construction.
    """

    tokens: Tokens
    reach: int | None
    long_range: int = Averaging.long_range
    complete: bool = True

    def positions(self, role: Role) -> list[int]:
        """Finds the positions of the tokens of a role."""
        return [k for k in range(len(self.tokens)) if self.tokens.roles[k] == role]


def entropy(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Computes −Σₖ a[k]·ln a[k] in nats, over the weights above 0."""
    return -math.fsum(weight * math.log(weight) for weight in a if weight > 0)


def relative_entropy(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Divides the entropy by the logarithm of the number of keys that the query can reach."""
    if setting.reach is None:
        return None
    largest = math.log(setting.reach)
    return -math.fsum(weight * math.log(weight) for weight in a if weight > 0) / largest if largest > 0 else 0.0


def confidence(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Finds the largest weight on a key that is no separator; separators are left out as queries."""
    if setting.tokens.roles[q] == Role.SEP:
        return None
    return max((a[k] for k in range(len(a)) if setting.tokens.roles[k] != Role.SEP), default=0.0)


def cls_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on classification tokens."""
    keys = setting.positions(Role.CLS)
    return math.fsum(a[k] for k in keys) if keys else None


def sep_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on separators."""
    keys = setting.positions(Role.SEP)
    return math.fsum(a[k] for k in keys) if keys else None


def special_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on tokens that the tokenizer added."""
    keys = [k for k in range(len(a)) if setting.tokens.roles[k] != Role.CONTENT]
    return math.fsum(a[k] for k in keys) if keys else None


def punctuation_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on punctuation."""
    return math.fsum(a[k] for k in range(len(a)) if is_punctuation(setting.tokens.texts[k]))


def self_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Takes the weight of the query on itself."""
    return a[q]


def previous_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Takes the weight on the token before; 0 for the first token."""
    return a[q - 1] if q > 0 else 0.0


def next_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Takes the weight on the token after; 0 for the last token."""
    return a[q + 1] if q + 1 < len(a) else 0.0


def same_token_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on other tokens of the text that the model reads as it reads the query."""
    tokens = setting.tokens
    if not tokens.read_as or tokens.roles[q] != Role.CONTENT or tokens.read_as[q] is None:
        return None
    others = [k for k in setting.positions(Role.CONTENT) if k != q and tokens.read_as[k] == tokens.read_as[q]]
    return math.fsum(a[k] for k in others) if others else None


def distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums Σₖ a[k]·|k − q|, the distance of each key times the weight."""
    return math.fsum(a[k] * abs(k - q) for k in range(len(a)))


def offset(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums Σₖ a[k]·(k − q), the signed distance of each key times the weight."""
    return math.fsum(a[k] * (k - q) for k in range(len(a)))


def cls_distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the distance of each key to the nearest classification token, times the weight."""
    return _distance_to(setting.positions(Role.CLS), a)


def sep_distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the distance of each key to the nearest separator, times the weight."""
    return _distance_to(setting.positions(Role.SEP), a)


def _distance_to(positions: Sequence[int], a: Sequence[float]) -> float | None:
    return math.fsum(a[k] * min(abs(k - p) for p in positions) for k in range(len(a))) if positions else None


def long_range_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on keys at least ``long_range`` tokens away."""
    return math.fsum(a[k] for k in range(len(a)) if abs(k - q) >= setting.long_range)


def sink_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Returns 1 if the weight on the first token is above 0.3, else 0."""
    return 1.0 if a[0] > 0.3 else 0.0


def cross_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Sums the weights on tokens of the other text of a pair."""
    segments = setting.tokens.segments
    if 2 not in segments or segments[q] == 0:
        return None
    return math.fsum(a[k] for k in range(len(a)) if segments[k] not in (0, segments[q]))


def outside_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    """Computes 1 − Σₖ a[k], the attention that falls on no token."""
    return None if setting.complete else 1 - math.fsum(a)


def head_mean(
    name: str,
    weights: Sequence[Sequence[float]],
    tokens: Tokens,
    *,
    reach: Sequence[int] | None = None,
    long_range: int = Averaging.long_range,
    queries: str = "all",
    complete: bool = True,
) -> float:
    """Averages a metric over the queries of one head and text; NaN if there are none.

    Args:
        name: the metric, one of this module's functions.
        weights: a row of weights over keys for each query.
        reach: how many keys each query can reach; None if unknown.
        queries: "all", or "content" for those the tokenizer did not add.
        complete: whether rows sum to 1 by construction.
    """
    metric: Callable[[Sequence[float], int, Setting], float | None] = globals()[name]
    values = [
        metric(row, q, Setting(tokens, None if reach is None else reach[q], long_range, complete))
        for q, row in enumerate(weights)
        if queries == "all" or tokens.roles[q] == Role.CONTENT
    ]
    counted = [value for value in values if value is not None]
    return math.fsum(counted) / len(counted) if counted else math.nan


def merge_pieces(weights: Sequence[Sequence[float]], words: Sequence[int]) -> list[list[float]]:
    """Merges weights between words: the sum over the key's pieces, the mean over the query's (Clark et al. 2019)."""
    n_words = max(words) + 1
    pieces = [[at for at, word in enumerate(words) if word == number] for number in range(n_words)]
    return [
        [
            math.fsum(weights[q][k] for q in pieces[query] for k in pieces[key]) / len(pieces[query])
            for key in range(n_words)
        ]
        for query in range(n_words)
    ]
