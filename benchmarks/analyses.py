"""What the analyses of heads cost beside what else reads the same texts: corpus, a loop in numpy, the plain forward.

Real text as in corpora.py, MiniLM and a random BERT with 144 heads, on a CPU. All that is compared runs in turns in one
process, A B A B; ratios are of medians, by the clock and of the time of all cores. Run it as
`python benchmarks/analyses.py [LINES [ROUNDS]]`; `make bench` writes the table into docs/benchmarks.md.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from corpora import lines, long_text
from peaks import peak, print_peak
from transformers import AutoModel, BertConfig, BertModel

from attnprobe import Encoder, corpus_stats, load_encoder
from attnprobe.analyses import load_analysis
from attnprobe.attention.divergence import divergences, mixture_sums
from attnprobe.corpus.twins import summarize
from attnprobe.measure.weights import keep_weights
from attnprobe.models.batches import make_batch

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: benchmarks/analyses.py -->\n", "<!-- end: benchmarks/analyses.py -->\n"
LENGTH = 512
Run = Callable[[], object]


def corpus(encoder: Encoder, texts: Sequence[str]) -> Run:
    """All metrics of all heads, from strings to blocks of rows."""
    return lambda: [None for _ in corpus_stats(texts, encoder)]


def analysis(name: str, encoder: Encoder, texts: Sequence[str], **options: object) -> Run:
    """An analysis of many texts, from strings to its summary."""
    return lambda: summarize(name, texts, encoder, **options)


def many_heads(folder: Path) -> Encoder:
    """A random BERT of 12 layers with 12 heads each, and MiniLM's vocabulary."""
    torch.manual_seed(0)
    BertModel(BertConfig(initializer_range=0.2)).save_pretrained(folder)
    load_encoder().tokenizer.save_pretrained(folder)
    return load_encoder(folder)


def weights_of(encoder: Encoder, text: str) -> np.ndarray:
    """The weights of all heads, (head, query, key)."""
    return keep_weights(text, encoder, max_length=LENGTH).weights.reshape(-1, LENGTH, LENGTH)


def compiled_pairs(weights: np.ndarray) -> Run:
    """The divergences of all pairs of heads as `similarity` computes them, from weights in memory."""
    rows = torch.tensor(weights.transpose(1, 0, 2)).contiguous()
    return lambda: divergences(mixture_sums(rows, fast=True))


def loop_over_pairs(weights: np.ndarray) -> Run:
    """The same in numpy, pair by pair."""

    def entropy(rows: np.ndarray) -> np.ndarray:
        return -(rows * np.log(rows + 1e-37)).sum(-1)

    def run() -> list[float]:
        alone = [entropy(head) for head in weights]
        pairs = ((one, other) for one in range(len(weights)) for other in range(one))
        mixed = ((entropy((weights[one] + weights[other]) / 2), alone[one] + alone[other]) for one, other in pairs)
        return [float((together - apart / 2).mean()) for together, apart in mixed]

    return run


def plain_forward(encoder: Encoder, text: str) -> Run:
    """The model's own forward with torch's fused attention, the text tokenized beforehand."""
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="sdpa").eval()
    inputs, _ = make_batch(encoder.tokenize(text, max_length=LENGTH)[:1], model, encoder.tokenizer)

    def run() -> None:
        with torch.inference_mode():
            model(**inputs)

    return run


def rollout(encoder: Encoder, text: str) -> Run:
    """What `attnprobe flow` computes, from a string to the shares of the classification token."""
    flow = load_analysis("flow")
    return lambda: flow(text, encoder, max_length=LENGTH)


def seconds(run: Run) -> tuple[float, float]:
    """The seconds that it takes, by the clock and of all cores."""
    start, busy = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - busy


def ratios(base: Run, other: Run, rounds: int) -> list[str]:
    """How many times as long the other takes, by the clock and of all cores: of medians, and from lowest to highest."""
    seconds(other)  # which loads compiled loops
    pairs = [(seconds(base), seconds(other)) for _ in range(rounds)]
    found = []
    for kind in range(2):
        each = [two[kind] / one[kind] for one, two in pairs]
        middle = median(two[kind] for _, two in pairs) / median(one[kind] for one, _ in pairs)
        found.append(f"{middle:.2f} ({min(each):.2f} to {max(each):.2f})")
    return found


def table(count: int, rounds: int) -> str:
    """The whole comparison in Markdown."""
    warnings.simplefilter("ignore")  # texts are cut
    results = []

    def add(name: str, figures: Sequence[str], target: str) -> None:
        results.append(f"| {name} | {' | '.join(figures)} | {target} |")
        print(results[-1], flush=True)

    texts, encoder = lines(count), load_encoder()
    for name, target in (("patterns", "≤ 1.1"), ("similarity", "≤ 1.5")):
        found = ratios(corpus(encoder, texts), analysis(name, encoder, texts), rounds)
        add(f"{count:,} mixed lines: {name} / corpus", found, target)
    text = long_text(encoder, LENGTH)
    found = ratios(plain_forward(encoder, text), rollout(encoder, text), 10 * rounds)
    add(f"{LENGTH} tokens: rollout / plain forward", found, "≤ 1.3")
    with tempfile.TemporaryDirectory() as folder:
        many = many_heads(Path(folder))
        weights, what = weights_of(many, text), f"144 heads, {LENGTH} tokens, all queries"
        loop = loop_over_pairs(weights)
        found = ratios(compiled_pairs(weights), loop, rounds)
        add(f"{what}, weights in memory: loop over pairs in numpy / compiled", found, "≥ 4, aim 8")
        whole = analysis("similarity", many, [text], all_queries=True, max_length=LENGTH)
        add(f"{what}: loop over pairs, weights in memory / similarity from the text", ratios(whole, loop, rounds), "")
    few, more = peak(__file__, 1000), peak(__file__, 10000)
    add("similarity, 1,000 and 10,000 lines: peak memory", [f"{few:.0f} and {more:.0f} MB", ""], "equal")
    head = f"{torch.get_num_threads()} threads; medians of {rounds} rounds, ten times as many of rollout; "
    head += (
        "lowest to highest in brackets.\n\n| what | by the clock | of all cores' time | target |\n|---|---|---|---|\n"
    )
    return head + "\n".join(results) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(int(sys.argv[2]), lambda path: summarize("similarity", path))
    else:
        count, rounds = (int(argument) for argument in (*sys.argv[1:], *("1000", "3")[len(sys.argv) - 1 :]))
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[-1]
        PAGE.write_text(f"{before}{BEGIN}{table(count, rounds)}{END}{after}", encoding="utf-8")
