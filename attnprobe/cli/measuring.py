"""The body of each command that measures many texts, from its groups of flags to its exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import typer

from attnprobe.cli.corpus_options import Progressing, Records, Resuming, Tables
from attnprobe.cli.ending import Ending, explained_end
from attnprobe.cli.log import Pace, log_as
from attnprobe.cli.options import Loading
from attnprobe.cli.output import Output, Progress, note
from attnprobe.cli.remarks import exit_code, remarks, say_done
from attnprobe.errors import UsageError
from attnprobe.values.arguments import shown
from attnprobe.values.options import Engine
from attnprobe.values.records import TEXTS, Columns

if TYPE_CHECKING:
    from attnprobe.analyses.kinds import Section
    from attnprobe.corpus.inputs import Inputs
    from attnprobe.corpus.results import Results
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.sections import Sections
    from attnprobe.corpus.settings import Settings
    from attnprobe.models.encoder import Encoder

ANNOTATED = "conllu"  # the format of files that hold annotations, whatever they are read for


@dataclass(frozen=True)
class Asked:
    """The groups of flags that all these commands share."""

    records: Records
    loading: Loading
    engine: Engine
    saving: Tables
    resuming: Resuming
    progressing: Progressing
    quiet: bool

    @property
    def silent(self) -> bool:
        """Whether no progress is shown."""
        return self.quiet or self.progressing.no_progress


class Task(Protocol):
    """What such a command does in its own way.

    Attributes:
        name: of the command.
        indices: the layers and heads that are asked for, see :meth:`Loading.check`.
        formats: the formats of the summary besides those of tables: name -> ``module:function``.
        loads: further arguments of :func:`attnprobe.load_encoder`.
        columns: the columns of labels that are read.
        instead: formats that are read as another.
        sections: further files that are read, see :class:`attnprobe.analyses.kinds.CorpusAnalysis`.
    """

    name: str
    indices: Mapping[str, Any]
    formats: Mapping[str, str]
    loads: Mapping[str, Any]
    columns: Columns
    instead: Mapping[str, str]
    sections: Mapping[str, Section]

    def check(self, destination: Output) -> None:
        """Checks the format of the result, before anything is loaded."""

    def settings(self, encoder: Encoder, destination: Output) -> Settings:
        """Makes the settings of the run."""

    def stream(self, settings: Settings, destination: Output) -> IO[bytes] | None:
        """Returns the stream that gets the rows if no file does."""

    def show(self, run: CorpusRun, destination: Output) -> None:
        """Prints what standard output gets at the end, if no file is named."""


def measure_texts(asked: Asked, task: Task) -> None:
    """Measures the records as the groups of options say, and ends with the exit code.

    Raises:
        AttnprobeError: an input, an output or the model cannot be used; or someone ended the run.
    """
    log_as(asked.progressing.log)
    with explained_end() as ending:
        _measure(asked, task, ending)


def _measure(asked: Asked, task: Task, ending: Ending) -> None:
    started = time.monotonic()
    destination = asked.saving.destination()
    inputs = _inputs(asked.records, task, asked.quiet)
    task.check(destination)
    outputs = _outputs(asked, task, destination, inputs)
    items = inputs.records()  # fails before torch loads, as does a wrong name of a model
    asked.loading.check(asked.silent, **task.indices)

    from attnprobe.corpus.estimate import estimate
    from attnprobe.corpus.prober import Prober
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.workers import Recipe
    from attnprobe.measure.reading import remark_on_sequences
    from attnprobe.render.table import text_table

    encoder = asked.loading.encoder(**task.loads)
    if not asked.records.inputs:
        inputs = _known(inputs, encoder, asked.quiet)
        items = inputs.records()
    settings = task.settings(encoder, destination)
    for remark in () if asked.quiet else filter(None, (encoder.case, remark_on_sequences(encoder, settings.reading))):
        note(remark)
    prober = Prober(encoder, settings)
    if asked.resuming.dry_run:
        asked.saving.plan().write(estimate(prober, items, destination.format), text_table)
        return
    recipe = Recipe({**asked.loading.arguments(), **task.loads}, settings)
    stream, safe = task.stream(settings, destination), asked.saving.spreadsheet_safe
    run = ending.run = CorpusRun(inputs, outputs, prober, recipe, asked.engine, stream, safe)
    pace = Pace(lambda: run.state, inputs.count)
    with Progress(pace, shown=not asked.silent) as progress:
        prober.on_batch = progress.add
        tell = _silent if asked.quiet else note
        how = {"resume": asked.resuming.resume, "overwrite": asked.saving.overwrite}
        run.go(items, **how, on_result=progress.store, tell=tell)
    if not destination.path:
        task.show(run, destination)
    _end(run, asked, time.monotonic() - started)


def _end(run: CorpusRun, asked: Asked, seconds: float) -> None:
    """Says how the run ended.

    Raises:
        Exit: more records were skipped than allowed.
    """
    code = exit_code(run.state, asked.progressing.allowed)
    if not asked.quiet:
        of_summary = () if run.was_complete else getattr(run.summary, "remarks", ())
        for remark in [*of_summary, *remarks(run, asked.progressing.allowed)]:
            note(remark)
        say_done(run, seconds, code)
    if code:
        raise typer.Exit(code)


def _inputs(records: Records, task: Task, quiet: bool) -> Inputs | Sections:
    """Finds the inputs; notes on standard error which files are read otherwise than their suffix says."""
    from attnprobe.corpus.inputs import Inputs
    from attnprobe.corpus.sections import Sections

    tell = _silent if quiet else cache(note)
    texts = _texts(records, task, tell)
    if not task.sections:
        return texts
    found = {TEXTS: texts}
    for name, section in task.sections.items():
        if files := records.of_sections.get(name):
            read: dict[str, Any] = {"columns": Columns(also=tuple(section.labels)), "instead": section.instead}
            found[name] = Inputs.find(files, **read, encoding=records.encoding, tell=tell)
    flags = [f"--{section.flag}" for section in task.sections.values()]
    _refuse_unquoted(found, dict(_behind(flags, sys.argv[1:])))
    return Sections(found, tell)


def _refuse_unquoted(found: Mapping[str, Inputs], behind: Mapping[Path, str]) -> None:
    """Refuses a FILE of annotated sentences that stands where the shell puts what a pattern without quotes matches.

    Args:
        found: the inputs of each section.
        behind: the flag that each such FILE stands behind.

    Raises:
        UsageError: there is one, and no flag names it.
    """
    texts, *others = found.values()
    named = {path.resolve() for inputs in others for path in inputs.files}
    for source in texts.sources:
        path = source.path.resolve() if source.path and source.format == ANNOTATED else None
        if path and path not in named and (flag := behind.get(path)):
            raise UsageError(
                f"{flag} takes one file, so that {shown(source.name)} behind it is a FILE of texts",
                f"{flag} before each, or a pattern in quotes: {flag} 'data/*.conllu'; FILES come first",
            )


def _behind(flags: Collection[str], arguments: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yields the paths that follow the value of one of the flags with no other option between, and the flag."""
    flag, at = "", 0
    for number, argument in enumerate(arguments):
        if argument.startswith("-"):
            flag, at = argument, number
        elif flag in flags and number > at + 1:
            yield Path(argument).resolve(), flag


def _texts(records: Records, task: Task, tell: Callable[[str], None]) -> Inputs:
    """Finds FILES; without any, the sentences that come with attnprobe."""
    from attnprobe.corpus.inputs import Inputs

    columns = replace(task.columns, text=records.column, id=records.id_column, pair=records.pair_column)
    taken: dict[str, Any] = {"limit": records.limit, "sample": records.sample, "seed": records.seed}
    if not records.inputs:
        return Inputs.of_sample(columns=columns, **taken)
    return Inputs.find(
        records.inputs,
        records.input_format,
        delimiter=records.delimiter,
        quoting=records.quoting,
        header=records.header,
        tell=tell,
        columns=columns,
        instead=task.instead,
        encoding=records.encoding,
        **taken,
    )


def _known(inputs: Inputs | Sections, encoder: Encoder, quiet: bool) -> Inputs | Sections:
    """Leaves out the built-in sentences that the model does not read; notes on standard error which are read."""
    from attnprobe.corpus.sample import sample_names

    inputs = inputs.known_to(encoder.tokenizer)
    if not quiet:
        note(f"no FILE is named: reading the {' and the '.join(sample_names(inputs.sources))}")
    return inputs


def _outputs(asked: Asked, task: Task, destination: Output, inputs: Inputs | Sections) -> Results:
    """The files that are written, checked before torch loads."""
    from attnprobe.corpus.results import Results

    named, resume = asked.saving.tables(), asked.resuming.resume
    outputs = Results(
        destination.path, destination.format, named, f"attnprobe {task.name}", task.formats, asked.saving.drawn
    )
    outputs.check_apart(inputs.files)
    outputs.check_resume(resume)
    if not (asked.resuming.dry_run or asked.saving.overwrite or (resume and outputs.is_begun())):
        outputs.check_free()
    return outputs


def _silent(message: str) -> None:
    """Discards a message."""
