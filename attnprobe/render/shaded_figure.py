"""A text shaded by a score, drawn by matplotlib for print: lines that wrap, equal bytes for equal input."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import IO, TYPE_CHECKING, Any

from attnprobe.render.colours import Colours, ink_on
from attnprobe.render.curves import draw_curves
from attnprobe.render.figure import house_style, save_figure
from attnprobe.render.shading import Shading
from attnprobe.values.text import is_punctuation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from attnprobe.analyses.token_scores import TokenScores

WIDTH, MARGIN = 504.0, 18.0  # points: seven inches, as other figures
SIZE, SMALL, LINE = 10.0, 8.0, 17.0  # of the text, of all else, and from one line to the next
LEGEND, STEPS = 120.0, 60
FINE = 16  # pixels a point, so that hinting moves no width


@dataclass(frozen=True)
class Placed:
    """Characters at a place, in points from the left and from the top of the first line.

    Attributes:
        amount: see :class:`attnprobe.render.shading.Shading`.
    """

    text: str
    amount: float | None
    x: float
    line: int
    width: float


def draw_tokens(scores: TokenScores) -> Figure:
    """Draws the text shaded by the first score, with a legend and what a reader must know."""
    from matplotlib.figure import Figure

    shading = Shading.of(scores)
    with house_style("".join([shading.title, *(text for text, _ in shading.runs)])):
        placed = list(_lines(shading.runs))
        below = [line for remark in scores.remarks for line in _wrapped(remark)]
        lines = placed[-1].line + 1
        height = 2 * MARGIN + LINE * (lines + 3.2) + 1.3 * SMALL * len(below)
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(MARGIN, MARGIN + SMALL, shading.title, fontsize=SMALL)
        for piece in placed:
            _draw_piece(axes, piece, MARGIN + LINE * (piece.line + 2), shading.on_light)
        bottom = MARGIN + LINE * (lines + 2.2)
        if shading.low is not None:
            _draw_legend(axes, shading, bottom)
        for number, line in enumerate(below, 1):
            axes.text(MARGIN, bottom + LINE + 1.3 * SMALL * number, line, fontsize=SMALL)
        figure.set_label(scores.sign())
        return figure


def _draw_piece(axes: Any, piece: Placed, baseline: float, colours: Colours) -> None:
    from matplotlib.patches import Rectangle

    ink = "black"
    if piece.amount is not None:
        ground = colours.at(piece.amount)
        ink = ink_on(ground)
        axes.add_patch(_box(Rectangle, MARGIN + piece.x, baseline - 0.95 * SIZE, piece.width, 1.35 * SIZE, ground))
    axes.text(MARGIN + piece.x, baseline, piece.text, fontsize=SIZE, color=ink)


def _box(kind: Any, x: float, y: float, width: float, height: float, colour: Sequence[int]) -> Any:
    return kind((x, y), width, height, facecolor=[part / 255 for part in colour], linewidth=0)


def _draw_legend(axes: Any, shading: Shading, top: float) -> None:
    """Draws the scale of colours between the lowest and the highest score."""
    from matplotlib.patches import Rectangle

    low, high = f"{shading.low:.3g}", f"{shading.high:.3g}, √ scale"
    start = MARGIN + _width_of(low, SMALL) + 4
    for step in range(STEPS):
        x, colour = start + LEGEND * step / STEPS, shading.on_light.at(step / (STEPS - 1))
        axes.add_patch(_box(Rectangle, x, top, LEGEND / STEPS + 0.2, SMALL, colour))
    for x, text in ((MARGIN, low), (start + LEGEND + 4, high)):
        axes.text(x, top + 0.85 * SMALL, text, fontsize=SMALL)


def _lines(runs: Sequence[tuple[str, float | None]]) -> Iterator[Placed]:
    """Places runs in lines: what has no space within stays together, if it is not longer than a line."""
    x, line, room = 0.0, 0, WIDTH - 2 * MARGIN
    for group in _groups(runs):
        widths = [_width_of(text, SIZE) for text, _ in group]
        if x and x + sum(widths) > room:
            x, line = 0.0, line + 1
        for (text, amount), width in zip(group, widths, strict=True):
            if text == "\n" or (x and x + width > room):
                x, line = 0.0, line + 1
            if (text.isspace() and not x) or text == "\n":
                continue
            yield Placed(text, amount, x, line, width)
            x += width


def _groups(runs: Sequence[tuple[str, float | None]]) -> Iterator[list[tuple[str, float | None]]]:
    """Groups the runs that no line may part: at no space, line's end or ideograph, and before no mark."""
    group: list[tuple[str, float | None]] = []
    for text, amount in runs:
        for part in filter(None, re.split(r"(\n)", text)):
            may_part = group and (_may_part(group[-1][0]) or _may_part(part))
            if may_part and not is_punctuation(part):
                yield group
                group = []
            group.append((part, amount))
    if group:
        yield group


def _may_part(text: str) -> bool:
    """Tests whether a line may end beside a text."""
    return text.isspace() or unicodedata.east_asian_width(text[:1]) in "WF"


def _wrapped(remark: str) -> Iterator[str]:
    """Yields a remark in lines that fit."""
    line = ""
    for word in remark.split():
        longer = f"{line} {word}".strip()
        if line and _width_of(longer, SMALL) > WIDTH - 2 * MARGIN:
            yield line
            longer = word
        line = longer
    yield line


def _width_of(text: str, size: float) -> float:
    """Measures the width of a text in points, in the fonts that are set; a space at an end counts."""
    from matplotlib import rcParams

    fonts = tuple(rcParams["font.family"])
    return _measured(f"|{text}|", size, fonts) - _measured("||", size, fonts)


@lru_cache(maxsize=2**14)
def _measured(text: str, size: float, fonts: tuple[str, ...]) -> float:
    """Measures what is written of a text, in points."""
    from matplotlib.font_manager import FontProperties

    width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(list(fonts), size=size), ismath=False)
    return float(width) / FINE


@cache
def _renderer() -> Any:
    """Makes what measures characters, at FINE pixels a point."""
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(10, 10, 72 * FINE)  # type: ignore[no-untyped-call]


def _write(scores: TokenScores, stream: IO[bytes], format: str) -> None:
    """Writes the shaded text in a format; or the curves, if the scores are tested."""
    tested = scores.faithfulness
    save_figure(draw_curves(scores, tested) if tested else draw_tokens(scores), stream, format)


write_png, write_svg, write_pdf = (partial(_write, format=name) for name in ("png", "svg", "pdf"))
