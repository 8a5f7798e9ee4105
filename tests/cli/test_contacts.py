"""attnprobe contacts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from attnprobe import Encoder
from attnprobe.measure.weights import keep_weights
from attnprobe.values.signature import part_of
from tests.cli.commandline import Run
from tests.test_contacts import PROTEINS, sequence


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fasta = "".join(f">{record.id} made up\n{record.text}*\n" for record in PROTEINS)
    Path("x.fasta").write_text(f"{fasta}>q/1\n{sequence(12)}\n")
    rows = [f"{record.id},{i},{j}\n" for record in PROTEINS for i, j in record.labels["contacts"]]
    Path("x.csv").write_text("".join(["id,i,j\n", *rows]))
    return tmp_path


def test_command(run: Run, files: Path, folder_of: Callable[[str], Path]) -> None:
    with Path("x.csv").open("a") as stream:
        stream.write("p1,2,18\nzz,1,2\n")
    model = str(folder_of("esm"))
    result = run("contacts", "x.fasta", "--contacts", "x.csv", "-m", model, "--maps", "maps", "-f", "table")
    assert result.code == 3
    assert "2 of 7 ids of x.csv are of no protein that was measured; line 14: 'p1'" in result.err
    assert "no contacts 6 or more residues apart are known of 1 protein" in result.err
    assert "x.fasta:3: x.csv:74: no residue 18 in a sequence of 18, from 0" in result.err
    assert "regression: fitted on 3 proteins of even number, tested on 2 of odd number." in " ".join(
        result.text.split()
    )
    assert {path.name for path in Path("maps").iterdir()} == {
        f"{name}.safetensors" for name in ("p0", "p2", "p3", "p4", "p5", "q_1")
    }
    with safe_open("maps/q_1.safetensors", "np") as stored:
        assert stored.get_tensor("contacts").shape == (12, 12)
        assert stored.metadata()["sequence"] == sequence(12)
        assert part_of(stored.metadata()["signature"], "positions") == "residues"
    again = run("contacts", "x.fasta", "-m", model, "--maps", "maps")
    assert (again.code, again.text) == (1, "")
    assert "'maps' exists already" in again.err


def test_maps_of_heads_without_contacts(run: Run, files: Path, encoder_of: Callable[[str], Encoder]) -> None:
    model = str(encoder_of("esm").location.folder)
    result = run("contacts", "x.fasta", "-m", model, "--maps", "m", "-l", "1", "--head", "0,3", "-o", "no.csv")
    assert result.code == 0, result.err
    assert "known of 7 proteins; --contacts FILE lists them" in result.err
    with safe_open("m/p1.safetensors", "np") as stored:
        maps, heads = stored.get_tensor("maps"), stored.get_tensor("heads").tolist()
    kept = keep_weights(PROTEINS[1].text, encoder_of("esm"), layers=1, heads=[0, 3])
    both = kept.weights[0, :, 1:-1, 1:-1]
    both = both + both.transpose(0, 2, 1)
    rows = both.sum(1)
    expected = both - rows[:, :, None] * rows[:, None] / rows.sum(1)[:, None, None]
    assert heads == [0, 3]
    np.testing.assert_allclose(maps[0], expected, atol=1e-6)
    assert '1,0,"","","","",0' in Path("no.csv").read_text().replace(",,,,", ',"","","","",')


def test_records_bring_contacts_and_a_picture_is_drawn(run: Run, files: Path, folder_of: Callable[[str], Path]) -> None:
    lines = [{"sequence": record.text, **record.labels} for record in PROTEINS]
    lines[2]["contacts"] = [[0, 31]]
    Path("x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("contacts", "x.jsonl", "-m", str(folder_of("esm")), "-o", "b.svg")
    assert "contact [0, 31]: no such residue in a sequence of 31, from 0" in Path("b.svg.skipped.jsonl").read_text()
    assert result.code == 3
    assert Path("b.svg").read_text().count("known contacts") == 1
