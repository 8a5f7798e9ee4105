"""One row of attention for a terminal: the steps in words, and the keys by weight with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.render.colours import VIRIDIS, Colour
from attnprobe.render.table import fitting
from attnprobe.values.finding import token_label
from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.analyses.trace import Trace

FIRST, LAST = ("weight", "score", "dot"), ("value_norm", "scaled", "output_norm")  # where not all fit; terms between
KEYS_SHOWN = 10  # by default
LONGEST_TOKEN, LONGEST_BAR, SHORTEST_BAR = 20, 40, 6


def trace_view(trace: Trace, width: int, top: int | None = None, **others: Any) -> RenderableType:
    """Shows the steps, then the ``top`` keys with the highest weights; None: a few."""
    trace, top = replace(trace, top=None), top or KEYS_SHOWN
    steps = RichTable.grid(padding=(0, 2, 0, 0))
    steps.add_column(no_wrap=True)
    steps.add_column(overflow="fold")
    for number, (name, text) in enumerate(_steps(trace), 1):
        steps.add_row(Text(f"{number} {name}", "bold"), Text(text))
    order = np.argsort(-trace.weight, kind="stable")
    keys, hidden = _keys(trace, order[:top], width)
    return Group(
        _title(trace), "", steps, "", keys, "", *(Text(note, "dim") for note in _notes(trace, order[top:], hidden))
    )


def _title(trace: Trace) -> Text:
    asked = f"{trace.query} {token_label(trace.tokens, trace.query)}"
    return Text(
        f"{visible(trace.model)}, layer {trace.layer}, head {trace.head}, query {asked} of {len(trace.tokens)} tokens"
    )


def _steps(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yields the steps of the computation in order: a short name and one or two lines."""
    start, stop = trace.columns
    if trace.x is not None:
        yield "input", f"x = {_vector(trace.x)}, the query's vector as this attention gets it"
    yield "query", _query_line(trace)
    yield "keys", f"k = {_made('k', trace)} for every token; lengths {_span(np.linalg.norm(trace.k, axis=1))}"
    yield "scores", "; ".join(_score_lines(trace))
    yield "softmax", _weight_line(trace)
    yield "values", f"v = {_made('v', trace)} for every token; value_norm = ‖weight·v‖, {_span(trace.value_norm)}"
    yield "output", f"z = Σ weight·v = {_vector(trace.output)}"
    place = f"z is columns {start} to {stop - 1} of the heads side by side"
    if trace.projected is not None:
        place += f"; with these rows of W_O, z·W_O = {_vector(trace.projected)}; output_norm = ‖weight·v·W_O‖"
    yield "place", place


def _made(name: str, trace: Trace) -> str:
    """Describes how q, k or v comes from a token's vector."""
    return ", ".join(trace.made_by[name]) or "what attention is given"


def _query_line(trace: Trace) -> str:
    if trace.q_projected is None or len(trace.made_by["q"]) == 1:
        return f"q = {_made('q', trace)} = {_vector(trace.q)}"
    first, *changes = trace.made_by["q"]
    return f"q = {first} = {_vector(trace.q_projected)}; {', '.join(changes)}: {_vector(trace.q)}"


def _score_lines(trace: Trace) -> Iterator[str]:
    size = len(trace.q)
    root = f" (1/√{size})" if np.isclose(trace.scale, size**-0.5) else ""
    yield f"dot = q·k, {_span(trace.dot)}"
    yield f"scaled = dot · {trace.scale:.4g}{root}, {_span(trace.scaled)}{'' if trace.terms else ', is the score'}"
    if trace.terms:
        terms = " + ".join(f"{name} ({_span(term)})" for name, term in trace.terms.items())
        yield f"score = scaled + {terms}"
    masked = int(np.isneginf(trace.score).sum())
    if masked:
        yield f"{masked} of {len(trace.score)} keys are masked (score −∞)"


def _weight_line(trace: Trace) -> str:
    line = f"weight = exp(score) / Σ exp(score), {_span(trace.weight)}, sum {trace.weight.sum():.4g}"
    if trace.sink is not None:
        line += f" (a learned sink with score {trace.sink:.3g} takes the rest)"
    small = trace.difference < 1e-6
    return f"{line}; the model's own differ by {'less than 1e-6' if small else f'{trace.difference:.1e} at most'}"


def _keys(trace: Trace, order: np.ndarray, width: int) -> tuple[RenderableType, list[str]]:
    """Makes the table of keys, and lists the names of the columns that do not fit."""
    cells = _cells(trace, order)
    tokens = [token_label(trace.tokens, at) for at in order]
    longest = min(LONGEST_TOKEN, max([5, *map(cell_len, tokens)]))
    widths = {name: max(map(len, [*name.split("_"), *column])) for name, column in cells.items()}
    room = width - len("position ") - longest - 1
    shown = fitting(widths, room - SHORTEST_BAR - 1, [*FIRST, *trace.terms, *LAST])
    bar = min(LONGEST_BAR, room - 1 - sum(widths[name] + 1 for name in shown))
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    drawn.add_column("position", justify="right", vertical="bottom", no_wrap=True)
    drawn.add_column("token", vertical="bottom", no_wrap=True, overflow="ellipsis", max_width=longest)
    columns: list[Sequence[RenderableType]] = [[str(at) for at in order], [Text(token) for token in tokens]]
    for name in shown:
        drawn.add_column(Text(name.replace("_", "\n")), justify="right", no_wrap=True, vertical="bottom")
        columns.append(cells[name])
        if name == "weight":
            drawn.add_column("", width=max(bar, 1), no_wrap=True)
            columns.append([Bar(trace.weight[at] / trace.weight.max()) for at in order])
    for row in zip(*columns, strict=True):
        drawn.add_row(*row)
    return drawn, [name for name in cells if name not in shown]


def _cells(trace: Trace, order: np.ndarray) -> dict[str, list[str]]:
    """Writes the cells of columns with numbers; leaves out columns that would show nothing new."""
    table = trace.to_table()
    first = table.columns.index("dot")
    cells = {
        name: [_number(table.rows[at][place]) for at in order]
        for place, name in enumerate(table.columns[first:], first)
    }
    if not trace.terms and not np.isneginf(trace.score).any():
        del cells["score"]  # the same as scaled
    if trace.output_norm is None:
        del cells["output_norm"]
    return cells


@dataclass(frozen=True)
class Bar:
    """A bar that fills a share of its column, in ASCII if the terminal has no other characters."""

    share: float
    colour: Colour = VIRIDIS.anchors[2]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        length = round(self.share * options.max_width)
        yield Text(("#" if options.ascii_only else "█") * length, f"rgb{self.colour}".replace(" ", ""))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)


def _notes(trace: Trace, rest: np.ndarray, hidden: list[str]) -> Iterator[str]:
    yield "The bars show the weights, the longest the largest. Layers, heads and positions count from 0."
    if hidden:
        yield f"Not shown at this width: {', '.join(hidden)}. Use -f csv or a wider terminal."
    if len(rest):
        share = trace.weight[rest].sum()
        yield f"{len(rest)} more keys have {share:.3f} of the weight together: --top {len(trace.weight)} shows all."


def _vector(numbers: np.ndarray) -> str:
    """Writes the first numbers of a vector, how many it has, and the length."""
    first = " ".join(f"{number:.3g}" for number in numbers[:4])
    more = " …" if len(numbers) > 4 else ""
    return f"[{first}{more}] ({len(numbers)} numbers, length {np.linalg.norm(numbers):.3g})"


def _span(numbers: np.ndarray) -> str:
    return f"{numbers.min():.3g} to {numbers.max():.3g}"


def _number(cell: object) -> str:
    return "−∞" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)
