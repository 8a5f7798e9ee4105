"""The library's functions, one for each command."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.corpus.texts import check_columns, to_records
from attnprobe.errors import (
    CaseWarning,
)
from attnprobe.measure.heads import head_table
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.records import Record, Skipped

if TYPE_CHECKING:
    import pandas


def head_stats(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> pandas.DataFrame:
    """What each head attends to in a text, a row per layer and head; the twin of ``attnprobe heads``.

    Args:
        text: the text itself, never a path.
        encoder: from :func:`load_encoder`; or a folder or Hub id to load. None loads ``model``.
        metrics: names from ``attnprobe metrics``; None: all.
        model: the folder or Hub id to load where no encoder is given.
        options: pair, layers, heads, long_range, queries, level, max_length, stride, global_attention, as
            :func:`attnprobe.measure.heads.head_table` explains them.

    Returns:
        columns ``layer``, ``head`` (from 0), then the metrics in the order of METRICS; NaN where a metric has no
        meaning. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an unknown metric, a layer or head out of range, an empty text.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.measure.reading.windows_of`.
    """
    names = check_names(metrics)
    return head_table(text, loaded(encoder, model), names, **options).to_frame()


def corpus_stats(
    texts: Iterable[str | Record | Skipped],
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    ids: Iterable[object] | None = None,
    pairs: Iterable[str] | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    threads: int | None = None,
    **options: Any,
) -> CorpusStats:
    """What each head attends to in each of many texts; the twin of ``attnprobe corpus``.

    Nothing is read before the result is iterated, and no more than two chunks of texts are held at a time.

    Args:
        texts: any iterable of texts, or of records from :func:`attnprobe.read_records`.
        encoder, metrics, model: as in :func:`attnprobe.head_stats`.
        ids: of the texts; None: their numbers, from 1.
        pairs: the second text of each.
        threads: how many batches are computed at a time on a CPU; None: one per core. No number depends on it.
        options: layers, heads, long_range, queries, level, max_length, stride as in ``head_stats``; batch_tokens;
            profile; max_unknown, the largest share of tokens that the vocabulary may lack; on_error, "fail" unless told
            otherwise, or "skip".

    Returns:
        an iterable of :class:`RowBlock`, with ``.summary``, ``.skipped`` and ``.to_frame()``. Summaries add up.

    Raises:
        UsageError: an unknown metric or option, no list of texts; also while iterating, ids or pairs that are not as
            many as the texts.
        InputError: while iterating, a text that cannot be used (empty, not Unicode, one the model gives NaN for),
            unless these are skipped.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UnknownTokensWarning, WordsWarning, CaseWarning: texts are not read as they stand; the first two at the end.
    """
    names = check_names(metrics)
    check_columns(texts, ids, pairs)
    encoder = loaded(encoder, model)
    if encoder.case:
        warnings.warn(encoder.case, CaseWarning, stacklevel=2)
    settings = Settings.choose(encoder, **{"metrics": names, "on_error": "fail", **options})
    return CorpusStats(Prober(encoder, settings, threads), to_records(texts, ids, pairs))
