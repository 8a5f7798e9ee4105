"""attnprobe corpus."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from attnprobe.cli.corpus_options import Measuring, Progressing, Records, Results
from attnprobe.cli.ending import Ending, explained_end
from attnprobe.cli.log import Pace, log_as
from attnprobe.cli.options import Loading, Metrics, Talking
from attnprobe.cli.output import Output, Progress, note
from attnprobe.cli.remarks import exit_code, remarks, say_done
from attnprobe.errors import UsageError
from attnprobe.measure import check_measurement
from attnprobe.metrics import check_names
from attnprobe.values.options import Averaging, Engine, Mean, Reading, Running, Selection

if TYPE_CHECKING:
    from attnprobe.corpus.inputs import Inputs
    from attnprobe.corpus.results import Results as Outputs
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.models.encoder import Encoder


EXAMPLES = (
    "attnprobe corpus reviews.txt -o stats.csv --summary heads.csv",
    "attnprobe corpus 'data/*.jsonl' --column body -o stats.parquet --resume",
    "attnprobe corpus reviews.txt -n   # how much work it would be",
)


def corpus(
    records: Records,
    loading: Loading,
    measuring: Measuring,
    metrics: Metrics,
    selection: Selection,
    mean: Mean,
    averaging: Averaging,
    reading: Reading,
    running: Running,
    engine: Engine,
    saving: Results,
    progressing: Progressing,
    talking: Talking,
) -> None:
    """What each head attends to in many texts, and on the whole."""
    check_measurement(measuring.measure)
    options = {**selection.changed(), **mean.changed(), **averaging.changed(), **vars(reading), **vars(running)}
    options |= {"metrics": check_names(metrics.metrics)} if metrics.metrics else {}
    options |= {"profile": True} if saving.profile else {}
    log_as(progressing.log)
    with explained_end() as ending:
        _corpus(records, loading, measuring.measure, options, engine, saving, progressing, talking.quiet, ending)


def _corpus(
    records: Records,
    loading: Loading,
    measure: str,
    options: dict[str, Any],
    engine: Engine,
    saving: Results,
    progressing: Progressing,
    quiet: bool,
    ending: Ending,
) -> None:
    """Measures the records as the groups of options say."""
    started = time.monotonic()
    destination = saving.destination()
    inputs = _inputs(records, quiet)
    outputs = _outputs(destination, saving, inputs)
    items = inputs.records()  # fails before torch loads, as does a wrong name of a model
    silent = quiet or progressing.no_progress
    loading.check(silent, layers=options.get("layers", "all"), heads=options.get("heads", "all"))

    from attnprobe.corpus.estimate import estimate
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.workers import Recipe
    from attnprobe.render.table import overview_table, text_table

    encoder = loading.encoder()
    settings = Settings.choose(encoder, measure, **options)
    if encoder.case and not quiet:
        note(encoder.case)
    prober = Prober(encoder, settings)
    if saving.dry_run:
        Output.choose(None, None, False).write(estimate(prober, items, destination.format), text_table)
        return
    if destination.format == "table" and not prober.empty.tables():
        raise UsageError(f"{measure} have no summary to show", "-o FILE writes rows, -f csv prints them")
    stream = None if destination.path else destination.row_stream
    recipe = Recipe(loading.arguments(), settings)
    run = ending.run = CorpusRun(inputs, outputs, prober, recipe, engine, stream, saving.spreadsheet_safe)
    pace = Pace(lambda: run.state, inputs.count)
    with Progress(pace, shown=not silent) as progress:
        prober.on_batch = progress.add
        tell = _silent if quiet else note
        run.go(items, resume=saving.resume, overwrite=saving.overwrite, on_result=progress.store, tell=tell)
    if destination.format == "table":
        destination.write(run.summary.overview(_title(encoder, run)), overview_table)
    code = exit_code(run.state, progressing.allowed)
    if not quiet:
        for remark in remarks(run, progressing.allowed):
            note(remark)
        say_done(run, time.monotonic() - started, code)
    if code:
        raise typer.Exit(code)


def _inputs(records: Records, quiet: bool) -> Inputs:
    """Finds the inputs; notes on standard error which files are read otherwise than their suffix says."""
    from attnprobe.corpus.inputs import Inputs
    from attnprobe.values.records import Columns

    return Inputs.find(
        records.inputs,
        records.input_format,
        delimiter=records.delimiter,
        quoting=records.quoting,
        header=records.header,
        tell=_silent if quiet else cache(note),
        columns=Columns(records.column, records.id_column, records.pair_column),
        encoding=records.encoding,
        limit=records.limit,
        sample=records.sample,
        seed=records.seed,
    )


def _outputs(destination: Output, saving: Results, inputs: Inputs) -> Outputs:
    """The files that are written, checked before torch loads."""
    from attnprobe.corpus.results import Results as Outputs
    from attnprobe.writers.rows import check_row_format

    if destination.path or destination.format != "table":
        check_row_format(destination.format, streamed=destination.path is None)
    outputs = Outputs(destination.path, destination.format, saving.summary, saving.profile)
    outputs.check_apart(inputs.files)
    outputs.check_resume(saving.resume)
    if not (saving.dry_run or saving.overwrite or (saving.resume and outputs.is_begun())):
        outputs.check_free()
    return outputs


def _silent(message: str) -> None:
    """Discards a message."""


def _title(encoder: Encoder, run: CorpusRun) -> str:
    return f"{encoder.location.short_name}, means over {run.state.texts:,} texts, {run.state.tokens:,} tokens"
