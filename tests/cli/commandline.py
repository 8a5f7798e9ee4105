"""Runs the command line in this process as the shell would, and reads what it prints in every format."""

import csv
import gc
import io
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file

from attnprobe import METRICS, cli
from attnprobe.cli.options import Loading

TEXT = "The cat sat on the mat."
LONG_TEXT = " ".join(["word"] * 600)
FORMATS = ["csv", "tsv", "json", "jsonl", "markdown", "latex", "parquet", "table"]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
QUERY = "encoder.layer.0.attention.self.query.weight"


class Stream(io.TextIOWrapper):
    """A standard stream in memory, over bytes as the real ones are, that is a terminal or not."""

    def __init__(self, buffer: Any, terminal: bool = False, encoding: str = "utf-8", errors: str = "strict") -> None:
        super().__init__(buffer, encoding=encoding, errors=errors, newline="", write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def frame(self) -> pd.DataFrame:
        return read_delimited(self.text)


Run = Callable[..., Result]


def as_usual(task: bool | None = None, **options: Any) -> bool:
    """Whether these arguments load a model as a command does unless told otherwise.

    Args:
        task: None, a head if there is one, is as usual for models without.
    """
    usual = Loading().arguments()
    return not task and {**usual, **options} == usual


def exit_code() -> int:
    """Runs main as the interpreter would: an exception that escapes is a traceback and exit code 1."""
    try:
        with patch.object(gc, "freeze"):  # what this process makes until then is garbage later
            cli.main()
    except SystemExit as exit:
        return exit.code or 0  # type: ignore[return-value]
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def process(*arguments: object, **environment: str | None) -> dict[str, Any]:
    """The arguments of subprocess.run and Popen for ``attnprobe ARGUMENTS``; None removes a variable."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return {
        "args": [sys.executable, "-m", "attnprobe", *map(str, arguments)],
        "env": {name: value for name, value in variables.items() if value is not None},
        "stdin": subprocess.DEVNULL,
    }


def lasting(err: str) -> str:
    """What stays on standard error once the line that says what is loaded is erased."""
    return re.sub(r"^loading [^\n]*\r\x1b\[K", "", err)


def check_error(result: Result, code: int, *words: str) -> None:
    """What, which value, what to do: at most three lines on standard error, and nothing else."""
    assert "Traceback" not in result.err, result.err
    assert result.code == code, result.err
    assert result.out == b""
    assert result.err.startswith("attnprobe: ")
    assert len(result.err.splitlines()) <= 3, result.err
    for word in words:
        assert word in result.err


def check_numbers(frame: pd.DataFrame, expected: pd.DataFrame, **tolerance: Any) -> None:
    assert_frame_equal(frame, expected, check_dtype=False, **(tolerance or {"check_exact": True}))


def signature(text: str) -> dict[str, str]:
    """The parts of a signature by name."""
    return dict(part.split(":", 1) for part in text.split("|"))


def read_delimited(text: str, delimiter: str = ",") -> pd.DataFrame:
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return pd.DataFrame([[read_cell(cell) for cell in row] for row in rows], columns=header)


def read_cell(cell: str) -> int | float | str:
    """The number that a cell holds, NaN if it is empty, or its text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(cell or "nan")
    return cell


def read_markdown(text: str) -> pd.DataFrame:
    header, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert all(re.fullmatch(r"---:?", cell) for cell in rule)
    return pd.DataFrame([[float(cell) if cell else np.nan for cell in row] for row in rows], columns=header)


def read_latex(text: str) -> pd.DataFrame:
    start, top, header, middle, *rows, bottom, end = text.splitlines()
    assert re.fullmatch(r"\\begin\{tabular\}\{[lr]+\}", start)
    assert [top, middle, bottom, end] == ["\\toprule", "\\midrule", "\\bottomrule", "\\end{tabular}"]
    columns, *cells = [line.removesuffix(" \\\\").split(" & ") for line in (header, *rows)]
    names = [name.replace("\\_", "_") for name in columns]
    return pd.DataFrame([[float(cell) if cell else np.nan for cell in row] for row in cells], columns=names)


def read_table(text: str) -> pd.DataFrame:
    """The numbers of a table for terminals, under the names of the columns it does not say it left out; no roles."""
    notes = " ".join(text.split("\n\n")[-1].split())
    lists = [re.search(rf"{words}: (.*?)\.", notes) for words in ("Not shown at this width", "Without meaning here")]
    left_out = {name for found in lists if found for name in found[1].split(", ")}
    rows = [re.findall(r"(?<!\S)-?[\d.]+(?!\S)", line) for line in text.splitlines() if re.match(r" +\d+ +\d+ ", line)]
    names = [name for name in METRICS if name not in left_out]
    return pd.DataFrame([[float(cell) for cell in row] for row in rows], columns=["layer", "head", *names])


READERS: Mapping[str, Callable[[bytes], pd.DataFrame]] = {
    "csv": lambda data: read_delimited(data.decode()),
    "tsv": lambda data: read_delimited(data.decode(), "\t"),
    "json": lambda data: pd.DataFrame(json.loads(data)),
    "jsonl": lambda data: pd.DataFrame([json.loads(line) for line in data.splitlines()]),
    "markdown": lambda data: read_markdown(data.decode()),
    "latex": lambda data: read_latex(data.decode()),
    "parquet": lambda data: pd.read_parquet(io.BytesIO(data)),
    "table": lambda data: read_table(data.decode()),
}


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
