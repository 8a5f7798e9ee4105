"""Draws amounts from 0 to 1 as colours or characters of a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.color import Color, ColorSystem, ColorType
from rich.color_triplet import ColorTriplet
from rich.console import Console, ConsoleOptions
from rich.style import Style
from rich.text import Text

from attnprobe.values.text import visible

Colour = tuple[int, int, int]
DENSITY = " .:-=+*#%@"


@dataclass(frozen=True)
class Colours:
    """A colour map.

    Attributes:
        anchors: red, green and blue from 0 to 255, of equal steps from the lowest amount to the highest.
        steps: colours of a terminal that has 256, by number, low to high; each is brighter than the one before, or each
            is darker.
    """

    anchors: tuple[Colour, ...]
    steps: tuple[int, ...]

    def at(self, amount: float) -> Colour:
        """Returns the colour of an amount from 0 to 1."""
        place = amount * (len(self.anchors) - 1)
        below = min(int(place), len(self.anchors) - 2)
        red, green, blue = (
            round(low + (place - below) * (high - low))
            for low, high in zip(self.anchors[below], self.anchors[below + 1], strict=True)
        )
        return red, green, blue


# viridis (Smith & van der Walt 2015): told apart in every kind of colour vision. white: for paper.
MAPS = {
    "viridis": Colours(
        ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)),
        (53, 54, 60, 30, 36, 72, 77, 113, 149, 185, 220),
    ),
    "white": Colours(
        ((255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)),
        (231, 255, 189, 153, 117, 110, 74, 32, 26, 25, 24, 18, 17),
    ),
}
VIRIDIS = MAPS["viridis"]
# RdBu (Brewer 2003): from less through none, which is white, to more.
CHANGE = Colours(
    ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43)),
    (25, 68, 110, 153, 231, 223, 216, 167, 124),
)
CHANGE_ON_DARK = Colours(
    ((146, 197, 222), (33, 102, 172), (34, 38, 43), (178, 24, 43), (244, 165, 130)),
    (153, 110, 68, 25, 235, 124, 167, 216, 223),
)
# One for each of some kinds, without an order, of about one brightness: those of the page's light theme (base.css).
KINDS: tuple[Colour, ...] = (
    *((35, 104, 181), (184, 80, 10), (35, 130, 79), (185, 49, 68), (117, 73, 177), (135, 99, 0)),
    *((13, 127, 140), (184, 64, 141), (93, 116, 19), (74, 85, 184), (141, 90, 61), (86, 100, 111)),
)
NO_KIND: Colour = (195, 200, 206)  # --edge of the page
INKS, IN_256 = {"black": (0, 0, 0), "white": (255, 255, 255)}, {"black": 16, "white": 231}


def luminance(colour: Colour) -> float:
    """Computes the brightness of a colour from 0 to 1, as WCAG defines its relative luminance."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: Colour) -> str:
    """Chooses black or white, whichever is easier to read on a colour."""
    return "black" if luminance(colour) > 0.179 else "white"


class MapColor(Color):
    """A colour of a map whose ``number`` is its step among 256 colours, which Rich would choose without an order."""

    def downgrade(self, system: ColorSystem) -> Color:  # type: ignore[override]
        """Returns the colour that a terminal shows."""
        if system is ColorSystem.EIGHT_BIT and self.number is not None:
            return Color.from_ansi(self.number)
        return super().downgrade(system)


@lru_cache(maxsize=1024)
def _colour(colours: Colours, step: int) -> MapColor:
    """Returns the colour of a step from 0 to 255."""
    number = colours.steps[round(step / 255 * (len(colours.steps) - 1))]
    return MapColor("amount", ColorType.TRUECOLOR, number, ColorTriplet(*colours.at(step / 255)))


@lru_cache(maxsize=1024)
def _text_on(colours: Colours, step: int) -> MapColor:
    """Returns the colour of text on a step from 0 to 255, on whichever colour a terminal shows of it."""
    ground = _colour(colours, step)
    full, of_256 = (ink_on(shown.get_truecolor()) for shown in (ground, ground.downgrade(ColorSystem.EIGHT_BIT)))
    return MapColor("text", ColorType.TRUECOLOR, IN_256[of_256], ColorTriplet(*INKS[full]))


def shade(amount: float, colours: Colours = VIRIDIS) -> Style:
    """Returns the colour of an amount as a background, with text that can be read on it."""
    step = _step(amount)
    return Style(color=_text_on(colours, step), bgcolor=_colour(colours, step))


@lru_cache(maxsize=64)
def kind_shade(at: int) -> Style:
    """Returns the colour of a kind by its number as a background, with white text."""
    return Style(color=Color.from_rgb(*INKS["white"]), bgcolor=Color.from_rgb(*KINDS[at % len(KINDS)]))


@dataclass(frozen=True)
class Ink:
    """The colours and characters that a terminal can draw.

    Attributes:
        colours: whether there are 256 colours; if not, characters of growing density stand for amounts.
        ascii: whether there are only ASCII characters.
        map: the colours of amounts.
    """

    colours: bool
    ascii: bool
    map: Colours = VIRIDIS

    @classmethod
    def of(cls, console: Console, options: ConsoleOptions, map: Colours = VIRIDIS) -> Ink:
        """Finds what a terminal can draw; colours need Unicode's half blocks as well."""
        many = console.color_system in ("256", "truecolor") and not console.no_color
        return cls(many and not options.ascii_only, options.ascii_only, map)

    def spot(self, amount: float, width: int = 1) -> tuple[str, Style]:
        """Draws an amount as some equal characters in one style."""
        return (" " * width, self._style(None, amount)) if self.colours else (_character(amount) * width, Style())

    def halves(self, upper: float, lower: float | None) -> tuple[str, Style]:
        """Draws two amounts, one above the other, as one character; without colours, the larger one."""
        if not self.colours:
            return _character(max(upper, lower or 0)), Style()
        return "▀", self._style(upper, lower)

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

    def _style(self, text: float | None, background: float | None) -> Style:
        """Makes the style of two amounts; None: the terminal's default."""
        colour, bgcolor = (None if it is None else _colour(self.map, _step(it)) for it in (text, background))
        return Style(color=colour, bgcolor=bgcolor)

    def marked(self, token: str) -> str:
        """Puts one mark in place of each character that is not seen but spelled out, such as a joiner of emoji."""
        mark = "." if self.ascii else "·"
        return "".join(character if len(visible(character)) == 1 else mark for character in token)

    @property
    def ellipsis(self) -> str:
        """The character that stands for cut text."""
        return "~" if self.ascii else "…"

    def scale(self, low: float, high: float, root: bool = False) -> Text:
        """Draws the legend of all amounts, which stand for the root of a number if ``root``."""
        steps = 20 if self.colours else len(DENSITY)
        spots = (self.spot(step / (steps - 1)) for step in range(steps))
        kind = f", {'sqrt' if self.ascii else '√'} scale" if root else ""
        return Text.assemble(f"{low:.3g} ", *spots, f" {high:.3g}{kind}")


def _step(amount: float) -> int:
    return round(255 * amount)


def _character(amount: float) -> str:
    return DENSITY[min(int(amount * len(DENSITY)), len(DENSITY) - 1)]
