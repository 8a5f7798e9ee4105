"""The table of analyses, of one text or of many.

To add one: an Analysis, or a CorpusAnalysis, of ``kinds.py`` in a module of this folder, and one row in BUILT_IN. The
command with its flags, ``attnprobe.NAME``, the page of the docs and the output in every format follow from it; of many
texts, also that a run can be resumed, shared by processes and estimated. Another package adds its own
through the entry point group ``attnprobe.analyses`` (``name = "package.module:object"``). Listing names imports no
module of an analysis; such a module imports torch within its functions only, so that help is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attnprobe.values.plugins import Row, load, with_plugins

if TYPE_CHECKING:
    from attnprobe.analyses.kinds import Analysis, CorpusAnalysis

BUILT_IN: dict[str, Row] = {
    "weights": (
        "attnprobe.analyses.weights:WEIGHTS",
        "The weights themselves, a row each, or all as tensors.",
    ),
    "tokens": (
        "attnprobe.analyses.token_scores:TOKENS",
        "Which tokens attention goes to: the text, shaded.",
    ),
    "trace": (
        "attnprobe.analyses.trace:TRACE",
        "How one head computes one row of attention, step by step.",
    ),
    "flow": (
        "attnprobe.analyses.flow:FLOW",
        "Where a token has its information from, layer by layer.",
    ),
    "patterns": (
        "attnprobe.analyses.patterns:PATTERN_CLASSES",
        "What kind of head each one is: its pattern and its role.",
    ),
    "similarity": (
        "attnprobe.analyses.similarity:SIMILARITY",
        "Which heads do the same: distances, clusters, a map.",
    ),
    "relations": (
        "attnprobe.analyses.relations:RELATIONS",
        "Which heads find which relations of a treebank.",
    ),
    "trees": (
        "attnprobe.analyses.trees:TREES",
        "Which heads draw a sentence's dependency tree (UUAS).",
    ),
    "probe": (
        "attnprobe.analyses.probe:PROBE",
        "How well attention finds head words: a trained probe.",
    ),
    "coreference": (
        "attnprobe.analyses.coreference:COREFERENCE",
        "Which heads point from a mention to its antecedent.",
    ),
    "contacts": (
        "attnprobe.analyses.contacts:CONTACTS",
        "Which heads see contacts in proteins; a regression over all.",
    ),
    "importance": (
        "attnprobe.analyses.importance:IMPORTANCE",
        "Which heads matter: gradients, or heads switched off.",
    ),
    "atlas": (
        "attnprobe.atlases.declared:ATLAS",
        "One page: what every head of a model does.",
    ),
}


ANALYSES: Mapping[str, Row] = with_plugins("attnprobe.analyses", BUILT_IN)


def load_analysis(name: str) -> Any:
    """Loads the Analysis or CorpusAnalysis of that name, with the meaning of the row unless it states another."""
    target, meaning = ANALYSES[name]
    analysis: Analysis | CorpusAnalysis = load(target)
    return replace(analysis, meaning=analysis.meaning or meaning)
