"""attnprobe: what do this encoder's heads look at?

The library's public names are loaded on first use, so that ``import attnprobe`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnprobe.version import __version__ as __version__

if TYPE_CHECKING:  # the names of _HOMES, for type checkers
    from attnprobe.analyses.comparison import Comparison as Comparison
    from attnprobe.analyses.map_changes import MapChanges as MapChanges
    from attnprobe.analyses.trace import Trace as Trace
    from attnprobe.api.pictures import heatmap as heatmap
    from attnprobe.api.pictures import view as view
    from attnprobe.api.tables import flow as flow
    from attnprobe.api.tables import head_stats as head_stats
    from attnprobe.api.tables import links as links
    from attnprobe.api.tables import tokens as tokens
    from attnprobe.api.tables import trace as trace
    from attnprobe.api.tables import weights as weights
    from attnprobe.atlases.data import Atlas as Atlas
    from attnprobe.atlases.data import read_atlas as read_atlas
    from attnprobe.corpus.annotated import coreference as coreference
    from attnprobe.corpus.annotated import probe as probe
    from attnprobe.corpus.annotated import relations as relations
    from attnprobe.corpus.annotated import trees as trees
    from attnprobe.corpus.atlas import atlas as atlas
    from attnprobe.corpus.contacts import contacts as contacts
    from attnprobe.corpus.importance import importance as importance
    from attnprobe.corpus.importance import importance_curve as importance_curve
    from attnprobe.corpus.twins import corpus_stats as corpus_stats
    from attnprobe.corpus.twins import patterns as patterns
    from attnprobe.corpus.twins import run_corpus as run_corpus
    from attnprobe.corpus.twins import similarity as similarity
    from attnprobe.corpus.two_models import compare as compare
    from attnprobe.errors import AttnprobeError as AttnprobeError
    from attnprobe.errors import CaseWarning as CaseWarning
    from attnprobe.errors import FontWarning as FontWarning
    from attnprobe.errors import PartialMeanWarning as PartialMeanWarning
    from attnprobe.errors import SequenceWarning as SequenceWarning
    from attnprobe.errors import TruncationWarning as TruncationWarning
    from attnprobe.errors import UnknownTokensWarning as UnknownTokensWarning
    from attnprobe.errors import WordsWarning as WordsWarning
    from attnprobe.metrics import METRICS as METRICS
    from attnprobe.models.encoder import Encoder as Encoder
    from attnprobe.models.loading import load_encoder as load_encoder
    from attnprobe.readers.readers import read_records as read_records
    from attnprobe.readers.sources import find_sources as find_sources
    from attnprobe.render.page import View as View
    from attnprobe.values.records import Columns as Columns
    from attnprobe.values.records import Record as Record
    from attnprobe.values.records import Skipped as Skipped
    from attnprobe.values.rows import RowBlock as RowBlock
    from attnprobe.values.summary import Summary as Summary
    from attnprobe.values.tokens import Tokens as Tokens

_HOMES = {
    "Atlas": "attnprobe.atlases.data",
    "AttnprobeError": "attnprobe.errors",
    "CaseWarning": "attnprobe.errors",
    "Columns": "attnprobe.values.records",
    "Comparison": "attnprobe.analyses.comparison",
    "Encoder": "attnprobe.models.encoder",
    "FontWarning": "attnprobe.errors",
    "METRICS": "attnprobe.metrics",
    "MapChanges": "attnprobe.analyses.map_changes",
    "PartialMeanWarning": "attnprobe.errors",
    "Record": "attnprobe.values.records",
    "RowBlock": "attnprobe.values.rows",
    "SequenceWarning": "attnprobe.errors",
    "Skipped": "attnprobe.values.records",
    "Summary": "attnprobe.values.summary",
    "Tokens": "attnprobe.values.tokens",
    "Trace": "attnprobe.analyses.trace",
    "TruncationWarning": "attnprobe.errors",
    "UnknownTokensWarning": "attnprobe.errors",
    "View": "attnprobe.render.page",
    "WordsWarning": "attnprobe.errors",
    "atlas": "attnprobe.corpus.atlas",
    "compare": "attnprobe.corpus.two_models",
    "contacts": "attnprobe.corpus.contacts",
    "coreference": "attnprobe.corpus.annotated",
    "corpus_stats": "attnprobe.corpus.twins",
    "find_sources": "attnprobe.readers.sources",
    "flow": "attnprobe.api.tables",
    "head_stats": "attnprobe.api.tables",
    "heatmap": "attnprobe.api.pictures",
    "importance": "attnprobe.corpus.importance",
    "importance_curve": "attnprobe.corpus.importance",
    "links": "attnprobe.api.tables",
    "load_encoder": "attnprobe.models.loading",
    "patterns": "attnprobe.corpus.twins",
    "probe": "attnprobe.corpus.annotated",
    "read_atlas": "attnprobe.atlases.data",
    "read_records": "attnprobe.readers.readers",
    "relations": "attnprobe.corpus.annotated",
    "run_corpus": "attnprobe.corpus.twins",
    "similarity": "attnprobe.corpus.twins",
    "tokens": "attnprobe.api.tables",
    "trace": "attnprobe.api.tables",
    "trees": "attnprobe.corpus.annotated",
    "view": "attnprobe.api.pictures",
    "weights": "attnprobe.api.tables",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Loads a public name, or makes the function of an analysis."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and name in import_module("attnprobe.analyses").ANALYSES:
        return getattr(import_module("attnprobe.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *import_module("attnprobe.analyses").ANALYSES})
