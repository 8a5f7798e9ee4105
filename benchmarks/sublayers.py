"""What a layer's parts, and what surrounds its attention, cost beside a pass of the encoder that measures nothing.

Everything runs in turns in one process; the ratio of medians counts, of processor time on one thread.

    python benchmarks/sublayers.py [ROUNDS]
"""

import statistics
import sys
from collections.abc import Callable

import torch
from rollout import WORDS, clock

from attnprobe import load_encoder
from attnprobe.models.parts import visit_layers
from attnprobe.models.sublayers import visit_sublayers

LENGTHS = (26, 128, 512)


def compare(rounds: int) -> None:
    encoder = load_encoder()
    layers = range(encoder.layers)
    for length in LENGTHS:
        [tokens] = encoder.tokenize(WORDS, max_length=length)
        assert len(tokens) == length
        runs: dict[str, Callable[[], object]] = {
            "a pass": lambda tokens=tokens: encoder.observe([tokens], lambda layer, group: None),
            "parts": lambda tokens=tokens: visit_layers(encoder, tokens, layers, lambda parts: None),
            "sublayers": lambda tokens=tokens: visit_sublayers(encoder, tokens, layers, lambda found: None),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for round_ in range(rounds + 1):
            for name, run in runs.items():
                clock(run, times[name] if round_ else [])
        plain = statistics.median(times["a pass"])
        for name, found in times.items():
            median = statistics.median(found)
            print(f"{length:3} tokens  {name:9}  {1000 * median:6.0f} ms  {median / plain:.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
