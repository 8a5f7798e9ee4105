"""One run over several sections: what each is read as, its numbers and halves, kills, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from attnprobe import cli
from attnprobe.corpus import sections
from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.inputs import Inputs
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Result
from attnprobe.errors import InputError
from tests.cli.commandline import Run, check_error
from tests.toy import contents
from tests.toy_of_sections import PARTED
from tests.treebank import DOCUMENTS, ENGLISH

TEXTS = ["the cat sat on the mat .", "a dog", "who sees the old boat ?", "it was warm", "a letter of her friend"]
BROKEN = "1\tbroken\n\n"


@pytest.fixture
def parted(run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pd.DataFrame]:
    """Runs the toy in a folder with the files of three sections; returns its rows by section and half."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNPROBE_MODEL", str(tiny))
    monkeypatch.setattr(cli, "load_analysis", lambda name: PARTED)
    Path("texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    Path("more.txt").write_text("\n".join(TEXTS[:2]), encoding="utf-8")
    Path("bank.conllu").write_text(ENGLISH, encoding="utf-8")
    Path("documents.conllu").write_text(DOCUMENTS * 2, encoding="utf-8")

    def parted(*arguments: str, code: int = 0) -> pd.DataFrame:
        result = run("atlas", *arguments)
        assert result.code == code, result.err
        frame = result.frame
        frame.attrs["err"] = result.err
        return frame.set_index(["section", "half"])

    return parted


ALL = ("--conllu", "bank.conllu", "--coref", "documents.conllu")


def test_each_section_is_read_and_halved_as_if_alone(parted: Callable[..., pd.DataFrame]) -> None:
    found = parted("texts.txt", *ALL)
    assert list(found.index.unique(0)) == ["texts", "treebank", "documents"]
    assert list(found["labelled"]) == [0, 0, 3, 3, 2, 2]  # six sentences, four documents
    assert found.loc["texts"].equals(parted("texts.txt").loc["texts"])
    assert found.loc["treebank"].equals(parted("texts.txt", "more.txt", "--conllu", "bank.conllu").loc["treebank"])
    other = parted("texts.txt", *ALL[:2], "--conllu", "documents.conllu", "--coref", "docu*.conllu", "--limit", "1")
    assert other.loc[("texts", "odd"), "n"] == 0
    assert other.loc["treebank", "labelled"].sum() == 6 + 16
    assert other.loc["documents"].equals(found.loc["documents"])


@pytest.mark.parametrize("flag", ["--conllu", "--coref"])
def test_a_pattern_without_quotes_is_no_text(parted: Callable[..., pd.DataFrame], run: Run, flag: str) -> None:
    Path("more.conllu").write_text(ENGLISH, encoding="utf-8")
    for before in ([], ["texts.txt"]):
        said = f"{flag} takes one file, so that 'more.conllu' behind it is a FILE of texts"
        check_error(run("atlas", *before, flag, "bank.conllu", "./more.conllu"), 2, said, f"{flag} 'data/*.conllu'")
    meant: list[list[str]] = [
        ["more.conllu", flag, "bank.conllu"],
        [flag, "bank.conllu", "-q", "more.conllu"],
        [flag, "bank.conllu", "bank.conllu"],
        [flag, "bank.conllu", "texts.txt"],
        [flag, "bank.conllu", flag, "more.conllu", "more.conllu"],
    ]
    for arguments in meant:
        parted("--limit", "1", *arguments)


class KilledError(BaseException):
    """In place of a SIGKILL."""


def test_killed_after_every_part(
    parted: Callable[..., pd.DataFrame], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 4)
    for name in ("whole", "killed"):
        Path(name).mkdir()
    assert run("atlas", "texts.txt", *ALL, "-o", "whole/out.csv", "-q").code == 0
    add, kills = Job.add, 0

    def add_and_die(job: Job, result: Result) -> None:
        add(job, result)
        raise KilledError

    monkeypatch.setattr(Job, "add", add_and_die)
    while not Path("killed/out.csv").exists():
        try:
            run("atlas", "texts.txt", *ALL, "-o", "killed/out.csv", "-q", "--resume")
        except KilledError:
            kills += 1
    assert kills == 2 + 2 + 1
    assert contents(Path("killed")) == contents(Path("whole"))


def test_what_changed_is_named(parted: Callable[..., pd.DataFrame], run: Run) -> None:
    command = ["atlas", "texts.txt", *ALL, "-o", "out.csv", "-q", "--resume"]
    assert run(*command).code == 0
    Path("bank.conllu").write_text(ENGLISH * 2, encoding="utf-8")
    check_error(run(*command), 1, "cannot resume: treebank bank.conllu has other content")
    check_error(run("atlas", "texts.txt", *ALL[:2], *command[6:]), 1, "before: texts.txt, treebank bank.conllu, docum")


def test_a_record_that_cannot_be_used_is_listed(parted: Callable[..., pd.DataFrame], run: Run) -> None:
    Path("bank.conllu").write_text(ENGLISH + BROKEN + ENGLISH, encoding="utf-8")
    result = run("atlas", "texts.txt", *ALL, "-o", "out.csv")
    assert result.code == 3
    (skipped,) = map(json.loads, Path("out.csv.skipped.jsonl").read_text(encoding="utf-8").splitlines())
    assert (skipped["file"], skipped["line"]) == ("bank.conllu", ENGLISH.count("\n") + 1)
    found = pd.read_csv("out.csv", index_col=["section", "half"])
    assert found.loc["treebank", "labelled"].sum() == 12
    check_error(run("atlas", "texts.txt", *ALL, "--on-error", "fail"), 1, f"bank.conllu:{skipped['line']}: ")
    check_error(run("atlas", "texts.txt", "--conllu", "none.conllu"), 1, "no file 'none.conllu'")


def test_estimate_reads_all_sections(parted: Callable[..., pd.DataFrame], run: Run) -> None:
    Path("empty.conllu").write_text("", encoding="utf-8")
    assert (
        run("atlas", "texts.txt", "--conllu", "empty.conllu", "-n").err == "attnprobe: no records in 'empty.conllu'\n"
    )
    found = dict(run("atlas", "texts.txt", *ALL, "-n").frame.to_numpy())
    assert found["texts"] == len(TEXTS) + 6 + 4


def test_without_files_the_built_in_sentences_are_read(parted: Callable[..., pd.DataFrame], run: Run) -> None:
    found = parted(*ALL[:2])
    assert "no FILE is named: reading the built-in sample (English)\n" in found.attrs["err"]
    assert found.loc["treebank", "labelled"].sum() == 6
    assert found.loc["texts", "n"].sum() > 600
    quiet = run("atlas", "-o", "out.csv", "-q")
    assert (quiet.code, quiet.err) == (0, "")
    meta = json.loads(Path("out.csv.meta.json").read_bytes())
    assert [*meta["input"]] == ["built-in sample (English)"]
    assert meta["counts"]["texts"] == 60


def test_a_file_of_any_section_may_not_change_while_it_is_read(tmp_path: Path) -> None:
    for name in ("texts", "bank"):
        (tmp_path / f"{name}.txt").write_text("one\n", encoding="utf-8")
    inputs = {name: Inputs.find([str(tmp_path / f"{name}.txt")]) for name in ("texts", "bank")}
    parts = sections.Sections(inputs)
    chunks = parts.watched([[item] for item in parts.records()])
    assert [next(chunks)[0].section for _ in range(2)] == ["texts", "bank"]  # type: ignore[union-attr]
    (tmp_path / "bank.txt").write_text("two\nthree\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"bank\.txt' changed while it was being read"):
        next(chunks)
