"""The library's functions of one text, one for each command; each imports what it runs when it is called.

Their options are those of the groups that the commands take, written out for whoever reads or completes them;
``tests/test_api.py`` holds names and defaults to these groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.analyses.twins import twin
from attnprobe.corpus.twins import twin_of_many


def __getattr__(name: str) -> Callable[..., Any]:
    """Makes the twin of an analysis without a function here."""
    if name not in ANALYSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    analysis = load_analysis(name)
    return twin(name, analysis) if isinstance(analysis, Analysis) else twin_of_many(name)
