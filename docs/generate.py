"""Writes what the documentation takes from the code: docs/models.md, and the number of families in README.md.

`make docs` runs it; tests/test_docs.py fails where a file says something else.
"""

import io
import re
from pathlib import Path

from attnprobe.models.families import FAMILIES, REFUSED, family_table
from attnprobe.writers import get_writer

ROOT = Path(__file__).parent.parent
HEAD = """# Model types

`attnprobe models` prints this table; `make docs` writes it from `attnprobe/models/families.py`.

- *blocks*: measured while our own attention, equal to the model's, runs in its place through transformers'
  AttentionInterface; memory hardly grows with length.
- *hooks*: read from the model's eager modules, layer by layer, and dropped.

Every measured type is built small and held to loops over its own `output_attentions` by `tests/test_families.py`.

"""


def pages() -> dict[Path, str]:
    """The files that follow from the code, as they should be."""
    table = io.BytesIO()
    get_writer("markdown")(family_table(), table)
    refused = sum(family.through == REFUSED for family in FAMILIES.values())
    count = f"**{len(FAMILIES) - refused} of its {len(FAMILIES)} types are measured**"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return {
        ROOT / "docs" / "models.md": HEAD + table.getvalue().decode(),
        ROOT / "README.md": re.sub(r"\*\*\d+ of its \d+ types are measured\*\*", count, readme),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
