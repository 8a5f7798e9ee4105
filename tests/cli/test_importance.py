"""``attnprobe importance``: known values, labels, what is left out, and what a terminal shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from tests.classifier import HEAD, REVIEWS
from tests.cli.commandline import Run, check_error, read_delimited

TEXT_S = (
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)
PAIR_S = "Scientists examined how transformers attend to punctuation marks."
# Sums over the heads of each layer, and the largest heads, of the default model in float64.
KNOWN: dict[str, tuple[list[float], dict[tuple[int, int], float]]] = {
    "sensitivity": (
        [3.42052, 2.82596, 2.85783, 4.10659, 3.76868, 8.84840],
        {(5, 11): 1.076411, (5, 1): 1.054922},
    ),
    "norm": (
        [1.54830, 1.30256, 1.73513, 4.41354, 4.84661, 7.70982],
        {(5, 11): 1.222361, (5, 10): 1.056097, (4, 10): 0.979674, (4, 0): 0.937884},
    ),
    "cls-norm": ([2.79858, 1.92451, 1.65784, 3.34693, 3.27976, 9.40157], {(5, 7): 2.108743, (5, 1): 1.980343}),
    "similarity": (
        [0.10280, 0.06510, 0.07962, 0.16975, 0.13646, 0.29412],
        {(5, 7): 0.115950, (5, 6): 0.039972, (4, 8): 0.032252},
    ),
}


@pytest.mark.parametrize("objective", KNOWN)
def test_values_of_the_default_model(objective: str, run: Run, tmp_path: Path) -> None:
    source = tmp_path / "pair.jsonl"
    source.write_text(json.dumps({"text": TEXT_S, "pair": PAIR_S}), encoding="utf-8")
    options = ["--pair-column", "pair"] if objective == "similarity" else []
    frame = run("importance", source, *options, "--objective", objective, "-q", "-f", "csv").frame
    values, (sums, largest) = frame["importance"].to_numpy().reshape(6, 12), KNOWN[objective]
    np.testing.assert_allclose(values.sum(1), sums, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose([values[at] for at in largest], list(largest.values()), rtol=1e-5, atol=1e-6)
    ranked = frame.sort_values("importance", ascending=False)[["layer", "head"]].head(len(largest))
    assert list(ranked.itertuples(index=False, name=None)) == list(largest)


def test_head_that_carries_the_signal_matters_most(classifier: Path, run: Run, tmp_path: Path) -> None:
    """Of a classifier's loss; records whose label is missing or unknown are left out, one by one."""
    records = [{"text": text, "stars": label} for text, label in REVIEWS]
    records += [{"text": "The film was .", "stars": None}, {"text": "The film was !", "stars": "middling"}]
    source, output = tmp_path / "reviews.jsonl", tmp_path / "heads.csv"
    source.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    options = ["--objective", "loss", "--label-column", "stars", "-m", classifier, "-o", output]
    done = run("importance", source, *options)
    assert done.code == 3, done.err
    assert "2 skipped" in done.err
    frame = read_delimited(output.read_text(encoding="utf-8")).sort_values("importance", ascending=False)
    first = frame.iloc[0]
    assert (first["layer"], first["head"], first["n_texts"]) == (*HEAD, len(REVIEWS))
    skipped = (tmp_path / "heads.csv.skipped.jsonl").read_text(encoding="utf-8")
    assert "middling" in skipped
    assert "no label" in skipped


@pytest.mark.parametrize("columns", [80, 200])
def test_terminal_shows_a_map_and_the_heads_that_matter_most(columns: int, run: Run) -> None:
    texts = "The film was good.\n我昨天去了超市\nword\n".encode()
    shown = run("importance", "-", "--objective", "norm", "-q", stdin=texts, terminal=True, columns=columns).text
    assert max(map(cell_len, re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines())) <= columns
    for words in ("norm by gradient, 3 texts", "layer", "importance", "95 % interval", "normalized"):
        assert words in shown


def test_what_does_not_belong_together_is_refused(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("a text\n", encoding="utf-8")
    check_error(run("importance", source, "--objective", "loss"), 2, "the loss needs labels", "--label-column")
    check_error(run("importance", source, "--per-token"), 2, "--per-token")
    check_error(run("importance", source, "--objective", "mlm"), 1, "has no task head")
