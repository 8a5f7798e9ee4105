"""Computes what heat maps show: weights, or a statistic by layer and head."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.errors import UsageError
from attnprobe.metrics import METRICS, ON_REQUEST, load_metrics
from attnprobe.values.arguments import nearest
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import Numbers, averaged_axes, mean_over, named_mean
from attnprobe.values.finding import kept_positions
from attnprobe.values.options import Averaging, Mean, Reading, take
from attnprobe.values.selection import Indices, choose_among
from attnprobe.values.signature import counted
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

LEAST_LEFT = 0.01  # of a row without special tokens, which with less is left empty, as in the page
LEFT_OUT = {"drop": "special tokens left out", "renormalise": "special tokens left out, rows made to sum to 1"}


@dataclass(frozen=True)
class StatMap:
    """A statistic of heads.

    Attributes:
        name: of the metric.
        values: (layer, head); NaN where it has no meaning.
        layers, heads: the numbers of the axes, counted from 0; None for a mean.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
        marked: (layer, head) whether to mark a value; None: none is.
        mark_means: what a mark says.
        centred: whether 0 is the middle of the scale, as of a change.
        levels: numbers that a figure's scale marks, by name.
        label_given: what is shown, where it is no metric; empty: the metric, or its change.
    """

    name: str
    values: np.ndarray
    layers: Numbers
    heads: Numbers
    notes: Mapping[str, Any]
    sign: Callable[[], str] | None
    marked: np.ndarray | None = None
    mark_means: str = ""
    centred: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)
    label_given: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of the scale: the highest value and 0, or the lowest value if it is below 0."""
        known = np.array([*self.values[~np.isnan(self.values)], *self.levels.values()])
        if self.centred:
            size = float(np.abs(known).max(initial=0))
            return -size, size
        return min(0.0, *known) if known.size else 0.0, max(0.0, *known) if known.size else 0.0

    @property
    def label(self) -> str:
        """What is shown: the metric and its unit."""
        if self.label_given:
            return self.label_given
        name = f"change of {self.name}" if self.centred else self.name
        if self.name not in METRICS and self.name not in ON_REQUEST:
            return name
        unit = load_metrics([self.name])[self.name].unit
        return f"{name} ({re.split('[,;]', unit)[0]})"


@dataclass(frozen=True)
class ShareMaps:
    """Shares of input tokens in tokens after layers, see :mod:`attnprobe.analyses.flow`.

    Attributes:
        of: what is shown, for the title.
        values: (map, row, key).
        names: of the maps.
        rows: a label for each row; of the axis "query" or "layer".
        row_axis: what rows are.
        keys: the input tokens.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
    """

    of: str
    values: np.ndarray
    names: Sequence[str]
    rows: Sequence[str]
    row_axis: str
    keys: Sequence[str]
    notes: Mapping[str, Any]
    sign: Callable[[], str] | None


Picture = Attention | StatMap | ShareMaps


def take_picture(
    text: str, encoder: Encoder, stat: str | None = None, special: str = "keep", **options: Any
) -> Picture:
    """Computes what is drawn of a text: weights, or a metric if ``stat`` names one.

    Args:
        special: see :class:`attnprobe.values.display.Drawn`.
        options: layers, heads, mean, pair, long_range, and those of :class:`attnprobe.values.options.Reading` but
            ``stride``.

    Raises:
        UsageError: an option is invalid, or the text has only special tokens, which are to be left out.
    """
    from attnprobe.measure.heads import head_table
    from attnprobe.measure.weights import keep_weights

    beside = {name: options.pop(name) for name in ("layers", "heads", "pair", "mean") if name in options}
    take(options, Reading, Averaging, without=("stride", "queries"))
    if stat is None:
        options.pop("long_range", None)
        return without_special(keep_weights(text, encoder, **beside, **options), special)
    table = head_table(text, encoder, [stat], **beside, **options)
    layers, heads = (tuple(dict.fromkeys(table.column(axis))) for axis in ("layer", "head"))
    values = np.array(table.column(stat), dtype=float).reshape(len(layers), len(heads))
    return StatMap(stat, values, layers, heads, table.notes, table.sign)


def without_special(attention: Attention, special: str) -> Attention:
    """Leaves out rows and columns of special tokens; see :class:`attnprobe.values.display.Drawn`.

    Raises:
        UsageError: no token would be left.
    """
    if special == "keep":
        return attention
    (rows, queries), (columns, keys) = (_content(tokens) for tokens in (attention.query_tokens, attention.key_tokens))
    weights = attention.weights[:, :, rows][..., columns]
    if special == "renormalise":
        total = weights.sum(-1, keepdims=True, dtype=np.float64)
        left = np.divide(weights, total, out=np.zeros(weights.shape), where=total >= LEAST_LEFT)
        weights = left.astype(weights.dtype)
    return replace(
        attention,
        weights=weights,
        query_tokens=queries,
        key_tokens=keys,
        pieces=keys if attention.key_tokens is attention.pieces else attention.pieces,
        notes={**attention.notes, "special": LEFT_OUT[special]},
        sign=attention.sign and partial(_signed, attention.sign, special),
    )


def _content(tokens: Tokens) -> tuple[list[int], Tokens]:
    """Finds the positions of tokens of the text, and takes these tokens."""
    kept = kept_positions(tokens, "drop")
    return kept, tokens.take(kept)


def _signed(sign: Callable[[], str], special: str) -> str:
    """Signs weights from which special tokens were left out."""
    return sign().replace("|special:kept|", f"|special:{special}|")


def picture_of_summary(
    summary: Table, stat: str | None, layers: Indices = "all", heads: Indices = "all", mean: str | None = None
) -> StatMap:
    """Computes what is drawn of a summary of many texts, see :func:`attnprobe.readers.summaries.read_summary`.

    Args:
        stat: a metric of the summary; None: the only one.
        mean: averages the means over texts, see :class:`attnprobe.values.options.Mean`.

    Raises:
        UsageError: the summary has no such metric, layer or head, or several metrics, of which none is named.
    """
    names = list(dict.fromkeys(map(str, summary.column("metric"))))
    name = names[0] if stat is None and len(names) == 1 else stat
    if name not in names:
        lacks = "which metric is to be drawn?" if stat is None else f"no metric {stat!r} in it{nearest(stat, names)}"
        raise UsageError(
            f"the summary has {len(names)} metrics; {lacks}", f"--stat {names[0]}, or another of its metrics"
        )
    rows: list[Any] = [row for row in summary.rows if row[2] == name]
    found = {(layer, head): mean for layer, head, _, mean, _ in rows}
    chosen_layers = _chosen(layers, {row[0] for row in rows}, "layer")
    chosen_heads = _chosen(heads, {row[1] for row in rows}, "head")
    values = [[found.get((layer, head)) for head in chosen_heads] for layer in chosen_layers]
    texts, over, axes = max(row[4] for row in rows), Mean(mean), (chosen_layers, chosen_heads)
    averaged_layers, averaged_heads = averaged_axes(over, *axes)
    notes = {
        **summary.notes,
        "counted": counted(summary.sign()) if summary.sign else "",
        "of": f"mean of {texts:,} text{'' if texts == 1 else 's'}",
        "mean": named_mean(over, *axes),
    }
    drawn = mean_over(np.array(values, dtype=float), over)
    return StatMap(name, drawn, averaged_layers, averaged_heads, notes, summary.sign)


def _chosen(choice: Indices, known: Collection[int | None], what: str) -> list[Any]:
    """Lists the chosen layers or heads of those that there are, None alone if the summary has their mean.

    Raises:
        UsageError: none of them is chosen.
    """
    numbers = [number for number in known if number is not None]
    return choose_among(choice, numbers, what, "the summary") if numbers else [None]


def scale_of(picture: Picture, scale: str | None) -> str:
    """Chooses the scale of colours: as asked for, else "sqrt" for several maps and shares, which shows small ones."""
    if isinstance(picture, ShareMaps):
        return scale or "sqrt"
    single = isinstance(picture, StatMap) or picture.weights.shape[:2] == (1, 1)
    return scale or ("linear" if single else "sqrt")


def title(picture: Picture) -> str:
    """Names what is drawn, and the model."""
    model = picture.notes["model"]
    if isinstance(picture, StatMap):
        of = f" of {picture.notes['counted']}" if picture.notes.get("counted") else ""
        named = [f"{model}: {picture.label}{of}", picture.notes.get("mean"), picture.notes.get("of")]
        return ", ".join(filter(None, named))
    if isinstance(picture, ShareMaps):
        return f"{model}: {picture.of}"
    names = [
        f"{axis} {numbers[0]}"
        for axis, numbers in (("layer", picture.layers), ("head", picture.heads))
        if len(numbers) == 1 and numbers[0] is not None
    ]
    unit = "tokens" if picture.key_tokens is picture.pieces else "words"
    noted = (picture.notes.get(name) for name in ("mean", "special"))
    return ", ".join(
        [
            model,
            *filter(None, [picture.notes.get("counted")]),
            *names,
            f"{len(picture.key_tokens)} {unit}",
            *filter(None, noted),
        ]
    )
