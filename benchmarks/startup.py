"""What a cold `attnprobe heads "text"` costs beside a bare script that runs the same model once.

The bare script imports torch, loads the model by its own class from transformers and calls it on the tokenised text.
Both are whole processes, run in turn A B A B, so that a machine that slows down slows both; the ratio of the medians
counts.

    python benchmarks/startup.py [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import time

from attnprobe.models.locate import locate

TEXT = "The animal didn't cross the street because it was too tired."
BARE = f"""
import torch
from transformers import BertModel, BertTokenizer
folder = {str(locate().folder)!r}
tokenizer = BertTokenizer.from_pretrained(folder)
model = BertModel.from_pretrained(folder).eval()
with torch.no_grad():
    print(model(**tokenizer({TEXT!r}, return_tensors="pt")).last_hidden_state.sum())
"""


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return time.perf_counter() - start


def main(rounds: int) -> None:
    bare, ours = [sys.executable, "-c", BARE], [sys.executable, "-m", "attnprobe", "heads", TEXT]
    seconds(bare), seconds(ours)
    times = [(seconds(bare), seconds(ours)) for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    ratios = sorted(ours / bare for bare, ours in times)
    print(f"bare script {medians[0]:.2f} s, attnprobe heads {medians[1]:.2f} s (medians of {rounds})")
    print(
        f"ratio of medians {medians[1] / medians[0]:.3f}, pair by pair {ratios[0]:.3f} to {ratios[-1]:.3f}; target 1.15"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
