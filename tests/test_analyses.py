"""An analysis is one object and one row: its command, its function, its help and its output follow from them."""

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

import attnprobe
from attnprobe import Encoder, load_encoder
from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.scores import SCORES
from attnprobe.measure.weights import keep_weights
from tests.classifier import build_classifier
from tests.test_corpus_analyses import records_of

ROOT = Path(__file__).parent.parent
TEXT = "the cat sat on the mat"
TOY = """
from dataclasses import dataclass
from typing import Annotated

from attnprobe.analyses.kinds import Analysis
from attnprobe.values.options import Options, Reading, Selection, Without, choice, whole
from attnprobe.values.table import Table


@dataclass(frozen=True)
class Rounding(Options):
    digits: int = whole(3, least=1, help="How many digits to keep.")
    over: str = choice("mean", "largest", help="What of all queries.")


def received(text, encoder, pair, selection, rounding, reading):
    from attnprobe.measure.weights import keep_weights

    found = keep_weights(text, encoder, pair=pair, **vars(selection), **reading.without("stride"))
    numbers = found.weights.mean((0, 1, 2)) if rounding.over == "mean" else found.weights.max((0, 1, 2))
    cells = [round(float(number), rounding.digits) for number in numbers]
    rows = list(zip(range(len(cells)), found.key_tokens.strings, cells, strict=True))
    return Table(["position", "token", "received"], rows, found.notes, found.sign)


TOY = Analysis(
    received,
    {"position": "counted from 0", "token": "that token", "received": "what it receives"},
    options=(Selection, Rounding, Annotated[Reading, Without("stride")]),
    meaning="How much attention each token receives.",
)
"""
DRIVER = """
import functools, io, json, sys
import attnprobe
from attnprobe.errors import UsageError
from attnprobe.models import loading
from tests.cli.commandline import Stream, exit_code

loading.load_encoder = functools.cache(loading.load_encoder)
model, text, commands = json.load(sys.stdin)
done, usual = [], (sys.stdout, sys.stderr)
for arguments in commands:
    sys.argv = ["attnprobe", *arguments]
    sys.stdout, sys.stderr = out, err = Stream(io.BytesIO()), Stream(io.BytesIO())
    done.append([exit_code(), out.buffer.getvalue().decode(), err.buffer.getvalue().decode()])
sys.stdout, sys.stderr = usual
frame = attnprobe.toy(text, model, layers=0, digits=2)
try:
    attnprobe.toy(text, model, digit=2)
except UsageError as error:
    refused = str(error)
named = "toy" in dir(attnprobe)
print(json.dumps([done, frame.to_csv(index=False), frame.attrs["signature"], refused, named, attnprobe.toy.__doc__]))
"""
COMMANDS = {
    "list": ["--help"],
    "help": ["toy", "-h"],
    "csv": ["toy", TEXT, "-l", "0", "--digits", "2", "-f", "csv"],
    "largest": ["toy", TEXT, "--over", "largest", "--level", "word", "-f", "json"],
    "table": ["toy", TEXT, "-f", "table"],
    "file": ["toy", TEXT, "-o", "out.csv"],
    "exists": ["toy", TEXT, "-o", "out.csv"],
    "empty": ["toy", " "],
    "digits": ["toy", TEXT, "--digits", "0"],
    "over": ["toy", TEXT, "--over", "least"],
    "layer": ["toy", TEXT, "-l", "99"],
    "unquoted": ["toy", "the", "cat"],
    "models": ["models", "-h"],
    "nowhere": ["toy", TEXT, "-m", "./nothere"],
}


def test_entry_point_adds_a_whole_command(
    folder_of: Callable[[str], Path], encoder_of: Callable[[str], Encoder], tmp_path: Path
) -> None:
    model, encoder = folder_of("bert"), encoder_of("bert")
    (tmp_path / "toy_plugin.py").write_text(TOY, encoding="utf-8")
    metadata = tmp_path / "toy_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[attnprobe.analyses]\ntoy = toy_plugin:TOY\nmodels = toy_plugin:TOY\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "ATTNPROBE_MODEL": str(model),
        "COLUMNS": "100",
    }
    process = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([str(model), TEXT, list(COMMANDS.values())]),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    done, frame, signature, refused, named, documentation = json.loads(process.stdout)
    check_commands(dict(zip(COMMANDS, done, strict=True)), encoder)
    assert_csv(frame, encoder)
    assert signature == keep_weights(TEXT, encoder).sign()  # type: ignore[misc]
    assert json.loads((tmp_path / "out.csv.meta.json").read_text(encoding="utf-8"))["signature"] == signature
    assert refused == "no option 'digit'; did you mean 'digits'?"
    assert named
    assert "digits: How many digits to keep." in documentation


def check_commands(done: dict[str, Any], encoder: Encoder) -> None:
    """What each of COMMANDS printed, and its exit code."""
    assert re.search(r"toy +from toy-plugin", done["list"][1])
    _, help, _ = done["help"]
    assert help.startswith("Usage: attnprobe toy [OPTIONS] [TEXT]\n\n  How much attention each token receives.\n")
    for flag in ("--digits N", "[default: 3; x>=1]", "--over <mean|largest>", "-l, --layer", "--pair", "-f, --format"):
        assert flag in help
    assert "--stride" not in help
    assert "model types" in done["models"][1]  # what is there is not replaced
    assert_csv(done["csv"][1], encoder)
    largest = keep_weights(TEXT, encoder, level="word")
    assert [row["token"] for row in json.loads(done["largest"][1])] == list(largest.key_tokens.strings)
    received = [row["received"] for row in json.loads(done["largest"][1])]
    np.testing.assert_allclose(received, largest.weights.max((0, 1, 2)), rtol=0, atol=6e-4)
    assert done["table"][1].split()[:3] == ["position", "token", "received"]
    wanted = {"list": 0, "help": 0, "csv": 0, "largest": 0, "table": 0, "file": 0, "models": 0}
    wanted |= {"exists": 1, "nowhere": 1, "empty": 2, "digits": 2, "over": 2, "layer": 2, "unquoted": 2}
    assert {name: code for name, (code, _, _) in done.items()} == wanted
    assert [name for name, (_, _, err) in done.items() if bool(err) != bool(wanted[name])] == []
    assert "quote a text of several words" in done["unquoted"][2]
    assert "Traceback" not in "".join(err for _, _, err in done.values())


def assert_csv(text: str, encoder: Encoder) -> None:
    """What the toy gives of the first layer, to two digits."""
    found = keep_weights(TEXT, encoder, layers=0)
    rows = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert list(rows.columns) == ["position", "token", "received"]
    assert list(rows["token"]) == list(found.key_tokens.strings)
    np.testing.assert_allclose(rows["received"], found.weights.mean((0, 1, 2)), rtol=0, atol=6e-3)


@pytest.mark.parametrize("name", ANALYSES)
def test_analysis_says_what_it_is(name: str) -> None:
    analysis = load_analysis(name)
    assert analysis.meaning.endswith(".")
    assert all(option.metadata["help"] for option in analysis.fields())
    assert getattr(attnprobe, name)


@pytest.mark.parametrize("name", ANALYSES)
def test_columns_are_those_that_are_told_of(name: str, tmp_path: Path) -> None:
    given: dict[str, dict[str, Any]] = {
        "trace": {"layer": 0, "head": 0, "query": 1},
        "tokens": {"scores": list(SCORES)},
    }
    given["importance"] = {"method": "zero"}  # which gives what gradients give, and what else heads that are off change
    analysis, encoder = load_analysis(name), load_encoder(build_classifier(tmp_path), task=True)
    if isinstance(analysis, Analysis):
        table = analysis(TEXT, encoder, **given.get(name, {})).to_table()
    else:
        tables = getattr(attnprobe, name)(records_of(name, [TEXT] * 3), encoder, **given.get(name, {})).tables()
        assert set(tables) == {"summary", *analysis.tables}
        table = tables["summary"]()
    assert list(table.columns) == list(analysis.columns)
