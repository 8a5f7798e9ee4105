"""Measures the shares that patterns and roles of heads are read from, of a text or of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from attnprobe.analyses.rules import Thresholds, pattern_of, role_of
from attnprobe.attention.blocks import Observer
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoRows
from attnprobe.metrics import load_metrics
from attnprobe.metrics.kinds import CellMetric, Cells, KeyMetric, Metric, OffsetMetric
from attnprobe.metrics.reduce import Reducer
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Averaging, Reading, take
from attnprobe.values.selection import select
from attnprobe.values.summary import Summary
from attnprobe.values.table import Cell, Table, Tabled
from attnprobe.values.tokens import Role, Tokens

READ = (
    "previous_share",
    "next_share",
    "self_share",
    "same_token_share",
    "cls_share",
    "sep_share",
    "punctuation_share",
    "relative_entropy",
)
SHARES = (
    "vertical",
    "diagonal",
    "block",
    "block_even",
    *READ[:4],
    "same_token_even",
    *READ[4:7],
    "first_share",
    READ[7],
)
COLUMNS = ("layer", "head", "pattern", "role", *SHARES, "n_texts")


def _is_added(tokens: Tokens) -> np.ndarray:
    return np.array([role != Role.CONTENT for role in tokens.roles])


def _first_token(tokens: Tokens) -> np.ndarray | None:
    """Marks the first token of a text to which the tokenizer added none."""
    return None if _is_added(tokens).any() else np.arange(len(tokens)) == 0


def _near_added(tokens: Tokens) -> Cells | None:
    """Finds the cells of each added token as the key of itself and its neighbours."""
    added = np.flatnonzero(_is_added(tokens))
    queries, keys = np.add.outer(added, np.arange(-1, 2)).ravel(), np.repeat(added, 3)
    inside = (queries >= 0) & (queries < len(tokens))
    return Cells(queries[inside], keys[inside]) if len(added) else None


def _own_text(tokens: Tokens) -> np.ndarray | None:
    """Marks the tokens of the query's text of a pair."""
    segments = np.asarray(tokens.segments)
    return np.stack([np.full(len(tokens), np.nan), segments == 1, segments == 2]) if 2 in segments else None


def _declared(**about: str) -> dict[str, str]:
    return {"unit": "share", "source": "Kovaleva et al. 2019, whose classes have no public rules", **about}


first_share = KeyMetric(column=_first_token, **_declared(formula="a[q, first token] where no token was added"))
near_share = OffsetMetric(
    of_offset=lambda offset, long_range: abs(offset) <= 1, **_declared(formula="Σ a[q,k] over |k−q| ≤ 1")
)
near_added = CellMetric(cells=_near_added, **_declared(formula="Σ a[q,k] over |k−q| ≤ 1, k added"))
own_share = KeyMetric(column=_own_text, **_declared(formula="Σ a[q,k] over tokens k of the query's text of a pair"))


@cache
def metrics_of_shares() -> dict[str, Metric]:
    """Loads the metrics that shares are made of, by name."""
    known = load_metrics([*READ, "special_share", "cross_share"])
    more = {"first_share": first_share, "near_share": near_share, "near_added": near_added, "own_share": own_share}
    return {**known, **more}


@dataclass(frozen=True)
class HeadShares(NoRows):
    """Measures the shares of all heads that patterns and roles are read from.

    Attributes:
        layers, heads: the numbers of those to report, ascending.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
        thresholds: of the rules.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    level: str = "token"
    thresholds: Thresholds = Thresholds()  # noqa: RUF009 (immutable)

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> HeadShares:
        """Chooses the heads, and the thresholds of the rules.

        Args:
            options: layers and heads, None for all; those of :class:`attnprobe.analyses.rules.Thresholds`.

        Raises:
            UsageError: an option is unknown or has an invalid value, or a layer or head is out of range.
        """
        [thresholds] = take(options, Thresholds, beside=("layers", "heads"))
        layers = select(options.get("layers"), encoder.layers, "layer")
        heads = select(options.get("heads"), encoder.heads, "head")
        return cls(tuple(layers), tuple(heads), reading.level, thresholds)

    @property
    def alone(self) -> bool:
        """Whether each text comes by itself: at level "word", since words differ between texts of one length."""
        return self.level == "word"

    @property
    def size(self) -> int:
        """The number of sums of a text."""
        return len(self.layers) * len(self.heads) * len(metrics_of_shares())

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """The thresholds, on which patterns and roles depend."""
        return {"thresholds": ",".join(f"{name}={value:g}" for name, value in vars(self.thresholds).items())}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> ShareListener:
        """Makes a listener that reduces the weights at once and keeps none of them."""
        reducer = Reducer(
            texts,
            metrics_of_shares(),
            self.layers,
            encoder.heads,
            long_range=Averaging.long_range,
            queries="all",
            level=self.level,
            dtype=encoder.dtype,
            device=encoder.device,
            compiled=encoder.compiled,
        )
        return ShareListener(reducer, list(self.heads))

    def empty(self, signature: str) -> Patterns:
        """The patterns of no text."""
        return Patterns(Summary.empty(self.layers, self.heads, SHARES, signature), self.level, self.thresholds)


@dataclass(frozen=True)
class ShareListener:
    """Reduces the weights of some texts of one length."""

    reducer: Reducer
    heads: list[int]

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return self.reducer.starts

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks."""
        return self.reducer.start_layer(layer)

    def finish(self) -> Found:
        """Returns the sums of each text."""
        return Found([replace(found, total=found.total[:, self.heads]) for found in self.reducer.sums])


@dataclass(frozen=True)
class Patterns(Tabled):
    """The patterns and roles of heads in many texts, with the shares that tell them.

    Attributes:
        shares: the mean of each share over texts, see SHARES.
        level: "token" or "word".
        thresholds: of the rules.
    """

    shares: Summary
    level: str
    thresholds: Thresholds

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return self.shares.signature

    @property
    def remarks(self) -> list[str]:
        """A sentence if vertical is the column of the first token."""
        without = int(self.shares.n_texts[:, SHARES.index("first_share")].max(initial=0))
        remark = "the tokenizer added no tokens: vertical is the weight on the first token"
        return [f"{remark} (texts: {without:,})"] if without else []

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Patterns:
        """Reads the shares of these texts."""
        return self.of_shares(self.shares_of(texts))

    def of_shares(self, values: Float[np.ndarray, "text layer head share"]) -> Patterns:
        """Summarizes the shares of some texts, see :meth:`shares_of`."""
        if not len(values):
            return self
        known = ~np.isnan(values)
        return replace(self, shares=self.shares.of(np.where(known, values, 0.0), known.all(2).astype(float)))

    def shares_of(self, texts: Sequence[Measured]) -> Float[np.ndarray, "text layer head share"]:
        """Computes the shares of each text in the order of SHARES, NaN where one has no meaning."""
        shape = 0, len(self.shares.layers), len(self.shares.heads), len(SHARES)
        return np.array([self._of_text(text.found, text.windows) for text in texts]) if texts else np.zeros(shape)

    def _of_text(self, sums: Sums, windows: Sequence[Tokens]) -> np.ndarray:
        """Computes the shares of one text (layer, head, share), NaN where one has no meaning."""
        windows = [window.by_word() for window in windows] if self.level == "word" else windows
        share = dict(zip(metrics_of_shares(), np.moveaxis(sums.means(), -1, 0), strict=True))
        stays, total = share["own_share"], share["own_share"] + share["cross_share"]
        share["block"] = np.divide(stays, total, out=np.full_like(stays, np.nan), where=total > 0)
        share["diagonal"] = np.maximum(share["near_share"] - np.nan_to_num(share["near_added"]), 0.0)
        share["vertical"] = np.where(np.isnan(share["first_share"]), share["special_share"], share["first_share"])
        share["block_even"] = np.where(np.isnan(share["block"]), np.nan, block_even(windows))
        share["same_token_even"] = np.where(np.isnan(share["same_token_share"]), np.nan, same_token_even(windows))
        return np.stack([share[name] for name in SHARES], -1)

    def __add__(self, other: Patterns) -> Patterns:
        return replace(self, shares=self.shares + other.shares)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        return self.shares.arrays()

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Patterns:
        """Makes the patterns whose :meth:`arrays` these are.

        Raises:
            ValueError: no patterns of these heads have such arrays.
        """
        return replace(self, shares=self.shares.restored(arrays))

    def table(self) -> Table:
        """Makes a row per layer and head: pattern, role, and the mean of each share over the texts that have one."""
        n_texts = self.shares.n_texts[:, SHARES.index("vertical")].repeat(len(self.shares.heads))
        rows = [
            self._row(layer, head, shares, int(n))
            for (layer, head, *shares), n in zip(self.shares.means().rows, n_texts, strict=True)
        ]
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def _row(self, layer: Cell, head: Cell, shares: Sequence[Any], n_texts: int) -> Sequence[Cell]:
        scores = dict(zip(SHARES, shares, strict=True))
        names = (pattern_of(scores, self.thresholds), role_of(scores, self.thresholds))
        return (layer, head, *names, *shares, n_texts)

    def overview(self, title: str) -> Table:
        """Makes the table with a title."""
        return replace(self.table(), notes={"title": title, "more": "Use -f csv or a wider terminal."})

    def roles(self) -> list[list[str | None]]:
        """The role of each head, by layer; None where a layer's positions are no tokens."""
        index, heads = COLUMNS.index("role"), len(self.shares.heads)
        roles: list[Any] = [row[index] for row in self.table().rows]
        return [roles[start : start + heads] for start in range(0, len(roles), heads)]


def block_even(windows: Sequence[Tokens]) -> float:
    """The share of the weight between the own tokens of a pair's texts that stays in a text if attention is even."""
    stays = total = 0.0
    for window in windows:
        sizes = [list(window.segments).count(segment) for segment in (1, 2)]
        stays += sum(size**2 for size in sizes) / len(window)
        total += sum(sizes) ** 2 / len(window)
    return stays / total if total else np.nan


def same_token_even(windows: Sequence[Tokens]) -> float:
    """The weight on other occurrences of a query's token if attention is even, the mean over queries that have such."""
    weight = queries = 0.0
    for window in windows:
        content = (read for read, role in zip(window.read_as, window.roles, strict=True) if role == Role.CONTENT)
        counts = [count for read, count in Counter(content).items() if read is not None and count > 1]
        weight += sum(count * (count - 1) for count in counts) / len(window)
        queries += sum(counts)
    return weight / queries if queries else np.nan
