"""The library's function of all that is known of a model's heads."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from attnprobe.corpus.twins import summarize
from attnprobe.models.encoder import Encoder
from attnprobe.models.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from attnprobe.atlases.data import Atlas
    from attnprobe.corpus.texts import Texts
    from attnprobe.values.records import Given


def atlas(
    texts: Texts | None = None,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    treebank: Texts | None = None, documents: Texts | None = None,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    importance: str = "none", seed: int = 0, clusters: int = 8, against: Atlas | str | PathLike[str] | None = None,
    max_length: int | None = None,
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Atlas:  # fmt: skip
    """Measures what every head of a model does, in one pass; the twin of ``attnprobe atlas``.

    Args:
        texts: as in :func:`corpus_stats`; None: sentences that come with attnprobe, in English, and in Chinese for
            vocabularies that know it.
        treebank: a Path, or a list of Paths or records: sentences with relations, as in :func:`relations`; None:
            relations and trees are not measured.
        documents: likewise, documents with entities, as in :func:`coreference`; None: coreference is not measured.
        encoder, ids, pairs, max_length, batch_tokens, on_error, max_unknown, threads, model: as in
            :func:`corpus_stats`.
        importance: "zero": also what changes when a head is switched off; "sensitivity": how much a small change of it
            would change; "none".
        seed: of random queries, examples and bootstraps.
        clusters: how many clusters heads form; at most as many as heads.
        against: an atlas, or its file in JSON, to show what changed since that one.

    Returns:
        the atlas, which a notebook shows as its page, with ``.data``, ``.to_frame()``, ``.against(other)`` and
        ``.save(path)``, as html, json, md, svg, png or pdf.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`; also an InputError for what is no atlas, and a
            UsageError for one that shares no head or no measure with this one.

    Warns:
        UnknownTokensWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    from attnprobe.atlases.data import Atlas, read_atlas

    before = against if isinstance(against, Atlas) or against is None else read_atlas(against)
    found: Atlas = summarize(
        "atlas", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model,
        treebank=treebank, documents=documents, importance=importance, seed=seed, clusters=clusters,
        max_length=max_length, batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    ).atlas  # fmt: skip
    return found if before is None else found.against(before)
