"""The table of head metrics.

To add a metric: one declaration in a module of this folder, one row in BUILT_IN, its loop twin in ``reference.py``.
Flags, columns, help, docs and the oracle test iterate over METRICS. Another package adds its own through the entry
point group ``attnprobe.metrics`` (``name = "package.module:object"``). Listing names imports neither torch nor numpy.
What takes more than weights stands in ON_REQUEST: it is measured only if it is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnprobe.errors import UsageError
from attnprobe.values.arguments import nearest, shown
from attnprobe.values.plugins import Row, load, with_plugins

if TYPE_CHECKING:
    from attnprobe.metrics.kinds import Metric

BUILT_IN: dict[str, Row] = {
    "entropy": ("attnprobe.metrics.spread:entropy", "how widely the head spreads its attention"),
    "relative_entropy": ("attnprobe.metrics.spread:relative_entropy", "entropy as a share of the largest possible"),
    "confidence": ("attnprobe.metrics.spread:confidence", "the largest weight of each query, separators left out"),
    "cls_share": ("attnprobe.metrics.special:cls_share", "attention to the classification token"),
    "sep_share": ("attnprobe.metrics.special:sep_share", "attention to separator tokens"),
    "special_share": ("attnprobe.metrics.special:special_share", "attention to all tokens the tokenizer added"),
    "punctuation_share": ("attnprobe.metrics.special:punctuation_share", "attention to punctuation"),
    "self_share": ("attnprobe.metrics.position:self_share", "attention of each token to itself"),
    "previous_share": ("attnprobe.metrics.position:previous_share", "attention to the token before"),
    "next_share": ("attnprobe.metrics.position:next_share", "attention to the token after"),
    "same_token_share": (
        "attnprobe.metrics.special:same_token_share",
        "attention to other occurrences of the same token",
    ),
    "distance": ("attnprobe.metrics.position:distance", "how far away attention falls"),
    "offset": ("attnprobe.metrics.position:offset", "how far to the right attention falls; negative: to the left"),
    "cls_distance": ("attnprobe.metrics.special:cls_distance", "how far from the classification token attention falls"),
    "sep_distance": ("attnprobe.metrics.special:sep_distance", "how far from the nearest separator attention falls"),
    "long_range_share": ("attnprobe.metrics.position:long_range_share", "attention at least --long-range tokens away"),
    "sink_share": ("attnprobe.metrics.spread:sink_share", "share of queries that rest on the first token"),
    "cross_share": ("attnprobe.metrics.special:cross_share", "attention to the other text of a pair"),
    "outside_share": ("attnprobe.metrics.spread:outside_share", "attention to no token of the text"),
}


METRICS: Mapping[str, Row] = with_plugins("attnprobe.metrics", BUILT_IN)
ON_REQUEST: Mapping[str, Row] = {
    "value_norm": ("attnprobe.metrics.values:value_norm", "how much a token would add with all of a head's weight"),
}


def check_names(names: Any) -> list[str]:
    """Checks the names of metrics, and returns them in the order of METRICS, which are all that none or None chooses.

    Args:
        names: an iterable of names, or None.

    Raises:
        UsageError: a name is unknown, and the message suggests the nearest; or ``names`` is not a list of names.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable | None):
        raise UsageError(f"metrics must be a list of names; got {shown(names)}", "attnprobe metrics lists them all")
    chosen, known = list(() if names is None else names), {**METRICS, **ON_REQUEST}
    for name in chosen:
        if not isinstance(name, str) or name not in known:
            meant = nearest(name, known) if isinstance(name, str) else ""
            raise UsageError(f"no metric {shown(name)}{meant}", "attnprobe metrics lists them all")
    return [name for name in known if name in chosen] if chosen else list(METRICS)


def load_metrics(names: Sequence[str] | None = None) -> dict[str, Metric]:
    """Loads the declarations of the chosen metrics, by name, in the order of METRICS."""
    return {name: load({**METRICS, **ON_REQUEST}[name][0]) for name in check_names(names)}
