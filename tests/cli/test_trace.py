"""attnprobe trace: what it prints, in every format, at every width, and what it refuses."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from attnprobe import Encoder, Tokens, Trace
from attnprobe import trace as trace_head
from attnprobe.render.trace import trace_view
from attnprobe.values.tokens import Role
from tests.cli.commandline import READERS, TEXT, Run, check_error, check_numbers, signature

CHINESE = "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜"
WHERE = ("-l", 3, "--head", 5, "--query", "cat")
STRINGS = [
    "[CLS]",
    "它",
    "们",
    "[/INST]",
    "\x1b[31m",
    "\u202eabc",
    "a very long piece of text",
    "[UNK]",
    ":smile:",
    "[SEP]",
]


def synthetic(**fields: object) -> Trace:
    """A trace of numbers that are easy to see through; its last keys are masked."""
    length, d = len(STRINGS), 4
    k = np.array([[(key * place) % 5 - 2.0 for place in range(d)] for key in range(length)])
    q = np.array([0.5, -1.0, 0.25, 2.0])
    bias = np.linspace(-1, 1, length)
    scaled = k @ q / 2
    score = np.where(np.arange(length) < 8, scaled + bias, -np.inf)
    weight = np.exp(score) / (np.exp(score).sum() + np.exp(0.5))
    v = k[::-1] / 10
    usual = {
        "model": "synthetic", "layer": 3, "head": 2, "query": 1, "q": q, "k": k, "v": v, "dot": k @ q, "scale": 0.5,
        "tokens": Tokens(STRINGS, ["", *STRINGS[1:7], "鲜", *STRINGS[8:]], [Role.CONTENT] * length, [1] * length),
        "scaled": scaled, "terms": {"position_bias": bias}, "score": score, "weight": weight, "sink": 0.5,
        "value_norm": weight * np.linalg.norm(v, axis=1), "output": weight @ v, "difference": 3e-8,
        "x": np.arange(8.0), "q_projected": q[::-1], "k_projected": k[:, ::-1], "projected": np.arange(8.0) / 8,
        "output_norm": weight / 2,
        "made_by": {"q": ("x·W_Q + b_Q", "rotated by its position"), "k": ("x·W_K",), "v": ()},
    }  # fmt: skip
    return Trace(**{**usual, **fields})  # type: ignore[arg-type]


def printed(its: Trace, width: int, top: int = 5) -> str:
    console = Console(file=StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(trace_view(its, width, top))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 200])
def test_what_a_terminal_shows(width: int, snapshot: SnapshotAssertion) -> None:
    text = printed(synthetic(), width)
    assert not {"\x1b", "\u202e"} & set(text)
    assert text == snapshot


def test_a_plain_trace_has_no_more_than_it_needs(snapshot: SnapshotAssertion) -> None:
    plain = synthetic(terms={}, score=synthetic().scaled, sink=None, x=None, q_projected=None, projected=None,
                      output_norm=None, made_by=dict.fromkeys("qkv", ()))  # fmt: skip
    assert printed(plain, 80, top=10) == snapshot


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize(
    "text", [TEXT + " cat", CHINESE + " cat", "[/INST] 👍🏽 cat"], ids=["english", "chinese", "odd"]
)
def test_terminal_output_fits_and_shows_the_largest_first(run: Run, minilm: Encoder, columns: int, text: str) -> None:
    result = run("trace", text, *WHERE, "-f", "table", "-q", columns=columns)
    assert (result.code, result.err) == (0, "")
    assert max(map(cell_len, result.text.splitlines())) <= columns
    its = trace_head(text, minilm, layer=3, head=5, query="cat")
    shown = [line.split()[0] for line in result.text.split("─\n")[1].split("\n\n")[0].splitlines()]
    assert shown == [str(at) for at in np.argsort(-its.weight, kind="stable")[:10]]
    assert ("Not shown at this width" in result.text) == (columns == 40)


def test_terminal_that_knows_no_more_than_ascii(run: Run) -> None:
    result = run("trace", TEXT, *WHERE, "-f", "table", encoding="ascii")
    assert (result.code, result.err) == (0, "")
    assert result.out.isascii()
    assert "#####" in result.text


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_are_those_of_the_library(run: Run, minilm: Encoder, format: str) -> None:
    result = run("trace", CHINESE, "-l", -1, "--head", 11, "--query", "它们", "-f", format)
    assert result.code == 0
    frame = trace_head(CHINESE, minilm, layer=5, head=11, query="它们").to_frame()
    assert list(frame.columns[:4]) == ["position", "token", "text", "dot"]
    check_numbers(READERS[format](result.out).fillna({"text": ""}), frame)


def test_markdown_has_a_row_per_key(run: Run) -> None:
    lines = run("trace", TEXT, *WHERE, "-f", "markdown").text.splitlines()
    assert lines[0].startswith("| position | token | text | dot | scaled | score | weight |")
    assert len(lines) == 2 + 9


def test_json_is_one_object_with_keys(run: Run, minilm: Encoder) -> None:
    read = json.loads(run("trace", TEXT, *WHERE, "-f", "json").out)
    its = trace_head(TEXT, minilm, layer=3, head=5, query="cat")
    assert [(key["position"], key["token"]) for key in read["keys"]] == list(enumerate(its.tokens.strings))
    np.testing.assert_array_equal([key["weight"] for key in read["keys"]], its.weight)
    np.testing.assert_array_equal([key["score"] for key in read["keys"]], its.score)
    np.testing.assert_array_equal(np.float32(read["x"]), its.x)
    np.testing.assert_array_equal(np.float32([key["k"] for key in read["keys"]]), its.k)
    assert (read["layer"], read["head"], read["query"]["position"]) == (3, 5, 2)


@pytest.mark.parametrize("format", ["csv", "json"])
def test_top_limits_the_keys_of_files_too(run: Run, minilm: Encoder, format: str) -> None:
    data = run("trace", TEXT, *WHERE, "--top", 3, "-f", format).out
    its = trace_head(TEXT, minilm, layer=3, head=5, query="cat")
    largest = np.argsort(-its.weight, kind="stable")[:3]
    rows = json.loads(data)["keys"] if format == "json" else READERS["csv"](data).to_dict("records")
    assert [row["position"] for row in rows] == list(largest)
    assert [row["weight"] for row in rows] == list(its.weight[largest])
    if format == "json":
        np.testing.assert_array_equal(np.float32([key["v"] for key in rows]), its.v[largest])
        assert json.loads(data)["query"] == {"position": 2, "token": "cat", "text": "cat"}
    check_numbers(trace_head(TEXT, minilm, layer=3, head=5, query="cat", top=3).to_frame()[["weight"]],
                  its.to_frame()[["weight"]].iloc[largest].reset_index(drop=True))  # fmt: skip


def test_masked_scores_are_missing_in_every_format() -> None:
    rows = synthetic().to_table().rows
    assert [row[6] for row in rows[8:]] == [None, None]
    assert [row[7] for row in rows[8:]] == [0.0, 0.0]


def test_a_file_comes_with_its_signature(run: Run, tmp_path: Path) -> None:
    assert run("trace", TEXT, *WHERE, "-o", tmp_path / "x.csv").code == 0
    parts = signature(json.loads((tmp_path / "x.csv.meta.json").read_text())["signature"])
    assert (parts["layer"], parts["head"], parts["query"]) == ("3", "5", "2")
    check_error(run("trace", TEXT, *WHERE, "-o", tmp_path / "x.csv"), 1, "exists already")


def test_what_must_be_said_goes_to_standard_error(run: Run) -> None:
    result = run("trace", CHINESE, "-l", 0, "--head", 0, "--query", "它们")
    assert result.err.splitlines() == [
        "attnprobe: 15 of the text's 25 tokens are unknown to the model's vocabulary; does the model read texts of this"
        " language and kind?",
        "attnprobe: 它们 is 2 tokens, [UNK] (它) at 20, [UNK] (们) at 21; the first piece asks",
    ]
    fewer = run("trace", f"{TEXT} {CHINESE[:3]}", "-l", 0, "--head", 0, "--query", "cat")
    assert fewer.err == "attnprobe: the model's vocabulary lacks 1 of the text's 10 tokens\n"
    assert run("trace", CHINESE, "-l", 0, "--head", 0, "--query", "它们", "-q").err == ""
    cut = run("trace", TEXT, "-l", 0, "--head", 0, "--query", 1, "--max-length", 4)
    assert cut.err == "attnprobe: the text has 9 tokens; only the first 4 were read\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--head", 0, "--query", "cat"], 2, ["--layer"]),
        (["-l", 0, "--query", "cat"], 2, ["--head"]),
        (["-l", 6, "--head", 0, "--query", "cat"], 2, ["no layer 6", "0 to 5"]),
        (["-l", 0, "--head", 12, "--query", "cat"], 2, ["no head 12"]),
        (["-l", "0-2", "--head", 0, "--query", "cat"], 2, ["one layer", "'0-2' means 3"]),
        (["-l", 0, "--head", "x", "--query", "cat"], 2, ["cannot read 'x'"]),
        (["-l", 0, "--head", 0, "--query", "cats"], 2, ["no token or word 'cats'", "cat", "0 to 8"]),
        (["-l", 0, "--head", 0, "--query", 9], 2, ["no token or word '9'"]),
        (["-l", 0, "--head", 0], 2, ["which of the 7 tokens asks?", "name the query"]),
        (["-l", 0, "--head", 0, "--query", "cat", "-f", "csw"], 2, ["csw"]),
        (["-l", 0, "--head", 0, "--query", "cat", "-m", "./nowhere"], 1, ["nowhere"]),
    ],
    ids=str,
)
def test_what_cannot_be_meant(run: Run, arguments: list[object], code: int, words: list[str]) -> None:
    check_error(run("trace", TEXT, *arguments), code, *words)


def test_text_comes_from_a_pipe_and_must_not_be_empty(run: Run) -> None:
    piped = run("trace", *WHERE, stdin=TEXT.encode())
    assert piped.out == run("trace", TEXT, *WHERE).out
    check_error(run("trace", " ", *WHERE), 2, "the text is empty")
    check_error(run("trace", "The", "cat", *WHERE), 2, "quote a text of several words")
    assert run("trace", "word", "-l", 0, "--head", 0).frame["position"].tolist() == [0, 1, 2]
