"""The command tokens, on texts of every kind."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commandline import LONG_TEXT, Run
from tests.test_token_scores import HARD, S


def test_known_values(run: Run) -> None:
    """Text S of the notes: rollout of [CLS], and what [CLS] and [SEP] receive over all layers."""
    frame = run("tokens", S, "-k", "received", "-k", "rollout").frame
    assert list(frame) == ["position", "token", "received", "rollout"]
    np.testing.assert_allclose(frame["rollout"][:6], [0.62134, 0.02015, 0.01747, 0.01756, 0.01106, 0.00986], atol=1e-5)
    by_layer = [0.206, 0.496, 0.511, 0.469, 0.500, 0.315]
    assert frame["received"].iloc[[0, 25]].sum() == pytest.approx(np.mean(by_layer), abs=5e-4)


@pytest.mark.parametrize("text", ["cat", "[/INST]", "🐈‍⬛👍🏽", HARD])
def test_texts_of_every_kind(run: Run, text: str) -> None:
    result = run("tokens", text, "-f", "json")
    rows = json.loads(result.out)
    assert result.code == 0
    assert list(rows[0]) == ["position", "token", "received", "from_cls", "entropy"]
    assert sum(row["received"] for row in rows) == pytest.approx(1, abs=1e-4)
    assert run("tokens", text, terminal=True).code == 0


def test_refusals(run: Run, tmp_path: Path) -> None:
    assert run("tokens", "").code == 2
    unknown = run("tokens", "cat", "-k", "recieved")
    assert (unknown.code, "did you mean 'received'" in unknown.err) == (2, True)
    assert run("tokens", "cat", "-o", tmp_path / "x.gif").code == 2


def test_long_text_is_cut_and_said(run: Run) -> None:
    result = run("tokens", LONG_TEXT, "--level", "word", "-f", "csv")
    assert result.code == 0
    assert "the text has 602 tokens; only the first 256 were read" in result.err
    assert len(result.frame) == 256


def test_files(run: Run, tmp_path: Path) -> None:
    for name in ("x.svg", "x.html", "x.csv"):
        assert run("tokens", "The cat sat.", "--special", "drop", "-o", tmp_path / name).err.startswith(
            "attnprobe: left out: [CLS] [SEP], with "
        )
        content = (tmp_path / name).read_text(encoding="utf-8")
        assert "sat" in content or name == "x.svg"  # whose letters are outlines
