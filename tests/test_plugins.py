"""A metric and a writer from another package, found through entry points like our own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attnprobe.metrics import METRICS
from tests.cli.commandline import exit_code

PLUGIN = """
from attnprobe.metrics.kinds import OffsetMetric

def write_count(table, stream):
    stream.write(f"{len(table.rows)} rows, {table.columns[-1]} = {table.rows[0][-1]:.6f}".encode())

left_share = OffsetMetric(
    of_offset=lambda offset, long_range: offset < 0, formula="sum of a[q,k] over k < q", unit="share", source="a test",
)
"""


def attnprobe(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "attnprobe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout


def test_entry_points_add_metrics_and_writers(tmp_path: Path) -> None:
    (tmp_path / "left_plugin.py").write_text(PLUGIN)
    metadata = tmp_path / "left_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: left-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[attnprobe.metrics]\nleft_share = left_plugin:left_share\n"
        "[attnprobe.writers]\ncount = left_plugin:write_count\n"
    )
    assert '"left_share","from left-plugin"' in attnprobe(tmp_path, "metrics", "-f", "csv")
    printed = attnprobe(tmp_path, "heads", "The cat sat.", "-k", "left_share", "-f", "count")
    count, _, share = printed.partition(" rows, left_share = ")
    assert count == "72"
    assert 0 < float(share) < 1


def test_what_another_package_does_not_hold_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METRICS, "lost", ("nowhere.module:lost", "from broken"))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", ["attnprobe", "heads", "The cat sat.", "-k", "lost"])
    assert exit_code() == 1
    said = capsys.readouterr().err
    assert "'nowhere.module:lost' cannot be loaded: No module named 'nowhere'" in said
    assert len(said.splitlines()) <= 3
