"""attnprobe corpus."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, Progress, note
from attnprobe.errors import Interrupted, UnknownTokensWarning
from attnprobe.measure import check_measurement
from attnprobe.metrics import check_names
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices

if TYPE_CHECKING:
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.models.encoder import Encoder


def corpus(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Text (a text a line), JSON, JSON Lines, CSV, TSV, FASTA, Parquet, Arrow; .gz, .zst of each; 'globs'; "
            "a datasets folder; hub:NAME; - is standard input.",
            show_default=False,
        ),
    ],
    column: flag.Column = None,
    id_column: flag.IdColumn = None,
    pair_column: flag.PairColumn = None,
    input_format: flag.InputFormat = None,
    delimiter: flag.Delimiter = None,
    quoting: flag.QuotingOption = None,
    header: flag.Header = None,
    encoding: flag.Encoding = "utf-8",
    limit: flag.Limit = None,
    sample: flag.Sample = None,
    seed: flag.Seed = 0,
    on_error: flag.OnErrorOption = flag.OnError.skip,
    max_unknown: flag.MaxUnknown = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    measure: flag.Measure = "heads",
    metric: flag.Metric = None,
    layer: flag.Layer = "all",
    head: flag.Head = "all",
    long_range: flag.LongRange = 10,
    queries: flag.QueriesOption = flag.Queries.all,
    level: flag.LevelOption = flag.Level.token,
    max_length: flag.MaxLength = None,
    stride: flag.Stride = None,
    batch_tokens: flag.BatchTokens = 2048,
    workers: flag.Workers = 1,
    engine: flag.EngineOption = flag.Engine.local,
    num_gpus: flag.NumGpus = 0.0,
    output: flag.Output = None,
    format: flag.FormatOption = None,
    summary: flag.Summary = None,
    profile: flag.Profile = None,
    spreadsheet_safe: flag.SpreadsheetSafe = False,
    resume: flag.Resume = False,
    overwrite: flag.Overwrite = False,
    dry_run: flag.DryRun = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    no_progress: flag.NoProgress = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """What each head attends to in many texts: one row per text, layer and head, and a summary over all texts."""
    from attnprobe.corpus.inputs import Inputs
    from attnprobe.corpus.results import Results
    from attnprobe.values.records import Columns
    from attnprobe.writers.rows import check_row_format

    check_measurement(measure)
    names = check_names(metric) if metric else None
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(
        output, format, overwrite=True, spreadsheet_safe=spreadsheet_safe
    )  # Results checks what exists
    if destination.path or destination.format != "table":
        check_row_format(destination.format, streamed=destination.path is None)
    for path in (summary, profile):
        if path is not None:
            Output.choose(path, None, overwrite=True)
    sources = Inputs.find(
        inputs,
        input_format,
        delimiter=delimiter,
        quoting=quoting,
        header=header,
        tell=_silent if quiet else cache(note),
        columns=Columns(column, id_column, pair_column),
        encoding=encoding,
        limit=limit,
        sample=sample,
        seed=seed,
    )
    outputs = Results(destination.path, destination.format, summary, profile)
    outputs.check_apart(sources.files)
    if not (overwrite or (resume and outputs.is_begun())):
        outputs.check_free()
    items = sources.records()  # fails before torch loads, as does a wrong name of a model
    locate(model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)

    from attnprobe.corpus.engines import Engine
    from attnprobe.corpus.estimate import estimate
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.workers import Recipe
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.table import heads_table, text_table

    loading: dict[str, Any] = {
        "model": model,
        "tokenizer": tokenizer,
        "revision": revision,
        "device": device,
        "dtype": dtype.value,
        "allow_pickle": allow_pickle,
        "trust_remote_code": trust_remote_code,
    }
    encoder = load_encoder(**loading)
    chosen = {
        "metrics": (names, None),
        "layers": (layer, "all"),
        "heads": (head, "all"),
        "long_range": (long_range, 10),
        "queries": (queries.value, "all"),
        "profile": (profile is not None, False),
    }
    settings = Settings.choose(
        encoder,
        measure,
        level=level,
        max_length=max_length,
        stride=stride,
        batch_tokens=batch_tokens,
        on_error=on_error,
        max_unknown=max_unknown,
        **{name: value for name, (value, default) in chosen.items() if value != default},
    )
    if encoder.case and not quiet:
        note(encoder.case)
    prober = Prober(encoder, settings)
    if dry_run:
        Output.choose(None, None, False).write(estimate(prober, items, destination.format), text_table)
        return
    stream = None if destination.path else destination.row_stream
    recipe, places = Recipe(loading, settings), Engine(engine.value, workers, num_gpus)
    run = CorpusRun(sources, outputs, prober, recipe, places, stream, spreadsheet_safe)
    with Progress(shown=not quiet and not no_progress, count=sources.count) as progress:
        prober.on_batch = progress.add
        try:
            run.go(
                items,
                resume=resume,
                overwrite=overwrite,
                on_result=lambda result: progress.note_skipped(len(result.skipped)),
            )
        except KeyboardInterrupt:
            raise Interrupted(_how_to_go_on(run)) from None
    if run.was_complete:
        note(f"{str(destination.path)!r} is complete; there is nothing to resume")
        return
    if destination.format == "table":
        destination.write(run.summary.overview(_title(encoder, run)), heads_table)
    _tell(run, quiet)


def _silent(message: str) -> None:
    """Says nothing."""


def _title(encoder: Encoder, run: CorpusRun) -> str:
    return f"{encoder.location.short_name}, means over {run.state.texts:,} texts, {run.state.tokens:,} tokens"


def _how_to_go_on(run: CorpusRun) -> str:
    done = f"interrupted after {run.state.texts:,} texts"
    if not run.outputs.output:
        return done
    command = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    return f"{done}; to go on: {shlex.join(['attnprobe', *command, '--resume'])}"


def _tell(run: CorpusRun, quiet: bool) -> None:
    """Says what was left out, and what to doubt; ends the command with 3 if records were skipped."""
    if not quiet:
        for remark in _remarks(run):
            note(remark)
    if run.state.skipped:
        raise typer.Exit(3)


def _remarks(run: CorpusRun) -> Iterator[str]:
    from attnprobe.corpus.settings import failure
    from attnprobe.corpus.stats import doubts

    state = run.state
    if foreign := run.foreign_names():
        names = ", ".join(foreign)
        yield f"{str(run.folder)!r} stays, for attnprobe did not make what it holds: {names}"
    if state.cut:
        yield f"{state.cut:,} texts were longer than the model reads and were cut{_listed(run, 'cut')}"
    for category, message in doubts(state.unknown, state.wordless).items():
        yield f"{message}{' (--max-unknown 0.33 leaves them out)' if category is UnknownTokensWarning else ''}"
    if state.skipped:
        first = run.first_skipped
        listed = _listed(run, "skipped") or (f"; the first: {failure(first)}" if first else "")
        yield f"{state.skipped:,} records were skipped{listed}"


def _listed(run: CorpusRun, name: str) -> str:
    path = run.outputs.files.get(name)
    return f"; {str(path)!r} lists them" if path else ""
