"""A text shaded by a score, as a page: one HTML file without any script, that needs no network and allows none."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from string import Template
from typing import IO, TYPE_CHECKING

from attnprobe.render.colours import ink_on
from attnprobe.render.page import hash_of, read_part
from attnprobe.render.shading import Shading
from attnprobe.render.table import decimals, remarks
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.analyses.token_scores import TokenScores

STEPS = 33  # of colour


def write_page(scores: TokenScores, stream: IO[bytes]) -> None:
    """Writes the page."""
    stream.write(make_shaded_page(scores).encode())


def make_shaded_page(scores: TokenScores) -> str:
    """Makes the page: the text shaded by the first score, the legend, what a reader must know, and the table."""
    shading, table = Shading.of(scores), scores.by_token()
    style = read_part("shaded.css") + "".join(_rules(shading))
    cells = [decimals([row[at] for row in table.rows]) for at in range(2, len(table.columns))]
    words = [(str(row[0]), visible(str(row[1]))) for row in table.rows]
    return Template(read_part("shaded.html")).substitute(
        policy=f"default-src 'none'; style-src '{hash_of(style)}'; base-uri 'none'; form-action 'none'",
        signature=html.escape(scores.sign()),
        title=html.escape(shading.title),
        style=style,
        text="".join(_shaded(shading.runs)),
        legend="".join(_legend(shading)),
        notes="\n".join(
            f'<p class="note">{html.escape(note)}</p>' for note in (*scores.remarks, *remarks(scores.notes))
        ),
        heads="".join(f"<th>{html.escape(name)}</th>" for name in table.columns),
        rows="\n".join(_row([*first, *others]) for first, *others in zip(words, *cells, strict=True)),
    )


def _rules(shading: Shading) -> Iterator[str]:
    """Makes a class for each step of colour, on light and on dark paper."""
    for step in range(STEPS):
        light, dark = (colours.at(step / (STEPS - 1)) for colours in (shading.on_light, shading.on_dark))
        ground, ink = f"{_hex(light)}, {_hex(dark)}", f"{ink_on(light)}, {ink_on(dark)}"
        yield f".s{step} {{ background: light-dark({ground}); color: light-dark({ink}); }}\n"


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _shaded(runs: Sequence[tuple[str, float | None]]) -> Iterator[str]:
    for text, amount in runs:
        yield html.escape(text) if amount is None else _span(text, amount)


def _span(text: str, amount: float) -> str:
    return f'<span class="s{round(amount * (STEPS - 1))}">{html.escape(text)}</span>'


def _legend(shading: Shading) -> Iterator[str]:
    """Writes the scale of colours between the lowest and the highest score."""
    if shading.low is not None:
        yield f"{shading.low:.3g} "
        yield from (_span("\u00a0", step / (STEPS - 1)) for step in range(STEPS))
        yield f" {shading.high:.3g}, √ scale"


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
