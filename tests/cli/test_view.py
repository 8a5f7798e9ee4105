"""attnprobe view: one page, to a file or a pipe."""

import webbrowser
from pathlib import Path

import pytest

import attnprobe
from attnprobe import Encoder
from attnprobe.api import pictures
from tests.cli.commandline import LONG_TEXT, TEXT, Run, check_error, lasting


def test_a_pipe_gets_the_page(run: Run, minilm: Encoder) -> None:
    result = run("view", TEXT)
    assert (result.code, result.err) == (0, "")
    assert result.text == attnprobe.view(TEXT, minilm).html
    assert run("view", TEXT, "-o", "-").out == result.out
    assert run("view", stdin=TEXT.encode()).out == result.out


def test_a_file(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = run("view", TEXT, "-o", path, terminal=True)
    assert (result.code, result.out, lasting(result.err)) == (0, b"", "")
    assert path.read_text(encoding="utf-8") == attnprobe.view(TEXT, minilm).html
    check_error(run("view", TEXT, "-o", path), 1, "page.html", "--overwrite")
    assert run("view", "other", "-o", path, "--overwrite").code == 0
    assert path.read_text(encoding="utf-8") == attnprobe.view("other", minilm).html


def test_options_reach_the_page(run: Run, minilm: Encoder) -> None:
    result = run("view", TEXT, "--pair", "It slept.", "-l", "0,-1", "--head", "2-3", "--max-length", "64")
    expected = attnprobe.view(TEXT, minilm, pair="It slept.", layers="0,-1", heads="2-3", max_length=64)
    assert result.text == expected.html
    assert run("view", TEXT, "--no-steps").text == attnprobe.view(TEXT, minilm, steps=False).html
    assert run("view", TEXT, "--lang", "zh").text == attnprobe.view(TEXT, minilm, lang="zh").html
    result = run("view", TEXT, "--show", "1.2", "--query", "cat", "--key", "mat", "--key", "0", "--scale", "linear")
    expected = attnprobe.view(TEXT, minilm, show="1.2", query="cat", key=["mat", "0"], scale="linear")
    assert result.text == expected.html


def test_two_pages_in_a_file(run: Run, minilm: Encoder, tiny: Path) -> None:
    both = run("view", TEXT, "--against", "It slept.", "--pair", "So?", "-l", 0)
    assert both.text == attnprobe.view(TEXT, minilm, against="It slept.", pair="So?", layers=0).html
    models = run("view", TEXT, "--against-model", tiny, "-l", 0)
    assert models.text == attnprobe.view(TEXT, minilm, against_model=tiny, layers=0).html
    assert models.text == attnprobe.view(TEXT, minilm, against_model=attnprobe.load_encoder(tiny), layers=0).html
    every = run("view", TEXT, "--against", "It slept.", "--against-model", tiny, "-l", 0)
    assert every.text == attnprobe.view(TEXT, minilm, against="It slept.", against_model=tiny, layers=0).html
    assert len({both.text, models.text, every.text}) == 3


def test_a_terminal_wants_a_file(run: Run) -> None:
    check_error(run("view", TEXT, terminal=True), 2, "not for a terminal", "-o FILE.html")
    check_error(run("view", TEXT, "-o", "-", terminal=True), 2, "-o FILE.html")


def test_open(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert run("view", TEXT, "-o", tmp_path / "a page.html", "--open").code == 0
    assert opened == [f"{tmp_path.as_uri()}/a%20page.html"]
    check_error(run("view", TEXT, "--open"), 2, "--open", "-o FILE.html")
    assert len(opened) == 1


def test_a_cut_text_is_noted_once(run: Run) -> None:
    result = run("view", LONG_TEXT, "-l", 0, "--head", 0)
    assert (result.code, len(result.err.splitlines())) == (0, 1)
    assert "602" in result.err
    assert "stride" not in result.err
    assert run("view", LONG_TEXT, "-l", 0, "--head", 0, "-q").err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([""], 2, ["empty"]),
        ([TEXT, "-l", "6"], 2, ["layer 6", "0 to 5"]),
        ([TEXT, "--head", "x"], 2, ["'x'"]),
        ([TEXT, "-m", "./nothere"], 1, ["./nothere"]),
        ([TEXT, "-o", "./nothere/page.html"], 1, ["nothere"]),
        ([TEXT, "-o", "."], 1, ["folder"]),
        ([TEXT, "-o", "page.txt"], 2, ["an HTML file", "'page.txt'", "-o FILE.html"]),
        ([TEXT, "--show", "5"], 2, ["'5'", "such as 5.11"]),
        ([TEXT, "--show", "5.12"], 2, ["no head 12", "0, 1, 2"]),
        ([TEXT, "--query", "zebra"], 2, ["'zebra'"]),
        ([TEXT, "--key", "zebra"], 2, ["'zebra'"]),
        ([TEXT, "--scale", "log"], 2, ["'log'", "sqrt"]),
        ([TEXT, "--max-length", "513"], 2, ["513", "512"]),
        ([TEXT, "--against-model", "./nothere"], 1, ["./nothere"]),
        ([TEXT, "--against", " "], 2, ["empty"]),
    ],
    ids=str,
)
def test_errors(run: Run, arguments: list[str], code: int, words: list[str]) -> None:
    check_error(run("view", *arguments), code, *words)


def test_a_page_that_is_too_large(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pictures.view.__kwdefaults__, "most", 1000)
    check_error(run("view", TEXT), 2, "6 layers × 12 heads × 9 × 9 tokens", "5,832 weights", "choose layers and heads")
