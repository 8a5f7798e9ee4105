"""What `attnprobe importance` costs beside a forward pass over the same batches, and its memory.

Run it as `python benchmarks/importance.py [LINES] [ROUNDS]`. All that is compared runs in turns in one process, on one
thread, in batches of texts of equal length as corpora have them; ratios are of medians of processor time. The memory of
each number of lines is that of a process of its own.
"""

import resource
import subprocess
import sys
from collections.abc import Callable, Sequence

import torch
from batches import batches_of, forward_over, medians
from corpora import lines

from attnprobe import Encoder, importance, load_encoder
from attnprobe.analyses.importance import IMPORTANCE
from attnprobe.measure.running import measure
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Tokens

TARGETS = {"norm": "≤ 4", "cls-norm": "≤ 4", "sensitivity": ""}


def compare_to_forward(encoder: Encoder, texts: Sequence[Tokens], what: str, rounds: int) -> None:
    """Each objective that takes texts alone, beside the model alone."""
    batches = batches_of(texts)
    forward = forward_over(encoder, batches)

    def gradient(objective: str) -> Callable[[], object]:
        chosen = IMPORTANCE.choose(encoder, Reading(), {"objective": objective})
        return lambda: [measure(batch, encoder, chosen) for batch in batches]

    forward()
    usual, *took = medians(forward, *map(gradient, TARGETS), rounds=rounds)
    print(f"{len(texts)} {what}, {sum(map(len, texts)):,} tokens: forward {usual:.2f} s")
    for (objective, target), its in zip(TARGETS.items(), took, strict=True):
        print(f"  gradient of {objective}: {its:.2f} s, {its / usual:.2f} x {target}")


def measure_memory(count: int) -> None:
    """The most memory of a process that measures so many lines."""
    found = lines(min(count, 1000))
    importance((f"{number} {found[number % len(found)]}"[:200] for number in range(count)), objective="norm", threads=1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    torch.set_num_threads(1)
    count, rounds = (int(number) for number in (*sys.argv[1:], 300, 3)[:2])
    encoder = load_encoder().replica()
    texts = [encoder.tokenize(line, words=False)[0] for line in lines(count)]
    compare_to_forward(encoder, texts, "lines", rounds)
    compare_to_forward(encoder, [text for text in texts if len(text) >= 100], "long lines", rounds)
    for size in (500, 2000):
        command = [sys.executable, __file__, "memory", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"memory, {size:,} lines: {float(done.stdout):.0f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        measure_memory(int(sys.argv[2]))
    else:
        main()
