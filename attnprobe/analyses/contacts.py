"""Declares the analysis ``contacts``: which heads see the contacts of proteins, and a regression over all heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.errors import OutputError, UsageError
from attnprobe.values.options import Options, Selection, SequenceReading, Without, option, whole


@dataclass(frozen=True)
class Contacting(Options):
    """Chooses what counts as a contact.

    Attributes:
        contacts: a CSV or TSV file with columns ``id``, ``i``, ``j``, residues counted from 0; None: records do.
        within: the distance in Å that contacts are closer than, by the file's column ``distance``; None: every row is.
        separation: how many residues apart those of a pair are at least.

    Raises:
        UsageError: a distance is given without a file.
    """

    contacts: Path | None = option(
        None, metavar="FILE", help="CSV or TSV with columns id, i, j: pairs of residues, counted from 0."
    )
    within: float | None = option(
        None, metavar="Å", min=0, help="The file lists distances, too: contacts are closer than this, e.g. 8."
    )
    separation: int = whole(6, least=1, help="Only pairs so many residues apart, or more.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within is not None and self.contacts is None:
            raise UsageError("--within is for a file with distances", "--contacts FILE names one")


@dataclass(frozen=True)
class Fitting(Options):
    """Chooses the proteins that a regression over heads is fitted and tested on.

    Attributes:
        fit_proteins: how many of even number it is fitted on, at random; 0: no regression.
        test_proteins: how many of odd number it is tested on.
        seed: of both samples.
        maps: the folder that gets a file of maps for each protein; None: they are not kept.
    """

    fit_proteins: int = whole(20, help="Proteins that the regression over heads is fitted on; 0: none is fitted.")
    test_proteins: int = whole(100, least=1, help="Other proteins that it is tested on.")
    seed: int = option(0, metavar="N", help="Of the proteins that it sees, and of --sample.")
    maps: Path | None = option(
        None, metavar="DIR", help="Write a file for each protein: the regression's map, or each head's."
    )


def _fit(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    """Checks the folder of maps."""
    if options.get("maps") is not None:
        check_folder(Path(options["maps"]))
    return options


def check_folder(folder: Path) -> None:
    """Checks before any work is done that a folder can be written.

    Raises:
        OutputError: the folder holds something, or cannot be made.
    """
    if not folder.absolute().parent.is_dir():
        raise OutputError(f"no folder {str(folder.parent)!r} to write {folder.name!r} to", "make it first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{str(folder)!r} exists already", "name a folder that is new or empty")


CONTACTS = CorpusAnalysis(
    measurement="attnprobe.analyses.contact_maps:ContactMaps",
    columns={
        "layer": "layer, from 0; empty for what is no head",
        "head": "head, from 0; `chance`: the share of contacts among the pairs; `regression`: over all heads",
        "precision_l": "share of contacts among the L pairs with the largest values, L the length; mean over proteins",
        "precision_l2": "likewise among the L/2 largest",
        "precision_l5": "likewise among the L/5 largest",
        "auc": "area under the ROC curve: how often a contact's value is above another pair's; mean over proteins",
        "n": "how many proteins the means are over; for the regression, those that it was tested on",
    },
    options=[Selection, Contacting, Fitting],
    labels=("contacts",),
    reading=Annotated[SequenceReading, Without("stride", "level")],
    fit=_fit,
    view="attnprobe.render.contacts:contacts_view",
    formats={name: f"attnprobe.render.contacts:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads see contacts in proteins; a regression over all.",
    examples=(
        "attnprobe contacts p.fasta --contacts pairs.csv",
        "attnprobe contacts p.fasta --contacts pairs.csv -o p.png",
        "attnprobe contacts p.fasta --contacts a.csv --within 8",
    ),
)
