"""attnprobe heatmap: text on a terminal or in a pipe, figures in files, and what is refused."""

import io
from pathlib import Path
from typing import Any

import pytest

import attnprobe
from attnprobe import Encoder, TruncationWarning
from attnprobe.models import loading
from attnprobe.render import figure
from attnprobe.render.figure import save_figure
from tests.cli.commandline import LONG_TEXT, TEXT, Run, check_error

ONE_HEAD = ("-l", 3, "--head", 5)


@pytest.mark.parametrize("options", [ONE_HEAD, ("-l", 3), (), ("--stat", "entropy")], ids=str)
def test_plain_text_in_a_pipe(run: Run, options: tuple[Any, ...]) -> None:
    result = run("heatmap", TEXT, *options)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.text
    assert result.text.startswith("all-MiniLM-L6-v2")
    assert max(map(len, result.text.splitlines())) <= 80
    assert run("heatmap", TEXT, *options).out == result.out


def test_colours_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run("heatmap", TEXT, *ONE_HEAD).text
    assert "\x1b[48;" in run("heatmap", TEXT, *ONE_HEAD, terminal=True).text
    monkeypatch.setenv("NO_COLOR", "1")
    assert "@" in run("heatmap", TEXT, *ONE_HEAD, terminal=True).text
    assert "\x1b[48;" not in run("heatmap", TEXT, *ONE_HEAD, terminal=True).text
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert run("heatmap", TEXT, *ONE_HEAD, terminal=True).text == plain


@pytest.mark.parametrize("format", ["svg", "pdf", "png"])
def test_figure_in_a_file(run: Run, minilm: Encoder, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"out.{format}"
    result = run("heatmap", TEXT, *ONE_HEAD, "-o", path)
    assert (result.code, result.out, result.err) == (0, b"", "")
    expected = io.BytesIO()
    save_figure(attnprobe.heatmap(TEXT, minilm, layers=3, heads=5), expected, format)
    assert path.read_bytes() == expected.getvalue()
    assert b"model:all-MiniLM-L6-v2@53aa51172d14|" in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_every_option_reaches_the_library(run: Run, minilm: Encoder, tmp_path: Path) -> None:
    options = {"pair": "Was it tired?", "level": "word", "max_length": 12, "long_range": 2, "stat": "long_range_share"}
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert run("heatmap", TEXT, *flags, "-l", "1-2", "--head", "0,1", "-o", tmp_path / "out.svg").code == 0
    expected = io.BytesIO()
    with pytest.warns(TruncationWarning):
        save_figure(attnprobe.heatmap(TEXT, minilm, layers="1-2", heads="0,1", **options), expected, "svg")
    assert (tmp_path / "out.svg").read_bytes() == expected.getvalue()


def test_figure_in_a_pipe(run: Run, minilm: Encoder) -> None:
    data = run("heatmap", TEXT, "--stat", "entropy", "-f", "svg").out
    expected = io.BytesIO()
    save_figure(attnprobe.heatmap(TEXT, minilm, stat="entropy"), expected, "svg")
    assert data == expected.getvalue()


def test_characters_without_a_font_are_named_once(run: Run, tmp_path: Path) -> None:
    result = run("heatmap", "\U000e0041 👨 is ok", *ONE_HEAD, "--level", "word", "-o", tmp_path / "out.png")
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert "no installed font has" in result.err
    assert run("heatmap", "👨 ok", *ONE_HEAD, "--level", "word", "-q", "-f", "png").err == ""


@pytest.mark.parametrize("text", ["我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜", "👍🏽 [/INST]", "word"])
def test_texts_as_they_are(run: Run, text: str) -> None:
    result = run("heatmap", text, *ONE_HEAD, "--level", "word", "-q")
    assert (result.code, result.err) == (0, "")
    assert all(letter in result.text for letter in text.replace(" ", ""))


def test_in_ascii(run: Run) -> None:
    result = run("heatmap", "我 …", *ONE_HEAD, encoding="ascii", terminal=True)
    assert (result.code, result.err) == (0, "")
    assert result.out.replace(b"\x1b", b"").isascii()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stat", "entrpy"], ["'entrpy'", "'entropy'"]),
        (["-l", "6"], ["layer 6"]),
        (["--head", "12"], ["head 12"]),
        (["-o", "out.csv"], ["out.csv", ".svg"]),
        (["-f", "csv"], ["csv", "svg"]),
        (["-o", "out.svg", "-f", "table"], ["table", "svg"]),
        (["another text"], ["another text", "quote"]),
    ],
    ids=str,
)
def test_wrong_usage(run: Run, arguments: list[str], words: list[str]) -> None:
    check_error(run("heatmap", TEXT, *arguments), 2, *words)


def test_cheap_errors_come_before_the_model(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(*arguments: Any, **options: Any) -> Encoder:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(loading, "load_encoder", load)
    check_error(run("heatmap", TEXT, "-f", "png", terminal=True), 2, "png", "-o")
    monkeypatch.setattr(figure, "find_spec", lambda name: None)
    check_error(run("heatmap", TEXT, "-o", tmp_path / "out.svg"), 1, "matplotlib", "attnprobe[plot]")
    assert list(tmp_path.iterdir()) == []


def test_long_text_is_cut_with_one_note(run: Run) -> None:
    result = run("heatmap", LONG_TEXT, *ONE_HEAD)
    assert result.code == 0
    cut = "only the first 256 were read; a max_length of up to 512 reads more"
    assert result.err == f"attnprobe: the text has 602 tokens; {cut}\n"
    assert "Not shown at this width: keys 37 to 255." in result.text
