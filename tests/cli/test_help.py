"""Help at 80 columns: nothing is cut, flags come in groups, and each example runs."""

import gzip
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from attnprobe.analyses import BUILT_IN, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.cli import ADDED, FIRST, LAST, app, load_command
from attnprobe.values.options import PANELS
from tests.atlases import fabricated
from tests.cli.commandline import Run
from tests.treebank import DOCUMENTS, ENGLISH

EXAMPLES = {command.__name__: examples for command, examples in {**FIRST, **LAST}.items()}
EXAMPLES |= {name: load_analysis(name).examples for name in BUILT_IN}
OF_ONE = [name for name in ADDED if isinstance(load_analysis(name), Analysis)]
RUNNABLE = [(name, example) for name, examples in EXAMPLES.items() for example in examples]


def sections(help: str) -> dict[str, list[str]]:
    """The lines below each heading."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in help.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            lines = found.setdefault(line.removesuffix(":"), [])
        elif line.strip():
            lines.append(line)
    return found


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_list_of_commands_is_not_cut(run: Run, terminal: bool) -> None:
    lines = sections(run("-h", terminal=terminal).text)["Commands"]
    assert [line.split()[0] for line in lines] == [*EXAMPLES][:2] + ADDED + [*EXAMPLES][2 : -len(ADDED)]
    for line in lines:
        _, meaning = line.split(maxsplit=1)
        assert 20 < len(meaning) <= 60
        assert meaning.endswith(".")
        assert not meaning.endswith("...")


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_has_groups_and_examples(run: Run, name: str) -> None:
    result = run(name, "-h")
    help = sections(result.text)
    assert (result.code, result.err) == (0, "")
    assert run(name, "-h", terminal=True).text == result.text
    assert max(map(len, result.text.splitlines())) <= 80
    assert list(help)[:-1] == [panel for panel in PANELS if panel in help]
    assert list(help)[-2:] == ["Output", "Examples"]
    assert help["Examples"] == [f"  {example}" for example in EXAMPLES[name]]
    assert len(EXAMPLES[name]) == 3
    assert any("--help" in line for line in help["Output"])
    if name in OF_ONE or name in ("heads", "heatmap", "view"):
        assert list(help) == ["Input", "Model", "What", "Output", "Examples"]
        assert any(line.startswith("  TEXT ") for line in help["Input"])
        assert any("--model" in line for line in help["Model"])
        assert any("--head" in line for line in help["What"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_of_a_flag_is_short(name: str) -> None:
    command = load_command(name) if name in ADDED else typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    for parameter in command.params:
        said, *_ = parameter.help.split("  [")
        assert said.endswith("."), said
        assert len(said) <= (150 if parameter.param_type_name == "argument" else 100), said


@pytest.fixture
def files(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name."""
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(tiny)
    Path("reviews.txt").write_text("The cat sat on the mat.\nIt was warm.\n", encoding="utf-8")
    Path("treebank.conllu").write_text(ENGLISH, encoding="utf-8")
    Path("tuned").symlink_to(tiny)
    for name in ("base.csv", "tuned.csv"):
        rows = (f'"{text}",5,0,{head},{text + head}.5\n' for text in range(20) for head in range(2))
        Path(name).write_text(f'"id","n_tokens","layer","head","entropy"\n{"".join(rows)}', encoding="utf-8")
        Path(f"{name}.meta.json").write_text('{"signature": "model:made-up"}', encoding="utf-8")
    Path("p.fasta").write_text(">a\nMKTAYIAKQRQ\n>b\nGIVEQCCTSICS\n", encoding="utf-8")
    Path("pairs.csv").write_text("id,i,j\na,0,8\nb,1,9\n", encoding="utf-8")
    Path("a.csv").write_text("id,i,j,distance\na,0,8,7.5\na,0,7,9\nb,1,9,6\n", encoding="utf-8")
    Path("data").mkdir()
    lines = "".join(json.dumps({"id": number, "body": "It was warm."}) + "\n" for number in range(3))
    Path("data/one.jsonl").write_text(lines, encoding="utf-8")
    Path("data/two.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("new.json", "old.json"):
        Path(name).write_text(json.dumps(fabricated(2, 2)), encoding="utf-8")
    Path("documents.conllu").write_text(DOCUMENTS, encoding="utf-8")
    return tmp_path


def words(example: str) -> Iterator[str]:
    """The words of an example as a shell reads them, without where its output goes."""
    yield from (line := shlex.split(example, comments=True))[1 : line.index(">") if ">" in line else None]


@pytest.mark.parametrize(("name", "example"), RUNNABLE, ids=[example for _, example in RUNNABLE])
def test_example_runs(run: Run, files: Path, name: str, example: str) -> None:
    before = set(files.rglob("*"))
    arguments = list(words(example))
    result = run(*arguments)
    assert (result.code, re.sub("attnprobe: (done: |.* heads changed, |.* are rough).*\n", "", result.err)) == (
        0,
        "",
    ), result.err
    assert arguments[0] == name
    written = {path.name for path in set(files.rglob("*")) - before}
    if "-o" in arguments:
        assert arguments[arguments.index("-o") + 1] in written
    else:
        assert result.out
