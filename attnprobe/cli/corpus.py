"""attnprobe corpus."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import typer

from attnprobe.cli.corpus_options import Measuring, Progressing, Records, Results
from attnprobe.cli.options import Loading, Metrics, Talking
from attnprobe.cli.output import Output, Progress, note
from attnprobe.errors import Interrupted, UnknownTokensWarning, UsageError
from attnprobe.measure import check_measurement
from attnprobe.metrics import check_names
from attnprobe.values.options import Averaging, Engine, Reading, Running, Selection

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
    options = {**selection.changed(), **averaging.changed(), **vars(reading), **vars(running)}
    options |= {"metrics": check_names(metrics.metrics)} if metrics.metrics else {}
    options |= {"profile": True} if saving.profile else {}
    destination = saving.destination()
    inputs = _inputs(records, talking.quiet)
    outputs = _outputs(destination, saving, inputs)
    items = inputs.records()  # fails before torch loads, as does a wrong name of a model
    loading.check(talking.quiet, **vars(selection))

    from attnprobe.corpus.estimate import estimate
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
    from attnprobe.corpus.workers import Recipe
    from attnprobe.render.table import overview_table, text_table

    encoder = loading.encoder()
    settings = Settings.choose(encoder, measuring.measure, **options)
    if encoder.case and not talking.quiet:
        note(encoder.case)
    prober = Prober(encoder, settings)
    if saving.dry_run:
        Output.choose(None, None, False).write(estimate(prober, items, destination.format), text_table)
        return
    if destination.format == "table" and not prober.empty.tables():
        raise UsageError(f"{measuring.measure} have no summary to show", "-o FILE writes rows, -f csv prints them")
    stream = None if destination.path else destination.row_stream
    recipe = Recipe(loading.arguments(), settings)
    run = CorpusRun(inputs, outputs, prober, recipe, engine, stream, saving.spreadsheet_safe)
    with Progress(shown=not talking.quiet and not progressing.no_progress, count=inputs.count) as progress:
        prober.on_batch = progress.add
        how = {"resume": saving.resume, "overwrite": saving.overwrite}
        try:
            run.go(items, **how, on_result=lambda result: progress.note_skipped(len(result.skipped)))
        except KeyboardInterrupt:
            raise Interrupted(_how_to_go_on(run)) from None
    if run.was_complete:
        note(f"{str(destination.path)!r} is complete; there is nothing to resume")
        return
    if destination.format == "table":
        destination.write(run.summary.overview(_title(encoder, run)), overview_table)
    _tell(run, talking.quiet)


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
    if not (saving.overwrite or (saving.resume and outputs.is_begun())):
        outputs.check_free()
    return outputs


def _silent(message: str) -> None:
    """Discards a message."""


def _title(encoder: Encoder, run: CorpusRun) -> str:
    return f"{encoder.location.short_name}, means over {run.state.texts:,} texts, {run.state.tokens:,} tokens"


def _how_to_go_on(run: CorpusRun) -> str:
    done = f"interrupted after {run.state.texts:,} texts"
    if not run.outputs.output:
        return done
    command = [argument for argument in sys.argv[1:] if argument not in ("--overwrite", "--resume")]
    return f"{done}; to go on: {shlex.join(['attnprobe', *command, '--resume'])}"


def _tell(run: CorpusRun, quiet: bool) -> None:
    """Reports records left out and doubtful texts; ends the command with 3 if records were skipped."""
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
