"""What `--of norms` costs beside the same measurement of attention: one text, a long one, mixed lines.

Both run in turns in one process; the ratios are of medians, of processor time on one thread.

    python benchmarks/norms.py [ROUNDS [LINES]]
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from corpora import lines, long_text

from attnprobe import corpus_stats, head_stats, load_encoder


def clock(run: Callable[[str], object], of: str) -> float:
    start = time.process_time()
    run(of)
    return time.process_time() - start


def compare(rounds: int, count: int) -> None:
    encoder, texts = load_encoder(), lines(count)
    long = long_text(encoder, 512)
    short = " ".join(long.split()[:20])
    runs: dict[str, Callable[[str], object]] = {
        "heads, 20 words": lambda of: head_stats(short, encoder, of=of),
        "heads, 512 tokens": lambda of: head_stats(long, encoder, of=of, max_length=512),
        f"corpus, {count:,} mixed lines": lambda of: corpus_stats(texts, encoder, of=of, threads=1).complete(),
    }
    for name, run in runs.items():
        clock(run, "norms")  # finds the values, and loads the compiled loops
        pairs = [(clock(run, "attention"), clock(run, "norms")) for _ in range(rounds)]
        plain, norms = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"{name}: {1000 * plain:.0f} ms of attention, {1000 * norms:.0f} ms of norms, {norms / plain:.2f} x")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(*[int(given) for given in sys.argv[1:3]] + [7, 300][len(sys.argv[1:3]) :])
