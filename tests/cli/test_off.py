"""Every command that runs a model takes heads off in all its runs, says so, and refuses what names none."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attnprobe import Encoder
from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.cli import FIRST, LAST
from attnprobe.cli.options import Loading
from attnprobe.corpus import engines
from attnprobe.corpus.workers import Recipe, Worker
from tests.cli.commandline import TEXT, Run, check_error
from tests.treebank import DOCUMENTS, ENGLISH

TEXTS = ["The cat sat.", "A dog barked at it.", "Nobody saw the two of them.", "It rained."]
NO_MODEL = {"metrics", "models"}
COMMANDS = sorted({command.__name__ for command in (*FIRST, *LAST)} - NO_MODEL | set(ANALYSES))
WITH_ALL = {"compare", "view", "atlas"}  # of two models the second has heads off; contributions are found with all on
NONSENSE = {
    ("--off", "0:2"): "no head 2: the model has 2",
    ("--off", "0:*", "--off-how", "one"): "one keeps all heads of layer 0",
    ("--off-how", "mean"): "off_how mean switches nothing off",
}


def arguments(command: str, model: Path, source: Path) -> list[Any]:
    """What a command needs to run, but for the heads that are off."""
    if command == "compare":
        return [model, model, source]
    if command == "info":
        return [model]
    analysis = load_analysis(command) if command in ANALYSES else None
    of_many = command == "corpus" or not (analysis is None or isinstance(analysis, Analysis))
    more = {"trace": ["-l", "1", "--head", "0", "--query", "3"], "view": ["--against-model", model]}
    read = annotated(analysis, source.parent) or source if of_many else TEXT
    return [read, "-m", model, "-q", *more.get(command, [])]


def annotated(analysis: Any, folder: Path) -> Path | None:
    """A treebank, or documents with mentions, for an analysis that reads such."""
    if not getattr(analysis, "labels", ()) or "contacts" in analysis.labels:
        return None
    path = folder / "treebank.conllu"
    path.write_text(DOCUMENTS if analysis.instead else ENGLISH, encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_heads_off_in_all_runs(
    command: str, run: Run, tiny: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(command, tiny, source)
    with monkeypatch.context() as patch:
        patch.setattr(Loading, "encoder", None)  # refused before a model is loaded
        for flags, words in NONSENSE.items():
            check_error(run(command, *given, *flags), 2, words)
    runs, ran = set[str | None](), Encoder.run

    def noting(encoder: Encoder, *arguments: Any, **options: Any) -> Any:
        runs.add(encoder.off_text)
        return ran(encoder, *arguments, **options)

    monkeypatch.setattr(Encoder, "run", noting)
    result = run(command, *given, "--off", "-2:0-1,0:1")
    assert result.code == 0, result.err
    off = {"0:*(zero)"} if command != "info" else set()
    assert runs == off | ({None} if command in WITH_ALL else set())
    if command in ("heatmap", "view", "info"):
        assert "0:*(zero)" in result.text


def test_title_names_the_heads(run: Run, tiny: Path) -> None:
    for command in ("heads", "tokens", "weights", "flow"):
        shown = run(command, TEXT, "-m", tiny, "--off", "1:1", "--off-how", "mean", terminal=True)
        assert "tiny with heads 1:1(mean) off" in shown.text, command


def test_workers_and_resumed_runs_have_heads_off(
    run: Run, tiny: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers load the model by what they are sent; a process of their own is none of their affairs."""

    def in_this_process(chunks: Iterable[Any], recipe: Recipe, workers: int) -> Iterator[Any]:
        worker = Worker(pickle.loads(pickle.dumps(recipe)))
        yield from map(worker.measure, chunks)

    monkeypatch.setattr(engines, "in_processes", in_this_process)

    def corpus(name: str, *flags: Any) -> Any:
        return run("corpus", source, "-m", tiny, "-k", "entropy", "-o", tmp_path / name, *flags)

    assert corpus("of_one.csv", "--off", "0:1,1:0").code == 0
    assert corpus("of_two.csv", "--off", "1:0,0:1", "--workers", "2").code == 0
    assert corpus("on.csv").code == 0
    of_one, of_two, plain = ((tmp_path / name).read_bytes() for name in ("of_one.csv", "of_two.csv", "on.csv"))
    assert of_one == of_two != plain
    again = corpus("of_one.csv", "--off", "1:-2,0:1", "--resume")
    assert (again.code, "nothing to resume" in again.err) == (0, True)
    check_error(corpus("of_one.csv", "--resume"), 1, "off: none, before: 0:1,1:0(zero)")
    compared = run("compare", tmp_path / "on.csv", tmp_path / "of_one.csv")
    assert "off: none in A, 0:1,1:0(zero) in B" in compared.err
