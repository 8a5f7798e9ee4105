"""Declares the analysis ``coreference``: which heads point from a mention to its antecedent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.values.options import Options, Reading, Selection, Without, option, whole


@dataclass(frozen=True)
class Windowing(Options):
    """Chooses how documents are read, and cut into windows.

    Attributes:
        window: how many tokens a window of whole sentences holds at most; None: as many as the model reads.
        singletons: whether entities that are mentioned once are kept, as candidates.
        inclusive: whether a span of ``clusters`` ends with the number of its last word, not one beyond.
        seed: of the bootstrap.
    """

    window: int | None = whole(
        None, least=1, help="The most tokens of a window of whole sentences.  [default: what the model reads]"
    )
    singletons: bool = option(False, help="Keep entities that are mentioned once, as candidates.")
    inclusive: bool = option(False, help="Spans of clusters end with their last word, not one beyond.")
    seed: int = option(0, metavar="N", help="Of the bootstrap, and of --sample.")


LABELS = ("words", "sentences", "mentions", "clusters", "upos", "feats", "heads")
"""The labels that a document is read from; a record may lack some."""

COREFERENCE = CorpusAnalysis(
    measurement="attnprobe.analyses.antecedents:Antecedents",
    columns={
        "layer": "layer, from 0; empty for baselines",
        "head": "head, from 0; or the baseline: nearest, head_match, head_match_else_nearest, sieves",
        "answer": "mentions: the weights from the mention to the words that stand for earlier mentions; words: to all "
        "earlier words; back: from the words that stand for earlier mentions to the mention; empty for baselines",
        "group": "of mentions, by the word that stands for each: all, pronoun, proper, nominal",
        "accuracy": "share of mentions whose answer stands for an earlier mention of the same entity; on all documents",
        "n": "how many mentions have an antecedent in their window",
    },
    options=[Selection, Windowing],
    reading=Annotated[Reading, Without("max_length", "stride", "level")],
    labels=LABELS,
    instead={"conllu": "conllu-documents"},
    tables={"halves": "What even documents choose, reported on odd ones, with intervals of the gain."},
    view="attnprobe.render.coreference:coreference_view",
    formats={name: f"attnprobe.render.coreference:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads point from a mention to its antecedent.",
    examples=(
        "attnprobe coreference documents.conllu --window 64",
        "attnprobe coreference documents.conllu --halves halves.csv",
        "attnprobe coreference documents.conllu -o pronouns.svg",
    ),
)
