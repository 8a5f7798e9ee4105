"""Measures some texts again for a table of a summary, once all texts have come."""

from __future__ import annotations

from typing import Any

from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.models.encoder import Encoder


def completed(summary: Any, encoder: Encoder, threads: int | None = None) -> Any:
    """Returns the summary with all that its own table asks for, one step after the other.

    Raises:
        InputError: the summary is of too few texts.
    """
    getattr(summary, "check", lambda: None)()
    while "summary" in getattr(summary, "asks", {}):
        summary = answered(summary, "summary", encoder, threads)
    return summary


def answered(summary: Any, name: str, encoder: Encoder, threads: int | None = None) -> Any:
    """Returns the summary with what it asks for; see ``asks`` of :class:`attnprobe.measure.kinds.Summary`.

    Args:
        name: of the table.
    """
    measurement, records = summary.asks[name]()
    prober = Prober(encoder, Settings(measurement, measurement.reading), threads)
    found = prober.empty
    for result in prober.results(prober.settings.chunks(records)):
        found += result.summary
    return summary.answered(name, found)
