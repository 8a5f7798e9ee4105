"""``importance`` of heads that are switched off, and the curve of a model with fewer and fewer heads."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.jobs import Job
from tests.classifier import HEAD, HEADS, LAYERS, REVIEWS, build_classifier
from tests.cli.commandline import Run
from tests.toy import contents

S = "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
KNOWN = {
    "zero": ({(5, 11): 0.0380093, (5, 1): 0.0370289}, (0.00401, 0.00321, 0.00286, 0.00412, 0.00282, 0.01240)),
    "mean": ({(0, 4): 0.0143573, (2, 1): 0.0094963}, (0.00281, 0.00212, 0.00178, 0.00141, 0.00101, 0.00141)),
    "uniform": ({(4, 5): 0.0382412, (5, 1): 0.0225567}, (0.00346, 0.00429, 0.00599, 0.00529, 0.00649, 0.00636)),
}


@pytest.mark.parametrize("how", KNOWN)
def test_known_values_of_the_default_model(how: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "s.txt").write_text(S, encoding="utf-8")
    done = run("importance", tmp_path / "s.txt", "--method", how, "-f", "csv", "-q")
    assert done.code == 0, done.err
    table = done.frame
    largest, by_layer = KNOWN[how]
    top = table.nlargest(2, "importance").set_index(["layer", "head"])
    assert top["importance"].to_dict() == pytest.approx(largest, abs=2e-7)
    assert (table["importance"] == table["pooled_change"]).all()
    assert table.groupby("layer")["token_change"].mean().tolist() == pytest.approx(by_layer, abs=1e-5)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A classifier, and a file of reviews with labels."""
    folder = tmp_path_factory.mktemp("classifier")
    file = folder / "reviews.jsonl"
    lines = [json.dumps({"text": text, "label": label}) for text, label in REVIEWS]
    file.write_text("\n".join(lines), encoding="utf-8")
    return build_classifier(folder / "model"), file


def test_head_that_carries_the_signal_is_found(reviews: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    """By what its removal does to the loss and the predictions, and to the curve, which falls where it goes."""
    model, file = reviews
    asked = ["importance", file, "-m", model, "--method", "zero", "--objective", "loss", "--label-column", "label"]
    done = run(*asked, "-f", "csv", "-q", "--curve", tmp_path / "curve.csv")
    assert done.code == 0, done.err
    table = done.frame.set_index(["layer", "head"])
    assert table["importance"].idxmax() == HEAD
    assert table["importance"].max() > 10 * table["importance"].drop(HEAD).abs().max()
    assert table["prediction_change"].drop(HEAD).max() == 0
    assert table.loc[HEAD, "prediction_change"] == 0.5  # all reviews get one label
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert list(curve) == ["n_off", "share_off", "order", "value", "ci_low", "ci_high", "n_texts"]
    by_importance, by_chance = (curve[curve["order"] == order] for order in ("importance", "random"))
    count = LAYERS * HEADS
    assert by_importance["n_off"].tolist() == sorted({round(step * count / 10) for step in range(11)})
    assert by_importance["value"].tolist() == [1.0] * (len(by_importance) - 1) + [0.5]
    off_from = 1 + Random(0).sample(list(product(range(LAYERS), range(HEADS))), count).index(HEAD)
    assert by_chance["value"].tolist() == [0.5 if n >= off_from else 1.0 for n in by_chance["n_off"]]
    assert (curve["n_texts"] == len(REVIEWS)).all()


def test_killed_run_makes_the_curve_of_a_whole_one(
    reviews: tuple[Path, Path], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some of the texts, which come in several chunks; and the figure is the same, too."""
    model, file = reviews
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 2)
    add = Job.add

    def add_and_die(job: Job, result: Any) -> None:
        add(job, result)
        raise KilledError

    def go(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        files = ["-o", folder / "heads.csv", "--curve", folder / "curve.svg", "--resume", "--curve-texts", "3", "-q"]
        done = run("importance", file, "-m", model, "--method", "mean", *files)
        assert done.code == 0, done.err

    go(tmp_path / "whole")
    monkeypatch.setattr(Job, "add", add_and_die)
    while not (tmp_path / "killed" / "heads.csv").exists():
        with suppress(KilledError):
            go(tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert b"3 texts" in (tmp_path / "whole" / "curve.svg").read_bytes()


class KilledError(BaseException):
    """In place of a SIGKILL."""
