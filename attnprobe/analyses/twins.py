"""Makes the library's functions from analyses."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

from attnprobe.analyses.kinds import Analysis
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.table import Table


def twin(name: str, analysis: Analysis) -> Callable[..., Any]:
    """Makes the function that returns the result of an analysis, as a DataFrame in place of a Table."""

    def run(
        text: str,
        encoder: Encoder | str | PathLike[str] | None = None,
        *,
        model: str | PathLike[str] = DEFAULT_MODEL,
        **options: Any,
    ) -> Any:
        result = analysis(text, loaded(encoder, model), **options)
        return result.to_frame() if isinstance(result, Table) else result

    helps = [f"        {option.name}: {option.metadata.get('help', '')}" for option in analysis.fields()]
    run.__name__ = run.__qualname__ = name
    run.__doc__ = "\n".join(
        [
            f"{analysis.meaning}\n",
            "    Args:",
            "        text, encoder, model, pair: as in :func:`attnprobe.head_stats`.",
            *helps,
        ]
    )
    return run
