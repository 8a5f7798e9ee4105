"""What an atlas costs beside `corpus` on the same lines, and its parts; all in one process, in turns, A B A B.

Real text that every Python has, or the texts of FILES as well, MiniLM on a CPU with one thread; ratios are of medians
of processor time. Run it as `python benchmarks/atlas.py [LINES [ROUNDS [FILES]]]`.
"""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from corpora import lines
from peaks import peak, print_peak

from attnprobe import Encoder, atlas, corpus_stats, find_sources, load_encoder, patterns, read_records, similarity

Run = Callable[[], object]


def runs_of(encoder: Encoder, texts: Sequence[str]) -> dict[str, Run]:
    """What is compared, from strings to tables."""
    return {
        "corpus": lambda: corpus_stats(texts, encoder, threads=1).complete(),
        "corpus --of norms": lambda: corpus_stats(texts, encoder, of="norms", threads=1).complete(),
        "patterns": lambda: patterns(texts, encoder, threads=1),
        "similarity": lambda: similarity(texts, encoder, threads=1),
        "atlas": lambda: atlas(texts, encoder, threads=1),
    }


def seconds(run: Run) -> float:
    """The processor time that it takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(name: str, encoder: Encoder, texts: Sequence[str], rounds: int) -> None:
    """Prints medians, and how many times as long as `corpus` each takes."""
    runs = runs_of(encoder, texts)
    for run in runs_of(encoder, texts[:8]).values():
        run()  # loads compiled loops
    times = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    print(f"{name}: {len(texts):,} texts")
    for what in runs:
        each = [of_round[what] / of_round["corpus"] for of_round in times]
        middle = median(of_round[what] for of_round in times)
        ratio = middle / median(of_round["corpus"] for of_round in times)
        print(f"  {what:18} {middle:7.2f} s  {ratio:.2f} x corpus ({min(each):.2f} to {max(each):.2f})", flush=True)


def main(count: int = 1000, rounds: int = 3, *files: str) -> None:
    torch.set_num_threads(1)
    encoder = load_encoder()
    compare("docstrings", encoder, lines(count), rounds)
    for file in files:
        compare(
            Path(file).name, encoder, [record.text for record in read_records(find_sources([file]))][:count], rounds
        )
    few, more = peak(__file__, 1000), peak(__file__, 10000)
    print(f"peak memory of an atlas of 1,000 and 10,000 lines: {few:.0f} and {more:.0f} MB")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # texts are cut
    if sys.argv[1:2] == ["--peak"]:
        print_peak(int(sys.argv[2]), lambda path: atlas(path, threads=1))
    else:
        main(*map(int, sys.argv[1:3]), *sys.argv[3:])
