"""Declares the analysis ``probe``: how well attention finds head words, heads weighted as suits a treebank best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.values.options import Options, Reading, Selection, Without, option, whole
from attnprobe.values.relations import LABELS, Wording


@dataclass(frozen=True)
class Splitting(Options):
    """Chooses the sentences that the probe is fitted to, and those that it is tested on.

    Attributes:
        train: how many sentences, the first, train the probe, and all others test it; None: of each five sentences the
            first four train it, and the fifth tests it.
        sentences: how many sentences are used at most, at random, which bounds memory.
        seed: of that sample.
    """

    train: int | None = whole(
        None, least=1, help="The first N sentences train, all others test.  [default: of each five, four train]"
    )
    sentences: int = whole(2000, least=1, help="Random sentences to use; all if there are no more.")
    seed: int = option(0, metavar="N", help="Of these random sentences, and of --sample.")


PROBE = CorpusAnalysis(
    measurement="attnprobe.analyses.probing:Probing",
    columns={
        "part": "train, or test: other sentences",
        "uas": "share of dependents whose head word the probe finds, of all words but punctuation and roots",
        "n": "how many dependents",
        "nll": "mean negative log-likelihood of the head words, in nats",
        "baseline_offset": "distance from -5 to 5 at which a dependent's head word stands most often in training",
        "baseline": "share of dependents whose head word stands at that distance",
    },
    options=[Selection, Annotated[Wording, Without("subtypes")], Splitting],
    reading=Annotated[Reading, Without("stride", "level", "of")],
    labels=LABELS,
    tables={"weights_out": "The weight of each head in both directions."},
    view="attnprobe.render.probe:probe_view",
    formats={name: f"attnprobe.render.probe:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="How well attention finds head words: a trained probe.",
    examples=(
        "attnprobe probe treebank.conllu",
        "attnprobe probe treebank.conllu --weights-out w.csv",
        "attnprobe probe treebank.conllu -o weights.svg",
    ),
)
