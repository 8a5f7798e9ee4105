"""Tables for terminals: they fit, they name what they leave out, and obey no token."""

import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from attnprobe import Encoder, head_stats, patterns
from attnprobe.analyses import roles as library
from attnprobe.values.table import Table
from attnprobe.values.text import visible
from tests.cli.commandline import TEXT, Run, check_numbers, read_table

LITERAL_TEXTS = [
    "[/INST]",
    "[bold]x[/bold] [unused1]",
    ":smile: :)",
    "red \x1b[31mred\x1b[0m",
    "abc\u202edef",
    "👍🏽 👨‍👩‍👧‍👦 ok",
    "我们昨天去了超市",
    "word",
    "[CLS] a [SEP]",
    "=1+1 | a\tb\\n",
]


@pytest.mark.parametrize("text", LITERAL_TEXTS)
def test_table_shows_texts_as_they_are(run: Run, minilm: Encoder, text: str) -> None:
    result = run("heads", text, "-f", "table", "-q", columns=200)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.text
    tokens = minilm.tokenize(text)[0].strings
    first = result.text.splitlines()[0]
    assert first == f"all-MiniLM-L6-v2, {len(tokens)} tokens: {' '.join(map(visible, tokens))}"
    assert len(read_table(result.text)) == 72


WILD_TOKENS = ["[CLS]", "[/INST]", "[unused1]", ":smile:", "\x1b[31m", "\u202e", "\x9b0m", "\r\n", "👍🏽", "我", "\\"]


@pytest.mark.parametrize("terminal", [False, True])
def test_table_obeys_no_token(run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Tokens that MiniLM's vocabulary lacks and others have."""
    table_with_roles = library.table_with_roles

    def with_wild_tokens(*arguments: Any, **options: Any) -> Table:
        table = table_with_roles(*arguments, **options)
        return replace(table, notes={**table.notes, "tokens": [WILD_TOKENS]})

    monkeypatch.setattr(library, "table_with_roles", with_wild_tokens)
    result = run("heads", TEXT, "-f", "table", columns=200, terminal=terminal)
    shown = "[CLS] [/INST] [unused1] :smile: ␛[31m <U+202E> <U+009B>0m ␍␊ 👍🏽 我 \\"
    assert result.text.splitlines()[0] == f"all-MiniLM-L6-v2, 11 tokens: {shown}"
    styles = re.findall(r"\x1b\[[\d;]*m", result.text)
    assert result.text.count("\x1b") == len(styles)
    assert bool(styles) == terminal
    assert not {"\u202e", "\x9b", "\r"} & set(result.text)


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("text", [TEXT, "我" * 100], ids=["short", "long and wide"])
def test_table_fits_its_width(run: Run, minilm: Encoder, columns: int, text: str) -> None:
    result = run("heads", text, "-f", "table", "-l", "0", columns=columns)
    assert max(map(cell_len, result.text.splitlines())) <= columns
    frame = read_table(result.text)
    assert len(frame) == 12
    assert len(frame.columns) > 4
    assert ("Not shown at this width" in result.text) == (columns < 200)
    assert f"{len(minilm.tokenize(text)[0])} tokens: " in result.text
    assert result.text.splitlines()[0].endswith("…") == (text != TEXT or columns == 40)


@pytest.mark.parametrize("columns", [80, 200])
def test_table_names_the_columns_that_do_not_fit(run: Run, minilm: Encoder, columns: int) -> None:
    frame = read_table(run("heads", TEXT, "-f", "table", columns=columns).text)
    expected = head_stats(TEXT, minilm)[list(frame.columns)]
    check_numbers(frame, expected, atol=5.1e-4, rtol=0)
    assert (len(frame.columns) < 18) == (columns == 80)


@pytest.mark.parametrize(("columns", "metrics"), [(40, ["entropy"]), (80, []), (200, [])])
def test_table_has_the_role_of_each_head(run: Run, minilm: Encoder, columns: int, metrics: list[str]) -> None:
    """Also with a few metrics that tell no role; files keep their columns."""
    chosen = [argument for name in metrics for argument in ("-k", name)]
    result = run("heads", TEXT, *chosen, "-f", "table", columns=columns)
    roles = [role for of_layer in patterns([TEXT], minilm).roles() for role in of_layer]
    found = re.findall(r"^ +\d+ +\d+ ([a-z ]*[a-z]) ", result.text, re.MULTILINE)
    assert found == roles
    assert "attnprobe patterns" in result.text
    assert "role" not in run("heads", TEXT, *chosen, "-f", "csv").text


def test_roles_give_way_to_numbers(run: Run) -> None:
    result = run("heads", TEXT, "-f", "table", columns=40)
    assert "Not shown at this width: role," in result.text
    assert len(read_table(result.text).columns) > 4


def test_table_in_ascii(run: Run) -> None:
    """A terminal or locale that knows no more than ASCII gets a poorer table, and no traceback."""
    for arguments in (["metrics"], ["heads", "我 …", "-k", "entropy"], ["info"]):
        result = run(*arguments, "-f", "table", encoding="ascii")
        assert (result.code, result.err) == (0, "")
        assert result.out.isascii()
        assert len(result.text.splitlines()) > 10
