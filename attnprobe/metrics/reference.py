"""The same metrics in plain loops over Python floats: what each number means, and the oracle of ``reduce.py``.

Each function has the name of its metric and gives its value for one query: ``a`` is that query's row of weights, ``q``
its position. None leaves the query out of the mean. Written from the definitions, without a look at speed.
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
    """What a metric may need beside the row: the text, how many keys the query can reach, and the options.

    Attributes:
        reach: None where it is not known.
        complete: whether rows sum to 1 by construction.
    """

    tokens: Tokens
    reach: int | None
    long_range: int = Averaging.long_range
    complete: bool = True

    def where(self, role: Role) -> list[int]:
        return [k for k in range(len(self.tokens)) if self.tokens.roles[k] == role]


def entropy(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return -math.fsum(weight * math.log(weight) for weight in a if weight > 0)


def relative_entropy(a: Sequence[float], q: int, setting: Setting) -> float | None:
    if setting.reach is None:
        return None
    largest = math.log(setting.reach)
    return -math.fsum(weight * math.log(weight) for weight in a if weight > 0) / largest if largest > 0 else 0.0


def confidence(a: Sequence[float], q: int, setting: Setting) -> float | None:
    if setting.tokens.roles[q] == Role.SEP:
        return None
    return max((a[k] for k in range(len(a)) if setting.tokens.roles[k] != Role.SEP), default=0.0)


def cls_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    places = setting.where(Role.CLS)
    return math.fsum(a[k] for k in places) if places else None


def sep_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    places = setting.where(Role.SEP)
    return math.fsum(a[k] for k in places) if places else None


def special_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    places = [k for k in range(len(a)) if setting.tokens.roles[k] != Role.CONTENT]
    return math.fsum(a[k] for k in places) if places else None


def punctuation_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return math.fsum(a[k] for k in range(len(a)) if is_punctuation(setting.tokens.texts[k]))


def self_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return a[q]


def previous_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return a[q - 1] if q > 0 else 0.0


def next_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return a[q + 1] if q + 1 < len(a) else 0.0


def distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return math.fsum(a[k] * abs(k - q) for k in range(len(a)))


def offset(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return math.fsum(a[k] * (k - q) for k in range(len(a)))


def cls_distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return _distance_to(setting.where(Role.CLS), a)


def sep_distance(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return _distance_to(setting.where(Role.SEP), a)


def _distance_to(places: Sequence[int], a: Sequence[float]) -> float | None:
    return math.fsum(a[k] * min(abs(k - place) for place in places) for k in range(len(a))) if places else None


def long_range_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return math.fsum(a[k] for k in range(len(a)) if abs(k - q) >= setting.long_range)


def sink_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    return 1.0 if a[0] > 0.3 else 0.0


def cross_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
    segments = setting.tokens.segments
    if 2 not in segments or segments[q] == 0:
        return None
    return math.fsum(a[k] for k in range(len(a)) if segments[k] not in (0, segments[q]))


def outside_share(a: Sequence[float], q: int, setting: Setting) -> float | None:
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
    """A metric's value for one head and text: the mean over its queries; NaN where there are none.

    Args:
        name: the metric, one of this module's functions.
        weights: rows of queries, each a row over keys.
        reach: how many keys each query can reach; None: not known.
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
    """Weights between words: the sum over the key's pieces, the mean over the query's (Clark et al. 2019)."""
    n_words = max(words) + 1
    pieces = [[at for at, word in enumerate(words) if word == number] for number in range(n_words)]
    return [
        [
            math.fsum(weights[q][k] for q in pieces[query] for k in pieces[key]) / len(pieces[query])
            for key in range(n_words)
        ]
        for query in range(n_words)
    ]
