"""The pages that are written from the code say what the code says."""

import runpy
from pathlib import Path

from attnprobe.models.families import FAMILIES, REFUSED

ROOT = Path(__file__).parent.parent
PAGES = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


def test_pages_are_up_to_date() -> None:
    """`make docs` writes them anew."""
    for path, text in PAGES.items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_readme_names_the_number_of_measured_types() -> None:
    measured = [kind for kind, family in FAMILIES.items() if family.through != REFUSED]
    assert f"**{len(measured)} of its {len(FAMILIES)} types are measured**" in PAGES[ROOT / "README.md"]


def test_every_type_has_a_row() -> None:
    rows = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").splitlines()
    assert [row.split("|")[1].strip().replace("\\", "") for row in rows if row.startswith("|")][2:] == sorted(FAMILIES)
