"""Writes what docs take from the code: models.md, analyses.md, atlas-data.md, how many types are measured.

`make docs` runs it; tests/test_docs.py fails where a file says something else.
"""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnprobe.analyses import BUILT_IN, load_analysis
from attnprobe.analyses.kinds import CorpusAnalysis, fields_of
from attnprobe.atlases.schemas import schema
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
HEAD_OF_ATLAS = """# The data of an atlas

What `attnprobe atlas -o atlas.json` writes, what its [page](atlas.md) holds, and what `attnprobe.read_atlas` reads and
checks: one JSON object, made of the objects below. The file `attnprobe/atlases/schema.json` is its JSON Schema
(2020-12), from which `make docs` writes this page. It is strict: an unknown field is an error, so that none is passed
over. Data of another form would have another `version`.

No number is NaN or infinite. What has no meaning is absent from `values`, and null elsewhere. All digits of numbers are
there, but for the weights of examples. The same run on the same machine gives the same bytes.
"""
VALUES = {
    "count": "whole number",
    "index": "whole number or null",
    "share": "0 … 1, or null",
    "difference": "-1 … 1, or null",
    "number": "number or null",
    "text-or-null": "string or null",
}
KINDS = {"integer": "whole number", "boolean": "true, false"}


def pages() -> dict[Path, str]:
    """The files that follow from the code, as they should be."""
    refused = sum(family.through == REFUSED for family in FAMILIES.values())
    count = f"**{len(FAMILIES) - refused} of its {len(FAMILIES)} types are measured**"
    counted = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "docs" / "loading.md")}
    return {
        ROOT / "docs" / "models.md": HEAD + markdown(family_table()),
        ROOT / "docs" / "analyses.md": HEAD_OF_ANALYSES + "".join(map(section, BUILT_IN)),
        ROOT / "docs" / "atlas-data.md": HEAD_OF_ATLAS + "".join(map(fields, [schema(), *objects().values()])),
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


def objects() -> dict[str, Mapping[str, Any]]:
    """The objects that an atlas is made of, by name."""
    return {name: {"title": name, **rules} for name, rules in schema()["$defs"].items() if name not in VALUES}


def fields(rules: Mapping[str, Any]) -> str:
    """What the page says of one object."""
    title = rules["title"] if rules["title"] in objects() else "The whole"
    head = f"\n## {title}\n\n{rules['description']}\n"
    known, needed = rules.get("properties", {}), rules.get("required", ())
    rows = [
        (name, kind(rule) + ("" if name in needed else "; may be absent"), about(rule)) for name, rule in known.items()
    ]
    return f"{head}\n{markdown(Table(['field', 'value', 'what it holds'], rows))}" if rows else head


def kind(rules: Mapping[str, Any]) -> str:
    """Which values a field may have."""
    if "$ref" in rules:
        name = rules["$ref"].removeprefix("#/$defs/")
        return VALUES.get(name, name)
    if "const" in rules or "enum" in rules:
        return ", ".join(json.dumps(value) for value in rules.get("enum", [rules.get("const")]))
    names = [rules["type"]] if isinstance(rules["type"], str) else rules["type"]
    of_list = f"list of {kind(rules['items'])}" if "items" in rules else ""
    return " or ".join(of_list if name == "array" else KINDS.get(name, name) for name in names)


def about(rules: Mapping[str, Any]) -> str:
    """What a field says."""
    return str(rules["description"])


def markdown(table: Table) -> str:
    """A table as Markdown."""
    stream = io.BytesIO()
    get_writer("markdown")(table, stream)
    return stream.getvalue().decode()


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
