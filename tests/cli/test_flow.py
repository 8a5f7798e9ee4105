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


# Of Kobayashi's, GlobEnc's, ALTI's, value zeroing's and DecompX's published code, float64; ALTI's without its epsilon.
BY_LAYER = {
    "value_norm": [2.29732, 3.61027, 3.83415, 4.30154, 3.87283, 3.37346],
    "weighted_norm": [0.07822, 0.07539, 0.07925, 0.09502, 0.07716, 0.11047],
    "attn": [0.39294, 0.49609, 0.50026, 0.49762, 0.36468, 0.49284],
    "attn_res": [0.75228, 0.91476, 0.91696, 0.92265, 0.83548, 0.87928],
    "attn_res_ln": [0.83880, 0.86021, 0.88226, 0.86920, 0.72906, 0.81836],
    "res_out": [0.63366, 0.64479, 0.65904, 0.71148, 0.47956, 0.48481],
    "mixing_attn": [0.84991, 0.81125, 0.82201, 0.84837, 0.86021, 0.85234],
    "mixing_attn_res": [0.26600, 0.27139, 0.26601, 0.27377, 0.22039, 0.30426],
    "mixing_attn_res_ln": [0.25002, 0.24016, 0.21992, 0.22341, 0.17528, 0.27703],
    "mixing_res_out": [0.25007, 0.22888, 0.21742, 0.21595, 0.17607, 0.33926],
}
SELF_SHARES = {
    "alti": [0.86547, 0.84471, 0.83201, 0.83642, 0.87299, 0.71109],
    "value_zeroing": [0.07186, 0.09224, 0.10273, 0.10397, 0.08999, 0.09647],
}
ROLLED_OUT = {
    "globenc": [0.18583, 0.02781, 0.06553, 0.04459, 0.03150, 0.01793],
    "alti": [0.11354, 0.01085, 0.04553, 0.05206, 0.03296, 0.01124],
    "value_zeroing": [0.05246, 0.07126, 0.18029, 0.04580, 0.04500, 0.00768],
}
FIRST_LAYER = {  # of token 10
    "alti": ([0, 9, 10, 11], [0.00178, 0.02808, 0.90946, 0.00082]),
    "value_zeroing": ([9, 10, 11], [0.23678, 0.01016, 0.00764]),
}


def test_norms_and_mixing_ratios_of_the_literature(run: Run) -> None:
    frame = run("flow", S, "--method", "norms", "--per-layer", "-f", "csv").frame
    assert list(frame.columns) == ["layer", *BY_LAYER]
    for name, values in BY_LAYER.items():
        np.testing.assert_allclose(frame[name].to_numpy(float), values, rtol=1e-5, atol=6e-6, err_msg=name)


@pytest.mark.parametrize("method", SELF_SHARES)
def test_contributions_of_the_literature(run: Run, method: str) -> None:
    frame = run("flow", S, "--method", method, "--per-layer", "-f", "csv").frame
    np.testing.assert_allclose(frame["self_share"].to_numpy(float), SELF_SHARES[method], rtol=1e-5, atol=6e-6)
    keys, values = FIRST_LAYER[method]
    first = shares(run, "--method", method, "--query", 10, "--all-layers")[0, 0]
    np.testing.assert_allclose(first[keys], values, rtol=1e-5, atol=6e-6)


def test_rollouts_of_contributions_of_the_literature(run: Run) -> None:
    scores = run("tokens", S, *(flag for name in ROLLED_OUT for flag in ("-k", name)), "-f", "csv").frame
    for method, values in ROLLED_OUT.items():
        np.testing.assert_allclose(scores[method].to_numpy(float)[:6], values, rtol=1e-5, atol=6e-6, err_msg=method)
    raw = shares(run, "--method", "globenc", "--raw")[0, 0, :6]
    np.testing.assert_allclose(raw, [0.01753, 0.03097, 0.08748, 0.05770, 0.04482, 0.02393], rtol=1e-5, atol=6e-6)


def test_vectors_of_the_literature(run: Run) -> None:
    frame = run("flow", S, "--method", "decompx", "--all-queries", "--all-layers", "-f", "csv").frame
    norms = frame["norm"].to_numpy(float).reshape(6, 26, 26)
    np.testing.assert_allclose(norms[5, 0, :6], [3.64583, 0.14365, 0.67323, 0.75886, 0.43142, 0.11068], atol=6e-6)
    np.testing.assert_allclose(norms[5, 10, [0, 9, 10, 11]], [0.45159, 0.84425, 10.39039, 1.41142], atol=6e-6)
    means = [0.74498, 0.87482, 0.97404, 1.08345, 0.81459, 0.62584]
    np.testing.assert_allclose(norms.mean((1, 2)), means, rtol=1e-5, atol=6e-6)


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
    [
        (),
        ("--all-layers",),
        ("--all-queries",),
        ("--method", "flow", "--query", "heads"),
        ("--level", "word"),
        ("--method", "norms", "--per-layer"),
    ],
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
    check_error(run("flow", S, "--method", "alti", "--fusion", "max"), 2, "--fusion has no effect", "rollout or flow")
    picture = ("--method", "norms", "--per-layer", "-o", tmp_path / "out.png")
    check_error(run("flow", S, *picture), 2, "--per-layer is a table")
    assert not list(tmp_path.iterdir())
