"""Runs in parts without a model: what is measured are numbers made up from the texts."""

from pathlib import Path
from typing import Any

import numpy as np

from attnprobe import Record, RowBlock, Skipped, Summary
from attnprobe.corpus.chunks import chunks
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.prober import Cut, Result
from attnprobe.corpus.results import Results
from attnprobe.values.rows import HEAD_COLUMNS, TEXT_COLUMNS

LAYERS, HEADS, METRICS = (0, 3), (1, 2), ("entropy", "distance", "offset")
COLUMNS = {**TEXT_COLUMNS, **HEAD_COLUMNS, **dict.fromkeys(METRICS, "float32")}

SOURCE = [Record(f'"{n}"\n', "x" * (n % 5 + 1), None, "f", n) if n % 7 else Skipped("f", n, "bad") for n in range(40)]


def fabricate(chunk: list[Record | Skipped]) -> Result:
    """A result that depends on the chunk alone, with profile, skipped records and cut texts."""
    records = [item for item in chunk if isinstance(item, Record)]
    draw = np.random.default_rng([len(record.text) + record.line for record in records if record.line])
    totals = draw.random((len(records), len(LAYERS), len(HEADS), len(METRICS))) * 10
    counts = draw.integers(0, 3, (len(records), len(LAYERS), len(METRICS))).astype(float)
    values = np.where(counts[:, :, None] > 0, totals, np.nan).astype(np.float32)
    offsets = draw.random((len(LAYERS), len(HEADS), 2 * len(records) + 1))
    summary = Summary.empty(LAYERS, HEADS, METRICS, "here").of(totals, counts).with_profile(offsets, len(records))
    n_tokens = [len(record.text) for record in records]
    return Result(
        [RowBlock.of_heads([record.id for record in records], n_tokens, LAYERS, HEADS, METRICS, values)],
        summary,
        len(chunk),
        len(records),
        sum(n_tokens),
        [item for item in chunk if isinstance(item, Skipped)],
        [Cut(record.id, 3) for record in records if len(record.text) == 5],
    )


def make(folder: Path, format: str, **changes: Any) -> Job:
    manifest = {"signature": "here", "input": {"f": "1"}, "options": {"layers": [0, 3]}, **changes}
    results = Results(
        folder / f"out.{format}", format, {"summary": folder / "heads.csv", "profile": folder / "profile.csv"}
    )
    return Job(results, COLUMNS, manifest, Summary.empty(LAYERS, HEADS, METRICS, "here"))


def work(job: Job, source: list[Record | Skipped] = SOURCE, stop_after: int | None = None) -> None:
    """Measures and adds the chunks that do not count yet, or so many of them."""
    for number, chunk in enumerate(job.rest(chunks(source, 4, 100))):
        if number == stop_after:
            return
        job.add(fabricate(chunk))


def whole(folder: Path, format: str) -> dict[str, bytes]:
    """All files of an uninterrupted run."""
    folder.mkdir(exist_ok=True)
    job = make(folder, format)
    job.start(resume=False, overwrite=False)
    work(job)
    job.finish()
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
