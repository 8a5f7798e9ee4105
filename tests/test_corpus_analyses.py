"""What every analysis of many texts keeps to: batches, workers, files, a kill and a sum of parts change no answer."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnprobe import Encoder, Record, run_corpus
from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Prober, Result
from attnprobe.corpus.sections import in_sections
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.corpus.texts import to_records
from attnprobe.values.table import Table
from tests.exact import EXACT, doubled, float64
from tests.readers.reading import read
from tests.toy import contents
from tests.toy_of_many import OWN
from tests.treebank import DOCUMENTS, ENGLISH, TREEBANK

OF_MANY: dict[str, CorpusAnalysis] = {name: load_analysis(name) for name in ANALYSES}
OF_MANY = {name: one for name, one in OF_MANY.items() if isinstance(one, CorpusAnalysis)} | {"own": OWN}
OF_MANY["importance, heads off"] = OF_MANY["importance"]
EVERY = pytest.mark.parametrize("name", OF_MANY)
REQUIRED: dict[str, dict[str, Any]] = {  # of an analysis in another way, or with all of its tables
    "importance, heads off": {"method": "zero"},
    "relations": {"shares": True},
    "atlas": {"sections": ["texts", "treebank", "documents"]},
}
TEXTS = [f"the cat {'and the dog ' * (n % 6)}sat on {'a' if n % 2 else 'the'} mat ." for n in range(20)]
PROTEINS = [{"sequence": "MKTAYIAKQRQISF"[n % 3 :] * 2, "contacts": [[0, 8], [n % 5, 15]]} for n in range(20)]
GIVEN: dict[str, tuple[str, str]] = {  # of an analysis that needs more than texts: the suffix and the text of a file
    "relations": ("conllu", TREEBANK + ENGLISH),
    "trees": ("conllu", TREEBANK + ENGLISH),
    "probe": ("conllu", TREEBANK + ENGLISH),
    "coreference": ("conllu", DOCUMENTS * 10),
    "contacts": ("jsonl", "".join(f"{json.dumps(protein)}\n" for protein in PROTEINS)),
}
PAIRED = [Record(str(n), TEXTS[n], TEXTS[-n] if n % 3 else None) for n in range(1, 14)]


def records_of(name: str, usual: Sequence[Any]) -> list[Any]:
    """The records that an analysis is given, as its file has them; by default the usual ones."""
    if name not in GIVEN:
        return list(usual)
    suffix, content = GIVEN[name]
    return read(content.encode(), OF_MANY[name].instead.get(suffix, suffix), also=tuple(OF_MANY[name].labels))


def records_of_all_sections(name: str) -> list[Any]:
    """The records that an analysis is given, and those of its further sections."""
    found = {"texts": records_of(name, PAIRED)}
    for section, about in OF_MANY[name].sections.items():
        format = about.instead.get("conllu", "conllu")
        found[section] = read((ENGLISH + DOCUMENTS).encode(), format, also=tuple(about.labels))
    return list(in_sections(found))


def settings_of(name: str, encoder: Encoder, **options: Any) -> Settings:
    return Settings.of_analysis(OF_MANY[name], encoder, **REQUIRED.get(name, {}), **options)


def summary_of(name: str, encoder: Encoder, texts: Any, **options: Any) -> Any:
    records = to_records(texts, None, None, OF_MANY[name].reads({}), OF_MANY[name].instead)
    return CorpusStats(Prober(encoder, settings_of(name, encoder, **options)), records).complete()


def assert_same(found: Any, expected: Any, tolerance: float = 0.0) -> None:
    """Two summaries have the same tables, words to the letter."""
    tables = [{table: make() for table, make in summary.tables().items()} for summary in (found, expected)]
    assert tables[0].keys() == tables[1].keys()
    for table, one in tables[0].items():
        other = tables[1][table]
        assert list(one.columns) == list(other.columns)
        for column in one.columns:
            cells = [numbers(each, column) for each in (one, other)]
            np.testing.assert_allclose(*cells, rtol=tolerance, atol=tolerance, err_msg=f"{table}: {column}")
            assert words(one, column) == words(other, column)


def numbers(table: Table, column: str) -> list[float]:
    return [float(cell) if isinstance(cell, int | float | np.number) else np.nan for cell in table.column(column)]


def words(table: Table, column: str) -> list[str]:
    return [cell for cell in table.column(column) if isinstance(cell, str)]


@EVERY
def test_batches_change_no_answer(name: str, encoder_of: Callable[[str], Encoder]) -> None:
    shared = encoder_of("bert")
    with float64():
        encoder = doubled(shared)
        small, large = (
            summary_of(name, encoder, records_of_all_sections(name), batch_tokens=size) for size in (64, 4096)
        )
    assert_same(small, large, EXACT)


@EVERY
def test_workers_change_no_answer(name: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Two workers as they get their settings, and give their results; processes: tests/test_runs_without_rows.py."""
    encoder = encoder_of("bert")
    settings = settings_of(name, encoder)
    alone = Prober(encoder, settings)
    workers = [Prober(encoder, pickle.loads(pickle.dumps(settings)), threads=1) for _ in range(2)]
    chunks = [
        chunk[start : start + 3]
        for chunk in settings.chunks(records_of_all_sections(name))
        for start in range(0, len(chunk), 3)
    ]
    expected = found = alone.empty
    for result in alone.results(chunks):
        expected += result.summary
    for number, chunk in enumerate(chunks):
        [result] = workers[number % 2].results([pickle.loads(pickle.dumps(chunk))])
        found += pickle.loads(pickle.dumps(result)).summary
    assert_same(found, expected)


@EVERY
def test_files_give_the_answer_of_their_texts(name: str, encoder_of: Callable[[str], Encoder], tmp_path: Path) -> None:
    encoder = encoder_of("bert")
    expected = summary_of(name, encoder, records_of(name, TEXTS))
    if name in GIVEN:
        suffix, content = GIVEN[name]
        given = tmp_path / f"given.{suffix}"
        given.write_text(content, encoding="utf-8")
        assert_same(summary_of(name, encoder, [given]), expected)
        return
    lines, table = tmp_path / "texts.jsonl", tmp_path / "texts.csv"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in TEXTS)])
    for texts in (lines, [table]):
        assert_same(summary_of(name, encoder, texts), expected)


class KilledError(BaseException):
    """In place of a SIGKILL."""


@EVERY
def test_killed_and_taken_up_again(
    name: str, encoder_of: Callable[[str], Encoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, content = GIVEN.get(name, ("txt", "\n".join(TEXTS)))
    encoder, source = encoder_of("bert"), tmp_path / f"texts.{suffix}"
    source.write_text(content, encoding="utf-8")
    format = OF_MANY[name].instead.get(suffix, suffix)
    measure = settings_of(name, encoder).measurement
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 7)
    add, kills = Job.add, 0

    def add_and_die(job: Job, result: Result) -> None:
        add(job, result)
        raise KilledError

    def run(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        run_corpus(source, folder / "out.csv", encoder, measure=measure, input_format=format, resume=True)

    run(tmp_path / "whole")
    monkeypatch.setattr(Job, "add", add_and_die)
    while not (tmp_path / "killed" / "out.csv").exists():
        try:
            run(tmp_path / "killed")
        except KilledError:
            kills += 1
    assert kills == 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@EVERY
def test_halves_add_up_to_the_whole(name: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Each text a batch of its own, so that its numbers are the same in any part."""
    encoder, records = encoder_of("bert"), records_of_all_sections(name)

    def of(texts: Sequence[Record]) -> Any:
        return summary_of(name, encoder, texts, batch_tokens=1)

    assert_same(of(records[:6]) + of(records[6:]), of(records), 1e-12)  # an even number: halves stay halves
    assert_same(of([]) + of(records), of(records))
