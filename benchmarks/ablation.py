"""What heads switched off, one at a time, cost beside as many forward passes over the same batches.

Run it as `python benchmarks/ablation.py [LINES] [ROUNDS]`. All that is compared runs in turns in one process, on one
thread, in batches of texts of equal length as corpora have them; ratios are of medians of processor time. The target is
at most 0.6 of a forward pass for each head: 72 heads of 6 layers, of which those below the head are not run again.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import torch
from corpora import lines

from attnprobe import Encoder, load_encoder
from attnprobe.analyses.ablation import Ablation
from attnprobe.corpus.chunks import by_length
from attnprobe.measure.running import measure
from attnprobe.models.passing import Layers
from attnprobe.values.options import Reading, Running
from attnprobe.values.tokens import Tokens

TARGETS = {"zero": "≤ 0.6", "mean": "", "uniform": ""}


def medians(*turns: Callable[[], object], rounds: int) -> list[float]:
    """The medians of processor time, all in turns."""
    took: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for run, of_run in zip(turns, took, strict=True):
            start = time.process_time()
            run()
            of_run.append(time.process_time() - start)
    return [median(of_run) for of_run in took]


def compare_to_forward(encoder: Encoder, texts: Sequence[Tokens], what: str, rounds: int) -> None:
    """Each way to switch heads off, and whole runs, beside the model alone."""
    groups = by_length([len(text) for text in texts], Running().batch_tokens)
    batches = [[texts[index] for index in some] for some in groups]

    def forward() -> None:
        for batch in batches:
            encoder.observe(batch, lambda *_: None, encoder.groups(batch))

    def off(ablation: Ablation) -> Callable[[], object]:
        return lambda: [measure(batch, encoder, ablation) for batch in batches]

    every = {"layers": range(encoder.layers), "objective": "sensitivity", "label_column": None}
    chosen = {how: Ablation.choose(encoder, Reading(), method=how, **every) for how in TARGETS}
    chosen["zero, whole runs"] = replace(chosen["zero"], found=Layers(()))
    forward()
    usual, *took = medians(forward, *map(off, chosen.values()), rounds=rounds)
    heads = encoder.layers * encoder.heads
    print(f"{len(texts)} {what}, {sum(map(len, texts)):,} tokens: forward {usual:.2f} s, {heads} heads")
    for how, seconds in zip(chosen, took, strict=True):
        print(
            f"  {how}: {seconds:.2f} s, {seconds / usual / heads:.3f} of a forward pass a head {TARGETS.get(how, '')}"
        )


def main() -> None:
    torch.set_num_threads(1)
    count, rounds = (int(number) for number in (*sys.argv[1:], 60, 3)[:2])
    encoder = load_encoder().replica()
    texts = [encoder.tokenize(line, words=False)[0] for line in lines(count)]
    compare_to_forward(encoder, texts, "lines of mixed lengths", rounds)
    compare_to_forward(encoder, [text for text in texts if len(text) >= 100][:4], "long lines", rounds)


if __name__ == "__main__":
    main()
