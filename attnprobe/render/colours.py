"""Draws amounts from 0 to 1 as colours or characters of a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions
from rich.style import Style
from rich.text import Text

from attnprobe.values.text import visible

Colour = tuple[int, int, int]
# Anchors of viridis (Smith & van der Walt 2015), low to high: told apart in every kind of colour vision.
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
DENSITY = " .:-=+*#%@"


def viridis(amount: float) -> Colour:
    """Returns the colour of an amount, as red, green and blue from 0 to 255."""
    below = min(int(amount * (len(VIRIDIS) - 1)), len(VIRIDIS) - 2)
    between = amount * (len(VIRIDIS) - 1) - below
    red, green, blue = (
        round(low + between * (high - low)) for low, high in zip(VIRIDIS[below], VIRIDIS[below + 1], strict=True)
    )
    return red, green, blue


def shade(amount: float) -> Style:
    """Returns the colour of an amount as a background, with text that can be read on it."""
    red, green, blue = viridis(amount)
    text = "rgb(0,0,0)" if 0.299 * red + 0.587 * green + 0.114 * blue > 100 else "rgb(255,255,255)"
    return Style.parse(f"{text} on rgb({red},{green},{blue})")


@dataclass(frozen=True)
class Ink:
    """The colours and characters that a terminal can draw.

    Attributes:
        colours: whether there are 256 colours; if not, characters of growing density stand for amounts.
        ascii: whether there are only ASCII characters.
    """

    colours: bool
    ascii: bool

    @classmethod
    def of(cls, console: Console, options: ConsoleOptions) -> Ink:
        """Finds what a terminal can draw; colours need Unicode's half blocks as well."""
        many = console.color_system in ("256", "truecolor") and not console.no_color
        return cls(many and not options.ascii_only, options.ascii_only)

    def spot(self, amount: float, width: int = 1) -> tuple[str, Style]:
        """Draws an amount as some equal characters in one style."""
        return (" " * width, _style(None, _step(amount))) if self.colours else (_character(amount) * width, Style())

    def halves(self, upper: float, lower: float | None) -> tuple[str, Style]:
        """Draws two amounts, one above the other, as one character; without colours, the larger one."""
        if not self.colours:
            return _character(max(upper, lower or 0)), Style()
        return "▀", _style(_step(upper), None if lower is None else _step(lower))

    def label(self, token: str, width: int | None = None) -> str:
        """Makes a token safe to print, and if a width is given, cuts it or fills it up on the left to so many cells."""
        text = visible(token)
        if self.ascii:
            text = text.encode("ascii", "backslashreplace").decode()
        if width is None:
            return text
        if cell_len(text) > width:
            text = set_cell_size(text, width - 1) + self.ellipsis
        return " " * (width - cell_len(text)) + text

    @property
    def ellipsis(self) -> str:
        """The character that stands for cut text."""
        return "~" if self.ascii else "…"

    def scale(self, low: float, high: float) -> Text:
        """Draws the legend of all amounts."""
        steps = 20 if self.colours else len(DENSITY)
        return Text.assemble(f"{low:.3g} ", *(self.spot(step / (steps - 1)) for step in range(steps)), f" {high:.3g}")


def _step(amount: float) -> int:
    return round(255 * amount)


def _character(amount: float) -> str:
    return DENSITY[min(int(amount * len(DENSITY)), len(DENSITY) - 1)]


def _style(text: int | None, background: int | None) -> Style:
    """Makes the style of colours by step from 0 to 255; None: the terminal's default."""
    return Style(
        color=None if text is None else _colour(text), bgcolor=None if background is None else _colour(background)
    )


@lru_cache(maxsize=256)
def _colour(step: int) -> Color:
    return Color.from_rgb(*viridis(step / 255))
