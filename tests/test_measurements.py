"""Runs carry any measurement: a toy of another package goes wherever head means go, with no line changed for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attnprobe import Columns, Encoder, load_encoder, run_corpus, weights
from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Result
from attnprobe.errors import OutputError, UsageError
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.running import measure
from attnprobe.measure.several import Several
from attnprobe.measure.weights import KeptWeights
from attnprobe.values.options import Engine, Reading
from tests.toy import TEXTS, LargestWeights, contents, run, write_records


@pytest.fixture(scope="module")
def model(folder_of: Callable[[str], Path]) -> Path:
    return folder_of("bert")


@pytest.fixture(scope="module")
def encoder(model: Path) -> Encoder:
    return load_encoder(model)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("source") / "texts.jsonl")


@pytest.fixture(scope="module")
def whole(source: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process gives."""
    folder = tmp_path_factory.mktemp("whole")
    assert (encoder.layers, encoder.heads) == (3, 4)
    run(source, folder, encoder)
    return contents(folder)


def test_rows_and_summary_are_those_of_loops(
    whole: dict[str, bytes], encoder: Encoder, tmp_path: Path, source: Path
) -> None:
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    rows, own = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "own.csv")
    records = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    expected, counts = [], {}
    for record in (record for record in records if record["text"]):
        inputs = encoder.tokenizer(record["text"], return_tensors="pt")
        with torch.inference_mode():
            attentions = load_eager(encoder)(**inputs, output_attentions=True).attentions
        for layer, of_layer in enumerate(attentions):
            for head, of_head in enumerate(of_layer[0]):
                for query, row in enumerate(of_head):
                    largest = int(row.argmax())
                    expected.append((record["id"], len(of_head), record["class"], layer, head, query, largest))
                    count = counts.setdefault((record["class"], layer, head), [0, 0])
                    count[0] += largest == query
                    count[1] += 1
    assert list(rows.itertuples(index=False, name=None)) == expected
    assert list(own.itertuples(index=False, name=None)) == [
        (*place, own_count / count, count) for place, (own_count, count) in sorted(counts.items())
    ]


def load_eager(encoder: Encoder) -> torch.nn.Module:
    import transformers

    model = transformers.AutoModel.from_pretrained(encoder.location.folder, attn_implementation="eager")
    return model.eval()


@pytest.mark.usefixtures("warm_workers")
def test_in_processes(source: Path, model: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """On Ray: tests/test_ray.py."""
    run(source, tmp_path, model, Engine(workers=2))
    assert contents(tmp_path) == whole


class KilledError(BaseException):
    """In place of a SIGKILL."""


def test_killed_and_taken_up_again(
    source: Path, encoder: Encoder, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every part."""
    add = Job.add

    def add_and_die(job: Job, result: Result) -> None:
        add(job, result)
        raise KilledError

    kills = 0
    while "out.csv" not in (names := [path.name for path in tmp_path.iterdir()]) or "out.csv.parts" in names:
        with monkeypatch.context() as patch:
            patch.setattr(Job, "add", add_and_die)
            try:
                run(source, tmp_path, encoder, resume=True)
            except KilledError:
                kills += 1
    assert kills == len(TEXTS) // corpus_settings_chunk(encoder) + 1
    assert contents(tmp_path) == whole


@dataclass(frozen=True)
class OtherWeights(LargestWeights):
    """Another measurement, of the same settings."""


def test_run_of_another_measurement_is_not_taken_up(source: Path, encoder: Encoder, tmp_path: Path) -> None:
    toys = [kind.choose(encoder, Reading()) for kind in (LargestWeights, OtherWeights)]
    run_corpus(source, tmp_path / "out.csv", encoder, measure=toys[0])
    with pytest.raises(OutputError, match=r"cannot resume: measure: .*:OtherWeights, before: .*:LargestWeights"):
        run_corpus(source, tmp_path / "out.csv", encoder, measure=toys[1], resume=True)


def corpus_settings_chunk(encoder: Encoder) -> int:
    return corpus_settings.CHUNK_VALUES // LargestWeights.choose(encoder, Reading()).size


def test_several_share_one_run_of_the_model(encoder: Encoder) -> None:
    reading = Reading()
    means = HeadMeans.choose(encoder, reading, layers=[1], profile=True)
    kept, toy = KeptWeights.choose(encoder, reading, heads=[2]), LargestWeights.choose(encoder, reading)
    windows = [encoder.tokenize(text)[0] for text in TEXTS[:3]]
    runs: list[object] = []
    handle = encoder.model.register_forward_hook(lambda *call: runs.append(call))
    together = measure(windows, encoder, Several({"means": means, "weights": kept, "toy": toy}))
    handle.remove()
    assert len(runs) == 1
    for place, alone in enumerate([means, kept, toy]):
        found = measure(windows, encoder, alone)  # type: ignore[arg-type]
        for one, several in zip(found.texts, together.texts, strict=True):
            for name, value in vars(one).items():
                np.testing.assert_array_equal(np.array(value), np.array(getattr(several[place], name)))
    assert together.together[0].n_queries == sum(map(len, windows))


def test_weights_of_a_corpus_are_those_of_each_text(source: Path, encoder: Encoder, tmp_path: Path) -> None:
    options = {"layers": 1, "heads": [0, 3], "level": "word"}
    run_corpus(source, tmp_path / "out.csv", encoder, measure="weights", columns=Columns(id="id"), **options)
    rows = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(rows.columns[:2]) == ["id", "n_tokens"]
    found = rows[rows["id"] == "n3"].drop(columns=["id", "n_tokens"]).reset_index(drop=True)
    expected = weights(TEXTS[3], encoder, **options)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"summary": "s.csv"}, "no summary"),
        ({"profile": "p.csv"}, "no option 'profile'"),
        ({"metrics": ["entropy"]}, "no option 'metrics'"),
        ({"measure": "weight"}, "did you mean 'weights'"),
    ],
    ids=str,
)
def test_what_a_measurement_does_not_give_is_refused(
    options: dict[str, Any], message: str, source: Path, encoder: Encoder, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run_corpus(source, tmp_path / "out.csv", encoder, **{"measure": "weights", **options})
    assert list(tmp_path.iterdir()) == []
