"""attnprobe: what do this encoder's heads look at?

The library's public names are loaded on first use, so that ``import attnprobe`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnprobe.analyses.tidy import weights
    from attnprobe.analyses.trace import Trace, trace
    from attnprobe.corpora import RowBlock, corpus_stats
    from attnprobe.corpus.readers import read_records
    from attnprobe.corpus.records import Columns, Record, Skipped
    from attnprobe.corpus.sources import find_sources
    from attnprobe.errors import (
        AttnprobeError,
        CaseWarning,
        FontWarning,
        TruncationWarning,
        UnknownTokensWarning,
        WordsWarning,
    )
    from attnprobe.metrics import METRICS
    from attnprobe.models.encoder import Encoder
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.figure import heatmap
    from attnprobe.render.page import View, view
    from attnprobe.run import head_stats
    from attnprobe.summary import Summary
    from attnprobe.tokens import Tokens

__version__ = "0.1.0"
__all__ = [
    "METRICS",
    "AttnprobeError",
    "CaseWarning",
    "Columns",
    "Encoder",
    "FontWarning",
    "Record",
    "RowBlock",
    "Skipped",
    "Summary",
    "Tokens",
    "Trace",
    "TruncationWarning",
    "UnknownTokensWarning",
    "View",
    "WordsWarning",
    "corpus_stats",
    "find_sources",
    "head_stats",
    "heatmap",
    "load_encoder",
    "read_records",
    "trace",
    "view",
    "weights",
]

_HOMES = {
    "AttnprobeError": "attnprobe.errors",
    "CaseWarning": "attnprobe.errors",
    "Encoder": "attnprobe.models.encoder",
    "FontWarning": "attnprobe.errors",
    "METRICS": "attnprobe.metrics",
    "Tokens": "attnprobe.tokens",
    "Trace": "attnprobe.analyses.trace",
    "trace": "attnprobe.analyses.trace",
    "TruncationWarning": "attnprobe.errors",
    "UnknownTokensWarning": "attnprobe.errors",
    "WordsWarning": "attnprobe.errors",
    "Columns": "attnprobe.corpus.records",
    "Record": "attnprobe.corpus.records",
    "RowBlock": "attnprobe.corpora",
    "Skipped": "attnprobe.corpus.records",
    "Summary": "attnprobe.summary",
    "corpus_stats": "attnprobe.corpora",
    "find_sources": "attnprobe.corpus.sources",
    "read_records": "attnprobe.corpus.readers",
    "head_stats": "attnprobe.run",
    "heatmap": "attnprobe.render.figure",
    "weights": "attnprobe.analyses.tidy",
    "load_encoder": "attnprobe.models.loading",
    "View": "attnprobe.render.page",
    "view": "attnprobe.render.page",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
