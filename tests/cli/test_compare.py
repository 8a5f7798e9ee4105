"""attnprobe compare: two results or two models, what is refused, runs that are killed, and pictures."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from attnprobe import run_corpus
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Result as Part
from tests.cli.commandline import QUERY, Run, check_error

TEXTS = [f"The cat sat on the mat, {number} times." for number in range(12)]


@pytest.fixture(scope="module")
def tuned(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with other queries in layer 0."""
    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("models") / "tuned"))
    weights = load_file(folder / "model.safetensors")
    weights[QUERY.removeprefix("encoder.") if QUERY not in weights else QUERY] *= 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def fill(folder: Path, tiny: Path, tuned: Path) -> Path:
    """Puts the texts and both models into a folder."""
    (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (folder / "base").symlink_to(tiny)
    (folder / "tuned").symlink_to(tuned)
    return folder


@pytest.fixture
def files(tiny: Path, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with texts and both models."""
    monkeypatch.chdir(tmp_path)
    return fill(tmp_path, tiny, tuned)


@pytest.fixture(scope="module")
def made(tiny: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("results"), tiny, tuned)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("base", "tuned"):
            run_corpus("texts.txt", f"{name}.csv", name, ["entropy", "distance"])
    return folder


@pytest.fixture
def results(files: Path, made: Path) -> Path:
    """Also the results of both, as base.csv and tuned.csv."""
    for path in made.glob("*.csv*"):
        shutil.copy2(path, files)
    return files


def test_results_and_models_give_the_same_rows(results: Path, run: Run) -> None:
    of_results = run("compare", "base.csv", "tuned.csv")
    of_models = run("compare", "base", "tuned", "texts.txt", "-k", "entropy", "-k", "distance")
    heads = "attnprobe: 3 of 4 heads changed, q ≤ 0.05 in some metric: "
    for result in (of_results, of_models):
        assert result.code == 0
        assert result.err.startswith(heads)
        assert "intervals and q-values of 12 texts are rough\n" in result.err
    one, other = of_results.frame, of_models.frame
    assert list(one) == [
        *("layer", "head", "metric", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "q_value", "n_texts")
    ]
    assert one["difference"].tolist() == pytest.approx(other["difference"].tolist(), abs=2e-6)
    assert one["ci_high"].tolist() == pytest.approx(other["ci_high"].tolist(), abs=2e-6)


def test_terminal_lists_the_heads_that_changed_most(results: Path, run: Run) -> None:
    for columns in (80, 200):
        shown = run("compare", "base.csv", "tuned.csv", terminal=True, columns=columns).text
        shown = re.sub(r"\x1b\[[\d;]*m", "", shown)
        assert max(map(len, shown.splitlines())) <= columns
        assert shown.startswith("tiny → tuned: 12 texts\n")
        assert "95 % interval" in shown
    shown = run("compare", "base.csv", "tuned.csv", "-k", "entropy", "-f", "table", "-q").text
    assert "change of entropy (nats), 12 texts" in shown
    assert "* q ≤ 0.05." in shown
    same = run("compare", "base.csv", "base.csv", "-f", "table")
    assert "No difference has q ≤ 0.05." in same.text


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_picture_holds_the_signature(results: Path, run: Run, format: str) -> None:
    assert run("compare", "base.csv", "tuned.csv", "-k", "entropy", "-o", f"change.{format}").code == 0
    content = Path(f"change.{format}").read_bytes()
    assert format == "pdf" or b"b_model:tuned@" in content
    if format == "svg":
        assert "change of entropy (nats); framed: q ≤ 0.05" in content.decode()
        assert run("compare", "base", "tuned", "texts.txt", "--maps", "-o", "maps.svg").code == 0
        assert "tiny → tuned: js, 12 texts" in Path("maps.svg").read_text(encoding="utf-8")


def test_maps_of_heads_and_of_those_that_match(files: Path, run: Run) -> None:
    maps = run("compare", "base", "tuned", "texts.txt", "--maps", "-q").frame
    assert list(maps) == ["layer", "head", "js", "cosine", "n_texts"]
    assert (maps["js"] > 0).all()
    matched = run("compare", "base", "tuned", "texts.txt", "--match")
    assert list(matched.frame)[-2:] == ["layer_b", "head_b"]
    assert "heads are matched by the distance of their maps" in matched.err
    shown = run("compare", "base", "tuned", "texts.txt", "--match", "-f", "table", "-q").text
    assert "layer_b" in shown
    some = run("compare", "base", "tuned", "texts.txt", "--maps", "-l", "1", "--head", "0", "-q").frame
    assert some["js"].tolist() == maps["js"].tolist()[2:3]


REFUSED = {
    "maps of results": (["base.csv", "tuned.csv", "--maps"], "results have no maps", "compare A B FILES --maps"),
    "options of a run": (
        ["base.csv", "tuned.csv", "--long-range", "5"],
        "without FILES",
        "--long-range does not apply",
    ),
    "estimate": (["base.csv", "tuned.csv", "-n"], "-n does not apply"),
    "device": (["base.csv", "tuned.csv", "--device", "cpu", "--dtype", "float64"], "--device does not apply"),
    "unpaired models": (["base", "tuned", "texts.txt", "--unpaired"], "are paired", "leave --unpaired out"),
    "metrics of maps": (["base", "tuned", "texts.txt", "--maps", "-k", "entropy"], "maps have no metrics"),
    "picture of many": (["base.csv", "tuned.csv", "-o", "x.png"], "of one metric", "-k entropy chooses one"),
    "picture of all": (["base", "tuned", "texts.txt", "-o", "x.png"], "of one metric"),
    "no result": (["base", "tuned"], "is a folder, and no result", "name these, too"),
    "models of files": (["base.csv", "tuned.csv", "texts.txt"], "is a file", "results are compared without FILES"),
    "unlike models": (["base", "sentence-transformers/all-MiniLM-L6-v2", "texts.txt"], "2 layers, B 6", "--match"),
    "metric of one": (["base.csv", "tuned.csv", "-k", "sink_share"], "no metric 'sink_share' in A and B"),
    "layer": (["base.csv", "tuned.csv", "-l", "7"], "no layer 7"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_suit_is_refused(results: Path, run: Run, name: str) -> None:
    arguments, *said = REFUSED[name]
    check_error(run("compare", *arguments), 2, *said)


def test_other_measurements_are_refused_by_name(results: Path, run: Run) -> None:
    how = ["-k", "entropy", "--long-range", "5", "--queries", "content", "-o", "other.csv"]
    assert run("corpus", "texts.txt", "-m", "tuned", *how).code == 0
    check_error(
        run("compare", "base.csv", "other.csv"),
        2,
        "queries: all in A, content in B; long_range: 10 in A, 5 in B",
        "measure both in the same way",
    )
    assert run("corpus", "texts.txt", "-m", "tuned", "--limit", "7", "-o", "few.csv").code == 0
    check_error(run("compare", "base.csv", "few.csv"), 2, "5 of the 12 ids in A are not in B", "--unpaired")
    unpaired = run("compare", "base.csv", "few.csv", "--unpaired", "-f", "csv", "-k", "entropy")
    assert set(unpaired.frame["n_texts"]) == {19}


class KilledError(BaseException):
    """In place of a SIGKILL."""


@pytest.mark.parametrize("how", [[], ["--match"]])
def test_same_bytes_after_kills(files: Path, run: Run, how: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once a part is stored, twice, and taken up again."""
    monkeypatch.setattr("attnprobe.corpus.settings.CHUNK_TEXTS", 4)
    arguments = ["compare", "base", "tuned", "texts.txt", *how]
    assert run(*arguments, "-o", "whole.csv").code == 0

    add = Job.add
    left: Iterator[bool] = iter([True, True, False, False])

    def add_and_die(job: Job, result: Part) -> None:
        add(job, result)
        if next(left):
            raise KilledError

    monkeypatch.setattr(Job, "add", add_and_die)
    for _ in range(2):
        with pytest.raises(KilledError):
            run(*arguments, "-o", "killed.csv", "--resume")
    assert run(*arguments, "-o", "killed.csv", "--resume").code == 0
    assert Path("killed.csv").read_bytes() == Path("whole.csv").read_bytes()
    other = [*arguments, "--seed", "1"] if not how else [*arguments, "-l", "0"]
    check_error(run(*other, "-o", "killed.csv", "--resume"), 1, "seed" if not how else "layers: 0")
