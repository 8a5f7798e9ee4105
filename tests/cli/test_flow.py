"""attnprobe flow: published methods' values, tables on a terminal, pictures in files, and what is refused."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnprobe
from attnprobe import Encoder
from attnprobe.analyses.flow import FLOW
from attnprobe.render.flow import write_html, write_png
from tests.cli.commandline import TEXT, Run, check_error, signature

S = (  # whose numbers were computed apart, with the papers' published code and networkx
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)

HOSTILE = "The cat <b>."


def shares(run: Run, *options: Any) -> np.ndarray:
    """(layer, query, key) of the column ``share``."""
    frame = run("flow", S, *options, "-f", "csv").frame
    return frame["share"].to_numpy(float).reshape(frame["layer"].nunique(), frame["query"].nunique(), 26)


def test_rollout_of_the_literature(run: Run) -> None:
    rolled = shares(run, "--all-layers", "--all-queries")
    assert rolled.shape == (6, 26, 26)
    np.testing.assert_allclose(rolled[5, 0, :6], [0.62134, 0.02015, 0.01747, 0.01756, 0.01106, 0.00986], atol=1e-5)
    np.testing.assert_allclose(rolled[2, 10, :4], [0.40255, 0.01886, 0.03096, 0.02223], atol=1e-5)
    diagonals = np.diagonal(rolled, axis1=1, axis2=2).mean(1)
    np.testing.assert_allclose(diagonals, [0.53343, 0.30087, 0.17838, 0.11269, 0.07839, 0.05847], atol=1e-5)
    np.testing.assert_allclose(shares(run)[0], rolled[5, :1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(shares(run, "--query", 10, "--all-layers")[2], rolled[2, [10]], rtol=0, atol=1e-9)


def test_maximum_flow_of_the_literature(run: Run) -> None:
    result = run("flow", S, "--method", "flow", "-f", "csv")
    assert "no flow is larger than 1, or than the column sum of its key in layer 0" in result.err
    assert list(result.frame.columns) == [*FLOW.columns, "flow"]
    raw, normalised = (result.frame[name].to_numpy(float) for name in ("flow", "share"))
    np.testing.assert_allclose(raw[:6], [1, 0.56479, 0.55558, 0.56081, 0.55450, 0.55665], atol=1e-5)
    np.testing.assert_allclose(normalised[:6], [0.06660, 0.03762, 0.03700, 0.03735, 0.03693, 0.03707], atol=1e-5)
    inner = run("flow", S, "--method", "flow", "--query", 10, "-f", "csv").frame["flow"].to_numpy(float)
    np.testing.assert_allclose(inner[[0, 1, 2, 10, 25]], [1, 0.95127, 0.97248, 0.92958, 1], atol=1e-5)


def test_twin_has_the_same_rows(run: Run, minilm: Encoder) -> None:
    options: dict[str, Any] = {"heads": "0-2", "fusion": "max", "residual": 0.25, "level": "word", "pair": "Was it?"}
    frame = attnprobe.flow(TEXT, minilm, all_layers=True, top=4, **options)
    flags = ["--head", "0-2", "--fusion", "max", "--residual", 0.25, "--level", "word", "--pair", "Was it?"]
    found = run("flow", TEXT, *flags, "--all-layers", "--top", 4, "-f", "csv").frame
    assert [list(found[name]) for name in FLOW.columns] == [list(frame[name]) for name in FLOW.columns]
    parts = signature(frame.attrs["signature"])
    assert (parts["heads"], parts["fusion"], parts["residual"], parts["level"]) == ("0-2", "max", "0.25", "word")


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "options",
    [(), ("--all-layers",), ("--all-queries",), ("--method", "flow", "--query", "heads"), ("--level", "word")],
    ids=str,
)
def test_tables_fit_the_terminal(run: Run, options: tuple[str, ...], columns: int) -> None:
    result = run("flow", S, *options, "-f", "table", columns=columns)
    assert result.code == 0
    assert max(map(len, result.text.splitlines())) <= columns


def test_table_has_the_largest_shares(run: Run) -> None:
    lines = run("flow", S, "-f", "table", "--all-layers").text.splitlines()
    assert [line.split()[:2] for line in lines if line.split()[:1] in (["0"], ["25"], ["24"])] == [
        ["0", "[CLS]"],
        ["25", "[SEP]"],
        ["24", "."],
    ]
    [first] = [line.split() for line in lines if line.split()[:2] == ["0", "[CLS]"]]
    assert first[2:] == ["0.753", "0.728", "0.719", "0.699", "0.685", "0.621"]
    assert "16 more tokens have less: --top N shows them. -o FILE or -f csv have all." in lines
    assert len(run("flow", S, "-f", "table", "--top", 26).text.splitlines()) > 26
    narrow = run("flow", S, "-f", "table", "--all-layers", columns=50).text
    assert "layer 5" in narrow
    assert "Not shown at this width: layers 0 to" in narrow


@pytest.mark.parametrize(
    ("write", "flags", "options"),
    [
        (write_png, ("--all-queries",), {"all_queries": True}),
        (write_html, ("--query", "cat"), {"query": "cat", "all_layers": True}),
    ],
    ids=["png", "html"],
)
def test_picture_is_the_one_of_the_library(
    run: Run,
    minilm: Encoder,
    tmp_path: Path,
    write: Callable[..., None],
    flags: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    path, expected = tmp_path / f"out.{'png' if write is write_png else 'html'}", io.BytesIO()
    result = run("flow", HOSTILE, *flags, "-o", path)
    assert (result.code, result.out, result.err) == (0, b"", "")
    write(FLOW(HOSTILE, minilm, **options), expected)
    assert path.read_bytes() == expected.getvalue()
    assert b"|method:rollout|" in path.read_bytes()


def test_page_asks_nothing_and_runs_nothing(minilm: Encoder) -> None:
    stream = io.BytesIO()
    write_html(FLOW(HOSTILE, minilm), stream)
    page = stream.getvalue().decode()
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "http:" not in page


def test_what_is_refused(run: Run, tmp_path: Path) -> None:
    check_error(run("flow", S, "--all-queries", "--query", "heads"), 2, "--all-queries takes all")
    check_error(run("flow", S, "--top", 3, "-o", tmp_path / "out.png"), 2, "a picture shows every key")
    check_error(run("flow", S, "--query", "zebra"), 2, "no token or word 'zebra'")
    check_error(run("flow", S, "--residual", 1.5), 2, "residual")
    check_error(run("flow", S, "--method", "flow", "--max-tokens", 25), 2, "26 tokens", "--max-tokens")
    check_error(run("flow", S, "--head", 12), 2, "no head 12")
    assert not list(tmp_path.iterdir())
