"""The library's function of contacts in proteins."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from attnprobe.corpus.twins import summarize
from attnprobe.models.encoder import Encoder
from attnprobe.models.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from attnprobe.analyses.contact_scores import ContactScores
    from attnprobe.corpus.texts import Texts
    from attnprobe.values.records import Given
    from attnprobe.values.selection import Indices


def contacts(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    contacts: str | PathLike[str] | None = None, within: float | None = None, separation: int = 6,
    fit_proteins: int = 20, test_proteins: int = 100, seed: int = 0, maps: str | PathLike[str] | None = None,
    max_length: int | None = None, global_attention: str = "none", of: str = "attention", kmer: int | None = None,
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> ContactScores:  # fmt: skip
    """Measures how well each head finds contacts in proteins; the twin of ``attnprobe contacts``.

    Args:
        texts: proteins: sequences, files, or records whose label ``contacts`` is a list of pairs of residues, from 0.
        encoder, ids, layers, heads, max_length, global_attention, of, kmer, batch_tokens, on_error, max_unknown,
            threads, model: as in :func:`corpus_stats`.
        pairs: none: contacts are within one sequence.
        contacts: a CSV or TSV file with columns ``id``, ``i``, ``j``, residues counted from 0.
        within: takes pairs closer than this as contacts, by the file's column ``distance``.
        separation: how many residues apart those of a pair are at least.
        fit_proteins, test_proteins: how many proteins of even number the regression is fitted on, 0 for none, and of
            odd number it is tested on, at random.
        seed: of both samples.
        maps: the folder that gets a file for each protein: the regression's map, or without one each head's.

    Returns:
        the summary, with ``.regression`` and ``.to_frame()``: columns ``layer``, ``head``, ``precision_l``,
        ``precision_l2``, ``precision_l5``, ``auc``, ``n``, the last rows ``chance`` and ``regression``.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.
        OutputError: the folder of maps holds something.

    Warns:
        UnknownTokensWarning, CaseWarning, SequenceWarning: as in :func:`corpus_stats`.
    """
    found: ContactScores = summarize(
        "contacts", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model,
        layers=layers, heads=heads, contacts=contacts, within=within, separation=separation,
        fit_proteins=fit_proteins, test_proteins=test_proteins, seed=seed, maps=maps,
        max_length=max_length, global_attention=global_attention, of=of, kmer=kmer,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found
