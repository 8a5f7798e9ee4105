"""What `attnprobe corpus` costs beside the model alone and beside the script most people write.

Real text that every Python has (the standard library's docstrings and licence), MiniLM and a random model of its size
that reads 4,096 tokens, on a CPU. All that is compared runs in turns in one process; ratios are of medians. Run it as
`python benchmarks/corpora.py [LINES] [ROUNDS]`; `make bench` writes the table into docs/benchmarks.md.
"""

import ast
import copy
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, BertConfig, BertModel

from attnprobe import Encoder, corpus_stats, load_encoder
from attnprobe.attention.threads import pool_of
from attnprobe.corpus.chunks import by_length
from attnprobe.corpus.threads import cores
from attnprobe.models.batches import make_batch
from attnprobe.values.options import Running
from attnprobe.writers.rows import encode_rows

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: benchmarks/corpora.py -->\n", "<!-- end -->\n"


def lines(count: int) -> list[str]:
    """Paragraphs of docstrings, and of Python's licence, in random order."""
    library = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in sorted(library.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                found += (ast.get_docstring(node) or "").split("\n\n")
    licence = library / "LICENSE.txt"
    found += licence.read_text(encoding="utf-8").split("\n\n") if licence.exists() else []
    found = [" ".join(text.split()) for text in found if text.strip()]
    random.Random(0).shuffle(found)
    return found[:count]


def long_encoder(folder: Path) -> Encoder:
    """A random model of MiniLM's size with its vocabulary that reads 4,096 tokens."""
    small = load_encoder()
    torch.manual_seed(0)
    config = BertConfig(**{**small.model.config.to_dict(), "max_position_embeddings": 4096})
    BertModel(config).save_pretrained(folder)
    small.tokenizer.model_max_length = 4096
    small.tokenizer.save_pretrained(folder)
    return load_encoder(folder)


def model_alone(encoder: Encoder, texts: Sequence[str], batch_tokens: int) -> Callable[[], None]:
    """The model's own forward pass with torch's fused attention over the same batches, tokenized beforehand."""
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="sdpa").eval()
    tokens = [encoder.tokenize(text, words=False)[0] for text in texts]
    batches = by_length([len(its) for its in tokens], batch_tokens)

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                inputs, _ = make_batch([tokens[place] for place in batch], model, encoder.tokenizer)
                model(**inputs)

    return run


def same_schedule(encoder: Encoder, texts: Sequence[str], batch_tokens: int) -> Callable[[], None]:
    """The honest floor: the plain forward over the same batches on the same threads, one core a batch, as attnprobe."""
    plain = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="sdpa").eval()
    shared = {id(tensor): tensor for tensor in (*plain.parameters(), *plain.buffers())}
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(cores()):
        free.put(copy.deepcopy(plain, shared))
    tokens = [encoder.tokenize(text, words=False)[0] for text in texts]
    batches = by_length([len(text) for text in tokens], batch_tokens)

    def forward(batch: Sequence[int]) -> None:
        model = free.get()
        inputs, _ = make_batch([tokens[place] for place in batch], model, encoder.tokenizer)
        with torch.inference_mode():
            model(**inputs)
        free.put(model)

    def run() -> None:
        with pool_of(cores()) as pool:
            list(pool.map(forward, batches))

    return run


def attnprobe(encoder: Encoder, texts: Sequence[str], batch_tokens: int) -> Callable[[], None]:
    """All metrics, from strings to blocks of rows."""
    return lambda: [None for _ in corpus_stats(texts, encoder, batch_tokens=batch_tokens)] and None


def common_script(encoder: Encoder, texts: Sequence[str]) -> Callable[[], None]:
    """`output_attentions=True`, 16 texts at a time as they come, attnprobe's statistics in numpy."""
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="eager").eval()

    def run() -> None:
        for start in range(0, len(texts), 16):
            some, most = list(texts[start : start + 16]), encoder.max_length
            batch = encoder.tokenizer(some, padding=True, truncation=True, max_length=most, return_tensors="pt")
            with torch.no_grad():
                attentions = model(**batch, output_attentions=True).attentions
            for weights in attentions:
                for text, mask in zip(weights.numpy(), batch["attention_mask"], strict=True):
                    n = int(mask.sum())
                    found = statistics(text[:, :n, :n], np.arange(n))
                    assert all(len(values) == len(text) for values in found.values())

    return run


def statistics(a: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """What attnprobe measures, head by head, of one text between [CLS] and [SEP] (punctuation and pairs left out)."""
    offset, last = at[None, :] - at[:, None], at[-1]
    entropy = -(a * np.log(a + 1e-12)).sum(-1).mean(-1)
    return {
        "entropy": entropy,
        "relative_entropy": entropy / np.log(len(at)),
        "confidence": a[:, :-1, :-1].max(-1).mean(-1),
        "cls_share": a[..., 0].mean(-1),
        "sep_share": a[..., -1].mean(-1),
        "special_share": (a[..., 0] + a[..., -1]).mean(-1),
        "self_share": a[:, at, at].mean(-1),
        "previous_share": a[:, at[1:], at[:-1]].sum(-1) / len(at),
        "next_share": a[:, at[:-1], at[1:]].sum(-1) / len(at),
        "distance": (a * np.abs(offset)).sum(-1).mean(-1),
        "offset": (a * offset).sum(-1).mean(-1),
        "cls_distance": (a * at).sum(-1).mean(-1),
        "sep_distance": (a * (last - at)).sum(-1).mean(-1),
        "long_range_share": (a * (np.abs(offset) >= 10)).sum(-1).mean(-1),
        "sink_share": (a[..., 0] > 0.3).mean(-1),
    }


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratio(base: Callable[[], None], other: Callable[[], None], rounds: int) -> tuple[float, float, float]:
    """How many times as long the other takes, of medians; the lowest and highest of its rounds."""
    pairs = [(seconds(base), seconds(other)) for _ in range(rounds + 1)][1:]
    each = [b / a for a, b in pairs]
    return median(b for _, b in pairs) / median(a for a, _ in pairs), min(each), max(each)


def long_text(encoder: Encoder, length: int) -> str:
    """Real words, cut to a length in tokens by the encoder."""
    text = " ".join(lines(4000))
    words = text.split()
    return " ".join(words[: int(length * 1.2)])


def peak(what: str, *arguments: object) -> float:
    """The peak memory in MB of a process of its own that does this."""
    command = [sys.executable, __file__, "--peak", what, *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_of(what: str, folder: str, count: int, length: int) -> None:
    encoder = load_encoder(folder) if folder != "-" else load_encoder()
    texts = lines(count) if not length else [long_text(encoder, length)] * count
    runs: dict[str, Any] = {"model": model_alone, "attnprobe": attnprobe}
    runs[what](encoder, texts, Running().batch_tokens)()
    status = Path("/proc/self/status").read_text()
    print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)


def rows_share(encoder: Encoder, texts: Sequence[str]) -> float:
    """Which part of a run goes into turning rows into CSV."""
    start = time.perf_counter()
    blocks = list(corpus_stats(texts, encoder))
    measured = time.perf_counter() - start
    start = time.perf_counter()
    for block in blocks:
        encode_rows([block], "csv")
    written = time.perf_counter() - start
    return written / (measured + written)


def table(count: int, rounds: int) -> str:
    """The whole comparison in Markdown."""
    texts, encoder = lines(count), load_encoder()
    lengths = [len(encoder.tokenize(text, words=False)[0]) for text in texts]
    told = f"{len(texts):,} texts, {sum(lengths):,} tokens, median length {median(lengths):.0f}, longest {max(lengths)}"
    results = []

    def add(name: str, figure: str, target: str) -> None:
        results.append(f"| {name} | {figure} | {target} |")
        print(results[-1], flush=True)

    def add_ratio(
        name: str, base: Callable[[], None], other: Callable[[], None], target: str, rounds: int = rounds
    ) -> None:
        middle, low, high = ratio(base, other, rounds)
        add(name, f"{middle:.2f} ({low:.2f} to {high:.2f})", target)

    few = texts[: count // 2]
    add_ratio(
        "mixed lines: attnprobe / model",
        model_alone(encoder, texts, Running().batch_tokens),
        attnprobe(encoder, texts, Running().batch_tokens),
        "≤ 1.25",
    )
    add_ratio(
        "mixed lines: attnprobe / plain forward, same batches and threads",
        same_schedule(encoder, texts, Running().batch_tokens),
        attnprobe(encoder, texts, Running().batch_tokens),
        "≤ 1.10",
    )
    add_ratio(
        "mixed lines: common script / attnprobe",
        attnprobe(encoder, few, Running().batch_tokens),
        common_script(encoder, few),
        "≥ 5",
        rounds=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        long = long_encoder(Path(folder))
        for length, number, target in ((512, 16, "≤ 1.4"), (2048, 4, "≤ 1.5"), (4096, 2, "≤ 1.8")):
            some = [long_text(long, length)] * number
            cut = [
                long.tokenizer.decode(long.tokenize(text, max_length=length)[0].inputs["input_ids"][1:-1])
                for text in some
            ]
            add_ratio(
                f"{length:,} tokens: attnprobe / model",
                model_alone(long, cut, Running().batch_tokens),
                attnprobe(long, cut, Running().batch_tokens),
                target,
            )
            add_ratio(
                f"{length:,} tokens: attnprobe / plain forward, same batches and threads",
                same_schedule(long, cut, Running().batch_tokens),
                attnprobe(long, cut, Running().batch_tokens),
                "≤ 1.10",
            )
        one, other = peak("model", folder, 1, 4096), peak("attnprobe", folder, 1, 4096)
        add("4,096 tokens: peak memory, attnprobe / model", f"{other / one:.2f} ({other:.0f} / {one:.0f} MB)", "≤ 1.2")
    more = [peak("attnprobe", "-", lines, 0) - peak("model", "-", lines, 0) for lines in (1000, 4000)]
    add("1,000 and 4,000 mixed lines: peak memory over the model's", f"{more[0]:.0f} and {more[1]:.0f} MB", "≤ 150 MB")
    add("share of the time that writing CSV rows takes", f"{rows_share(encoder, texts):.1%}", "≤ 5 %")
    head = f"{told}; {torch.get_num_threads()} threads; medians of {rounds} rounds, lowest to highest in brackets.\n\n"
    return head + "| what | measured | target |\n|---|---|---|\n" + "\n".join(results) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak_of(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        count, rounds = (int(argument) for argument in (*sys.argv[1:], *("2000", "3")[len(sys.argv) - 1 :]))
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[-1]
        PAGE.write_text(f"{before}{BEGIN}{table(count, rounds)}{END}{after}", encoding="utf-8")
