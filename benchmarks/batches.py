"""Texts in batches as corpora have them, and what runs over them cost, side by side in one process."""

import time
from collections.abc import Callable, Sequence
from statistics import median

from attnprobe import Encoder
from attnprobe.corpus.chunks import by_length
from attnprobe.values.options import Running
from attnprobe.values.tokens import Tokens


def batches_of(texts: Sequence[Tokens]) -> list[list[Tokens]]:
    """Batches of texts of equal length."""
    return [[texts[index] for index in some] for some in by_length(list(map(len, texts)), Running().batch_tokens)]


def forward_over(encoder: Encoder, batches: Sequence[Sequence[Tokens]]) -> Callable[[], None]:
    """The model alone, over all batches."""

    def forward() -> None:
        for batch in batches:
            encoder.observe(batch, lambda *_: None, encoder.groups(batch))

    return forward


def medians(*turns: Callable[[], object], rounds: int) -> list[float]:
    """The medians of processor time, all in turns."""
    took: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for run, of_run in zip(turns, took, strict=True):
            start = time.process_time()
            run()
            of_run.append(time.process_time() - start)
    return [median(of_run) for of_run in took]
