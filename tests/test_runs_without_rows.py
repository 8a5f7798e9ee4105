"""What another package adds: an analysis of many texts, whose runs are those of rows, and what has one row each."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attnprobe import Encoder, run_corpus
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Result
from attnprobe.measure.weights import keep_weights
from tests.toy import TEXTS, contents, write_records
from tests.toy_of_many import OwnWeights
from tests.treebank import DOCUMENTS, ENGLISH

ROOT = Path(__file__).parent.parent
DRIVER = """
import functools, io, json, multiprocessing, os, pathlib, signal, sys, time
import attnprobe
from attnprobe.models import loading
from tests import toy_of_sections
from tests.cli.commandline import Stream, exit_code

context = multiprocessing.get_context("fork")  # all start from this process, which has imported all
multiprocessing.get_context = lambda method: context
loading.load_encoder = functools.cache(loading.load_encoder)
file, model = pathlib.Path("texts.jsonl"), loading.load_encoder(os.environ["ATTNPROBE_MODEL"])

state = pathlib.Path("killed.csv.parts", "state.npz")
killed = os.fork()
if not killed:
    sys.argv = ["attnprobe", "own", "many.txt", "-o", "killed.csv", "-q"]
    os._exit(exit_code())
while not state.exists() and os.waitpid(killed, os.WNOHANG) == (0, 0):
    time.sleep(0.001)
os.kill(killed, signal.SIGKILL)
os.waitpid(killed, 0)
assert not os.path.exists("killed.csv")

done, usual = [], (sys.stdout, sys.stderr)
for arguments in json.load(sys.stdin):
    sys.argv = ["attnprobe", *arguments]
    sys.stdout, sys.stderr = out, err = Stream(io.BytesIO()), Stream(io.BytesIO())
    done.append([exit_code(), out.buffer.getvalue().decode(), err.buffer.getvalue().decode()])
sys.stdout, sys.stderr = usual
records = attnprobe.read_records(attnprobe.find_sources([str(file)]))
frames = [attnprobe.own(texts, model, on_error="skip", layers="0-1") for texts in (file, [file], records)]
refused = []
for call in (lambda: attnprobe.own(["the"], model, lest=1), lambda: attnprobe.own(str(file), model)):
    try:
        call()
    except attnprobe.AttnprobeError as error:
        refused.append(str(error))
print(json.dumps([done, [found.to_frame().to_csv(index=False) for found in frames], refused, attnprobe.own.__doc__]))
"""
ALONE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # no thread is there when a process is forked
FILE = ["own", "texts.jsonl"]
SECTIONS = ["many.txt", "--conllu", "bank.conllu", "--coref", "bank.conllu"]
COMMANDS = {
    "list": ["--help"],
    "help": ["own", "-h"],
    "explain": ["own", "--explain", "--least", "0.3"],
    "nothing": ["own"],
    "csv": [*FILE, "-l", "0-1"],
    "json": [*FILE, "-l", "0-1", "--head", "2", "-f", "json", "--least", "0.5"],
    "table": [*FILE, "-f", "table"],
    "file": [*FILE, "-o", "out.csv", "--by-layer", "layers.csv"],
    "exists": [*FILE, "-o", "out.csv"],
    "complete": [*FILE, "-o", "out.csv", "--by-layer", "layers.csv", "--resume"],
    "other": [*FILE, "-o", "out.csv", "--least", "0.5", "--resume"],
    "tables": [*FILE, "--by-layer", "only.json", "-q"],
    "figure": [*FILE, "-o", "out.svg"],
    "figure complete": [*FILE, "-o", "out.svg", "--resume"],
    "parquet": [*FILE, "-o", "out.parquet"],
    "parquet complete": [*FILE, "-o", "out.parquet", "--resume"],
    "png": [*FILE, "-o", "out.png"],
    "workers": [*FILE, "-o", "workers.csv", "--workers", "2", "--max-skipped", "10%", "--by-layer", "of_two.csv"],
    "estimate": [*FILE, "-n"],
    "metrics": ["metrics", "-f", "csv"],
    "metric and writer": ["heads", "The cat sat.", "-k", "left_share", "-f", "count"],
    "measurement": ["corpus", "texts.jsonl", "--measure", "largest", "-o", "largest.parquet", "--summary", "by.csv"],
    "resumed": ["own", "many.txt", "-o", "killed.csv", "--resume"],
    "sections": ["parted", *SECTIONS, "-o", "sections.csv"],
    "sections, workers": ["parted", *SECTIONS, "-o", "sections_of_two.csv", "--workers", "2"],
    "whole": ["own", "many.txt", "-o", "whole.csv", "--log", "json"],
}
CODES = {"csv": 3, "json": 3, "table": 3, "file": 3, "complete": 3, "figure": 3, "figure complete": 3, "tables": 3}
CODES |= {"measurement": 3, "parquet": 3, "parquet complete": 3, "nothing": 2, "png": 2, "exists": 1, "other": 1}
ENTRY_POINTS = """
[attnprobe.analyses]
own = tests.toy_of_many:OWN
parted = tests.toy_of_sections:PARTED
[attnprobe.measurements]
largest = tests.toy:LargestWeights
[attnprobe.metrics]
left_share = tests.toy:left_share
[attnprobe.writers]
count = tests.toy:write_count
"""


@pytest.fixture(scope="module")
def found(
    folder_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[Any]]:
    """The folder in which a toy that an entry point adds has run, what COMMANDS printed, and what the library gave."""
    folder = tmp_path_factory.mktemp("own")
    write_records(folder / "texts.jsonl")
    (folder / "many.txt").write_text("\n".join(TEXTS * 6), encoding="utf-8")
    (folder / "bank.conllu").write_text(ENGLISH + DOCUMENTS, encoding="utf-8")
    metadata = folder / "plugin" / "own-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    paths = os.pathsep.join([str(metadata.parent), str(ROOT)])
    how: dict[str, Any] = {
        "cwd": folder,
        "env": {**os.environ, **ALONE, "PYTHONPATH": paths, "ATTNPROBE_MODEL": str(folder_of("bert"))},
    }
    command, given = [sys.executable, "-c", DRIVER], json.dumps(list(COMMANDS.values()))
    process = subprocess.run(command, input=given, **how, capture_output=True, text=True, check=True)
    done, *library = json.loads(process.stdout)
    return folder, dict(zip(COMMANDS, done, strict=True)), library


def own_weights(encoder: Encoder) -> np.ndarray:
    """The mean weight of queries on themselves, (layer, head), by another way."""
    sums, count = 0, 0
    for number, text in enumerate(TEXTS):
        if number not in (7, 21):
            weights = keep_weights(text, encoder).weights.astype(float)
            sums, count = sums + np.trace(weights, axis1=-2, axis2=-1), count + weights.shape[-1]
    return np.asarray(sums) / count


def test_codes_and_messages(found: tuple[Path, dict[str, Any], list[Any]]) -> None:
    _, done, _ = found
    assert {name: code for name, (code, _, _) in done.items() if code} == CODES
    assert "Traceback" not in "".join(err for _, _, err in done.values())
    assert re.search("^  own +from own$", done["list"][1], re.MULTILINE)
    for words in ("[FILE]...", "--least", "--by-layer FILE", "--explain", "--workers", "--max-length", "svg.", "-n, "):
        assert words in done["help"][1]
    assert "--stride" not in done["help"][1]
    assert done["help"][1].count("--seed") == 1  # of the records and of the analysis
    assert done["explain"][1:] == ["own: at least 0.3 of the weight\n", ""]
    assert "no FILE is named" in done["nothing"][2]
    assert "exists already" in done["exists"][2]
    for name in ("complete", "figure complete", "parquet complete"):
        assert "is complete; there is nothing to resume" in done[name][2]
    assert "cannot resume: least: 0.5, before: 0.1" in done["other"][2]
    assert "done: 28 texts, 2 skipped, " in done["file"][2]
    assert "-> out.csv, layers.csv" in done["file"][2]
    assert "2 records were skipped; 'out.csv.skipped.jsonl' lists them" in done["file"][2]
    assert "queries" in done["file"][2]
    assert done["tables"][2] == ""
    assert '"texts","28"' in done["estimate"][1]
    assert "rows" not in done["estimate"][1]


def test_answer_in_every_format(found: tuple[Path, dict[str, Any], list[Any]], encoder_of: Any) -> None:
    folder, done, _ = found
    expected = own_weights(encoder_of("bert"))
    rows = pd.read_csv(io.StringIO(done["csv"][1]))
    assert list(rows.columns) == ["layer", "head", "own", "role"]
    np.testing.assert_allclose(rows["own"], expected[:2].ravel(), rtol=1e-4)
    picked = json.loads(done["json"][1])
    assert [row["role"] for row in picked] == ["own" if own >= 0.5 else "other" for own in expected[:2, 2]]
    assert "28 texts" in done["table"][1]
    everything = pd.read_csv(folder / "out.csv")
    np.testing.assert_allclose(everything["own"], expected.ravel(), rtol=1e-4)
    assert pd.read_parquet(folder / "out.parquet").equals(everything)
    layers = pd.read_csv(folder / "layers.csv")
    np.testing.assert_allclose(layers["own"], expected.mean(1), rtol=1e-4)
    only = json.loads((folder / "only.json").read_text(encoding="utf-8"))
    assert [row["own"] for row in only] == list(layers["own"])
    assert (folder / "out.svg").read_text(encoding="utf-8").startswith("<svg>")
    metas = [json.loads((folder / f"{name}.meta.json").read_bytes()) for name in ("out.csv", "out.svg", "layers.csv")]
    assert len({meta["signature"] for meta in metas}) == 1
    assert metas[0]["counts"]["texts"] == 28
    assert metas[2]["command"] == "attnprobe own"


def test_same_bytes_after_a_kill_and_from_two_workers(found: tuple[Path, dict[str, Any], list[Any]]) -> None:
    folder, done, _ = found
    files = contents_of(folder)
    assert files["killed.csv"] == files["whole.csv"]
    assert files["killed.csv.meta.json"] == files["whole.csv.meta.json"]
    assert files["workers.csv"] == files["out.csv"]
    assert files["of_two.csv"] == files["layers.csv"]
    assert files["sections_of_two.csv"] == files["sections.csv"]
    assert b'"documents","odd",' in files["sections.csv"]
    assert files["workers.csv.skipped.jsonl"] == files["out.csv.skipped.jsonl"]
    assert not [name for name in files if name.endswith((".parts", ".tmp", ".lock"))]
    last = json.loads(done["whole"][2].splitlines()[-1])
    assert (last["event"], last["texts"], last["files"]) == ("done", 180, ["whole.csv"])


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


def test_function_of_the_library(found: tuple[Path, dict[str, Any], list[Any]]) -> None:
    _, done, (frames, refused, documentation) = found
    printed = pd.read_csv(io.StringIO(done["csv"][1]))
    assert [pd.read_csv(io.StringIO(frame)).equals(printed) for frame in frames] == [True] * 3
    assert refused[0] == "no option 'lest'; did you mean 'least'?"
    assert "texts must be a list" in refused[1]
    assert "least: The weight from which a head looks at itself." in documentation


def test_entry_points_add_metrics_and_writers(found: tuple[Path, dict[str, Any], list[Any]]) -> None:
    _, done, _ = found
    assert '"left_share","from own"' in done["metrics"][1]
    count, _, share = done["metric and writer"][1].partition(" rows, left_share = ")
    assert count == "12"
    assert 0 < float(share) < 1


def test_entry_points_add_measurements(found: tuple[Path, dict[str, Any], list[Any]]) -> None:
    folder, _, _ = found
    rows = pd.read_parquet(folder / "largest.parquet")
    assert list(rows.columns) == ["id", "n_tokens", "class", "layer", "head", "query", "position"]
    assert rows["position"].dtype == np.int32
    assert rows["id"].nunique() == len(TEXTS) - 2
    assert set(pd.read_csv(folder / "by.csv")["class"]) == {"none"}


class KilledError(BaseException):
    """In place of a SIGKILL."""


def test_killed_after_every_part(
    encoder_of: Callable[[str], Encoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's run, without a command."""
    encoder, source = encoder_of("bert"), write_records(tmp_path / "texts.jsonl")
    measure = OwnWeights((0, 1, 2), (0, 1, 2, 3), 0.1)
    (folder := tmp_path / "killed").mkdir()
    (whole := tmp_path / "whole").mkdir()
    run = run_corpus(source, whole / "out.json", encoder, measure=measure)
    assert (run.state.texts, run.state.rows) == (28, 0)
    add, kills = Job.add, 0

    def add_and_die(job: Job, result: Result) -> None:
        add(job, result)
        raise KilledError

    monkeypatch.setattr(Job, "add", add_and_die)
    while not (folder / "out.json").exists():
        try:
            run_corpus(source, folder / "out.json", encoder, measure=measure, resume=True)
        except KilledError:
            kills += 1
            assert not list((folder / "out.json.parts").glob("part-*"))
    assert kills == 4
    assert contents(folder) == contents(whole)
