"""The landing page: short, and it begins with what works at once. tests/test_pages.py runs its examples."""

import re
import runpy
from pathlib import Path

from attnprobe import Encoder
from tests.test_pages import EXAMPLES, PAGES

ROOT = Path(__file__).parent.parent
README = PAGES["README.md"]
CONSOLE = list(EXAMPLES["examples"](README))


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_readme_has_five_commands_one_in_chinese() -> None:
    assert len(CONSOLE) == 5
    assert [command.split()[1] for command, _ in CONSOLE if re.search("[\u4e00-\u9fff]", command)] == ["weights"]


def test_readme_begins_with_the_two_commands() -> None:
    first = README.split("```")[1].splitlines()[1:3]
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]


def test_figures_of_the_table_are_those_of_the_benchmarks() -> None:
    benchmarks = PAGES["docs/benchmarks.md"]
    for figure in ("21.8", "1738.0", "2.26", "93.21", "631", "5552", "1.18", "5.58", "0.77", "0.63", "4.8 GB"):
        assert figure in benchmarks, figure
    table = "\n".join(line for line in README.splitlines() if line.startswith("|"))
    shown = "21.8 MB, 2.3 s, 631 MB", "1,738 MB, 93 s, 5,552 MB", "1.18 ×", "5.58 ×", "0.77 GiB", "0.63 GiB", "4.8 GB"
    assert all(figures in table for figures in shown)


def test_example_finds_the_previous_token_head(minilm: Encoder) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "previous_token.py"))
    heads = example["previous_token_heads"](minilm)
    assert heads.index[0] == (0, 2)
    assert (heads.loc[(0, 2)] > 0.85).all()
    assert (heads.mean(axis=1) >= 0.25).all()
