"""Attention drawn as a figure for print, by matplotlib; never through pyplot, and equal bytes for equal input."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.pictures import Picture, ShareMaps, StatMap, scale_of, title
from attnprobe.errors import FontWarning, MissingExtraError
from attnprobe.render.colours import CHANGE, MAPS, Colours, ink_on
from attnprobe.render.table import two_decimals, written_like
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import name_of, short_name
from attnprobe.values.text import visible
from attnprobe.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure as Figure
    from matplotlib.image import AxesImage

# Sans serifs with Chinese, Japanese and Korean characters, the freely licensed ones first.
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Arial Unicode MS",
)
FONT = "DejaVu Sans"  # comes with matplotlib
CELL, NUMBER_CELL = 0.2, 0.3  # inches: without and with the weight in two decimals
MOST_WRITTEN = 24  # tokens of a map whose cells have numbers
SMALLEST, WIDTH = 1.5, 7.0  # inches: of a lone map, and of all side by side
STYLING = Lock()  # matplotlib's settings are the whole process's
FONT_SIZE = 8.0  # points
SMALLEST_FONT = 3.0


def check_matplotlib() -> None:
    """Checks before any work is done that figures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot")


def draw(picture: Picture, scale: str | None = None, colours: str = "viridis") -> Figure:
    """Draws the figure of some weights or of a statistic.

    Args:
        scale: see :func:`attnprobe.analyses.pictures.scale_of`.
        colours: of :data:`attnprobe.render.colours.MAPS`.
    """
    centred = isinstance(picture, StatMap) and picture.centred
    root, colormap = scale_of(picture, scale) == "sqrt", colours_between(CHANGE) if centred else _colormap(colours)
    with house_style(_characters(picture)):
        drawn: Any = {StatMap: _draw_stat, ShareMaps: _draw_shares}.get(type(picture), _draw_attention)
        figure: Figure = drawn(picture, root, colormap)
        figure.suptitle(visible(title(picture)))
        figure.set_label(picture.sign() if picture.sign else "")
        return figure


def save_figure(figure: Figure, stream: IO[bytes], format: str) -> None:
    """Writes png, svg or pdf, with the signature in the metadata."""
    import matplotlib

    program, sign = f"attnprobe {__version__}", str(figure.get_label())
    metadata = {
        "png": {"Software": program, "Description": sign},
        "svg": {"Creator": program, "Description": sign, "Date": None},
        "pdf": {"Creator": program, "Subject": sign, "CreationDate": None},
    }[format]
    with (
        _plain_style(),
        matplotlib.rc_context({"svg.hashsalt": "attnprobe", "pdf.fonttype": 42}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # FontWarning has said so
        figure.savefig(stream, format=format, dpi=200, metadata=metadata)


def _colormap(name: str) -> Colormap:
    """Makes matplotlib's colours of a map."""
    from matplotlib import colormaps

    return colormaps[name] if name in colormaps else colours_between(MAPS[name])


def colours_between(colours: Colours) -> Colormap:
    """Makes matplotlib's colours from those of a terminal."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("anchors", np.array(colours.anchors) / 255)


def _norm(low: float, high: float, root: bool) -> Normalize:
    """Makes the scale from numbers to colours: by the root of what is above ``low``, or evenly."""
    from matplotlib.colors import Normalize, PowerNorm

    return PowerNorm(0.5, low, high) if root else Normalize(low, high)


def _legend(name: str, root: bool) -> str:
    return f"{name}, √ scale" if root else name


def _draw_attention(attention: Attention, root: bool, colours: Colormap) -> Figure:
    """Draws a map for each head: of one layer, or one of each layer, with tokens; of several layers as a grid."""
    layers, heads, count, _ = attention.weights.shape
    several = layers > 1 < heads
    columns = heads if several else math.ceil(math.sqrt(layers * heads))
    rows = math.ceil(layers * heads / columns)
    written = layers * heads == 1 and count <= MOST_WRITTEN
    side = min(max((NUMBER_CELL if written else CELL) * count, SMALLEST), WIDTH / columns)
    figure = _figure(columns * side, rows * side)
    grid = figure.subplots(rows, columns, squeeze=False)
    scale = _norm(0, float(attention.weights.max()) or 1.0, root)
    maps = attention.weights.reshape(layers * heads, count, count)
    shown, spare = list(grid.flat)[: layers * heads], list(grid.flat)[layers * heads :]
    for axes, weights in zip(shown, maps, strict=True):
        image = axes.imshow(weights, cmap=colours, norm=scale)
        axes.set(xticks=[], yticks=[])
    for axes in spare:
        axes.remove()
    axis, numbers = ("layer", attention.layers) if heads == 1 else ("head", attention.heads)
    across: list[tuple[str, int | None]] = [(axis, number) for number in numbers]
    for axes, named in zip(shown, across if len(shown) > 1 else (), strict=False):
        axes.set_title(name_of(*named))
    if several:
        for axes, layer in zip(grid[:, 0], attention.layers, strict=True):
            axes.set_ylabel(name_of("layer", layer))
    else:
        name_queries(attention.query_tokens.strings, side, shown[::columns])
        name_keys(attention.key_tokens.strings, side, shown[-columns:])
    if written:
        _write_numbers(shown[0], image, maps[0], two_decimals)
    if len(shown) == 1:
        axes.set(xlabel="key", ylabel="query")
    else:
        figure.supxlabel("key")
        figure.supylabel("query")
    figure.colorbar(
        image, ax=shown, label=_legend("contribution" if attention.notes.get("counted") else "attention weight", root)
    )
    return figure


def _draw_shares(maps: ShareMaps, root: bool, colours: Colormap) -> Figure:
    """Draws maps of queries side by side, those of layers one below the other."""
    count, rows, keys = maps.values.shape
    columns = math.ceil(math.sqrt(count)) if maps.row_axis == "query" else 1
    written = count == 1 and keys <= MOST_WRITTEN
    cell = NUMBER_CELL if written else CELL
    width = min(max(cell * keys, SMALLEST), WIDTH / columns)
    height = width if maps.row_axis == "query" else cell * rows
    figure = _figure(columns * width, math.ceil(count / columns) * height)
    grid = figure.subplots(math.ceil(count / columns), columns, squeeze=False)
    scale = _norm(0, float(maps.values.max()) or 1.0, root)
    for axes in list(grid.flat)[count:]:
        axes.remove()
    shown = list(grid.flat)[:count]
    for axes, name, values in zip(shown, maps.names, maps.values, strict=True):
        image = axes.imshow(values, cmap=colours, norm=scale, aspect="auto")
        axes.set(xticks=[], yticks=[], title=visible(name) if count > 1 else "")
    name_queries(maps.rows, height, shown[::columns])
    name_keys(maps.keys, width, shown[-columns:])
    if written:
        _write_numbers(shown[0], image, maps.values[0], two_decimals)
    figure.supxlabel("input token")
    figure.supylabel(maps.row_axis)
    figure.colorbar(image, ax=shown, label=_legend("share", root))
    return figure


def name_queries(tokens: Sequence[str], side: float, left: Sequence[Axes]) -> None:
    """Writes tokens at the left of maps that are so many inches high."""
    positions, labels, size = _legible(tokens, side)
    for axes in left:
        axes.set_yticks(positions, labels, fontsize=size)


def name_keys(tokens: Sequence[str], side: float, bottom: Sequence[Axes]) -> None:
    """Writes tokens below maps that are so many inches wide; ideographs upright, one below the other."""
    positions, labels, size = _legible(tokens, side)
    upright = [len(it) == 1 or all(unicodedata.east_asian_width(letter) in "WF" for letter in it) for it in labels]
    for axes in bottom:
        axes.set_xticks(
            positions, ["\n".join(it) if stands else it for it, stands in zip(labels, upright, strict=True)]
        )
        for text, stands in zip(axes.get_xticklabels(), upright, strict=True):
            text.set(fontsize=size, rotation=0 if stands else 90)


def _legible(tokens: Sequence[str], side: float) -> tuple[Sequence[int], list[str], float]:
    """Chooses the tokens that can be read along so many inches; returns positions, labels and font size."""
    fits = 0.85 * 72 * side / len(tokens)
    step = max(1, math.ceil(SMALLEST_FONT / fits))
    positions = range(0, len(tokens), step)
    return positions, [visible(tokens[at]) for at in positions], min(FONT_SIZE, fits * step)


def _draw_stat(stat: StatMap, root: bool, colours: Colormap) -> Figure:
    """Draws a statistic with its scale."""
    low, high = stat.limits
    rows, columns = stat.values.shape
    figure = _figure(0.45 * columns, 0.3 * rows)
    axes = figure.subplots()
    image = draw_cells(axes, stat, _norm(low, high if high > low else 1, root), colours)
    label = _legend(stat.label, root)
    if stat.marked is not None:
        _frame(axes, stat.marked)
        label = f"{label}; framed: {stat.mark_means}"
    _mark(figure.colorbar(image, label=label).ax, stat.levels)
    return figure


def draw_cells(axes: Axes, stat: StatMap, scale: Normalize, colours: Colormap) -> AxesImage:
    """Draws layers down and heads across, with the numbers; a cell without one stays white."""
    image = axes.imshow(np.ma.masked_invalid(stat.values), cmap=colours, norm=scale, aspect="auto")
    axes.set_xticks(range(len(stat.heads)), list(map(short_name, stat.heads)))
    axes.set_yticks(range(len(stat.layers)), list(map(short_name, stat.layers)))
    axes.set(xlabel="head", ylabel="layer")
    _write_numbers(axes, image, stat.values, written_like(stat.values.flat))
    return image


def _mark(scale: Axes, levels: Mapping[str, float]) -> None:
    """Marks numbers on a scale, and writes their names to its left, of near ones the larger above the other."""
    names: dict[float, str] = {}
    for name, level in levels.items():
        names[level] = f"{names[level]}, {name}" if level in names else name
    for level, name in names.items():
        scale.axhline(level, color="black", linewidth=1)
        above = "center" if len(names) == 1 else "bottom" if level == max(names) else "top"
        place: Any = {"transform": scale.get_yaxis_transform(), "ha": "right", "va": above}
        scale.text(-0.2, level, name, **place)


def _write_numbers(axes: Axes, image: AxesImage, values: np.ndarray, written: Callable[[float], str]) -> None:
    """Writes each number that is not NaN into its cell, unless it is written as nothing, in black or white."""
    for (row, column), value in np.ndenumerate(values):
        if not math.isnan(value) and written(float(value)):
            red, green, blue = (round(255 * part) for part in image.cmap(image.norm(value))[:3])
            how: Any = {"ha": "center", "va": "center", "fontsize": FONT_SIZE - 1, "color": ink_on((red, green, blue))}
            axes.text(column, row, written(float(value)), **how)


def _frame(axes: Axes, marked: np.ndarray) -> None:
    """Frames the cells that are marked."""
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(marked):
        axes.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, linewidth=0.7))


def _figure(width: float, height: float) -> Figure:
    """Makes a figure for maps of so many inches, with room for labels and legend."""
    from matplotlib.figure import Figure as Figure

    return Figure(figsize=(width + 2, height + 1.2), layout="constrained")


@contextmanager
def _plain_style() -> Iterator[None]:
    """Sets matplotlib's defaults, whatever the user has set."""
    import matplotlib.style

    with STYLING, matplotlib.style.context("default"):
        yield


def _characters(picture: Picture) -> str:
    """Joins the characters that are written in the figure."""
    if isinstance(picture, ShareMaps):
        return "".join([title(picture), *picture.names, *picture.rows, *picture.keys])
    tokens = () if isinstance(picture, StatMap) else (*picture.query_tokens.strings, *picture.key_tokens.strings)
    return "".join([title(picture), *tokens])


@contextmanager
def house_style(shown: str) -> Iterator[None]:
    """Sets the look of figures, with fonts for the characters that are shown, whatever the user has set."""
    import matplotlib

    settings: Any = {
        "font.family": fonts_for(visible(shown)),
        "font.size": FONT_SIZE,
        "axes.titlesize": FONT_SIZE,
        "figure.labelsize": FONT_SIZE,
        "figure.titlesize": FONT_SIZE,
        "axes.linewidth": 0.5,
        "text.parse_math": False,  # a token is data
        "xtick.major.size": 0,
        "ytick.major.size": 0,
    }
    with _plain_style(), matplotlib.rc_context(settings):
        yield


def fonts_for(text: str) -> list[str]:
    """Finds the font families that have a text's characters: the default, and those of CJK_FONTS that add to it.

    Warns:
        FontWarning: some characters are in no family.
    """
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    installed = {entry.name for entry in fontManager.ttflist}
    missing = {character for character in text if not character.isspace()}
    families = []
    for family in (FONT, *(name for name in CJK_FONTS if name in installed)):
        font = get_font(fontManager.findfont(FontProperties(family=family)))
        found = {character for character in missing if font.get_char_index(ord(character))}
        if found or family == FONT:
            families.append(family)
            missing -= found
    if missing:
        warnings.warn(
            f"no installed font has {' '.join(sorted(missing)[:10])}; boxes stand in their place "
            "(for Chinese, Japanese and Korean, install Noto Sans CJK)",
            FontWarning,
            stacklevel=2,
        )
    return families
