"""What relations, trees, a probe and coreference cost beside the model alone over the same sentences, and in memory.

All run in turns in one process, on one thread; ratios are of medians of processor time. Each analysis reads and
tokenizes the file as its command does; the model alone is given tokens. Memory is the peak of a process of its own.
The target is at most 1.5 times the model, and a peak that does not grow with the number of sentences.

    python benchmarks/knowledge.py [FILE.conllu [ROUNDS]]

Without a FILE, sentences of 3 to 40 words are made up.
"""

import random
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from batches import batches_of, forward_over, medians

import attnprobe
from attnprobe import Encoder, load_encoder
from attnprobe.analyses import load_analysis
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.texts import to_records
from attnprobe.values.tokens import Tokens

WORDS = (
    "the",
    "a",
    "old",
    "keeper",
    "gull",
    "boat",
    "letter",
    "sees",
    "reads",
    "counts",
    "slowly",
    "of",
    "with",
    "never",
)
TAGS = ("NOUN", "VERB", "ADJ", "DET", "PUNCT")
LABELS = ("nsubj", "obj", "det", "amod", "case", "obl", "advmod", "punct")
SENTENCES, DOCUMENT = 400, 40
NAMES = ("relations", "trees", "probe", "coreference")
MANY = (1_000, 10_000)


def made_up(count: int) -> str:
    """CoNLL-U of so many sentences, in documents with mentions."""
    chance, rows = random.Random(0), []
    for number in range(count):
        if number % DOCUMENT == 0:
            rows.append(f"# newdoc id = {number}\n# global.Entity = eid")
        length = chance.randint(3, 40)
        order = chance.sample(range(1, length + 1), length)
        head = {at: chance.choice(order[:place]) if place else 0 for place, at in enumerate(order)}
        for at in range(1, length + 1):
            label = chance.choice(LABELS) if head[at] else "root"
            entity = f"Entity=(e{chance.randrange(9)})" if chance.random() < 0.1 else "_"
            rows.append(
                f"{at}\t{chance.choice(WORDS)}\t_\t{chance.choice(TAGS)}\t_\t_\t{head[at]}\t{label}\t_\t{entity}"
            )
        rows.append("")
    return "\n".join(rows) + "\n"


def tokens_of(name: str, file: Path, encoder: Encoder) -> list[Tokens]:
    """Reads the file as the analysis of that name does."""
    analysis: Any = load_analysis(name)
    settings = Settings.of_analysis(analysis, encoder)
    records = to_records([file], None, None, analysis.reads({}), analysis.instead)
    measure: Any = settings.measurement
    return [tokens for record in records for tokens in measure.read(record, encoder, settings.reading)]


def summarized(name: str, file: Path, encoder: Encoder) -> Callable[[], object]:
    """The analysis of that name, from file to table."""
    return lambda: getattr(attnprobe, name)(file, encoder, threads=1).to_frame()


def compare(file: Path, rounds: int) -> None:
    """Prints what each analysis costs, in times of the model alone."""
    encoder = load_encoder().replica()
    for name in NAMES:
        texts, whole = tokens_of(name, file, encoder), summarized(name, file, encoder)
        forward = forward_over(encoder, batches_of(texts))
        forward(), whole()
        usual, took = medians(forward, whole, rounds=rounds)
        sizes = f"{len(texts)} windows, {sum(map(len, texts)):,} tokens"
        print(f"{name}: {sizes}, the model {usual:.2f} s, in all {took:.2f} s, {took / usual:.2f} x (target <= 1.5)")


def peak(name: str, file: Path) -> float:
    """Returns the most memory that a process takes which measures the file, in MB."""
    command = [sys.executable, __file__, "--peak", name, str(file)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--peak"]:
        summarized(sys.argv[2], Path(sys.argv[3]), load_encoder())()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(sys.argv[1]) if sys.argv[1:] else write(Path(folder), SENTENCES)
        compare(file, int(sys.argv[2]) if sys.argv[2:] else 5)
        for count in MANY if not sys.argv[1:] else ():
            file = write(Path(folder), count)
            print(f"{count:,} sentences:", ", ".join(f"{name} {peak(name, file):.0f} MB" for name in NAMES))


def write(folder: Path, count: int) -> Path:
    """Writes a made-up treebank of so many sentences."""
    path = folder / f"{count}.conllu"
    path.write_text(made_up(count), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
