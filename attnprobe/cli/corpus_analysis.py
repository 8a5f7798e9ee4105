"""The command of an analysis of many texts: all of it follows from the row in ANALYSES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from attnprobe.analyses.kinds import CorpusAnalysis, fields_of
from attnprobe.cli.analysis import indices_in
from attnprobe.cli.answers import finished_among, refuse_what_runs, show_answer, show_finished
from attnprobe.cli.corpus_options import Progressing, Records, Resuming, Tables
from attnprobe.cli.joining import Command, join
from attnprobe.cli.measuring import Asked, measure_texts
from attnprobe.cli.options import Loading, Talking, format_among
from attnprobe.cli.output import Output
from attnprobe.errors import UsageError
from attnprobe.values.options import Engine, Options, Running, option, whole
from attnprobe.values.plugins import load
from attnprobe.values.records import TEXTS
from attnprobe.values.signature import counted
from attnprobe.writers import FIGURES, WRITERS

if TYPE_CHECKING:
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
    from attnprobe.models.encoder import Encoder


@dataclass(frozen=True)
class Explaining(Options):
    """Whether to print the rules in place of an answer."""

    explain: bool = option(False, help="Print the rules and their thresholds, and stop.")


@dataclass(frozen=True)
class RecordsIfAny(Records):
    """The records to read, where a command may need none."""

    inputs: list[str] | None = option(None, **Records.__dataclass_fields__["inputs"].metadata)  # type: ignore[assignment]


@dataclass(frozen=True)
class RecordsOfFiles(RecordsIfAny):
    """The records of FILES, where an analysis reads further files, too."""

    limit: int | None = whole(None, least=1, help="Only the first N records of FILES.")
    sample: int | None = whole(None, least=1, help="Only N records of FILES at random.")


def command_of(name: str, analysis: CorpusAnalysis) -> Command:
    """Makes the command of an analysis, for typer."""
    chosen = {f"group_{number}": group for number, group in enumerate(analysis.options)}

    def command(
        records: Records,
        loading: Loading,
        reading: Options,
        running: Running,
        engine: Engine,
        saving: Tables,
        resuming: Resuming,
        progressing: Progressing,
        talking: Talking,
        explaining: Explaining | None = None,
        **groups: Options,
    ) -> None:
        options: dict[str, Any] = {}
        for key, annotation in chosen.items():
            options |= _applying(groups[key], annotation)
        if explaining and explaining.explain:
            print(load(analysis.explain)(options))
            return
        if not records.inputs and not analysis.sample:
            raise UsageError("no FILE is named", "name files of texts, or - for standard input")
        if finished := finished_among(records.inputs, analysis, options):
            refuse_what_runs(loading, records, reading, running, engine, resuming)
            show_finished(finished, analysis, options, saving)
            return
        how = _applying(reading, analysis.reading) | vars(running)
        how |= {name: name in saving.tables() for name in analysis.costly}
        how |= {"sections": [TEXTS, *records.of_sections]} if analysis.sections else {}
        asked = Asked(records, loading, engine, saving, resuming, progressing, talking.quiet)
        measure_texts(asked, Answer(name, analysis, options, how))

    rules = {"explaining": Explaining} if analysis.explain else {}
    flags = {"records": _records(analysis), "loading": Loading, **chosen, **rules}
    flags |= {"reading": analysis.reading, "running": Running}
    flags |= {"engine": Engine, "saving": _saving(analysis), "resuming": Resuming, "progressing": Progressing}
    command.__name__, command.__doc__ = name, analysis.meaning
    return join({**flags, "talking": Talking}, command)


def _applying(group: Options, annotation: Any) -> dict[str, Any]:
    """Returns the options of a group that apply, by name."""
    return {option.name: getattr(group, option.name) for option in fields_of([annotation])}


def _records(analysis: CorpusAnalysis) -> type[Records]:
    """Makes the group of the records to read, with a flag for the files of each further section."""
    if not analysis.sections:
        return RecordsIfAny if analysis.explain or analysis.sample else Records
    fields: list[tuple[str, Any, Any]] = [
        (section.flag, list[str] | None, option(None, metavar="FILE", help=section.help))
        for section in analysis.sections.values()
    ]
    further = {name: section.flag for name, section in analysis.sections.items()}
    return make_dataclass("Records", fields, bases=(RecordsOfFiles,), namespace={"further": further}, frozen=True)


def _saving(analysis: CorpusAnalysis) -> type[Tables]:
    """Makes the group of the files to write: formats besides those of tables, and a flag for each further table."""
    formats = dict.fromkeys([*WRITERS, *analysis.formats])
    fields: list[tuple[str, Any, Any]] = [("format", str | None, format_among(*formats))]
    fields += [(name, Path | None, option(None, metavar="FILE", help=help)) for name, help in analysis.tables.items()]
    return make_dataclass("Saving", fields, bases=(Tables,), namespace={"drawn": analysis.drawn}, frozen=True)


class Answer:
    """Writes the summary of all texts, as a table or in a format of its own, or shows it on a terminal."""

    def __init__(self, name: str, analysis: CorpusAnalysis, options: Mapping[str, Any], how: Mapping[str, Any]) -> None:
        self.name, self.analysis, self.options, self.how = name, analysis, options, how
        self.indices: Mapping[str, Any] = indices_in(fields_of(analysis.options), options)
        self.formats, self.loads = analysis.formats, analysis.loads(options)
        self.columns, self.instead, self.sections = analysis.reads(options), analysis.instead, analysis.sections

    def check(self, destination: Output) -> None:
        """Checks that options suit each other and the format, whose package must be there."""
        from attnprobe.writers.rows import check_row_format

        self.analysis.fit(self.options, destination.format)
        if destination.format in FIGURES:
            from attnprobe.render.figure import check_matplotlib

            check_matplotlib()
        elif destination.format == "parquet":
            check_row_format("parquet", streamed=False)

    def settings(self, encoder: Encoder, destination: Output) -> Settings:
        """Makes the settings of the run."""
        from attnprobe.corpus.settings import Settings

        fitted = self.analysis.fit(self.options, destination.format)
        return Settings.of_analysis(self.analysis, encoder, **fitted, **self.how)

    def stream(self, settings: Settings, destination: Output) -> IO[bytes] | None:
        """Returns None, since there are no rows."""

    def show(self, run: CorpusRun, destination: Output) -> None:
        """Prints the answer on standard output."""
        named = [run.prober.encoder.name, str(run.sizes), counted(run.summary.signature)]
        show_answer(run.summary, self.analysis, self.options, destination, ", ".join(filter(None, named)))
