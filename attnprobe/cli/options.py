"""Every flag that commands share, spelled once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from attnprobe.measure import BUILT_IN as MEASUREMENTS
from attnprobe.metrics import METRICS
from attnprobe.writers import FIGURES, TENSORS, WRITERS


class Queries(StrEnum):
    all = "all"
    content = "content"


class Level(StrEnum):
    token = "token"
    word = "word"


class GlobalAttention(StrEnum):
    none = "none"
    cls = "cls"
    first = "first"


class Direction(StrEnum):
    a_b = "a-b"
    b_a = "b-a"


class OnError(StrEnum):
    skip = "skip"
    fail = "fail"


class Quoting(StrEnum):
    minimal = "minimal"
    none = "none"


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class Dtype(StrEnum):
    float32 = "float32"
    float64 = "float64"
    float16 = "float16"
    bfloat16 = "bfloat16"


Format = StrEnum("Format", ["table", *WRITERS])  # type: ignore[misc]  # plugins add writers
WeightsFormat = StrEnum("WeightsFormat", ["table", *WRITERS, *TENSORS])  # type: ignore[misc]
HeatmapFormat = StrEnum("HeatmapFormat", ["table", *FIGURES])  # type: ignore[misc]

Text = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="The text itself, never a path. Left out: standard input.", show_default=False),
]
Model = Annotated[
    str, typer.Option("-m", "--model", metavar="NAME", envvar="ATTNPROBE_MODEL", help="A folder or a Hub id.")
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="NAME",
        help="A folder or a Hub id with the tokenizer.  [default: the model's]",
        show_default=False,
    ),
]
Revision = Annotated[
    str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit on the Hub.", show_default=False)
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="What the model computes in, whatever its checkpoint holds.")
]
AllowPickle = Annotated[
    bool,
    typer.Option("--allow-pickle", help="Load weights from a pickle where there are no safetensors. It may run code."),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that the model brings. Read it first.")
]
Pair = Annotated[
    str | None, typer.Option("--pair", metavar="TEXT", help="The second text of a pair.", show_default=False)
]
Metric = Annotated[
    list[str] | None,
    typer.Option(
        "-k",
        "--metric",
        metavar="NAME",
        help="A metric to compute; may be repeated. See attnprobe metrics.  [default: all]",
        show_default=False,
        autocompletion=lambda: list(METRICS),
    ),
]
Layer = Annotated[
    str, typer.Option("-l", "--layer", metavar="LAYERS", help="Layers, counted from 0: 3, 0-5, 0,2,-1 or all.")
]
Head = Annotated[str, typer.Option("--head", metavar="HEADS", help="Heads, counted from 0, likewise.")]
Measure = Annotated[
    str,
    typer.Option(
        "--measure",
        metavar="NAME",
        help=f"What to measure: {', '.join(MEASUREMENTS)}, or what another package adds.",
        autocompletion=lambda: list(MEASUREMENTS),
    ),
]
LongRange = Annotated[
    int, typer.Option("--long-range", metavar="N", min=0, help="Tokens from which long_range_share counts.")
]
QueriesOption = Annotated[
    Queries, typer.Option("--queries", help="Average over all queries, or those of the text only.")
]
LevelOption = Annotated[Level, typer.Option("--level", help="What a position is: a token, or a word of the text.")]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        metavar="N",
        min=1,
        help="The most tokens to read at once; a longer text is cut.  [default: what the model reads]",
        show_default=False,
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        "--stride",
        metavar="N",
        min=0,
        help="Read a longer text in windows that overlap by N tokens instead of cutting it.",
        show_default=False,
    ),
]
GlobalAttentionOption = Annotated[
    GlobalAttention,
    typer.Option(
        "--global-attention",
        help="Longformer and LED: what sees and is seen by all, the classification token or the first text.",
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="The column with the text, or the key, also answer.text.  [default: the only one, else text, ...]",
        show_default=False,
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id-column", metavar="NAME", help="The column of ids.  [default: line number]", show_default=False),
]
PairColumn = Annotated[
    str | None,
    typer.Option("--pair-column", metavar="NAME", help="The column with the second text of pairs.", show_default=False),
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        "--input-format",
        metavar="NAME",
        help="txt, jsonl, json, csv, tsv, fasta, parquet or arrow.  [default: by suffix]",
        show_default=False,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="TEXT",
        help="What separates cells in CSV and TSV, such as ';' or tab.  [default: the file tells]",
        show_default=False,
    ),
]
QuotingOption = Annotated[
    Quoting | None,
    typer.Option(
        "--quoting",
        help="In CSV and TSV, quotes may enclose cells, or are text.  [default: the file tells]",
        show_default=False,
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="In CSV and TSV, the first row names the columns, or columns are 1, 2, 3 ...  [default: --header]",
        show_default=False,
    ),
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="Of text files.")]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N records.", show_default=False)
]
Sample = Annotated[
    int | None, typer.Option("--sample", metavar="N", min=1, help="Only N records at random.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of --sample.")]
OnErrorOption = Annotated[
    OnError, typer.Option("--on-error", help="Records that cannot be used: list them and go on, or stop.")
]
MaxUnknown = Annotated[
    float | None,
    typer.Option(
        "--max-unknown",
        metavar="SHARE",
        min=0,
        max=1,
        help="Records with a larger share of tokens unknown to the model cannot be used.  [default: any]",
        show_default=False,
    ),
]
BatchTokens = Annotated[int, typer.Option("--batch-tokens", metavar="N", min=1, help="Tokens to run at once.")]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", metavar="N", min=1, max=1024, help="Processes, each with a model and its share of the cores."
    ),
]
EngineOption = Annotated[Engine, typer.Option("--engine", help="ray: the workers are actors of a Ray cluster.")]
NumGpus = Annotated[float, typer.Option("--num-gpus", metavar="N", min=0, help="GPUs per Ray worker, e.g. 0.5.")]
Summary = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Means, deviations and intervals over all texts, per head and metric.",
        show_default=False,
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="How much attention falls on each offset key − query, per head.",
        show_default=False,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")]
DryRun = Annotated[
    bool, typer.Option("-n", "--dry-run", help="Say how much work it would be, from a sample, and stop.")
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress on standard error.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to a file; its suffix sets the format. - is standard output.",
        show_default=False,
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Where the page goes. - is standard output, which is also where it goes in a pipe.",
        show_default=False,
    ),
]
_format = typer.Option(
    "-f", "--format", help="[default: by suffix; else table on a terminal, csv in a pipe]", show_default=False
)
FormatOption = Annotated[Format | None, _format]
WeightsFormatOption = Annotated[WeightsFormat | None, _format]
HeatmapFormatOption = Annotated[
    HeatmapFormat | None,
    typer.Option("-f", "--format", help="[default: by suffix; else table, which is text]", show_default=False),
]
SpreadsheetSafe = Annotated[
    bool,
    typer.Option(
        "--spreadsheet-safe", help="In csv and tsv, put ' before text that a spreadsheet takes for a formula."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors on standard error.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
