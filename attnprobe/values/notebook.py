"""What Python and notebooks show of a value: one line, or a small table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from attnprobe.values.table import Cell
from attnprobe.values.text import visible

ROWS = 10  # of a table in a notebook


def one_line(kind: str, of: str, *sizes: str) -> str:
    """Describes a value in one line.

    >>> one_line("Encoder", "all-MiniLM-L6-v2", "6 layers × 12 heads", "256 tokens")
    '<Encoder all-MiniLM-L6-v2: 6 layers × 12 heads, 256 tokens>'
    """
    return f"<{kind}{' ' * bool(of)}{visible(of)}: {', '.join(sizes)}>"


def html_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Makes a table for a notebook of the first rows; tokens are data, never markup.

    >>> html_table("<Trace>", ["token", "weight"], [["<b>", 0.5]])
    '<table><caption>&lt;Trace&gt;</caption><tr><th>token<th>weight<tr><td>&lt;b&gt;<td>0.500</table>'
    """
    head = "".join(f"<th>{escape(column)}" for column in columns)
    lines = ["<tr>" + "".join(f"<td>{escape(_shown(cell))}" for cell in row) for row in rows[:ROWS]]
    rest = f"<tr><td colspan={len(columns)}>… of {len(rows):,} rows" if len(rows) > ROWS else ""
    return f"<table><caption>{escape(caption)}</caption><tr>{head}{''.join(lines)}{rest}</table>"


def _shown(cell: Cell) -> str:
    return "" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else visible(str(cell))
