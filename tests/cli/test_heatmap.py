"""attnprobe heatmap: text on a terminal or in a pipe, figures in files, and what is refused."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import attnprobe
from attnprobe import Encoder, TruncationWarning
from attnprobe.models import loading
from attnprobe.render import figure
from attnprobe.render.figure import save_figure
from tests.cli.commandline import LONG_TEXT, TEXT, Run, check_error, lasting

ROOT = Path(__file__).parent.parent.parent
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
    reading = {"pair": "Was it tired?", "level": "word", "max_length": 12, "colours": "white"}
    for number, what in enumerate(
        ({"long_range": 2, "stat": "long_range_share"}, {"special": "renormalise", "scale": "linear"})
    ):
        options, path = {**reading, **what}, tmp_path / f"{number}.svg"
        flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        assert run("heatmap", TEXT, *flags, "-l", "1-2", "--head", "0,1", "-o", path).code == 0
        expected = io.BytesIO()
        with pytest.warns(TruncationWarning):
            save_figure(attnprobe.heatmap(TEXT, minilm, layers="1-2", heads="0,1", **options), expected, "svg")
        assert path.read_bytes() == expected.getvalue()


def test_a_terminal_shows_what_was_chosen(run: Run) -> None:
    text = run("heatmap", TEXT, "--special", "drop", "-l", 3).text
    assert "7 tokens, special tokens left out" in text
    assert "√ scale" in text
    assert "√" not in run("heatmap", TEXT, "--scale", "linear", "-l", 3).text
    assert "√ scale" in run("heatmap", TEXT, *ONE_HEAD, "--scale", "sqrt").text
    assert "sqrt scale" in run("heatmap", TEXT, "-l", 3, encoding="ascii").text
    white = run("heatmap", TEXT, *ONE_HEAD, "--colours", "white", terminal=True).text
    assert "48;5;231m" in white
    assert "48;5;231m" not in run("heatmap", TEXT, *ONE_HEAD, terminal=True).text


@pytest.fixture(scope="module")
def summaries(minilm: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the summary of two texts in each format, and the text file."""
    folder = tmp_path_factory.mktemp("summaries")
    (folder / "texts.txt").write_text("A cat sat.\nThe dog ran away.\n", encoding="utf-8")
    for format in ("csv", "tsv", "json", "jsonl", "parquet"):
        names = {"output": folder / f"rows-{format}.csv", "summary": folder / f"heads.{format}"}
        attnprobe.run_corpus(folder / "texts.txt", encoder=minilm, metrics=["entropy", "offset"], **names)
    return folder


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_summary_is_drawn(run: Run, minilm: Encoder, summaries: Path, tmp_path: Path, format: str) -> None:
    found = ("heatmap", "--summary", summaries / f"heads.{format}", "--stat", "offset", "-l", "0,2-3", "--head", -1)
    text = run(*found).text
    assert text.startswith("all-MiniLM-L6-v2: offset (tokens), mean of 2 texts\n")
    one, other = (
        attnprobe.head_stats(text, minilm, ["offset"], layers="0,2-3", heads=11)["offset"]
        for text in ("A cat sat.", "The dog ran away.")
    )
    expected = [f"{layer} {mean:.3f}" for layer, mean in zip((0, 2, 3), (one + other) / 2, strict=True)]
    assert [" ".join(line.split()) for line in text.splitlines()[4:7]] == expected
    assert run(*found, "-o", tmp_path / "out.svg").code == 0
    assert b"model:all-MiniLM-L6-v2@53aa51172d14|" in (tmp_path / "out.svg").read_bytes()


def test_a_summary_needs_neither_torch_nor_a_model(summaries: Path) -> None:
    script = (
        "import sys; from attnprobe.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit: print(exit.code or 0, {'torch', 'transformers'} & {*sys.modules})"
    )
    told = ("heatmap", "-m", "./nothere", "--summary", summaries / "heads.csv", "--stat", "entropy")
    command = [sys.executable, "-c", script, *map(str, told), "-o", "-", "-f", "svg"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.startswith(b"<?xml")
    assert done.stdout.endswith(b"0 set()\n")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--summary", "texts.txt"], 2, ["texts.txt", ".parquet"]),
        (["--summary", "rows-csv.csv"], 1, ["rows-csv.csv", "no summary", "--summary"]),
        (["--summary", "broken.json"], 1, ["broken.json", "no summary"]),
        (["--summary", "broken.parquet"], 1, ["broken.parquet", "no summary"]),
        (["--summary", "twice.csv"], 1, ["twice.csv", "no summary"]),
        (["--summary", "nothere.csv"], 1, ["nothere.csv", "No such file"]),
        (["--summary", "heads.csv"], 2, ["2 metrics", "--stat entropy"]),
        (["--summary", "heads.csv", "--stat", "offsets"], 2, ["'offsets'", "'offset'"]),
        (["--summary", "heads.csv", "--stat", "offset", "-l", "6"], 2, ["layer 6"]),
        (["--summary", "some.csv", "-l", "1"], 2, ["no layer 1", "0, 2"]),
        (["--summary", "heads.csv", "--stat", "offset", "--special", "drop"], 2, ["special", "statistic"]),
        (["--summary", "heads.csv", "a text"], 2, ["TEXT"]),
    ],
    ids=str,
)
def test_wrong_summaries(
    run: Run, summaries: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, words: list[str]
) -> None:
    monkeypatch.chdir(summaries)
    (summaries / "broken.json").write_text('[{"layer": 0, "head": [], "metric": "entropy"}]', encoding="utf-8")
    (summaries / "broken.parquet").write_bytes(b"PAR1")
    header, *rows = (summaries / "heads.csv").read_text(encoding="utf-8").splitlines()
    some = [row for row in rows if row.startswith(("0,", "2,")) and "entropy" in row]
    (summaries / "some.csv").write_text("\n".join([header, *some]), encoding="utf-8")
    (summaries / "twice.csv").write_text("\n".join([header, rows[0], rows[0]]), encoding="utf-8")
    check_error(run("heatmap", *options), code, *words)


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
    assert (result.code, lasting(result.err)) == (0, "")
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
        (["--stat", "entropy", "--special", "drop"], ["special", "statistic"]),
        (["--colours", "grey"], ["grey", "white"]),
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
