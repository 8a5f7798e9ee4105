"""Contributions by the command line: known values, what is refused, and what they are called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from attnprobe import Encoder, head_stats, view
from attnprobe.errors import ModelError, UsageError
from tests.cli.commandline import Run, check_error
from tests.test_known_values import PROBED as S
from tests.test_page import data_of

# Layer means on S by the code of Kobayashi et al. 2020, in float64
NORM = [2.29732, 3.61027, 3.83415, 4.30154, 3.87283, 3.37346]
ADDED = [0.07822, 0.07539, 0.07925, 0.09502, 0.07716, 0.11047]
SPECIAL = [0.08524, 0.12566, 0.12112, 0.08543, 0.09051, 0.05262]


def test_known_values_by_the_command_line(run: Run) -> None:
    norm = run("heads", S, "-k", "value_norm", "--mean", "heads", "-f", "csv").frame
    assert list(norm) == ["layer", "head", "value_norm"]
    np.testing.assert_allclose(norm["value_norm"], NORM, rtol=1e-5)
    raw = run("weights", S, "--of", "norms", "--raw", "--mean", "heads", "-f", "csv").frame
    np.testing.assert_allclose(raw.groupby("layer")["weight"].mean(), ADDED, rtol=1e-4)  # published to five decimals
    row = run("weights", S, "--of", "norms", "--raw", "-l", "3", "--head", "1", "--query", "10", "-f", "csv").frame
    np.testing.assert_allclose(row["weight"][:4], [0.17132, 0.00695, 0.01474, 0.00023], atol=5e-6)
    share = run("heads", S, "--of", "norms", "-k", "special_share", "--mean", "heads", "-f", "csv").frame
    np.testing.assert_allclose(share["special_share"], SPECIAL, atol=5e-6)


def test_what_contributions_lack_is_refused(run: Run, encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match="contributions of xlnet cannot be measured"):
        head_stats("A cat.", encoder_of("xlnet"), of="norms")
    with pytest.raises(UsageError, match="global attention"):
        head_stats("A cat.", encoder_of("longformer"), of="norms", global_attention="cls")
    with pytest.raises(UsageError, match="of must be"):
        head_stats("A cat.", encoder_of("bert"), of="norm")
    check_error(run("weights", S, "--raw"), 2, "attention has no raw numbers", "--of norms --raw")


def test_contributions_are_called_so(minilm: Encoder, run: Run) -> None:
    """In signatures, which attention's keep as they were; in tables, pictures and the page, which has no steps."""
    plain, of_norms = head_stats("A cat.", minilm), head_stats("A cat.", minilm, of="norms")
    assert plain.attrs["signature"] == of_norms.attrs["signature"].replace("|of:norms", "")
    assert "|of:norms" in of_norms.attrs["signature"]
    for command in (
        ["heads", "-k", "entropy"],
        ["weights", "-l", "0"],
        ["tokens"],
        ["heatmap"],
        ["heatmap", "--stat", "entropy"],
    ):
        name, *options = command
        assert "contributions" in run(name, "A cat.", "--of", "norms", *options, "-f", "table").text
        assert "contributions" not in run(name, "A cat.", *options, "-f", "table").text
    page = view("A cat.", minilm, of="norms").html
    assert "show contributions ≥" in page
    assert data_of(page)["noun"] == "contribution"
    assert "contributions" in data_of(page)["steps"]["missing"]
    assert data_of(view("A cat.", minilm).html)["noun"] == "weight"
