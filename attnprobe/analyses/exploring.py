"""Measures all that a page shows of a text: weights in one pass of the model, the steps to them in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.analyses.opening import Opening, asked, open_on
from attnprobe.analyses.roles import roles_of
from attnprobe.analyses.shares import HeadShares
from attnprobe.analyses.steps import Steps, keep_steps
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.reading import sign, weighing, windows_of
from attnprobe.measure.running import measure
from attnprobe.measure.several import Several
from attnprobe.measure.weights import KeptWeights, attention_of, check_size
from attnprobe.models.encoder import Encoder
from attnprobe.values.arguments import check_whole
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import averaged_axes
from attnprobe.values.display import Showing
from attnprobe.values.options import Mean, Reading
from attnprobe.values.selection import Indices


@dataclass(frozen=True)
class Explored:
    """The weights of some heads, with their means.

    Attributes:
        means: (layer, head, metric) of the same heads, NaN where a metric has no meaning.
        signature: what the means depend on.
        roles: of the same heads, by layer; None where a layer's positions are no tokens.
        opening: what the page opens on.
        steps: the numbers behind the weights; None if they were not asked for.
    """

    attention: Attention
    means: np.ndarray
    signature: str
    roles: list[list[str | None]]
    opening: Opening
    steps: Steps | None = None


def explore(
    text: str,
    encoder: Encoder,
    *,
    pair: str | None,
    layers: Indices,
    heads: Indices,
    mean: str | None,
    most: int | None,
    showing: Showing,
    steps: bool = True,
    **options: Any,
) -> Explored:
    """Measures weights, means and steps of a text; the arguments are those of :func:`attnprobe.view`."""
    reading, over = Reading.from_given(options, without=["stride", "level"]), Mean(mean)
    if most is not None:
        check_whole("most", most)
    weights = KeptWeights.choose(encoder, reading, layers=layers, heads=heads)
    means = HeadMeans.choose(encoder, reading, layers=layers, heads=heads, mean=mean)
    shares = HeadShares.choose(encoder, reading, layers=layers, heads=heads)
    [pieces] = windows_of(encoder, text, pair, reading)
    check_size(weights.shape(pieces), most)
    wanted = asked(showing, pieces, *averaged_axes(over, weights.layers, weights.heads))
    several = Several({"weights": weights, "means": means, "shares": shares})
    [(kept, sums, sums_of_shares)] = measure([pieces], weighing(encoder, reading), several).texts
    attention = attention_of(weights, kept, encoder, pieces, reading, over)
    opening = open_on(wanted, attention, encoder.tokenizer.unk_token)
    walked = None
    if steps and mean:
        walked = Steps(missing="these weights are means, which no head computes")
    elif steps and reading.of != "attention":
        walked = Steps(missing="these are contributions, and the steps are those of attention: leave --of out")
    elif steps:
        walked = keep_steps(encoder, pieces, weights.layers, weights.heads)
    averaged = sums.averaged(over).means()
    roles = [] if mean else roles_of(shares, sums_of_shares, [pieces])
    return Explored(attention, averaged, sign(encoder, reading, **means.signed()), roles, opening, walked)
