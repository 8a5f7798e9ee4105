"""The command patterns: its rules, its table at each width, its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from attnprobe import Encoder, patterns
from attnprobe.analyses.patterns import COLUMNS, explain
from tests.cli.commandline import Run, read_delimited

LINES = ["The cat saw the dog, and the dog saw the cat.", "天上有月，水中也有月。", "Attention, please!"]
PAIR = ["Where do the heads look?", "They look at the tokens before them."]


@pytest.fixture
def lines(tmp_path: Path) -> str:
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    return str(tmp_path / "lines.txt")


def test_rules_are_printed_without_a_file(run: Run) -> None:
    result = run("patterns", "--explain", "--most", "0.4", "--block", "0.5")
    assert (result.code, result.err) == (0, "")
    assert result.text.strip() == explain({"most": 0.4, "block": 0.5})
    assert "previous_share ≥ 0.4" in result.text


def test_a_file_is_missing(run: Run) -> None:
    result = run("patterns")
    assert result.code == 2
    assert "no FILE is named" in result.err


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_roles_and_shares_fit_the_terminal(run: Run, minilm: Encoder, lines: str, columns: int) -> None:
    result = run("patterns", lines, "-f", "table", columns=columns)
    assert result.code == 0
    assert max(map(cell_len, result.text.splitlines())) <= columns
    assert " ".join(result.text.split()).startswith("all-MiniLM-L6-v2, roles of heads in 3 texts")
    roles = patterns(LINES, minilm).roles()
    grid = [line.split() for line in result.text.split("\n\n")[1].splitlines()]
    first = [row for row in grid if row[0] == "0"]
    assert grid[0][:2] == ["head", "0"]
    assert [name for row in first for name in row[1:]][2] == "prev"
    assert roles[0][2] == "previous token"
    assert ("previous token" in result.text.split("layer head")[-1]) == (columns > 40)


def test_a_pair_in_a_file(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    pd.DataFrame([PAIR], columns=["text", "answer"]).to_csv(tmp_path / "pairs.csv", index=False)
    options = ["--pair-column", "answer", "--most", "0.4", "-f", "csv"]
    result = run("patterns", str(tmp_path / "pairs.csv"), *options)
    found, expected = read_delimited(result.text), patterns(PAIR[:1], minilm, pairs=PAIR[1:], most=0.4).to_frame()
    assert list(found.columns) == list(COLUMNS)
    assert found["role"].tolist() == expected["role"].tolist()
    np.testing.assert_allclose(found["block"].astype(float), expected["block"], rtol=1e-6)
    assert found["block_even"].astype(float).tolist() == pytest.approx([0.52] * 72)


def test_a_tokenizer_that_adds_nothing_is_said(run: Run, folder_of: Callable[[str], Path], lines: str) -> None:
    result = run("patterns", lines, "-m", str(folder_of("gpt2")), "-f", "csv")
    assert "the tokenizer added no tokens: vertical is the weight on the first token" in result.err
    found = read_delimited(result.text)
    assert found["vertical"].tolist() == found["first_share"].tolist()
