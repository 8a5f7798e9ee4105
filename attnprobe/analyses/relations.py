"""Declares the analysis ``relations``: which heads find the words that labelled relations link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.values.options import Options, Reading, Selection, Without, option
from attnprobe.values.relations import LABELS, PairColumns, Wording


@dataclass(frozen=True)
class Drawing(Options):
    """Chooses the samples that the interval of a gain is found by.

    Attributes:
        seed: of the bootstrap.
    """

    seed: int = option(0, metavar="N", help="Of the bootstrap of gains, and of --sample.")


RELATIONS = CorpusAnalysis(
    measurement="attnprobe.analyses.pointing:Pointers",
    columns={
        "relation": "label of the relation; all: every one but punct; all+punct: every one, if there is punct",
        "n": "how many of it are in the odd texts, which the numbers of the row are about",
        "layer": "layer of the head that is most often right in even texts, from 0",
        "head": "that head, from 0",
        "direction": "dep->head: what the dependent attends to most; head->dep: what attends most to it",
        "accuracy": "how often the head is right in odd texts, from 0 to 1",
        "baseline_offset": "how far from the dependent the head most often is in even texts, from −5 to 5 words",
        "baseline": "how often the word at this offset is right in odd texts",
        "gain": "accuracy minus baseline",
        "gain_low": "lower end of its 95 % interval, by a bootstrap over texts; empty for fewer than two",
        "gain_high": "upper end",
    },
    options=[Selection, Wording, PairColumns, Drawing],
    reading=Annotated[Reading, Without("stride", "level")],
    labels=LABELS,
    tables={
        "all_heads": "Every head and offset on all texts, and the mean weight of the relations.",
        "shares": "How much weight between words falls on each part of speech, and on dependencies.",
    },
    costly=("shares",),
    view="attnprobe.render.relations:relations_view",
    formats={name: f"attnprobe.render.relation_map:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads find which relations of a treebank.",
    examples=(
        "attnprobe relations treebank.conllu",
        "attnprobe relations treebank.conllu --all-heads all.csv",
        "attnprobe relations treebank.conllu -o relations.svg",
    ),
)
