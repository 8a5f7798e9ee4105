"""The library's functions of what heads know: relations, trees, a probe, coreference."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from attnprobe.corpus.twins import summarize
from attnprobe.models.encoder import Encoder
from attnprobe.models.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from attnprobe.analyses.coreferences import Coreferences
    from attnprobe.analyses.probed import Probed
    from attnprobe.analyses.related import Relations
    from attnprobe.analyses.tree_scores import TreeScores
    from attnprobe.corpus.texts import Texts
    from attnprobe.values.records import Given
    from attnprobe.values.selection import Indices


def relations(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    align: str = "words", subtypes: bool = False,
    query_column: str | None = None, key_column: str | None = None, relation_column: str | None = None,
    seed: int = 0, shares: bool = False,
    max_length: int | None = None, global_attention: str = "none", of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Relations:  # fmt: skip
    """Finds which heads follow which relations between words; the twin of ``attnprobe relations``.

    See Clark et al. (2019), section 4.2. Even records choose head, direction and offset; odd ones report.

    Args:
        texts: CoNLL-U files (:class:`pathlib.Path`), or records of words with the label ``relations``.
        encoder, ids, layers, heads, global_attention, of, batch_tokens, on_error, max_unknown, threads, model: as in
            :func:`corpus_stats`.
        pairs: none: what is annotated is one text.
        align: "words": the model reads the words one by one; "text": it reads the text as it stands.
        subtypes: whether labels keep what follows the first colon.
        query_column, key_column, relation_column: the labels with the characters of two words and the name of their
            relation, in place of ``relations``.
        seed: of the bootstrap.
        shares: whether ``shares()`` is measured, too (Vig & Belinkov 2019).
        max_length: the most tokens of a text; a longer one cannot be used.

    Returns:
        the summary, with ``.to_frame()``: columns ``relation``, ``n``, ``layer``, ``head``, ``direction``,
        ``accuracy``, ``baseline_offset``, ``baseline``, ``gain``, ``gain_low``, ``gain_high``. Summaries add up.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    found: Relations = summarize(
        "relations", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model, layers=layers, heads=heads,
        align=align, subtypes=subtypes,
        query_column=query_column, key_column=key_column, relation_column=relation_column,
        seed=seed, shares=shares,
        max_length=max_length, global_attention=global_attention, of=of,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found


def trees(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    symmetric: str = "sum", align: str = "words",
    max_length: int | None = None, global_attention: str = "none", of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> TreeScores:  # fmt: skip
    """Scores the maximum spanning trees of heads by the edges of a treebank; the twin of ``attnprobe trees``.

    The share of edges found, undirected (UUAS), micro over sentences; punctuation is left out.

    Args:
        texts: as in :func:`relations`.
        encoder, ids, layers, heads, global_attention, of, batch_tokens, on_error, max_unknown, threads, model: as in
            :func:`corpus_stats`.
        pairs: none: what is annotated is one text.
        symmetric: what an edge weighs: "sum", both ways together, or "max", the larger one.
        align, max_length: as in :func:`relations`.

    Returns:
        the summary, with ``.to_frame()``: columns ``layer``, ``head``, ``uuas``, ``n``, the mean of each layer's heads
        as head ``mean``, the last rows ``chain`` and ``offset``. Summaries add up.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    found: TreeScores = summarize(
        "trees", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model, layers=layers, heads=heads,
        symmetric=symmetric, align=align,
        max_length=max_length, global_attention=global_attention, of=of,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found


def probe(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    align: str = "words", train: int | None = None, sentences: int = 2000, seed: int = 0,
    max_length: int | None = None, global_attention: str = "none",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Probed:  # fmt: skip
    """Fits a probe that finds head words by the attention of all heads; the twin of ``attnprobe probe``.

    Clark et al. (2019), section 5, attention only: one weight for each head and direction, fitted to the optimum.

    Args:
        texts: as in :func:`relations`.
        encoder, ids, layers, heads, global_attention, batch_tokens, on_error, max_unknown, threads, model: as in
            :func:`corpus_stats`.
        pairs: none: what is annotated is one text.
        align: as in :func:`relations`.
        train: how many sentences, the first, it is fitted on; None: the first four of each five.
        sentences, seed: how many random sentences are used at most, and the seed of these.
        max_length: as in :func:`relations`.

    Returns:
        the probe, with ``.weights()`` and ``.to_frame()``: columns ``part``, ``uas``, ``n``, ``nll``,
        ``baseline_offset``, ``baseline``.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    found: Probed = summarize(
        "probe", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model, layers=layers, heads=heads,
        align=align, train=train, sentences=sentences, seed=seed,
        max_length=max_length, global_attention=global_attention,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found


def coreference(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    window: int | None = None, singletons: bool = False, inclusive: bool = False, seed: int = 0,
    global_attention: str = "none", of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Coreferences:  # fmt: skip
    """Finds how often heads select an antecedent of a mention; the twin of ``attnprobe coreference``.

    See Clark et al. (2019), section 4.3.

    Args:
        texts: CoNLL-U files with entities (:class:`pathlib.Path`), or records with ``mentions`` or ``clusters``.
        encoder, ids, layers, heads, global_attention, of, batch_tokens, on_error, max_unknown, threads, model: as in
            :func:`corpus_stats`.
        pairs: none: what is annotated is one text.
        window: how many tokens a window of whole sentences holds at most; None: as many as the model reads.
        singletons: whether entities that are mentioned once are candidates, too.
        inclusive: whether spans of clusters end with their last word, and not one beyond.
        seed: of the bootstrap.

    Returns:
        the summary, with ``.halves()`` and ``.to_frame()``: columns ``layer``, ``head``, ``answer``, ``group``,
        ``accuracy``, ``n``, the last rows the baselines. Summaries add up.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    found: Coreferences = summarize(
        "coreference", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model, layers=layers, heads=heads,
        window=window, singletons=singletons, inclusive=inclusive, seed=seed,
        global_attention=global_attention, of=of,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found
