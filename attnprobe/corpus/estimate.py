"""Estimates the work of a corpus: counts records, and measures a sample of them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from attnprobe.corpus.again import completed
from attnprobe.corpus.chunks import Item
from attnprobe.corpus.prober import Prober, Result
from attnprobe.readers.readers import sample_of
from attnprobe.values.records import Record
from attnprobe.values.table import Cell, Table
from attnprobe.writers.rows import ROW_FORMATS, encode_rows

SAMPLE = 96


def estimate(prober: Prober, items: Iterable[Item], format: str) -> Table:
    """Makes a table of texts, tokens, batches, columns, size and time.

    All records are read and counted; a random sample of them is measured. Its time is that of a loaded model.
    """
    settings, count = prober.settings, Count()
    sample = [item for item in sample_of(count.counted(items), SAMPLE, random.Random(0)) if isinstance(item, Record)]
    start = time.perf_counter()
    results = list(prober.results(settings.chunks(sample)))
    seconds = time.perf_counter() - start
    blocks = [block for result in results for block in result.rows]
    tokens = sum(result.n_tokens for result in results)
    share = count.texts / max(1, sum(result.n_texts for result in results))
    seconds = seconds * share + _seconds_again(prober, results, count.texts)
    size = len(encode_rows(blocks, format if format in ROW_FORMATS else "csv")) if any(map(len, blocks)) else 0
    of_rows: list[tuple[str, Cell]] = [
        ("rows", f"{round(sum(map(len, blocks)) * share):,}"),
        ("columns", ", ".join(settings.columns)),
        ("size of the rows", f"about {_bytes(size * share)}"),
    ]
    about: list[tuple[str, Cell]] = [
        ("texts", f"{count.texts:,}"),
        ("records that would be skipped", f"{count.skipped:,}"),
        ("characters", f"{count.characters:,}"),
        ("tokens", f"about {tokens * share:,.0f}"),
        ("batches", f"at least {max(1.0, tokens * share / settings.running.batch_tokens):,.0f}"),
        *(of_rows if settings.columns else []),
        ("time", f"about {_duration(seconds)}, with one worker, once the model is loaded"),
    ]
    return Table(["what", "how much"], about)


def _seconds_again(prober: Prober, results: Sequence[Result], texts: int) -> float:
    """Estimates how long so many texts take once all have come, if the summary says how many it measures again."""
    summary: Any = sum((result.summary for result in results), prober.empty)
    most = getattr(summary, "again_at_most", 0)
    if not most:
        return 0.0
    start = time.perf_counter()
    completed(summary, prober.encoder)
    seconds = time.perf_counter() - start
    measured = sum(result.n_texts for result in results)
    return seconds * min(texts, most) / max(1, min(measured, most))


@dataclass
class Count:
    """Counts what has been read so far."""

    texts: int = 0
    skipped: int = 0
    characters: int = 0

    def counted(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes items on, and counts each as it is read."""
        for item in items:
            if isinstance(item, Record):
                self.texts += 1
                self.characters += len(item.text) + len(item.pair or "")
            else:
                self.skipped += 1
            yield item


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"
