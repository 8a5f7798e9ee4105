"""Token scores in a terminal: the text shaded by the first score, then the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.scores import SCORES
from attnprobe.render.colours import CHANGE, Ink, shade
from attnprobe.render.shading import Shading
from attnprobe.render.table import decimals, fitting, remarks
from attnprobe.render.trace import Bar

if TYPE_CHECKING:
    from attnprobe.analyses.faithfulness import Faithfulness
    from attnprobe.analyses.token_scores import TokenScores

MOST_SHOWN = 300  # rows
LONGEST_TOKEN, LONGEST_BAR, SHORTEST_BAR = 24, 30, 4


@dataclass(frozen=True)
class TokensView:
    """The text shaded by the first score if the terminal has colours, then the table, fitted to a width."""

    scores: TokenScores
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shading = Shading.of(self.scores)
        ink = Ink.of(console, options, shading.on_dark)
        yield Text(shading.title)
        yield ""
        if ink.colours and shading.high is not None:
            yield from self._text(shading, ink)
            yield ""
            yield ink.scale(shading.low or 0, shading.high, root=True)
            yield ""
        table, hidden = self._table(shading, ink)
        yield table
        yield ""
        if self.scores.faithfulness:
            yield areas_table(self.scores.faithfulness)
            yield ""
        for note in self._notes(hidden):
            yield Text(note, "dim")

    def _text(self, shading: Shading, ink: Ink) -> Iterator[Text]:
        """Yields the text line by line, each token on a ground that shows the score."""
        line = Text(overflow="fold")
        for text, amount in shading.runs:
            first, *others = text.split("\n")
            line.append(ink.label(first), "" if amount is None else shade(amount, ink.map))
            for other in others:
                yield line
                line = Text(ink.label(other), overflow="fold")
        yield line

    def _table(self, shading: Shading, ink: Ink) -> tuple[RichTable, list[str]]:
        """Draws a row per token, with a bar for the first score, and lists the scores whose columns do not fit."""
        table = self.scores.by_token()
        rows = list(islice(table.rows, MOST_SHOWN))
        labels = [ink.label(str(row[1])) for row in rows]
        longest = min(LONGEST_TOKEN, max([5, *map(cell_len, labels)]))
        cells = {name: decimals([row[at] for row in table.rows]) for at, name in enumerate(table.columns[2:], 2)}
        widths = {name: max(len(name), *map(len, column), 7) for name, column in cells.items()}
        room = self.width - len("position ") - longest - 1
        shown = fitting(widths, room - SHORTEST_BAR - 1, list(cells))
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        drawn.add_column("position", justify="right", no_wrap=True)
        drawn.add_column("token", no_wrap=True, overflow="ellipsis", max_width=longest)
        for name in shown:
            drawn.add_column(name, justify="right", no_wrap=True)
        bar = min(LONGEST_BAR, room - sum(widths[name] + 1 for name in shown))
        drawn.add_column("", width=max(1, bar), no_wrap=True)
        for at, row in enumerate(rows):
            numbers = [cells[name][at] for name in shown]
            drawn.add_row(str(row[0]), Text(labels[at]), *numbers, _bar(float(row[2] or 0), shading))
        return drawn, [name for name in cells if name not in shown]

    def _notes(self, hidden: Sequence[str]) -> Iterator[str]:
        first, rows = next(iter(self.scores.scores)), len(self.scores.by_token().rows)
        signs = ", red above 0 and blue below" if SCORES[first].is_signed else ""
        yield f"The bars show {first}{signs}. Positions count from 0."
        if hidden:
            yield f"Not shown at this width: {', '.join(hidden)}. Use -f csv or a wider terminal."
        if rows > MOST_SHOWN:
            yield f"The first {MOST_SHOWN} of {rows:,} rows; --sort NAME --top N choose. -o FILE or -f csv have all."
        if tested := self.scores.faithfulness:
            yield (
                f"Areas under the {tested.measure}, as {self.scores.unit} are {tested.how} (deletion: low is faithful) "
                "and put back (insertion: high is faithful), highest score first. -o FILE.svg draws the curves."
            )
        yield from remarks(self.scores.notes)


def areas_table(tested: Faithfulness) -> RichTable:
    """Draws the areas under the curves of each score."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    drawn.add_column("faithfulness", no_wrap=True)
    areas = {curve: tested.areas(curve) for curve in tested.curves}
    for curve in areas:
        drawn.add_column(curve, justify="right", no_wrap=True)
    for score in tested.deletion:
        drawn.add_row(score, *(f"{of_curve[score]:.3f}" for of_curve in areas.values()))
    return drawn


def _bar(score: float, shading: Shading) -> Bar:
    """Draws how large a score is, and the sign of a signed one as a colour."""
    share = abs(score) / shading.high if shading.high else 0.0
    return Bar(share, CHANGE.anchors[4 if score > 0 else 0]) if shading.signed else Bar(share)


def tokens_view(found: TokenScores, width: int, /, **others: Any) -> TokensView:
    """Shows the shaded text and the table."""
    return TokensView(found, width)
