"""What figures and terminals show is what was measured, whatever the tokens are and however narrow the screen."""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from syrupy.assertion import SnapshotAssertion

import attnprobe
from attnprobe import Encoder, head_stats
from attnprobe.analyses.pictures import Picture, StatMap, take_picture, title, without_special
from attnprobe.errors import FontWarning, MissingExtraError, UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.render import figure as module
from attnprobe.render.colours import DENSITY, MAPS, VIRIDIS, luminance, shade
from attnprobe.render.figure import FONT, draw, fonts_for, save_figure
from attnprobe.render.heatmap import HeatmapView, largest_of_patches
from attnprobe.values.attention import Attention
from attnprobe.values.tokens import Role
from tests.synthetic import LATIN, synthetic

TEXT = "The animal didn't cross the street because it was too tired."

LONG = [f"token{number}" for number in range(60)]


def maps(figure: Any) -> list[np.ndarray]:
    """The numbers behind the pictures, in the order of the axes."""
    return [np.ma.filled(axes.images[0].get_array(), np.nan) for axes in figure.axes if axes.images]


def labels(axes: Any) -> tuple[list[str], list[str]]:
    return [text.get_text() for text in axes.get_yticklabels()], [text.get_text() for text in axes.get_xticklabels()]


def saved(figure: Any, format: str) -> bytes:
    stream = io.BytesIO()
    save_figure(figure, stream, format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("options", "count"), [({"layers": 3, "heads": 5}, 1), ({"layers": 3}, 12), ({}, 72), ({"heads": "0,1"}, 12)]
)
def test_figure_shows_the_weights_on_one_scale(minilm: Encoder, options: dict[str, Any], count: int) -> None:
    attention = keep_weights(TEXT, minilm, **options)
    figure = draw(attention)
    shown = maps(figure)
    assert len(shown) == count
    np.testing.assert_array_equal(shown, attention.weights.reshape(count, 16, 16))
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert {(image.norm.vmin, image.norm.vmax) for image in images} == {(0, attention.weights.max())}
    assert {image.cmap.name for image in images} == {"viridis"}
    assert figure.axes[-1].get_ylabel() == ("attention weight" if count == 1 else "attention weight, √ scale")
    assert {float(image.norm(attention.weights.max() / 4)) for image in images} == {0.25 if count == 1 else 0.5}


@pytest.mark.parametrize(("scale", "quarter"), [("linear", 0.25), ("sqrt", 0.5)])
def test_scale_is_chosen(scale: str, quarter: float) -> None:
    for picture in (synthetic(words=LATIN), synthetic(2, 2, LATIN), STAT):
        figure = draw(picture, scale)
        image = figure.axes[0].images[0]
        assert float(image.norm(image.norm.vmax / 4)) == pytest.approx(quarter)
        assert figure.axes[-1].get_ylabel().endswith("√ scale") == (scale == "sqrt")


def brightness(image: Any, value: float) -> float:
    return luminance(tuple(round(255 * part) for part in image.cmap(image.norm(value))[:3]))  # type: ignore[arg-type]


@pytest.mark.parametrize("colours", MAPS)
def test_a_map_of_few_tokens_has_its_weights_in_two_decimals(colours: str) -> None:
    attention = synthetic(words=LATIN)
    [weights] = attention.weights[0]
    weights[0, :2] = 0.004, 0.006
    axes = draw(attention, colours=colours).axes[0]
    assert [text.get_text() for text in axes.texts] == [f"{weight:.2f}" for weight in weights.ravel()[1:]]
    for text, weight in zip(axes.texts, weights.ravel()[1:], strict=True):
        ground, ink = brightness(axes.images[0], weight), {"black": 0.0, "white": 1.0}[text.get_color()]
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5
    assert (brightness(axes.images[0], 0) == 1) == (colours == "white")
    assert not draw(synthetic(words=LONG)).axes[0].texts
    assert not draw(synthetic(1, 2, LATIN)).axes[0].texts


def test_special_tokens_are_left_out(minilm: Encoder) -> None:
    whole = keep_weights(TEXT, minilm, layers=3, heads=[1, 5])
    content = whole.weights[:, :, 1:-1, 1:-1]
    dropped, renormalised = (
        take_picture(TEXT, minilm, layers=3, heads=[1, 5], special=special) for special in ("drop", "renormalise")
    )
    assert isinstance(dropped, Attention)
    assert isinstance(renormalised, Attention)
    np.testing.assert_array_equal(dropped.weights, content)
    assert dropped.key_tokens.strings == dropped.query_tokens.strings == whole.key_tokens.strings[1:-1]
    expected = content / content.sum(-1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(renormalised.weights, expected, rtol=1e-6, atol=0)
    assert title(dropped) == "all-MiniLM-L6-v2, layer 3, 14 tokens, special tokens left out"
    assert title(renormalised) == f"{title(dropped)}, rows made to sum to 1"
    assert draw(dropped).get_label() == whole.sign().replace("|special:kept|", "|special:drop|")  # type: ignore[misc]
    assert "special tokens left out" in text_of(dropped, 80)


def test_a_row_with_too_little_left_is_empty() -> None:
    attention = synthetic(words=["[CLS]", "a", "b"])
    tokens = replace(attention.key_tokens, roles=[Role.CLS, Role.CONTENT, Role.CONTENT])
    weights = np.float32([[[[1, 0, 0], [0.5, 0.25, 0.25], [0.991, 0.008, 0.001]]]])
    found = without_special(replace(attention, weights=weights, query_tokens=tokens, key_tokens=tokens), "renormalise")
    np.testing.assert_allclose(found.weights, [[[[0.5, 0.5], [0, 0]]]], rtol=1e-6)
    added = replace(tokens, roles=[Role.CLS] * 3)
    with pytest.raises(UsageError, match="special tokens only"):
        without_special(replace(attention, query_tokens=added, key_tokens=added), "drop")


def test_special_tokens_belong_to_weights(minilm: Encoder) -> None:
    with pytest.raises(UsageError, match="of weights, not of a statistic"):
        attnprobe.heatmap(TEXT, minilm, stat="entropy", special="drop")
    with pytest.raises(UsageError, match="special must be keep or drop or renormalise"):
        attnprobe.heatmap(TEXT, minilm, special="hide")


def test_figure_names_tokens_layers_and_heads() -> None:
    one, layer, grid = (draw(synthetic(*shape, LATIN)) for shape in ((1, 1), (1, 6), (2, 3)))
    assert labels(one.axes[0]) == (LATIN, LATIN)
    assert [axes.get_title() for axes in layer.axes[:6]] == [f"head {head}" for head in range(6)]
    assert [bool(labels(axes)[0]) for axes in layer.axes[:6]] == [True, False, False] * 2
    assert [bool(labels(axes)[1]) for axes in layer.axes[:6]] == [False] * 3 + [True] * 3
    assert [axes.get_title() for axes in grid.axes[:6]] == ["head 0", "head 1", "head 2", "", "", ""]
    assert [axes.get_ylabel() for axes in grid.axes[:6]] == ["layer 0", "", "", "layer 1", "", ""]


@pytest.mark.filterwarnings("ignore::attnprobe.FontWarning")
def test_figure_writes_wide_tokens_upright_and_takes_none_for_a_formula() -> None:
    figure = draw(synthetic(words=["the", "超市", "$x_1$", "\\frac"]))
    ticks = figure.axes[0].get_xticklabels()
    assert [(text.get_text(), text.get_rotation()) for text in ticks] == [
        ("the", 90),
        ("超\n市", 0),
        ("$x_1$", 90),
        ("\\frac", 90),
    ]
    assert not any(text.get_parse_math() for text in ticks)
    assert saved(figure, "png")


def test_long_texts_have_as_many_labels_as_can_be_read() -> None:
    figure = draw(synthetic(words=[f"t{number}" for number in range(512)]))
    queries, keys = labels(figure.axes[0])
    assert 100 < len(queries) < 256
    assert queries == keys == [f"t{at}" for at in figure.axes[0].get_xticks()]
    assert max(figure.get_size_inches()) < 10


@pytest.mark.parametrize(("stat", "options"), [("entropy", {}), ("offset", {"layers": "1,3"}), ("cross_share", {})])
def test_figure_of_a_statistic(minilm: Encoder, stat: str, options: dict[str, Any]) -> None:
    figure = attnprobe.heatmap(TEXT, minilm, stat=stat, **options)
    expected = head_stats(TEXT, minilm, [stat], **options)
    values = expected.pivot(index="layer", columns="head", values=stat).to_numpy()
    [shown] = maps(figure)
    np.testing.assert_array_equal(shown, values)
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers == [f"{value:.3f}" for value in values.ravel() if not np.isnan(value)]
    assert labels(figure.axes[0])[0] == [str(layer) for layer in expected["layer"].unique()]
    assert figure.axes[1].get_ylabel().startswith(f"{stat} (")


def test_a_head_without_a_number_stays_white(minilm: Encoder) -> None:
    values = np.array([[0.5, np.nan], [1.0, 0.0]])
    figure = draw(StatMap("entropy", values, [0, 1], [0, 1], {"model": "made-up"}, None))
    np.testing.assert_array_equal(maps(figure)[0], values)
    assert figure.axes[0].images[0].to_rgba(np.ma.masked_invalid(values))[0, 1, 3] == 0
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.500", "1.000", "0.000"]


def test_heatmap_is_a_figure_that_pyplot_does_not_know(minilm: Encoder) -> None:
    figure = attnprobe.heatmap(TEXT, minilm, layers=0, heads=2)
    assert type(figure).__module__ == "matplotlib.figure"
    assert figure.get_label() == keep_weights(TEXT, minilm).sign()  # type: ignore[misc]
    assert "matplotlib.pyplot" not in sys.modules
    with pytest.raises(UsageError, match="no metric 'entrpy'"):
        attnprobe.heatmap(TEXT, minilm, stat="entrpy")


SAVE = """
import sys
from attnprobe.render.figure import draw, save_figure
from tests.synthetic import LATIN, synthetic

for format in ("svg", "pdf", "png"):
    with open(f"{sys.argv[1]}/figure.{format}", "wb") as stream:
        save_figure(draw(synthetic(1, 2, LATIN)), stream, format)
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVE, str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    for format in ("svg", "pdf", "png"):
        data = saved(draw(synthetic(1, 2, LATIN)), format)
        assert data == (tmp_path / f"figure.{format}").read_bytes()
        assert b"attnprobe:test|model:made-up" in data
        assert saved(draw(synthetic(1, 3, LATIN)), format) != data


def test_no_setting_of_a_person_changes_a_figure() -> None:
    import matplotlib

    data = saved(draw(synthetic(words=LATIN)), "svg")
    with matplotlib.rc_context({"font.size": 30, "image.cmap": "jet", "text.parse_math": True, "savefig.dpi": 10}):
        assert saved(draw(synthetic(words=LATIN)), "svg") == data


def test_characters_without_a_font_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts_for("abc é ‖") == [FONT]
    monkeypatch.setattr(module, "CJK_FONTS", ())
    with pytest.warns(FontWarning, match="no installed font has 我; boxes"):
        figure = draw(synthetic(words=["a", "我"]))
    assert saved(figure, "png")  # matplotlib's own warnings stay away


def test_a_font_for_chinese_is_taken_where_there_is_one() -> None:
    from matplotlib.font_manager import fontManager

    if not {entry.name for entry in fontManager.ttflist} & {*module.CJK_FONTS}:
        pytest.skip("no font with Chinese characters is installed")
    families = fonts_for("the 超市")
    assert families[0] == FONT
    assert families[1] in module.CJK_FONTS


def test_without_matplotlib(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="needs matplotlib"):
        attnprobe.heatmap(TEXT, minilm)


def lines_of(picture: Picture, width: int, system: Any = None, **options: Any) -> list[list[Segment]]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=options.pop("encoding", "utf-8"))
    console = Console(file=stream, width=width, color_system=system, markup=False, emoji=False, **options)
    return console.render_lines(HeatmapView(picture, width), console.options, pad=False)


def text_of(picture: Picture, width: int, **options: Any) -> str:
    lines = ("".join(segment.text for segment in line) for line in lines_of(picture, width, **options))
    return "\n".join(lines) + "\n"


STAT = StatMap(
    "entropy",
    np.where(np.eye(3, 16) == 1, np.nan, np.arange(48).reshape(3, 16) / 10),
    [0, 1, 2],
    list(range(16)),
    {"model": "made-up"},
    None,
)
PICTURES: dict[str, Callable[[], Picture]] = {
    "one head": synthetic,
    "long text": lambda: synthetic(words=LONG),
    "layer": lambda: synthetic(1, 12),
    "grid": lambda: synthetic(2, 4),
    "statistic": lambda: STAT,
}


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", PICTURES)
def test_terminal_without_colours(name: str, width: int, snapshot: SnapshotAssertion) -> None:
    text = text_of(PICTURES[name](), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert text == snapshot


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("width", [12, 20, 41])
def test_narrow_terminals(name: str, width: int) -> None:
    lines = text_of(PICTURES[name](), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) > 8
    if name == "long text":
        assert "Not shown at this width: keys" in " ".join(" ".join(lines).split())


def triplet(colour: Any) -> tuple[int, int, int]:
    return tuple(getattr(colour, "triplet", colour))  # type: ignore[return-value]


def colours(amounts: np.ndarray) -> list[tuple[int, int, int]]:
    return [VIRIDIS.at(round(255 * float(amount)) / 255) for amount in amounts.ravel()]


@pytest.mark.parametrize("name", MAPS)
def test_steps_of_256_colours_are_monotone_in_brightness(name: str) -> None:
    amounts = np.linspace(0, 1, 256)
    steps = np.array([luminance(triplet(Color.from_ansi(number).get_truecolor())) for number in MAPS[name].steps])
    rising = 1 if name == "viridis" else -1
    assert (rising * np.diff(steps) > 0).all()
    shown = []
    for style in (shade(amount, MAPS[name]) for amount in amounts):
        ink, ground = (colour.downgrade(ColorSystem.EIGHT_BIT) for colour in (style.color, style.bgcolor))  # type: ignore[union-attr]
        assert ground.number in MAPS[name].steps
        light, dark = sorted((luminance(triplet(each.get_truecolor())) for each in (ink, ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
        shown.append(light if ink.number == 16 else dark)
    assert (rising * np.diff(shown) >= 0).all()
    assert (rising * np.diff([luminance(MAPS[name].at(amount)) for amount in amounts]) > -1e-3).all()  # 8 bits


def test_colours_are_the_weights() -> None:
    attention = synthetic()
    lines = lines_of(attention, 80, "truecolor", force_terminal=True)
    rows = [[segment.style.bgcolor for segment in line if segment.style and segment.style.bgcolor] for line in lines]
    rows = [row for row in rows if len(row) == len(attention.key_tokens)]
    assert len(rows) == len(attention.key_tokens)
    for row, expected in zip(rows, attention.weights[0, 0] / attention.weights.max(), strict=True):
        assert [triplet(colour) for colour in row] == colours(expected)


def test_density_grows_with_weight() -> None:
    attention = synthetic()
    lines = text_of(attention, 80).splitlines()
    first = next(at for at, line in enumerate(lines) if line.strip().startswith("[CLS]"))
    for line, expected in zip(lines[first:], attention.weights[0, 0] / attention.weights.max(), strict=False):
        spots = "".join(2 * DENSITY[min(int(each * 10), 9)] for each in expected)
        assert line.endswith(f" {spots.rstrip()}")


@pytest.mark.parametrize(("system", "escape"), [("truecolor", "48;2;"), ("256", "48;5;")])
def test_what_a_terminal_is_told(system: Any, escape: str) -> None:
    Style._add.cache_clear()  # Rich keeps the escapes that a style had on the first terminal
    stream = io.StringIO()
    console = Console(file=stream, width=80, color_system=system, force_terminal=True)
    console.print(HeatmapView(synthetic(), 80))
    others = {"48;2;", "48;5;"} - {escape}
    assert escape in stream.getvalue()
    assert not any(other in stream.getvalue() for other in others)


@pytest.mark.parametrize("picture", [synthetic(), synthetic(2, 2)], ids=["one head", "grid"])
def test_without_colours_or_unicode(picture: Attention) -> None:
    plain = text_of(picture, 80)
    assert text_of(picture, 80, system="truecolor", force_terminal=True, no_color=True) == plain
    assert text_of(picture, 80, system="standard", force_terminal=True) == plain
    ascii = text_of(picture, 80, system="truecolor", force_terminal=True, encoding="ascii")
    assert ascii.isascii()
    assert max(map(len, ascii.splitlines())) <= 80


def test_thumbnails_keep_the_largest_weights() -> None:
    weights = np.arange(25.0).reshape(5, 5)
    np.testing.assert_array_equal(largest_of_patches(weights, 5), weights)
    np.testing.assert_array_equal(largest_of_patches(weights, 2), [[6, 9], [21, 24]])
    np.testing.assert_array_equal(largest_of_patches(weights, 1), [[24]])


def test_half_blocks_are_two_rows_of_the_map() -> None:
    attention = synthetic(1, 2)
    scaled = np.sqrt(attention.weights[0] / attention.weights.max())
    lines = lines_of(attention, 80, "truecolor", force_terminal=True)
    rows = [[segment.style for segment in line if segment.text == "▀"] for line in lines]
    rows = [styles for styles in rows if styles]
    assert len(rows) == 6
    for at, styles in enumerate(rows):
        assert [triplet(style.color) for style in styles] == colours(scaled[:, 2 * at])
        if 2 * at + 1 < len(attention.key_tokens):
            assert [triplet(style.bgcolor) for style in styles] == colours(scaled[:, 2 * at + 1])


def test_numbers_stand_in_cells_where_they_fit() -> None:
    attention = synthetic()
    lines = lines_of(attention, 100, "truecolor", force_terminal=True)
    cells = [segment.text for line in lines for segment in line if segment.style and segment.style.bgcolor]
    assert cells[:121] == [f" {weight:.2f}" for weight in attention.weights.ravel()]
    narrow = lines_of(attention, 63, "truecolor", force_terminal=True)
    assert "  " in [segment.text for line in narrow for segment in line if segment.style and segment.style.bgcolor]


def test_characters_that_are_spelled_out_take_one_line_of_a_heading() -> None:
    text = text_of(synthetic(words=["[CLS]", "👨\u200d👩\u200d👧", "a\u202eb"]), 80)
    heading = [line.replace(" ", "") for line in text.splitlines()[2:7]]
    assert heading == ["[👨", "C·", "L👩a", "S··", "]👧b"]
    assert "👨<U+200D>👩<U+200D>👧" in text
    assert text_of(synthetic(words=["\u200d"]), 80, encoding="ascii").isascii()


def test_words_and_pairs(minilm: Encoder) -> None:
    picture = take_picture("unbelievable", minilm, level="word", layers=0, heads=0, pair="words")
    assert "5 words" in text_of(picture, 80)
    assert "unbelievable" in text_of(picture, 80)
