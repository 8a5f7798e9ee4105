"""Shows the roles and patterns of all heads on a terminal: a grid of roles, then a row of shares per head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from attnprobe.analyses.rules import ROLE_NAMES, SHORT
from attnprobe.render.role_grid import RoleGrid
from attnprobe.render.table import heads_table
from attnprobe.values.signature import counted, model_of
from attnprobe.values.text import visible

KNOWN = {name: SHORT[name] for name in ROLE_NAMES}


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
    return Group(title, "", RoleGrid(roles, KNOWN, width), "", *named, about, heads_table(shares, width))


def _counted(names: Sequence[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(name for name in names if name).most_common())


def _legend(present: set[str | None]) -> str:
    """Spells out the short names of the grid."""
    return ", ".join(f"{short}: {name}" for name, short in KNOWN.items() if name in present and short != name)
