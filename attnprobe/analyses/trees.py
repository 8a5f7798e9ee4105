"""Declares the analysis ``trees``: how much of each sentence's tree the trees drawn from weights have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.values.options import Options, Reading, Selection, Without, choice
from attnprobe.values.relations import LABELS, Wording


@dataclass(frozen=True)
class Edges(Options):
    """Chooses what an edge between two words weighs.

    Attributes:
        symmetric: "sum": a + aᵀ, what both give each other together; "max": the larger of the two.
    """

    symmetric: str = choice("sum", "max", help="What an edge weighs: both ways together, or the larger one.")


TREES = CorpusAnalysis(
    measurement="attnprobe.analyses.spanning:SpanningTrees",
    columns={
        "layer": "layer, from 0; empty for a baseline",
        "head": "head, from 0; mean: of the layer's heads; or a baseline: chain joins neighbours, offset joins words at"
        " the best of fixed distances, 1 to 5",
        "uuas": "share of the annotated edges that the maximum spanning trees have, whatever their direction (UUAS)",
        "n": "how many edges: those between words that are no punctuation (UPOS PUNCT)",
    },
    options=[Selection, Edges, Annotated[Wording, Without("subtypes")]],
    reading=Annotated[Reading, Without("stride", "level")],
    labels=LABELS,
    tables={"intervals": "Intervals over sentences, also of what is above chain."},
    view="attnprobe.render.trees:trees_view",
    formats={name: f"attnprobe.render.trees:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads draw a sentence's dependency tree (UUAS).",
    examples=(
        "attnprobe trees treebank.conllu",
        "attnprobe trees treebank.conllu -o trees.csv",
        "attnprobe trees treebank.conllu -o trees.svg",
    ),
)
