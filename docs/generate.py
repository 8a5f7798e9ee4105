"""Writes what the documentation takes from the code: docs/models.md, docs/analyses.md, how many types are measured.

`make docs` runs it; tests/test_docs.py fails where a file says something else.
"""

import io
import re
from pathlib import Path

from attnprobe.analyses import BUILT_IN, load_analysis
from attnprobe.analyses.kinds import CorpusAnalysis, fields_of
from attnprobe.models.families import FAMILIES, REFUSED, family_table
from attnprobe.values.options import Running, spelled
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

What can be made of the attention of one text, or of many. Each is a command, `attnprobe NAME TEXT` or
`attnprobe NAME FILE ...`, and a function of the library, `attnprobe.NAME(text, encoder)` or
`attnprobe.NAME(texts, encoder)`, with these options and columns. Added by one file and one row in `BUILT_IN`
of `attnprobe/analyses/__init__.py`, from which `make docs` writes this page.
"""
OF_MANY = """
Of many texts: what is read and how a run goes are flags of `attnprobe corpus`, which it takes, too.
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
    of_many = isinstance(analysis, CorpusAnalysis)
    options = [(option, option.name) for option in fields_of(analysis.groups) if option.name not in Running.names()]
    options += [] if of_many else [(option, "") for option in fields_of(analysis.shown)]
    rows = [(" ".join(spelled(one)), name, one.metadata["help"].replace("  [", " [")) for one, name in options]
    tables = [Table(["flag", "in Python", "what it does"], rows)]
    tables += [Table(["column", "what it holds"], list(analysis.columns.items()))]
    if of_many and analysis.tables:
        further = [(f"--{table.replace('_', '-')}", meaning) for table, meaning in analysis.tables.items()]
        tables += [Table(["further table", "what it holds"], further)]
    if of_many and analysis.sections:
        further = [(f"--{one.flag}", section, one.help) for section, one in analysis.sections.items()]
        tables += [Table(["further files", "in Python", "what they hold"], further)]
    about = [analysis.meaning, *([OF_MANY] if of_many else [""])]
    return "\n".join(["", f"## {name}", "", *about, *map(markdown, tables)])


def markdown(table: Table) -> str:
    """A table as Markdown."""
    stream = io.BytesIO()
    get_writer("markdown")(table, stream)
    return stream.getvalue().decode()


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
