"""``attnprobe trees``: a treebank in, a table, intervals, a figure or a view out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from tests.cli.commandline import Run, check_error, read_delimited
from tests.treebank import ENGLISH, TREEBANK


def test_table_and_intervals(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Rows of heads, of each layer's mean, and of the baselines, which have no layer."""
    source, intervals = tmp_path / "treebank.conllu", tmp_path / "intervals.csv"
    source.write_text(TREEBANK, encoding="utf-8")
    done = run("trees", source, "-m", tiny, "--head", "0-1", "--intervals", intervals, "-f", "csv", "-q")
    frame, more = done.frame, read_delimited(intervals.read_text(encoding="utf-8"))
    layers = int(frame["layer"].max()) + 1
    assert list(frame) == ["layer", "head", "uuas", "n"]
    assert frame["head"].tolist() == [0, 1, "mean"] * layers + ["chain", "offset"]
    assert frame["layer"].isna().tolist() == [False] * 3 * layers + [True] * 2
    assert (more["uuas"] == frame["uuas"]).all()
    assert (more["ci_low"] < more["uuas"]).all()
    chain = frame["uuas"].iloc[-2]
    np.testing.assert_allclose(more["above_chain"], frame["uuas"] - chain, rtol=0, atol=1e-12)
    assert more["above_high"].iloc[-2] == 0


@pytest.mark.parametrize("columns", [80, 200])
def test_terminal_shows_a_map_the_best_and_the_baselines(columns: int, run: Run, tmp_path: Path) -> None:
    shown = run("trees", "-", "--input-format", "conllu", "-q", stdin=ENGLISH.encode(), terminal=True, columns=columns)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.text)
    assert max(map(cell_len, text.splitlines())) <= columns
    for words in ("UUAS, ", "mean", "above chain", "95 % interval", "chain", "offset", "of 72 heads"):
        assert words in text


def test_texts_without_relations_are_skipped(run: Run, tiny: Path, tmp_path: Path) -> None:
    source = tmp_path / "mixed.jsonl"
    source.write_text('{"words": ["a", "b"], "relations": [[0, 1, "x"]]}\n{"text": "a b"}\n', encoding="utf-8")
    done = run("trees", source, "-m", tiny, "-f", "csv")
    assert done.code == 3
    assert "1 record was skipped" in done.err
    assert "no UPOS, so that punctuation counts as other words do (sentences: 1)" in done.err
    assert set(done.frame["n"]) == {1}
    assert set(done.frame["uuas"]) == {1.0}


def test_nothing_to_draw_is_said(run: Run, tiny: Path, tmp_path: Path) -> None:
    source = tmp_path / "word.jsonl"
    source.write_text('{"words": ["a"], "relations": []}\n', encoding="utf-8")
    check_error(run("trees", source, "-m", tiny, "-o", tmp_path / "a.svg"), 1, "no sentence has edges")
    assert "No sentence has edges" in run("trees", source, "-m", tiny, "-f", "table", "-q").text
