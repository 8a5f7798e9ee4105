"""Every format holds the numbers of the library; which rows and columns come."""

import csv
import io
import json
import re
from pathlib import Path

import pyarrow.parquet
import pytest

from attnprobe import METRICS, Encoder, head_stats
from attnprobe.values.table import Table
from attnprobe.writers import get_writer
from tests.cli.commandline import (
    FORMATS,
    READERS,
    TEXT,
    Run,
    check_error,
    check_numbers,
)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_numbers_of_the_library(run: Run, minilm: Encoder, format: str) -> None:
    result = run("heads", TEXT, "-f", format, columns=200)
    assert (result.code, result.err) == (0, "")
    frame, expected = READERS[format](result.out), head_stats(TEXT, minilm)
    if format == "table":
        check_numbers(frame, expected.dropna(axis="columns", how="all"), atol=5.1e-4, rtol=0)
    elif format == "markdown":
        check_numbers(frame, expected, rtol=1e-5)
    elif format == "latex":
        check_numbers(frame, expected, atol=5.1e-4, rtol=0)
    else:
        check_numbers(frame.astype(expected.dtypes), expected)


ODD = "50% & $x_1$ #1 {a} ~b ^c \\d <s> | -- ,, ?` 我 \u202e"


def test_latex_obeys_no_token() -> None:
    stream = io.BytesIO()
    table = Table(["token", "n", "weight"], [["[CLS]", 1, 0.12345], [ODD, 20, None], ["*", 3, 1.0]])
    get_writer("latex")(table, stream)
    assert (
        stream.getvalue().decode()
        == r"""\begin{tabular}{lrr}
\toprule
token & n & weight \\
\midrule
{}[CLS] & 1 & 0.123 \\
50\% \& \$x\_1\$ \#1 \{a\} \textasciitilde{}b \textasciicircum{}c \textbackslash{}d \textless{}s\textgreater{} \
\textbar{} -{}- ,{}, ?{}` 我 \textless{}U+202E\textgreater{} & 20 &  \\
{}* & 3 & 1.000 \\
\bottomrule
\end{tabular}
""".replace(" \\\n\\textbar", " \\textbar")
    )


@pytest.mark.parametrize(
    "command",
    [("weights", TEXT, "-l", 0, "--head", 0), ("trace", TEXT, "-l", 0, "--head", 0, "--query", "cat"), ("models",)],
    ids=str,
)
def test_latex_of_every_command(run: Run, tmp_path: Path, command: tuple[object, ...]) -> None:
    text = run(*command, "-f", "latex").text
    header, *rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    columns = len(text.split("{")[2].split("}")[0])
    assert {len(re.findall(r"(?<!\\)&", line)) for line in (header, *rows)} == {columns - 1}
    assert len(rows) == len(run(*command, "-f", "csv").frame)
    assert run(*command, "-o", tmp_path / "out.tex").code == 0
    assert (tmp_path / "out.tex").read_text(encoding="utf-8") == text


def test_latex_of_a_summary(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("A cat.\nA dog sat.\n", encoding="utf-8")
    files = (tmp_path / "texts.txt", "-o", tmp_path / "rows.csv", "-k", "entropy")
    assert run("corpus", *files, "--summary", tmp_path / "heads.tex", "--no-progress").code == 0
    rows = (tmp_path / "heads.tex").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 72 + 6
    assert rows[4].startswith("0 & 0 & entropy & ")
    check_error(run("corpus", tmp_path / "texts.txt", "-f", "latex"), 2, "latex", "csv")


def test_columns_and_rows(run: Run) -> None:
    frame = run("heads", TEXT).frame
    assert list(frame.columns) == ["layer", "head", *METRICS]
    assert list(zip(frame["layer"], frame["head"], strict=True)) == [(at // 12, at % 12) for at in range(72)]


def test_csv_dialect(run: Run) -> None:
    data = run("heads", TEXT, "-k", "entropy", "-k", "cross_share").text
    header, first, *_ = data.split("\n")
    assert header == '"layer","head","entropy","cross_share"'
    assert re.fullmatch(r'0,0,\d\.\d{6,},(?:"")?', first)
    assert data.endswith("\n")
    assert "\r" not in data
    assert {row[-1] for row in csv.reader(data.splitlines()[1:])} == {""}


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_missing_values_are_null_in_json(run: Run, format: str) -> None:
    data = run("heads", TEXT, "-k", "cross_share", "-f", format).out
    rows = json.loads(data) if format == "json" else [json.loads(line) for line in data.splitlines()]
    assert len(rows) == 72
    assert rows[13] == {"layer": 1, "head": 1, "cross_share": None}


def test_missing_values_are_null_in_parquet(run: Run) -> None:
    table = pyarrow.parquet.read_table(io.BytesIO(run("heads", TEXT, "-f", "parquet").out))
    assert table["cross_share"].null_count == 72
    assert str(table["cross_share"].type) == str(table["entropy"].type) == "double"


def test_same_command_same_bytes(run: Run) -> None:
    assert run("heads", TEXT).out == run("heads", TEXT).out


def test_csv_in_a_pipe_table_on_a_terminal(run: Run) -> None:
    assert run("heads", TEXT, terminal=True).out.startswith(b"all-MiniLM-L6-v2, ")
    assert run("metrics").out == run("metrics", "-f", "csv").out == run("metrics", "-o", "-").out
    assert run("metrics", terminal=True).out == run("metrics", "-f", "table", terminal=True).out != run("metrics").out
    assert run("metrics", "-f", "csv", terminal=True).out == run("metrics").out


def test_parquet_is_not_for_a_terminal(run: Run) -> None:
    check_error(run("heads", TEXT, "-f", "parquet", terminal=True), 2, "parquet", "-o")


@pytest.mark.parametrize(
    ("options", "layers", "heads"),
    [
        (["-l", "0-2,-1", "--head", "3"], [0, 1, 2, 5], [3]),
        (["-l", "-1"], [5], range(12)),
        (["--layer", "4"], [4], range(12)),
        (["-l", "all", "--head", "all"], range(6), range(12)),
        (["-l", "-1,0", "--head", "11,0-1,1"], [0, 5], [0, 1, 11]),
    ],
    ids=str,
)
def test_layers_and_heads(run: Run, minilm: Encoder, options: list[str], layers: list[int], heads: list[int]) -> None:
    frame, everything = run("heads", TEXT, *options).frame, head_stats(TEXT, minilm)
    wanted = everything[everything["layer"].isin(list(layers)) & everything["head"].isin(list(heads))]
    check_numbers(frame, wanted.reset_index(drop=True))


def test_metrics_come_in_their_own_order(run: Run) -> None:
    frame = run("heads", TEXT, "-k", "distance", "-k", "entropy", "--metric", "distance").frame
    assert list(frame.columns) == ["layer", "head", "entropy", "distance"]


def test_sort_and_top(run: Run, minilm: Encoder) -> None:
    frame = run("heads", TEXT, "-k", "entropy", "--sort", "distance", "--top", 5).frame
    expected = head_stats(TEXT, minilm, ["entropy", "distance"]).sort_values("distance", ascending=False, kind="stable")
    check_numbers(frame, expected.head(5).reset_index(drop=True))


def test_top_without_sort_keeps_the_order(run: Run) -> None:
    check_numbers(run("heads", TEXT, "--top", 3).frame, run("heads", TEXT).frame.head(3))


def test_sort_by_a_metric_without_meaning_keeps_the_order(run: Run) -> None:
    assert run("heads", TEXT, "--sort", "cross_share").out == run("heads", TEXT).out
