"""Writes LaTeX tables for papers: a tabular with booktabs' rules, numbers to three decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO

from attnprobe.values.table import Cell, Table
from attnprobe.values.text import visible

ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
LIGATURES = re.compile(r"([-'`,?!])(?=[-'`,])")  # two that print as one, such as a dash


def write_latex(table: Table, stream: IO[bytes]) -> None:
    r"""Writes a tabular for ``\usepackage{booktabs}``; characters that LaTeX obeys are escaped, numbers set right."""
    texts = [any(isinstance(row[column], str) for row in table.rows) for column in range(len(table.columns))]
    stream.write(f"\\begin{{tabular}}{{{''.join('l' if text else 'r' for text in texts)}}}\n\\toprule\n".encode())
    stream.write(_row(table.columns) + b"\\midrule\n")
    for row in table.rows:
        stream.write(_row(row))
    stream.write(b"\\bottomrule\n\\end{tabular}\n")


def _row(cells: Sequence[Cell]) -> bytes:
    line = " & ".join(map(_cell, cells))
    if line.startswith(("[", "*")):  # which the line break before it would take for its own
        line = f"{{}}{line}"
    return f"{line} \\\\\n".encode()


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.3f}"
    text = "".join(ESCAPED.get(character, character) for character in visible(str(cell)))
    return LIGATURES.sub(r"\1{}", text)
