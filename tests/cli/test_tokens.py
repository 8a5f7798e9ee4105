"""The command tokens, on texts of every kind."""

import json
from pathlib import Path

import numpy as np
import pytest

from attnprobe.analyses.scores import SCORES
from tests.classifier import REVIEWS
from tests.cli.commandline import LONG_TEXT, Run
from tests.test_token_scores import HARD, S


def test_known_values(run: Run) -> None:
    """Text S of the notes: rollout of [CLS], and what [CLS] and [SEP] receive over all layers."""
    frame = run("tokens", S, "-k", "received", "-k", "rollout").frame
    assert list(frame) == ["position", "token", "received", "rollout"]
    np.testing.assert_allclose(frame["rollout"][:6], [0.62134, 0.02015, 0.01747, 0.01756, 0.01106, 0.00986], atol=1e-5)
    by_layer = [0.206, 0.496, 0.511, 0.469, 0.500, 0.315]
    assert frame["received"].iloc[[0, 25]].sum() == pytest.approx(np.mean(by_layer), abs=5e-4)


def test_reasons_of_a_model_without_a_head(run: Run) -> None:
    """Text S of the notes: Chefer's row of [CLS], which is that of the published code."""
    result = run("tokens", S, "-k", "chefer", "-k", "gradient")
    found = result.frame["chefer"][:6] + np.eye(6)[0]
    np.testing.assert_allclose(found, [1.04785, 0.00745, 0.05428, 0.06903, 0.03066, 0.00616], rtol=0, atol=6e-6)
    assert "without a classifier's head, F is ½‖h‖², h the vector of the classification token" in result.err


def test_why_this_label(run: Run, classifier: Path, tmp_path: Path) -> None:
    why = ("tokens", REVIEWS[0][0], "-m", classifier, "-k", "chefer", "-k", "gradient")
    result = run(*why)
    assert list(result.frame) == ["position", "token", "chefer", "gradient"]
    assert [result.frame[name].idxmax() for name in ("chefer", "gradient")] == [4, 4]  # good
    assert "F is the logit of positive, predicted with a probability of 0.980" in result.err
    tested = run(*why[:4], "-k", "gradient", "--label", "negative", "--faithfulness", "-f", "table").text
    assert "red above 0 and blue below" in tested
    assert [line.split()[0] for line in tested.split("faithfulness")[1].splitlines()[2:4]] == ["gradient", "random"]
    assert list(run(*why, "--faithfulness", "-f", "csv").frame) == ["score", "curve", "share", "value", "area"]
    for name in ("curves.svg", "curves.csv"):
        assert run(*why, "--faithfulness", "-o", tmp_path / name).code == 0
    for option in (("--label", "neutral"), ("--faithfulness", "-o", tmp_path / "x.html"), ("--query", "good")):
        assert run(*why, *option).code == 2
    wide = run("tokens", "A film.", *[part for name in SCORES for part in ("-k", name)], "-f", "table").text
    assert "Not shown at this width: " in wide
    assert "…" not in wide


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
