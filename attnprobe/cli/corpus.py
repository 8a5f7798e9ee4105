"""attnprobe corpus."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, Progress, note
from attnprobe.errors import Interrupted, OutputError, UnknownTokensWarning
from attnprobe.metrics import check_names
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices

if TYPE_CHECKING:
    from attnprobe.corpus.chunks import Item
    from attnprobe.corpus.jobs import Job, Stream
    from attnprobe.models.encoder import Encoder
    from attnprobe.readers.source import Source
    from attnprobe.values.records import Skipped


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
    from attnprobe.corpus.results import Results
    from attnprobe.readers.readers import read_records
    from attnprobe.readers.sources import find_sources
    from attnprobe.values.records import Columns
    from attnprobe.writers.rows import check_row_format

    names = check_names(metric)
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(
        output, format, overwrite=True, spreadsheet_safe=spreadsheet_safe
    )  # Results checks what exists
    if destination.path or destination.format != "table":
        check_row_format(destination.format, streamed=destination.path is None)
    for path in (summary, profile):
        if path is not None:
            Output.choose(path, None, overwrite=True)
    sources = find_sources(
        inputs,
        input_format,
        delimiter=delimiter,
        quoting=quoting.value if quoting else None,
        header=header,
        tell=_silent if quiet else cache(note),
    )
    outputs = Results(destination.path, destination.format, summary, profile)
    outputs.check_apart([source.path for source in sources if source.path])
    if not (overwrite or (resume and outputs.is_begun())):
        outputs.check_free()
    columns = Columns(column, id_column, pair_column)

    def read() -> Iterator[Item]:
        return read_records(sources, columns, encoding=encoding, limit=limit, sample=sample, seed=seed)

    items = read()  # fails before torch loads, as does a wrong name of a model
    locate(model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)

    from attnprobe.corpus.engines import results
    from attnprobe.corpus.estimate import estimate
    from attnprobe.corpus.jobs import Job, Stream, describe_run, watched
    from attnprobe.corpus.prober import Prober
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
    settings = Settings.choose(
        encoder,
        metrics=names,
        layers=layer,
        heads=head,
        long_range=long_range,
        queries=queries,
        level=level,
        max_length=max_length,
        stride=stride,
        profile=profile is not None,
        batch_tokens=batch_tokens,
        on_error=on_error,
        max_unknown=max_unknown,
    )
    if encoder.case and not quiet:
        note(encoder.case)
    prober = Prober(encoder, settings)
    if dry_run:
        Output.choose(None, None, False).write(estimate(prober, items, destination.format), text_table)
        return
    with outputs.locked():
        sink: Job | Stream
        if destination.path:
            chosen = {
                "columns": columns,
                **asdict(sources[0].dialect),
                "encoding": encoding,
                "limit": limit,
                "sample": sample,
                "seed": seed,
            }
            chosen |= {"spreadsheet_safe": spreadsheet_safe}
            manifest = describe_run(prober, sources, destination.format, chosen)
            sink = Job(outputs, settings.columns, manifest, prober.nothing, spreadsheet_safe)
            if resume and sink.is_finished():
                _check_complete(destination.path, summary, profile)
                note(f"{str(destination.path)!r} is complete; there is nothing to resume")
                return
        else:
            sink = Stream(
                destination.row_stream, destination.format, settings.columns, prober.nothing, outputs, spreadsheet_safe
            )
        sink.start(resume=resume, overwrite=overwrite)
        first: Skipped | None = None
        with Progress(shown=not quiet and not no_progress, count=_counter(read, sources)) as progress:
            prober.on_batch = progress.add
            chunks = watched(sink.rest(settings.chunks(items)), sources)
            try:
                for result in results(chunks, prober, Recipe(loading, settings), engine.value, workers, num_gpus):
                    with _interrupts_later():
                        sink.add(result)
                    first = first or next(iter(result.skipped), None)
                    progress.note_skipped(len(result.skipped))
                sink.finish()
            except KeyboardInterrupt:
                raise Interrupted(_how_to_go_on(sink)) from None
    if destination.format == "table":
        destination.write(sink.summary.overview(_title(encoder, sink)), heads_table)
    _tell(sink, first, quiet)


def _silent(message: str) -> None:
    """Says nothing."""


def _check_complete(output: Path, *others: Path | None) -> None:
    for path in others:
        if path is not None and not path.exists():
            raise OutputError(
                f"{str(output)!r} is complete, but was made without {str(path)!r}",
                "--overwrite measures everything anew",
            )


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Lets Ctrl-C wait until its end: in the middle of a file, libraries turn it into errors of their own."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt


def _counter(read: Callable[[], Iterator[Item]], sources: Sequence[Source]) -> Callable[[], int] | None:
    """Counts the records for the bar; None where the input can be read only once."""
    from attnprobe.values.records import Record

    if any(source.once for source in sources):
        return None
    return lambda: sum(isinstance(item, Record) for item in read())


def _title(encoder: Encoder, sink: Job | Stream) -> str:
    state = sink.state
    return f"{encoder.location.short_name}, means over {state.texts:,} texts, {state.tokens:,} tokens"


def _how_to_go_on(sink: Job | Stream) -> str:
    from attnprobe.corpus.jobs import Job

    done = f"interrupted after {sink.state.texts:,} texts"
    if not isinstance(sink, Job):
        return done
    command = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    return f"{done}; to go on: {shlex.join(['attnprobe', *command, '--resume'])}"


def _tell(sink: Job | Stream, first: Skipped | None, quiet: bool) -> None:
    """Says what was left out, and what to doubt; ends the command with 3 if records were skipped.

    Args:
        first: the first record that was skipped since the command began.
    """
    from attnprobe.corpus.jobs import Job
    from attnprobe.corpus.settings import failure
    from attnprobe.corpus.stats import doubts

    state = sink.state
    if isinstance(sink, Job) and not quiet:
        _note_strangers(sink)
    if state.cut and not quiet:
        note(f"{state.cut:,} texts were longer than the model reads and were cut{_listed(sink, 'cut')}")
    for category, message in doubts(state.unknown, state.wordless).items() if not quiet else ():
        note(f"{message}{' (--max-unknown 0.33 leaves them out)' if category is UnknownTokensWarning else ''}")
    if state.skipped:
        if not quiet:
            listed = _listed(sink, "skipped") or (f"; the first: {failure(first)}" if first else "")
            note(f"{state.skipped:,} records were skipped{listed}")
        raise typer.Exit(3)


def _note_strangers(job: Job) -> None:
    """Names what else lies in the folder of parts, which therefore stays."""
    if strangers := job.work.strangers():
        note(f"{str(job.folder)!r} stays, for attnprobe did not make what it holds: {', '.join(strangers)}")


def _listed(sink: Job | Stream, name: str) -> str:
    from attnprobe.corpus.jobs import Job
    from attnprobe.corpus.results import note_path

    return f"; {str(note_path(sink.output, name))!r} lists them" if isinstance(sink, Job) else ""
