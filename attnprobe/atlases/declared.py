"""Declares the analysis ``atlas``: what every head of a model does, as one page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from attnprobe.analyses.coreference import LABELS as OF_DOCUMENTS
from attnprobe.analyses.kinds import CorpusAnalysis, Section, groups_of
from attnprobe.analyses.similarity import Clustering
from attnprobe.atlases.data import FORMATS, Atlas, read_atlas
from attnprobe.readers.streams import HEAD
from attnprobe.values.options import Options, Reading, Without, choice, option
from attnprobe.values.relations import LABELS as OF_SENTENCES

MARK = re.compile(rb'"format"\s*:\s*"attnprobe-atlas"')
OPENING = re.compile(rb"(\xef\xbb\xbf)?\s*\{")


@dataclass(frozen=True)
class Weighing(Options):
    """Chooses whether importance is measured, and the seed of all that is drawn.

    Attributes:
        importance: "zero": what changes when a head is switched off; "sensitivity": how much a small change of the
            head would change; "none".
        seed: of samples and bootstraps.
    """

    importance: str = choice(
        "none", "zero", "sensitivity", help="Measure what heads matter for, too: switched off, or by gradients."
    )
    seed: int = option(0, metavar="N", help="Of what is drawn at random: queries, examples, bootstraps and --sample.")


@dataclass(frozen=True)
class Comparing(Options):
    """Chooses the atlas that this one is compared with.

    Attributes:
        against: its file, as ``-f json`` writes it.
    """

    against: str | None = option(
        None, metavar="FILE", help="An older atlas in JSON: show also what changed, this atlas minus that one."
    )


def fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Checks that what is compared with is an atlas.

    Raises:
        InputError: it is none.
    """
    if options["against"] is not None:
        read_atlas(options["against"])
    return options


def loads(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Loads a classifier's head where heads are switched off, as ``importance`` does."""
    return {"task": None} if options.get("importance") == "zero" else {}


def finished(name: str, options: Mapping[str, Any]) -> Atlas | None:
    """Reads the atlas that a file holds, beside the one it is compared with; None if the file holds none.

    Raises:
        InputError: an atlas is damaged.
        UsageError: an option needs a model.
    """
    if not is_atlas(Path(name)):
        return None
    measuring = {option: options[option] for option in (*Weighing.names(), *Clustering.names())}
    for group in groups_of(measuring, [Weighing, Clustering]):
        group.refuse(f"{name!r} is an atlas, for which no model runs")
    atlas, against = read_atlas(name), options["against"]
    return atlas if against is None else atlas.against(read_atlas(against))


def is_atlas(path: Path) -> bool:
    """Tests whether a file holds an atlas, by what its first HEAD bytes say of it; it may be damaged further on.

    What attnprobe writes begins so. An atlas whose fields another program has put in another order may not be known.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return OPENING.match(head) is not None and MARK.search(head) is not None


ATLAS = CorpusAnalysis(
    measurement="attnprobe.atlases.measuring:AtlasMeasurement",
    columns={
        "layer": "layer, from 0",
        "head": "head, from 0",
        "role": "what it does for the most part, as attnprobe patterns says it",
        "pattern": "the shape of its attention, likewise",
        "cluster": "cluster of heads that do the same, as attnprobe similarity says it; 0 is the largest",
        "x": "place on the map of heads",
        "y": "likewise",
        "n_texts": "how many texts were measured",
        "finding": "what it does most clearly, in words",
    },
    options=[Weighing, Clustering, Comparing],
    reading=Annotated[Reading, Without("stride", "level", "global_attention", "of")],
    tables={"numbers": "Every number of every head, with its interval; csv, parquet and so on, by the suffix."},
    fit=fit,
    view="attnprobe.render.atlas_terminal:atlas_view",
    formats=FORMATS,
    sections={
        "treebank": Section(
            "conllu", "Sentences with relations: CoNLL-U or JSON Lines; repeatable, globs in quotes.", OF_SENTENCES
        ),
        "documents": Section(
            "coref",
            "Documents with entities: CoNLL-U or JSON Lines; likewise.",
            OF_DOCUMENTS,
            {"conllu": "conllu-documents"},
        ),
    },
    sample=True,
    finished="attnprobe.atlases.declared:finished",
    loads=loads,
    meaning="One page: what every head of a model does.",
    examples=(
        "attnprobe atlas reviews.txt -o atlas.html",
        "attnprobe atlas reviews.txt --conllu treebank.conllu",
        "attnprobe atlas new.json --against old.json -o new.html",
    ),
)
