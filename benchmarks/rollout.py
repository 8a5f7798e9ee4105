"""What `attnprobe flow` costs beside the same model's plain sdpa forward over the same 512 tokens, and maximum flows.

Everything runs in turns in one process; the ratio of medians counts, of processor time on one thread.

    python benchmarks/rollout.py [ROUNDS]
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from transformers import AutoModel

from attnprobe import load_encoder
from attnprobe.analyses.flow import FLOW
from attnprobe.measure.fused import FusedHeads, fuse_heads

WORDS = "The quick brown fox jumps over the lazy dog, while 12 wizards and a jury of foxes watch. " * 27
TOKENS = 512


def clock(run: Callable[[], object], times: list[float]) -> None:
    start = time.process_time()
    run()
    times.append(time.process_time() - start)


def compare(rounds: int) -> None:
    encoder = load_encoder()
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="sdpa").eval()
    [tokens] = encoder.tokenize(WORDS, max_length=TOKENS)
    assert len(tokens) == TOKENS
    inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
    runs: dict[str, Callable[[], object]] = {
        "plain forward": lambda: model(**inputs),
        "fused heads": lambda: fuse_heads(tokens, encoder, FusedHeads.choose(encoder)),
        "rollout of [CLS]": lambda: FLOW(WORDS, encoder, max_length=TOKENS),
        "rollout of all": lambda: FLOW(WORDS, encoder, max_length=TOKENS, all_queries=True),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for run in runs.values():
            run()  # loads the compiled loops
        for _ in range(rounds):
            for name, run in runs.items():
                clock(run, times[name])
    plain = statistics.median(times["plain forward"])
    for name, found in times.items():
        print(f"{name}: {1000 * statistics.median(found):.0f} ms, {statistics.median(found) / plain:.2f} x")
    for length in (32, 128, 256):
        found = []
        for _ in range(3):
            clock(lambda length=length: FLOW(WORDS, encoder, max_length=length, method="flow"), found)
        print(f"maximum flow of [CLS], {length} tokens: {statistics.median(found):.2f} s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
