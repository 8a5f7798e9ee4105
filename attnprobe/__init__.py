"""attnprobe: what do this encoder's heads look at?

The library's public names are loaded on first use, so that ``import attnprobe`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnprobe.version import __version__

if TYPE_CHECKING:
    from attnprobe.analyses.trace import Trace, trace
    from attnprobe.analyses.weights import weights
    from attnprobe.api import corpus_stats, head_stats, run_corpus
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
    from attnprobe.readers.readers import read_records
    from attnprobe.readers.sources import find_sources
    from attnprobe.render.figure import heatmap
    from attnprobe.render.page import View, view
    from attnprobe.values.records import Columns, Record, Skipped
    from attnprobe.values.rows import RowBlock
    from attnprobe.values.summary import Summary
    from attnprobe.values.tokens import Tokens

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
    "__version__",
    "corpus_stats",
    "find_sources",
    "head_stats",
    "heatmap",
    "load_encoder",
    "read_records",
    "run_corpus",
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
    "Tokens": "attnprobe.values.tokens",
    "Trace": "attnprobe.analyses.trace",
    "trace": "attnprobe.analyses.trace",
    "TruncationWarning": "attnprobe.errors",
    "UnknownTokensWarning": "attnprobe.errors",
    "WordsWarning": "attnprobe.errors",
    "Columns": "attnprobe.values.records",
    "Record": "attnprobe.values.records",
    "RowBlock": "attnprobe.values.rows",
    "Skipped": "attnprobe.values.records",
    "Summary": "attnprobe.values.summary",
    "corpus_stats": "attnprobe.api",
    "find_sources": "attnprobe.readers.sources",
    "read_records": "attnprobe.readers.readers",
    "head_stats": "attnprobe.api",
    "run_corpus": "attnprobe.api",
    "heatmap": "attnprobe.render.figure",
    "weights": "attnprobe.analyses.weights",
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
