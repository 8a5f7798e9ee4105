"""The library's functions of many texts; each imports what it runs when it is called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from attnprobe.analyses import load_analysis
from attnprobe.analyses.twins import as_twin
from attnprobe.errors import CaseWarning, SequenceWarning
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.options import Averaging, Engine, Mean, Reading, Running, Selection, SequenceReading
from attnprobe.values.records import TEXTS, Columns

if TYPE_CHECKING:
    from attnprobe.analyses.likeness import Similarity
    from attnprobe.analyses.shares import Patterns
    from attnprobe.corpus.prober import Result
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.stats import CorpusStats
    from attnprobe.corpus.texts import Texts
    from attnprobe.measure.kinds import Measurement
    from attnprobe.values.records import Given
    from attnprobe.values.selection import Indices


def corpus_stats(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    queries: str = "all", long_range: int = 10,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention", kmer: int | None = None,
    profile: bool = False, batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> CorpusStats:  # fmt: skip
    """Measures what each head attends to in each of many texts; the twin of ``attnprobe corpus``.

    Nothing is read before the result is iterated, and no more than two chunks of texts are held at a time.

    Args:
        texts: any iterable of texts, of lists of words as given, each the words of one text, or of records, such as
            from :func:`attnprobe.read_records`; a Path, alone or among them, is a file of texts, a string never is.
        encoder, metrics, layers, heads, mean, queries, long_range, max_length, stride, level, global_attention, of,
            kmer, model: as in :func:`attnprobe.head_stats`; ``mean`` averages within each text, in the summary only.
        ids: of the texts; None: their numbers, from 1.
        pairs: the second texts of pairs.
        profile: whether the summary also gets the weights by key − query.
        batch_tokens: how many tokens are run at once. No number depends on it.
        on_error: "fail" ends the run at a text that cannot be used, "skip" leaves it out.
        max_unknown: a text with a larger share of tokens that the model's vocabulary lacks cannot be used; None: any.
        threads: how many batches are computed at a time on a CPU; None: one per core. No number depends on it.

    Returns:
        an iterable of :class:`RowBlock`, with ``.summary``, ``.skipped`` and ``.to_frame()``. Summaries add up.

    Raises:
        UsageError: a metric is unknown, an option has an invalid value, or texts are no list; while iterating, the
            number of ids or pairs differs from that of the texts.
        InputError: while iterating, a text cannot be used (empty, not Unicode, the model gives NaN), unless such texts
            are skipped.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UnknownTokensWarning, WordsWarning, CaseWarning: texts are not read as they stand; the first two at the end.
    """
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.stats import CorpusStats
    from attnprobe.corpus.texts import check_columns, to_records

    names = check_names(metrics)
    check_columns(texts, ids, pairs)
    reading = SequenceReading(max_length, stride, level, global_attention, of, kmer)
    running = Running(batch_tokens, on_error, max_unknown)
    averaging = Averaging(queries, long_range)
    encoder = loaded_with_warning(encoder, model, reading=reading)
    chosen: dict[str, Any] = {"metrics": names, "layers": layers, "heads": heads, "mean": mean, "profile": profile}
    settings = Settings.choose(encoder, **chosen, **vars(averaging), **vars(reading), **vars(running))
    return CorpusStats(Prober(encoder, settings, threads), to_records(texts, ids, pairs))


def run_corpus(
    inputs: str | PathLike[str] | Sequence[str | PathLike[str]],
    output: str | PathLike[str] | None = None,
    encoder: Encoder | str | PathLike[str] | None = None, metrics: Sequence[str] | None = None,
    *,
    measure: str | Measurement = "heads",
    summary: str | PathLike[str] | None = None, profile: str | PathLike[str] | None = None,
    columns: Columns | None = None, input_format: str | None = None, encoding: str = "utf-8",
    delimiter: str | None = None, quoting: str | None = None, header: bool | None = None,
    limit: int | None = None, sample: int | None = None, seed: int = 0,
    layers: Indices = "all", heads: Indices = "all", mean: str | None = None,
    queries: str = "all", long_range: int = 10,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention", kmer: int | None = None,
    batch_tokens: int = 2048, on_error: str = "skip", max_unknown: float | None = None,
    engine: str = "local", workers: int = 1, num_gpus: float = 0.0,
    resume: bool = False, overwrite: bool = False, spreadsheet_safe: bool = False,
    on_result: Callable[[Result], object] | None = None, model: str | PathLike[str] = DEFAULT_MODEL,
) -> CorpusRun:  # fmt: skip
    """Measures files into files, as ``attnprobe corpus`` does: resumable, in several processes or on Ray.

    Args:
        inputs: files, globs, datasets folders or ``hub:NAME``, as :func:`attnprobe.find_sources` takes them.
        output: the file of rows, or where there are none of the summary, as its suffix says; None: there is none.
        encoder: as in :func:`attnprobe.head_stats`; other processes can only load a model by name.
        metrics, layers, heads, mean, queries, long_range, max_length, stride, level, global_attention, of, kmer,
            model: as in :func:`attnprobe.head_stats`; ``mean`` averages within each text, in the summary only.
        measure: a name from ``attnprobe.measure.MEASUREMENTS``, or a measurement.
        summary, profile: the files of the tables over all texts.
        columns: the columns of text, id, pair and labels.
        input_format, delimiter, quoting, header: as :func:`attnprobe.find_sources` explains them.
        encoding, limit, sample, seed: as :func:`attnprobe.read_records` explains them.
        batch_tokens, on_error, max_unknown: as in :func:`corpus_stats`.
        engine, workers: "local", this machine, or "ray", a Ray cluster; how many processes, of which 1 is this one.
        num_gpus: how many GPUs, or what share of one, each process gets on Ray.
        resume: whether to go on with a run that was killed; a complete one is left as it is.
        overwrite: whether to start anew, and replace the files that exist; with ``resume``, only where the earlier run
            did other work.
        spreadsheet_safe: whether to keep spreadsheets from taking a text for a formula.
        on_result: called with each chunk's result, once it is stored.

    Returns:
        the run, with ``state`` (texts, tokens, skipped, cut) and ``summary``.

    Raises:
        UsageError: an option has an invalid value, or does not suit what is measured.
        InputError, OutputError: a file cannot be read, written or replaced.
        ModelError: a model that cannot be loaded or measured.
    """
    from attnprobe.corpus.run import CorpusRun

    chosen = {**Selection(layers, heads).changed(), **Mean(mean).changed(), **Averaging(queries, long_range).changed()}
    chosen |= {} if metrics is None else {"metrics": check_names(metrics)}
    reading = SequenceReading(max_length, stride, level, global_attention, of, kmer)
    source: dict[str, Any] = {"format": input_format, "delimiter": delimiter, "quoting": quoting, "header": header}
    source |= {"encoding": encoding, "limit": limit, "sample": sample, "seed": seed}
    how: dict[str, Any] = {"columns": columns, "reading": source, "engine": Engine(engine, workers, num_gpus)}
    how |= {**chosen, **vars(reading), **vars(Running(batch_tokens, on_error, max_unknown))}
    paths = {"output": output, "summary": summary, "profile": profile}
    names = [str(name) for name in ([inputs] if isinstance(inputs, str | PathLike) else inputs)]
    run = CorpusRun.of(names, paths, encoder, model, measure, spreadsheet_safe=spreadsheet_safe, **how)
    run.go(resume=resume, overwrite=overwrite, on_result=on_result)
    return run


def patterns(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    vertical: float = 0.6, diagonal: float = 0.6, both: float = 0.7, least: float = 0.2, block: float = 0.75,
    most: float = 0.5, same: float = 0.1, broad: float = 0.8,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Patterns:  # fmt: skip
    """Finds the pattern and the role of each head in texts; the twin of ``attnprobe patterns``.

    Args:
        texts, encoder, ids, pairs, max_length, stride, level, global_attention, of, batch_tokens, on_error,
            max_unknown, threads, model: as in :func:`corpus_stats`.
        vertical, diagonal, both, least, block, most, same, broad: the thresholds of the rules, see
            :class:`attnprobe.analyses.rules.Thresholds`.

    Returns:
        the patterns, with ``.to_frame()``: columns ``layer``, ``head``, ``pattern``, ``role``, then the mean over texts
        of each share that the rules read, and ``n_texts``. ``.roles()`` has the roles by layer. Patterns of other texts
        add up (+).

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.
    """
    found: Patterns = summarize(
        "patterns", texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model,
        vertical=vertical, diagonal=diagonal, both=both, least=least, block=block, most=most, same=same, broad=broad,
        max_length=max_length, stride=stride, level=level, global_attention=global_attention, of=of,
        batch_tokens=batch_tokens, on_error=on_error, max_unknown=max_unknown,
    )  # fmt: skip
    return found


def summarize(
    name: str,
    texts: Texts | None,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None,
    pairs: Iterable[Given] | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> Any:
    """Measures all texts, and returns the summary of the analysis of that name.

    Args:
        texts, encoder, ids, pairs, threads, model: as in :func:`corpus_stats`; without texts, where the analysis has
            a sample, the sentences that come with attnprobe.
        options: those of the analysis, of reading and of running, and the texts of further sections.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`.
    """
    from attnprobe.corpus.again import completed
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.sample import sample_records
    from attnprobe.corpus.sections import in_sections
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.stats import CorpusStats
    from attnprobe.corpus.texts import check_columns, check_files, to_records

    analysis = load_analysis(name)
    check_columns([] if texts is None and analysis.sample else texts, ids, pairs)
    further = {section: options.pop(section) for section in analysis.sections if options.get(section) is not None}
    for section, of_section in further.items():
        check_files(section, of_section)
    reading = SequenceReading(kmer=options.get("kmer"))
    encoder = loaded_with_warning(encoder, model, reading=reading, **analysis.loads(options))
    told = {"sections": [TEXTS, *further]} if analysis.sections else {}
    kept = {option: value for option, value in options.items() if option not in analysis.sections}
    settings = Settings.of_analysis(analysis, encoder, **{"on_error": "fail", **kept, **told})
    texts = sample_records(encoder.tokenizer) if texts is None else texts
    given = {TEXTS: to_records(texts, ids, pairs, analysis.reads(options), analysis.instead)}
    for section, of_section in further.items():
        about = analysis.sections[section]
        given[section] = to_records(of_section, None, None, Columns(also=tuple(about.labels)), about.instead)
    records = in_sections(given)
    stats = CorpusStats(Prober(encoder, settings, threads), records)
    return completed(stats.complete(), encoder, threads)


def similarity(
    texts: Texts,
    encoder: Encoder | str | PathLike[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    layers: Indices = "all", heads: Indices = "all",
    queries_per_text: int = 32, all_queries: bool = False, seed: int = 0, clusters: int = 8,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
) -> Similarity:  # fmt: skip
    """Measures how far apart all pairs of heads are, over many texts; the twin of ``attnprobe similarity``.

    Args:
        texts, encoder, ids, pairs, layers, heads, max_length, stride, level, global_attention, of, batch_tokens,
            on_error, max_unknown, threads, model: as in :func:`corpus_stats`.
        queries_per_text: how many random queries of each text heads are compared by; of a shorter text, all.
        all_queries: whether every query is compared instead.
        seed: of the sample of queries, which follows from the seed and the text's tokens alone.
        clusters: how many clusters heads form; at most as many as heads.

    Returns:
        the summary: ``distances`` (head, head), ``clusters``, ``places`` on the map, ``linkage``, ``pairs()`` and
        ``to_frame()``. Summaries add up.

    Raises:
        UsageError, InputError, ModelError: as in :func:`corpus_stats`; a ModelError also for a layer that pools tokens.

    Warns:
        UnknownTokensWarning, WordsWarning, CaseWarning: as in :func:`corpus_stats`.
    """
    how: dict[str, Any] = {"ids": ids, "pairs": pairs, "threads": threads, "model": model}
    chosen: dict[str, Any] = {"layers": layers, "heads": heads, "clusters": clusters}
    sample: dict[str, Any] = {"queries_per_text": queries_per_text, "all_queries": all_queries, "seed": seed}
    reading = Reading(max_length, stride, level, global_attention, of)
    running = Running(batch_tokens, on_error, max_unknown)
    options = {**chosen, **sample, **vars(reading), **vars(running)}
    found: Similarity = summarize("similarity", texts, encoder, **how, **options)
    return found


def loaded_with_warning(
    encoder: Encoder | str | PathLike[str] | None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    *,
    reading: Reading = Reading(),  # noqa: B008 (immutable)
    **how: Any,
) -> Encoder:
    """Loads the model, and warns of capitals and sequences that it reads otherwise than they stand; see ``loaded``.

    Args:
        reading: how sequences are read, if someone chose that.
    """
    from attnprobe.measure.reading import remark_on_sequences

    made = loaded(encoder, model, **how)
    for category, remark in ((CaseWarning, made.case), (SequenceWarning, remark_on_sequences(made, reading))):
        if remark:
            warnings.warn(remark, category, stacklevel=3)
    return made


def twin_of_many(name: str) -> Callable[..., Any]:
    """Makes the function that returns the summary of an analysis of many texts."""
    analysis = load_analysis(name)

    def run(
        texts: Texts | None = None,
        encoder: Encoder | str | PathLike[str] | None = None,
        *,
        ids: Iterable[object] | None = None,
        pairs: Iterable[Given] | None = None,
        threads: int | None = None,
        model: str | PathLike[str] = DEFAULT_MODEL,
        **options: Any,
    ) -> Any:
        return summarize(name, texts, encoder, ids=ids, pairs=pairs, threads=threads, model=model, **options)

    takes = "texts, encoder, ids, pairs, threads, model: as in :func:`attnprobe.corpus_stats`."
    returns = "the summary of all texts, with ``to_frame()``"
    return as_twin(run, name, analysis, takes, returns, on_error="fail")
