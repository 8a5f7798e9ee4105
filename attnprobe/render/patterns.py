"""Shows the roles and patterns of all heads on a terminal: a grid of roles, then a row of shares per head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from attnprobe.analyses.rules import OTHER_ROLE, ROLES, SHORT
from attnprobe.render.table import heads_table
from attnprobe.values.signature import counted, model_of
from attnprobe.values.text import visible

CELL = 6  # characters of a head in the grid
EDGE = len("layer ")


def patterns_view(result: Any, width: int, **options: Any) -> RenderableType:
    """Lays out the grid of roles, how many heads have each, and the table of shares.

    Args:
        result: the Patterns.
        options: those of the command, of which none matters here.
    """
    table = result.overview("")
    roles = {(row[0], row[1]): row[3] for row in table.rows}
    named = [
        Text(f"{what}: {_counted([row[at] for row in table.rows])}.") for at, what in ((2, "Patterns"), (3, "Roles"))
    ]
    named_of = [f"by {counted(result.signature)}"] if counted(result.signature) else []
    texts = f"roles of heads in {max(row[-1] for row in table.rows):,} texts"
    title = Text(visible(", ".join([model_of(result.signature), texts, *named_of])))
    about = Text(f"{_legend(set(roles.values()))}. attnprobe patterns --explain has the rules.", "dim")
    shares = replace(table, columns=table.columns[:-1], rows=[row[:-1] for row in table.rows])
    return Group(title, "", *_grid(roles, width), "", *named, about, heads_table(shares, width))


def _grid(roles: dict[Any, str | None], width: int) -> Iterator[Text]:
    """Writes the roles of some heads by layer, as many as fit, then those of the next."""
    layers, heads = (sorted({place[axis] for place in roles}) for axis in (0, 1))
    room = max(1, (width - EDGE) // CELL)
    for start in range(0, len(heads), room):
        shown = heads[start : start + room]
        yield Text("head  " + "".join(f"{head:>{CELL}}" for head in shown), "bold")
        for layer in layers:
            cells = [SHORT.get(roles[layer, head] or "", "") for head in shown]
            yield Text.assemble(f"{layer:>5} ", *(_cell(cell) for cell in cells))


def _cell(short: str) -> tuple[str, str]:
    return f"{short:>{CELL}}", "dim" if short == SHORT[OTHER_ROLE] else ""


def _counted(names: Sequence[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(name for name in names if name).most_common())


def _legend(present: set[str | None]) -> str:
    """Spells out the short names of the grid."""
    names = [name for name in (*(rule.name for rule in ROLES), OTHER_ROLE) if name in present]
    return ", ".join(f"{SHORT[name]}: {name}" for name in names if SHORT[name] != name)
