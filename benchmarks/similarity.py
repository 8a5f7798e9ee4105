"""What `attnprobe similarity` costs: its loop beside numpy's, all of it beside `attnprobe corpus`, and its memory.

Run it as `python benchmarks/similarity.py [LINES] [ROUNDS]`. All that is compared runs in turns in one process, on one
thread; ratios are of medians of processor time. The memory of each number of lines is that of a process of its own.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from corpora import lines

from attnprobe import Encoder, corpus_stats, load_encoder, similarity
from attnprobe.attention.divergence import divergences, mixture_sums


def seconds(*turns: Callable[[], object], rounds: int) -> list[float]:
    """The medians of processor time, all in turns."""
    took: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for run, of_run in zip(turns, took, strict=True):
            start = time.process_time()
            run()
            of_run.append(time.process_time() - start)
    return [median(of_run) for of_run in took]


def compare_loops(rounds: int, heads: int = 144, tokens: int = 512, share: int = 16) -> None:
    """All pairs of heads, all queries of one text; numpy's loop over one pair in ``share``, its entropies given."""
    scores = torch.randn(tokens, heads, tokens, generator=torch.Generator().manual_seed(0)) * 3
    rows = torch.softmax(scores, -1)
    maps = rows.transpose(0, 1).contiguous().numpy()
    pairs = [(i, j) for i in range(heads) for j in range(i)]

    entropy = -(maps * np.log(np.maximum(maps, 1e-37))).sum(-1)

    def in_numpy() -> np.ndarray:
        found = []
        for i, j in pairs[::share]:
            mixed = (maps[i] + maps[j]) / 2
            found.append((-(mixed * np.log(mixed)).sum(-1) - (entropy[i] + entropy[j]) / 2).mean())
        return np.array(found)

    def compiled() -> np.ndarray:
        return divergences(mixture_sums(rows, fast=True)) / tokens

    compiled()
    worst = np.abs(compiled()[::share] - in_numpy()).max()
    ours, theirs = seconds(compiled, in_numpy, rounds=rounds)
    theirs *= share
    print(
        f"{heads} heads, {tokens} tokens: {ours:.2f} s, numpy {theirs:.1f} s, {theirs / ours:.1f} x; off by {worst:.0e}"
    )


def compare_commands(encoder: Encoder, count: int, rounds: int) -> None:
    """The default sample beside the default metrics, on lines of each kind."""
    found = lines(count)
    lengths = np.array([len(encoder.tokenize(line, words=False)[0]) for line in found])
    kinds = {"all": lengths > 0, "short": lengths <= np.median(lengths), "long": lengths >= 100}
    for name, chosen in kinds.items():
        texts = [line for line, its in zip(found, chosen, strict=True) if its]
        turns = (
            lambda texts=texts: sum(1 for _ in corpus_stats(texts, encoder, threads=1)),
            lambda texts=texts: similarity(texts, encoder, threads=1),
        )
        for run in turns:
            run()
        corpus, ours = seconds(*turns, rounds=rounds)
        kind = f"{len(texts)} {name} lines of {lengths[chosen].mean():.0f} tokens"
        print(f"{kind}: {ours:.2f} s, corpus {corpus:.2f} s, {ours / corpus:.2f} x")


def measure_memory(count: int) -> None:
    """The most memory of a process that compares heads over so many lines."""
    found = (lines(500) * (count // 500 + 1))[:count]
    similarity((f"{number} {line}"[:300] for number, line in enumerate(found)), threads=1)
    print(f"{count:,} lines: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["memory"]:
        measure_memory(int(sys.argv[2]))
    else:
        count, rounds = (*map(int, sys.argv[1:]), *(300, 3)[len(sys.argv) - 1 :])
        compare_loops(rounds)
        compare_commands(load_encoder(), count, rounds)
        for number in (500, 5000):
            subprocess.run([sys.executable, __file__, "memory", str(number)], check=True)
