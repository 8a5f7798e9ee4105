"""What heads switched off, one at a time, cost beside as many forward passes over the same batches.

Run it as `python benchmarks/ablation.py [LINES] [ROUNDS]`. All that is compared runs in turns in one process, on one
thread, in batches of texts of equal length as corpora have them; ratios are of medians of processor time. The target is
at most 0.6 of a forward pass for each head: 72 heads of 6 layers, of which those below the head are not run again.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from batches import batches_of, forward_over, medians
from corpora import lines

from attnprobe import Encoder, load_encoder
from attnprobe.analyses.ablation import Ablation
from attnprobe.measure.running import measure
from attnprobe.models.passing import Layers
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Tokens

TARGETS = {"zero": "≤ 0.6", "mean": "", "uniform": ""}


def compare_to_forward(encoder: Encoder, texts: Sequence[Tokens], what: str, rounds: int) -> None:
    """Each way to switch heads off, and whole runs, beside the model alone."""
    batches = batches_of(texts)
    forward = forward_over(encoder, batches)

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
