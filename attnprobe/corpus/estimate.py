"""How much work a corpus would be: counted where that is cheap, else estimated from a sample."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.prober import Prober
from attnprobe.values.records import Record
from attnprobe.values.table import Cell, Table
from attnprobe.writers.rows import ROW_FORMATS, encode_rows

SAMPLE = 96


def estimate(prober: Prober, items: Iterable[Item], format: str) -> Table:
    """Texts, tokens, batches, columns, size and time, as a table of what and how much.

    All records are read and counted; a random sample of them is measured.
    """
    settings, chance = prober.settings, random.Random(0)
    sample: list[Record] = []
    texts = skipped = characters = 0
    for item in items:
        if not isinstance(item, Record):
            skipped += 1
            continue
        texts, characters = texts + 1, characters + len(item.text) + len(item.pair or "")
        if len(sample) < SAMPLE:
            sample.append(item)
        elif (place := chance.randrange(texts)) < SAMPLE:
            sample[place] = item
    start = time.perf_counter()
    results = list(prober.results([list(sample)]))
    seconds = time.perf_counter() - start
    rows = [result.rows for result in results]
    tokens = sum(sum(block.n_tokens) for block in rows)
    share = texts / max(1, sum(len(block.ids) for block in rows))
    size = sum(len(encode_rows(block, format if format in ROW_FORMATS else "csv")) for block in rows)
    about: list[tuple[str, Cell]] = [
        ("texts", f"{texts:,}"),
        ("records that would be skipped", f"{skipped:,}"),
        ("characters", f"{characters:,}"),
        ("tokens", f"about {tokens * share:,.0f}"),
        ("batches", f"at least {max(1.0, tokens * share / settings.batch_tokens):,.0f}"),
        ("rows", f"{texts * len(settings.layers) * len(settings.heads):,}"),
        ("columns", ", ".join(settings.columns)),
        ("size of the rows", f"about {_bytes(size * share)}"),
        ("time", f"about {_duration(seconds * share)}, with one worker"),
    ]
    return Table(["what", "how much"], about)


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"
