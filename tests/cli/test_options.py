"""What is measured, from which text, and what becomes of long ones."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import attnprobe
from attnprobe import Encoder, TruncationWarning, head_stats, load_encoder
from attnprobe.measure import heads as library
from attnprobe.values.table import Table
from tests.cli.commandline import LONG_TEXT, READERS, TEXT, Run, check_error, check_numbers, signature
from tests.rows import noise


def measured(run: Run, tmp_path: Path, *options: str, text: str = TEXT) -> tuple[pd.DataFrame, dict[str, str]]:
    """The numbers and the signature of a run with these options."""
    path = tmp_path / "measured.csv"
    result = run("heads", text, *options, "-o", path, "--overwrite", "-q")
    assert (result.code, result.err) == (0, "")
    meta = json.loads((tmp_path / "measured.csv.meta.json").read_text(encoding="utf-8"))
    return READERS["csv"](path.read_bytes()), signature(meta["signature"])


@pytest.mark.parametrize(
    ("options", "arguments", "parts"),
    [
        (["--queries", "content"], {"queries": "content"}, {"queries": "content"}),
        (["--level", "word"], {"level": "word"}, {"level": "word"}),
        (["--long-range", "3"], {"long_range": 3}, {"long_range": "3"}),
        (["--max-length", "8"], {"max_length": 8}, {"max_length": "8"}),
        (["--max-length", "8", "--stride", "2"], {"max_length": 8, "stride": 2}, {"max_length": "8", "stride": "2"}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::attnprobe.TruncationWarning")
def test_options_change_numbers_and_signature(
    run: Run, minilm: Encoder, tmp_path: Path, options: list[str], arguments: dict[str, Any], parts: dict[str, str]
) -> None:
    text = "Unremarkable attention heads quietly attended to punctuation."
    usual, usual_parts = measured(run, tmp_path, text=text)
    frame, its_parts = measured(run, tmp_path, *options, text=text)
    assert its_parts == usual_parts | parts != usual_parts
    assert not frame.equals(usual)
    check_numbers(frame, head_stats(text, minilm, **arguments))


def test_signature_names_what_the_numbers_depend_on(run: Run, tmp_path: Path) -> None:
    _, parts = measured(run, tmp_path)
    assert parts["model"] == "all-MiniLM-L6-v2@53aa51172d14"
    assert (parts["attnprobe"], parts["torch"]) == (attnprobe.__version__, torch.__version__.split("+")[0])
    assert (parts["dtype"], parts["max_length"], parts["long_range"]) == ("float32", "256", "10")
    assert (parts["queries"], parts["level"], parts["special"]) == ("all", "token", "kept")


def test_dtype_is_in_the_signature(run: Run, tiny: Path, tmp_path: Path) -> None:
    usual, _ = measured(run, tmp_path, "-m", str(tiny))
    frame, parts = measured(run, tmp_path, "-m", str(tiny), "--dtype", "float64")
    assert parts["dtype"] == "float64"
    assert not frame.equals(usual)
    encoder = load_encoder(tiny)
    length = len(encoder.tokenize(TEXT)[0])
    check_numbers(frame, usual, rtol=0, atol=noise(encoder, length) * length)


def test_pair_fills_cross_share(run: Run, minilm: Encoder) -> None:
    frame = run("heads", TEXT, "--pair", "It was tired.").frame
    check_numbers(frame, head_stats(TEXT, minilm, pair="It was tired."))
    assert frame["cross_share"].between(0, 1).all()
    assert run("heads", TEXT).frame["cross_share"].isna().all()


def test_text_is_never_a_path(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    check_numbers(run("heads", path).frame, head_stats(str(path), minilm))


def test_text_that_looks_like_an_option(run: Run, minilm: Encoder) -> None:
    check_numbers(run("heads", "-k", "entropy", "--", "--debug").frame, head_stats("--debug", minilm, ["entropy"]))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the commands measure, letter by letter: MiniLM's own reading forgives a BOM and line ends."""
    seen, head_table = [], library.head_table

    def record(text: str, *arguments: Any, **options: Any) -> Table:
        seen.append(text)
        return head_table(text, *arguments, **options)

    monkeypatch.setattr(library, "head_table", record)
    return seen


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"The cat", "The cat"),
        (b"The cat\n", "The cat"),
        (b"The cat\r\n\n", "The cat"),
        (b"\xef\xbb\xbfThe cat", "The cat"),
        ("how\u2028are 们\n the cat ".encode(), "how\u2028are 们\n the cat "),
    ],
    ids=["bare", "line feed", "CRLF", "BOM", "lines"],
)
def test_piped_text(run: Run, minilm: Encoder, texts: list[str], data: bytes, text: str) -> None:
    result = run("heads", stdin=data)
    assert (result.code, result.err) == (0, "")
    assert texts == [text]
    check_numbers(result.frame, head_stats(text, minilm))


def test_text_wins_over_standard_input(run: Run, texts: list[str]) -> None:
    assert run("heads", TEXT, stdin=b"something else").code == 0
    assert texts == [TEXT]


def test_no_text_on_a_terminal(run: Run) -> None:
    check_error(run("heads"), 2, "TEXT", "-h")


def test_standard_input_that_is_not_utf8(run: Run) -> None:
    check_error(run("heads", stdin=b"fine\ncaf\xe9\n"), 2, "UTF-8", "line 2")


@pytest.mark.parametrize("text", ["", " ", "\t\n\u3000"])
def test_empty_text(run: Run, text: str) -> None:
    check_error(run("heads", text), 2, "empty")
    check_error(run("heads", stdin=text.encode()), 2, "empty")
    check_error(run("heads", TEXT, "--pair", text), 2, "empty")


@pytest.mark.parametrize("text", ["\u202e", "\ufeff", "\x07"])
def test_text_without_a_token(run: Run, text: str) -> None:
    check_error(run("heads", text), 2, "no token")


def test_argument_that_is_not_unicode(run: Run) -> None:
    check_error(run("heads", "caf\udce9"), 2, "Unicode")


def test_long_text_is_cut_with_one_note(run: Run, minilm: Encoder) -> None:
    result = run("heads", LONG_TEXT)
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert "602" in result.err
    assert "only the first 256 were read; a max_length of up to 512 reads more" in result.err
    with pytest.warns(TruncationWarning, match="602"):
        check_numbers(result.frame, head_stats(LONG_TEXT, minilm))


def test_quiet_silences_the_note(run: Run) -> None:
    loud, quiet = (run("heads", TEXT, "--max-length", 5, *options) for options in ([], ["-q"]))
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out == loud.out
    assert len(loud.err.splitlines()) == 1


def test_windows_read_the_whole_text(run: Run, minilm: Encoder) -> None:
    text = " ".join(f"{number} cats" for number in range(20))
    result = run("heads", text, "--max-length", 16, "--stride", 4)
    assert (result.code, result.err) == (0, "")
    check_numbers(result.frame, head_stats(text, minilm, max_length=16, stride=4))
    windows = minilm.tokenize(text, max_length=16, stride=4)
    assert len(windows) == 4
    assert "4 windows" in run("heads", text, "--max-length", 16, "--stride", 4, "-f", "table").text


def test_more_tokens_than_positions(run: Run) -> None:
    check_error(run("heads", TEXT, "--max-length", 513), 2, "513", "512")


def test_stride_without_room(run: Run) -> None:
    check_error(run("heads", TEXT, "--max-length", 6, "--stride", 4), 2, "stride 4")
