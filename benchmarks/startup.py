"""What a cold `attnprobe heads "text"` costs beside a bare script that runs the same model once.

The bare script imports torch, loads the model by its own class from transformers and calls it on the tokenised text
with output_attentions. Both are whole processes, run in turn A B A B, so that a machine that slows down slows both;
the ratio of the medians counts, by the clock and, which a busy machine moves less, of the time of all cores.

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
model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
with torch.no_grad():
    print(model(**tokenizer({TEXT!r}, return_tensors="pt"), output_attentions=True).attentions[0].sum())
"""


def seconds(command: list[str]) -> tuple[float, float]:
    """The seconds of a process, by the clock and of all cores."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, busy


def main(rounds: int) -> None:
    ours = [sys.executable, "-m", "attnprobe", "heads", TEXT]
    ways = {"bare script": [sys.executable, "-c", BARE], "attnprobe heads": ours}
    ways["attnprobe heads --no-cache"] = [*ours, "--no-cache"]
    for command in ways.values():
        seconds(command)
    times = [[seconds(command) for command in ways.values()] for _ in range(rounds)]
    for number, name in enumerate(ways):
        wall, busy = (statistics.median(run[number][kind] for run in times) for kind in (0, 1))
        each = [[run[number][kind] / run[0][kind] for run in times] for kind in (0, 1)]
        bare = [statistics.median(run[0][kind] for run in times) for kind in (0, 1)]
        print(
            f"{name}: {wall:.2f} s, ratio {wall / bare[0]:.3f} ({min(each[0]):.2f} to {max(each[0]):.2f});"
            f" of all cores {busy:.2f} s, ratio {busy / bare[1]:.3f} ({min(each[1]):.2f} to {max(each[1]):.2f})"
        )
    print(f"medians of {rounds} rounds; target 1.05")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
