"""What measuring every head of a long text costs beside the same model's plain sdpa forward: time and peak memory.

A ModernBERT of base size (22 layers, 12 heads, 768 wide) with random weights reads random tokens. Each run is a process
of its own, in turn A B A B; the ratio of the medians counts. Peak memory is the process's, with model and libraries.

    python benchmarks/long_texts.py [TOKENS [ROUNDS]]
"""

import statistics
import subprocess
import sys

RUN = """
import sys, time, torch
from transformers import ModernBertConfig, ModernBertModel
way, length = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
config = ModernBertConfig(vocab_size=1000, **dict.fromkeys(["pad_token_id", "bos_token_id", "cls_token_id"], 0),
                          eos_token_id=1, sep_token_id=1)
model = ModernBertModel._from_config(config, attn_implementation="sdpa").eval()
ids = torch.randint(2, 1000, (1, length))
run = lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids))
if way == "attnprobe":
    from attnprobe.metrics import load_metrics
    from attnprobe.metrics.reduce import Reducer
    from attnprobe.models.interface import NAME, Listener, each_alone, listening
    from attnprobe.values.tokens import Role, Tokens
    model.set_attn_implementation(NAME)
    roles = [Role.CLS, *[Role.CONTENT] * (length - 2), Role.SEP]
    tokens = Tokens(["a"] * length, ["a"] * length, roles, [int(role == Role.CONTENT) for role in roles])
    reducer = Reducer([tokens], load_metrics(), range(22), 12, long_range=10, queries="all", level="token")
    def run():
        with listening(Listener(each_alone([slice(0, length)]), lambda layer, text: reducer.start_layer(layer))):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        return [sums.means() for sums in reducer.sums]
with torch.inference_mode():
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak) / 2**20)
"""


def measure(way: str, tokens: int) -> tuple[float, float]:
    """Seconds of one forward, and the process's peak memory in GiB."""
    command = [sys.executable, "-c", RUN, way, str(tokens)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def main(tokens: int, rounds: int) -> None:
    pairs = [(measure("sdpa", tokens), measure("attnprobe", tokens)) for _ in range(rounds)]
    plain, ours = ([pair[way] for pair in pairs] for way in (0, 1))
    medians = [statistics.median(seconds for seconds, _ in runs) for runs in (plain, ours)]
    ratios = sorted(own / sdpa for (sdpa, _), (own, _) in pairs)
    peaks = [max(peak for _, peak in runs) for runs in (plain, ours)]
    print(f"{tokens} tokens, 22 layers of 12 heads, all metrics, {rounds} rounds")
    print(f"plain sdpa {medians[0]:.1f} s, {peaks[0]:.2f} GiB; attnprobe {medians[1]:.1f} s, {peaks[1]:.2f} GiB")
    print(f"ratio of medians {medians[1] / medians[0]:.2f}, pair by pair {ratios[0]:.2f} to {ratios[-1]:.2f}; target 2")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:3]), *(8192, 3)[len(sys.argv[1:3]) :])
