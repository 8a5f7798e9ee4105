"""Writes Markdown tables for notes and issues: numbers to six significant digits."""

from __future__ import annotations

from typing import IO

from attnprobe.values.table import Cell, Table
from attnprobe.values.text import visible


def write_markdown(table: Table, stream: IO[bytes]) -> None:
    """Writes a pipe table; text cells are escaped, numbers set to the right."""
    numeric = [all(not isinstance(row[column], str) for row in table.rows) for column in range(len(table.columns))]
    lines = [table.columns, ["---:" if number else "---" for number in numeric], *map(_cells, table.rows)]
    stream.write("".join(f"| {' | '.join(map(str, line))} |\n" for line in lines).encode())


def _cells(row: object) -> list[str]:
    return [_cell(cell) for cell in row]  # type: ignore[attr-defined]


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return escaped(str(cell))


def escaped(text: str) -> str:
    """Writes a text so that Markdown shows it as it is, also in a cell of a table."""
    return "".join(f"\\{character}" if character in "\\|`*_<>[]&~$" else character for character in visible(text))
