"""The curves of tested token scores, drawn by matplotlib for print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.render.figure import house_style
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from attnprobe.analyses.faithfulness import Faithfulness
    from attnprobe.analyses.token_scores import TokenScores

SIZE = (7.0, 3.2)  # inches
# Okabe & Ito 2008: told apart in every kind of colour vision; dashes begin where the colours are used up.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("-", "--", ":")
WHAT = {"deletion": "taken out, highest score first", "insertion": "put back, highest score first"}


def draw_curves(scores: TokenScores, tested: Faithfulness) -> Figure:
    """Draws deletion and insertion side by side, with the area under each curve."""
    from matplotlib.figure import Figure

    title = f"{visible(scores.notes['model'])}, {tested.n} {scores.unit} {tested.how}"
    with house_style(title + tested.measure):
        figure = Figure(figsize=SIZE, layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (curve, values) in zip(panels, tested.curves.items(), strict=True):
            _draw_panel(axes, tested.shares, values, tested.areas(curve))
            axes.set_title(curve)
            axes.set_xlabel(f"share of {scores.unit} {WHAT[curve]}")
        panels[0].set_ylabel(tested.measure)
        figure.set_label(scores.sign())
        return figure


def _draw_panel(axes: Any, shares: np.ndarray, values: Mapping[str, np.ndarray], areas: Mapping[str, float]) -> None:
    """Draws a line for each score; that of random orders is grey."""
    *known, random = values
    for number, score in enumerate(known):
        style = {"color": LINES[number % len(LINES)], "linestyle": DASHES[number // len(LINES) % len(DASHES)]}
        axes.plot(shares, values[score], label=f"{score}, area {areas[score]:.3f}", linewidth=1.2, **style)
    axes.plot(shares, values[random], label=f"{random}, area {areas[random]:.3f}", color="#888888", linewidth=0.8)
    axes.legend(frameon=False, fontsize="small")
