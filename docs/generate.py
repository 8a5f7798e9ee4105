"""Writes what the documentation takes from the code: docs/models.md, docs/analyses.md, how many types are measured.

`make docs` runs it; tests/test_docs.py fails where a file says something else.
"""

import io
import re
from pathlib import Path

from attnprobe.analyses import BUILT_IN, load_analysis
from attnprobe.models.families import FAMILIES, REFUSED, family_table
from attnprobe.values.options import group_of, spelled
from attnprobe.values.table import Table
from attnprobe.writers import get_writer

ROOT = Path(__file__).parent.parent
HEAD = """# Model types

`attnprobe models` prints this table; `make docs` writes it from `attnprobe/models/families.py`.

- *blocks*: measured while our own attention, equal to the model's, runs in its place through transformers'
  AttentionInterface; memory hardly grows with length.
- *hooks*: read from the model's eager modules, layer by layer, and dropped.

Every measured type is built small and held to loops over its own `output_attentions` by `tests/test_families.py`.

"""
HEAD_OF_ANALYSES = """# Analyses

What can be made of one text's attention. Each is a command, `attnprobe NAME TEXT`, and a function of the library,
`attnprobe.NAME(text, encoder)`, with these options and columns. Added by one file and one row in `BUILT_IN`
of `attnprobe/analyses/__init__.py`, from which `make docs` writes this page.
"""


def pages() -> dict[Path, str]:
    """The files that follow from the code, as they should be."""
    refused = sum(family.through == REFUSED for family in FAMILIES.values())
    count = f"**{len(FAMILIES) - refused} of its {len(FAMILIES)} types are measured**"
    counted = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "docs" / "loading.md")}
    return {
        ROOT / "docs" / "models.md": HEAD + markdown(family_table()),
        ROOT / "docs" / "analyses.md": HEAD_OF_ANALYSES + "".join(map(section, BUILT_IN)),
        **{path: re.sub(r"\*\*\d+ of its \d+ types are measured\*\*", count, text) for path, text in counted.items()},
    }


def section(name: str) -> str:
    """What the page says of one analysis."""
    analysis = load_analysis(name)
    shown = [(option, "") for group in analysis.shown for option in group_of(group)[1]]
    options = [
        (" ".join(spelled(option)), argument, option.metadata["help"].replace("  [", " ["))
        for option, argument in [*((option, option.name) for option in analysis.fields()), *shown]
    ]
    tables = [Table(["flag", "in Python", "what it does"], options)]
    tables += [Table(["column", "what it holds"], list(analysis.columns.items()))]
    return "\n".join(["", f"## {name}", "", analysis.meaning, "", *map(markdown, tables)])


def markdown(table: Table) -> str:
    """A table as Markdown."""
    stream = io.BytesIO()
    get_writer("markdown")(table, stream)
    return stream.getvalue().decode()


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
