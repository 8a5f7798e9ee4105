"""The library's function of the importance of heads."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from attnprobe.corpus.again import answered
from attnprobe.corpus.twins import summarize
from attnprobe.models.encoder import Encoder
from attnprobe.models.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from attnprobe.analyses.curve import Left
    from attnprobe.analyses.importances import Importances
    from attnprobe.corpus.texts import Texts
    from attnprobe.values.records import Given
    from attnprobe.values.selection import Indices


def importance(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all",
    method: str = "gradient", objective: str = "sensitivity", per_token: bool = False, label_column: str | None = None,
    curve_texts: int = 128, seed: int = 0,
    max_length: int | None = None, global_attention: str = "none",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Importances:  # fmt: skip
    """Measures which heads matter, over many texts; the twin of ``attnprobe importance``.

    Args:
        texts, ids, pairs, layers, max_length, global_attention, batch_tokens, on_error, max_unknown, threads, model: as
            in :func:`corpus_stats`.
        encoder: as in :func:`corpus_stats`; for "mlm" and "loss" with the task head, ``load_encoder(..., task=True)``.
        method: "gradient", or "zero", "mean" or "uniform": heads are switched off.
        objective: what a head matters for: "sensitivity", "norm", "cls-norm", "similarity", "mlm" or "loss".
        per_token: whether magnitudes of gradients are taken token by token, as Michel's code does.
        curve_texts, seed: of :func:`importance_curve`: how many texts, at random, and the seed of these and of the
            random order of heads.
        label_column: the name of the label in records that says what the model should say, for "loss".

    Returns:
        the summary, with ``.values`` (layer, head) and ``.to_frame()``: columns ``layer``, ``head``, ``importance``,
        ``ci_low``, ``ci_high``, ``normalized``, ``n_texts``, and of heads switched off the effects. Summaries add up.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`; a ModelError also for a model without the head
            or the token that the objective needs.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    found: Importances = summarize(
        "importance", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model,
        layers=layers, method=method, objective=objective, per_token=per_token, label_column=label_column,
        curve_texts=curve_texts, seed=seed,
        max_length=max_length, global_attention=global_attention,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found


def importance_curve(result: Importances, encoder: Encoder, *, threads: int | None = None) -> Left:
    """Measures what is left of a model as heads are switched off, the least important first.

    Heads are switched off by the method of the importance, or by "zero" after gradients. It takes the texts that
    :func:`importance` kept, and measures the accuracy, or the loss or similarity, where that was the objective; else
    how many predictions stay as they are, or without a head the cosine with the whole model's mean-pooled vector.

    Args:
        result: the importance of heads for the same encoder.
        encoder: from :func:`load_encoder`.
        threads: as in :func:`corpus_stats`.

    Returns:
        the summary, with ``.to_frame()``: columns ``n_off``, ``share_off``, ``order`` ("importance", or "random", to
        compare it with), ``value``, ``ci_low``, ``ci_high``, ``n_texts``.
    """
    found: Left = answered(result, "curve", encoder, threads).left
    return found
