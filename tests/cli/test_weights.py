"""attnprobe weights: rows, tensors, what a terminal shows of them, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console
from safetensors import safe_open
from syrupy.assertion import SnapshotAssertion

import attnprobe
from attnprobe import Encoder, TruncationWarning
from attnprobe.analyses.weights import Filters, weights_table
from attnprobe.models import loading
from attnprobe.render.weights import WeightsView
from attnprobe.values.attention import Excerpt
from tests.cli.commandline import LONG_TEXT, READERS, TEXT, Run, check_error, signature
from tests.synthetic import synthetic


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl", "markdown", "parquet"])
def test_every_format_holds_the_rows_of_the_library(run: Run, minilm: Encoder, format: str) -> None:
    result = run("weights", "The cat", "-l", "0,3", "--head", "5", "-f", format)
    assert (result.code, result.err) == (0, "")
    expected = attnprobe.weights("The cat", minilm, layers="0,3", heads=5)
    if format == "markdown":
        assert len(result.text.splitlines()) == len(expected) + 2
        assert r"| 0 | 5 | 0 | \[CLS\] | 1 | the | " in result.text
    else:
        found = READERS[format](result.out).astype(expected.dtypes)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_tensors_in_a_file(run: Run, minilm: Encoder, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    assert run("weights", TEXT, "-o", path, "--query", "cat").code == 0
    assert list(tmp_path.iterdir()) == [path]
    with np.load(path) if suffix == "npz" else safe_open(path, "np") as file:
        weights, queries = (file[name] if suffix == "npz" else file.get_tensor(name) for name in ("weights", "queries"))
        said = str(file["signature"]) if suffix == "npz" else file.metadata()["signature"]
    assert list(queries) == [2]
    assert weights.shape == (6, 12, 1, 9)
    np.testing.assert_array_equal(weights.ravel(), attnprobe.weights(TEXT, minilm, query=2)["weight"])
    assert signature(said)["level"] == "token"
    check_error(run("weights", TEXT, "-o", path), 1, "exists", "--overwrite")


def test_rows_in_a_file_have_their_signature_beside_them(run: Run, tmp_path: Path) -> None:
    assert run("weights", TEXT, "-o", tmp_path / "out.csv").code == 0
    meta = json.loads((tmp_path / "out.csv.meta.json").read_text(encoding="utf-8"))
    assert signature(meta["signature"])["model"] == "all-MiniLM-L6-v2@53aa51172d14"


def test_every_option_reaches_the_library(run: Run, minilm: Encoder) -> None:
    options = {"pair": "Was it tired?", "direction": "b-a", "query": "it", "level": "word", "top": 2}
    options |= {"sort": "weight"}
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    keys = ["--key", "The", "--key", "sat"]
    result = run("weights", TEXT, *flags, *keys, "--min-weight", 0.01, "--max-length", 12, "-l", 5)
    with pytest.warns(TruncationWarning):
        expected = attnprobe.weights(
            TEXT, minilm, **options, key=["The", "sat"], min_weight=0.01, max_length=12, layers=5
        )
    assert len(expected) == 2
    pd.testing.assert_frame_equal(result.frame.astype(expected.dtypes), expected)


def test_terminal_shows_few_keys_and_says_so(run: Run) -> None:
    text = run("weights", TEXT, terminal=True).text
    assert "The 3 largest weights of each query; --top N or --min-weight W show others." in text
    assert "The first 300 of 1,944 rows" in text
    assert len(text.splitlines()) < 320
    one = run("weights", TEXT, "-l", 3, "--head", 5, "--query", "cat", "--top", 4, "-f", "table").text
    assert "largest" not in one
    assert sum(line[0:3] == " " * 3 and "█" in line for line in one.splitlines()) >= 1


def test_terminal_ranks_the_heads(run: Run, minilm: Encoder) -> None:
    where = ("--query", "cat", "--key", "mat", "--sort", "weight")
    lines = run("weights", TEXT, *where, terminal=True).text.splitlines()
    best = attnprobe.weights(TEXT, minilm, query="cat", key="mat", sort="weight", top=10)
    shown = [line.split()[:6] for line in lines if "cat" in line and "mat  " in line and not line.startswith("all-")]
    assert shown == [[str(layer), str(head), "2", "cat", "6", "mat"] for layer, head in best[["layer", "head"]].values]
    assert "The 10 largest weights of all; --top N or --min-weight W show others." in "\n".join(lines)
    assert "largest" not in run("weights", TEXT, *where, "--top", 3, terminal=True).text
    assert "largest" not in run("weights", TEXT, *where, "-l", 0, "--head", "0-4", terminal=True).text
    several = run("weights", TEXT, *where, "--key", "sat", "--key", "the", "--key", "on", terminal=True).text
    assert "sat + on + the + mat" in several
    assert "largest" not in run("weights", TEXT, *where[:4], terminal=True).text


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("text", [TEXT, "我" * 40, "👍🏽 [/INST] \x1b[31m extraordinarilylongword"])
def test_terminal_fits_its_width(run: Run, columns: int, text: str) -> None:
    result = run("weights", text, "-l", 0, "--head", 5, "-f", "table", columns=columns)
    assert max(map(cell_len, result.text.splitlines())) <= columns
    assert "\x1b" not in result.text


@pytest.mark.parametrize("width", [80, 200])
def test_terminal(width: int, snapshot: SnapshotAssertion) -> None:
    attention = synthetic(1, 2)
    places = range(len(attention.key_tokens))
    table = weights_table(Excerpt(attention.weights, places, places, attention), Filters(top=3))
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(WeightsView(table, width, top=3))
    assert "\n".join(line.rstrip() for line in captured.get().splitlines()) == snapshot


def test_terminal_in_ascii(run: Run) -> None:
    result = run("weights", "我 …", "-l", 0, "--head", 5, "-f", "table", encoding="ascii")
    assert (result.code, result.err) == (0, "")
    assert result.out.isascii()
    assert "####" in result.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--query", "cats"], ["'cats'", "cat, "]),
        (["--query", "9"], ["'9'", "0 to 8"]),
        (["--direction", "a-b"], ["--pair"]),
        (["--direction", "a-c", "--pair", "x"], ["a-c", "b-a"]),
        (["--top", "0"], ["--top"]),
        (["--min-weight", "2"], ["--min-weight"]),
        (["-l", "6"], ["layer 6"]),
        (["--level", "char"], ["--level"]),
        (["-f", "npz", "--top", "3"], ["--top", "tensors"]),
        (["-f", "npz", "--sort", "weight"], ["--sort", "tensors"]),
        (["--key", "cats"], ["'cats'", "cat, "]),
        (["--sort", "entropy"], ["--sort"]),
        (["-f", "png"], ["png"]),
        (["--max-rows", "5831"], ["5,832 rows", "5,831", "--max-rows"]),
        (["another text"], ["another text", "quote"]),
    ],
    ids=str,
)
def test_wrong_usage(run: Run, arguments: list[str], words: list[str]) -> None:
    check_error(run("weights", TEXT, *arguments), 2, *words)


def test_tensors_are_not_for_a_terminal(run: Run) -> None:
    check_error(run("weights", TEXT, "-f", "npz", terminal=True), 2, "npz", "-o")


def test_cheap_errors_come_before_the_model(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(*arguments: Any, **options: Any) -> Encoder:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(loading, "load_encoder", load)
    check_error(run("weights"), 2, "TEXT")
    check_error(run("weights", " "), 2, "empty")
    check_error(run("weights", TEXT, "--direction", "a-b"), 2, "--pair")
    check_error(run("weights", TEXT, "-o", tmp_path / "out.svg"), 2, "out.svg", ".npz")
    check_error(run("weights", TEXT, "-m", "./nothere"), 1, "./nothere")


def test_long_text_is_refused_with_its_size_or_cut_with_one_note(run: Run) -> None:
    refused = run("weights", LONG_TEXT, "--max-length", "512")
    assert refused.code == 2
    assert "18,874,368 rows, about 0.8 GB of CSV; the limit is 10,000,000" in refused.err
    shown = run("weights", LONG_TEXT, "--query", "1", "--top", "1")
    assert shown.code == 0
    cut = "only the first 256 were read; a max_length of up to 512 reads more"
    assert shown.err == f"attnprobe: the text has 602 tokens; {cut}\n"
    assert len(shown.frame) == 72


def test_text_from_a_pipe(run: Run) -> None:
    assert run("weights", stdin=TEXT.encode()).out == run("weights", TEXT).out
