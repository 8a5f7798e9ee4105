"""Shades a text by a score of its tokens: what a terminal, a figure and a page draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attnprobe.analyses.scores import SCORES
from attnprobe.render.colours import CHANGE, CHANGE_ON_DARK, MAPS, VIRIDIS, Colours
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.analyses.token_scores import TokenScores


@dataclass(frozen=True)
class Shading:
    """A text in the order in which it is read, with an amount for what is shaded.

    Attributes:
        title: the model, the score and how many tokens there are.
        runs: characters, each with an amount from 0 to 1, the root of where the score lies from lowest to highest; of
            signed scores 0.5 stands for 0, and the root is of how far from it; None for what is between tokens, or has
            no score.
        low, high: the lowest and the highest score, of signed scores equally far from 0; None if no token has any.
        signed: whether the score may be below 0.
    """

    title: str
    runs: Sequence[tuple[str, float | None]]
    low: float | None
    high: float | None
    signed: bool = False

    @property
    def on_light(self) -> Colours:
        """The colours of amounts on light paper."""
        return CHANGE if self.signed else MAPS["white"]

    @property
    def on_dark(self) -> Colours:
        """The colours of amounts on dark paper, and in a terminal."""
        return CHANGE_ON_DARK if self.signed else VIRIDIS

    @classmethod
    def of(cls, scores: TokenScores) -> Shading:
        """Shades by the first score; characters of several tokens by the highest, or farthest from 0, of these."""
        name, values = next(iter(scores.scores.items()))
        signed = SCORES[name].is_signed
        known = values[~np.isnan(values)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
        if signed and high is not None:
            high = float(np.abs(known).max())
            low = -high

        def amount(tokens: tuple[int, ...]) -> float | None:
            found = [float(values[at]) for at in tokens if not math.isnan(values[at])]
            if not found or low is None or high is None:
                return None
            if signed:
                return _from_zero(max(found, key=abs), high)
            return math.sqrt((max(found) - low) / (high - low)) if high > low else 1.0

        of = f" of {scores.notes['counted']}" if scores.notes.get("counted") else ""
        title = f"{visible(scores.notes['model'])}, {len(scores.tokens)} {scores.unit}, shaded by {name}{of}"
        return cls(title, [(run.text, amount(run.tokens)) for run in scores.runs], low, high, signed)


def _from_zero(score: float, largest: float) -> float:
    """Computes the amount of a signed score."""
    return 0.5 + math.copysign(math.sqrt(abs(score) / largest), score) / 2 if largest else 0.5
