"""What measuring every head of a long text costs beside the same model's plain sdpa forward: time and peak memory.

Models of random weights read real words: BERT of MiniLM's size (6 layers, 12 heads, 384 wide) with 8,192 positions,
and ModernBERT of base size (22 layers, 12 heads, 768 wide). Each run is a process of its own, in turn A B A B; the
ratio of the medians counts, of wall time and of the time of all cores. A process runs twice: the first time it also
loads what it needs, such as the compiled loops; the second time is what a forward costs. Peak memory is the process's.

    python benchmarks/long_texts.py [MODEL [TOKENS [ROUNDS]]]
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel, PreTrainedModel

from attnprobe import load_encoder
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.running import measure
from attnprobe.values.options import Reading

WORDS = "The quick brown fox jumps over the lazy dog, while 12 wizards and a jury of vixens unbelievably watch. "
SPECIAL = {"pad_token_id": 0, "cls_token_id": 101, "bos_token_id": 101, "sep_token_id": 102, "eos_token_id": 102}


def make(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if name == "modernbert":
        return ModernBertModel(ModernBertConfig(vocab_size=30522, **SPECIAL)).eval()
    small = load_encoder().model.config.to_dict()
    return BertModel(BertConfig(**{**small, "max_position_embeddings": 8192})).eval()


def run(name: str, way: str, length: int) -> None:
    """Prints wall and processor seconds of the first and the second run, and the peak memory in GiB."""
    model = make(name)
    encoder = load_encoder(model, tokenizer=load_encoder().tokenizer, device="cpu")
    [tokens, *_] = encoder.tokenize(WORDS * (length // 20), max_length=length)
    assert len(tokens) == length
    model.set_attn_implementation("sdpa")
    inputs = {
        "input_ids": torch.tensor([tokens.inputs["input_ids"]]),
        "attention_mask": torch.ones(1, length, dtype=torch.long),
    }
    means = HeadMeans.choose(encoder, Reading())
    for _ in range(2):
        start, busy = time.perf_counter(), time.process_time()
        if way == "sdpa":
            with torch.inference_mode():
                model(**inputs)
        else:
            measure([tokens], encoder.for_length(length), means)
        print(time.perf_counter() - start, time.process_time() - busy)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 2**20)


def numbers(name: str, way: str, length: int) -> list[float]:
    command = [sys.executable, __file__, "--run", name, way, str(length)]
    return [float(x) for x in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def compare(name: str, length: int, rounds: int) -> None:
    pairs = [(numbers(name, "sdpa", length), numbers(name, "attnprobe", length)) for _ in range(rounds)]
    plain, ours = (
        [statistics.median(column) for column in zip(*runs, strict=True)] for runs in zip(*pairs, strict=True)
    )
    each = sorted(own[3] / sdpa[3] for sdpa, own in pairs)
    print(f"{name}, {length} tokens, all metrics, {rounds} rounds, {torch.get_num_threads()} threads")
    print(f"  plain sdpa {plain[2]:.2f} s, {plain[4]:.2f} GiB; attnprobe {ours[2]:.2f} s, {ours[4]:.2f} GiB")
    print(
        f"  ratio of medians {ours[2] / plain[2]:.2f} by the clock, {ours[3] / plain[3]:.2f} of all cores' time"
        f" ({each[0]:.2f} to {each[-1]:.2f}); the first run {ours[1] - ours[3]:.1f} s of cores more"
        f" (plain {plain[1] - plain[3]:.1f}); target 1.3, from 512 to 1,024 tokens 1.2",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        name, length, rounds = (*sys.argv[1:], *("minilm", "0", "3")[len(sys.argv) - 1 :])
        for tokens in [int(length)] if int(length) else [512, 1024, 4096]:
            compare(name, tokens, int(rounds))
