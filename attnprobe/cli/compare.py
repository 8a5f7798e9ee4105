"""attnprobe compare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, TYPE_CHECKING, Annotated, Any, ClassVar

from attnprobe.cli.corpus_analysis import RecordsIfAny
from attnprobe.cli.corpus_options import Progressing, Resuming, Tables
from attnprobe.cli.measuring import Asked, measure_texts
from attnprobe.cli.options import Loading, Metrics, Talking, format_among
from attnprobe.cli.output import Output, note
from attnprobe.errors import UsageError
from attnprobe.metrics import METRICS, check_names
from attnprobe.values.options import (
    INPUT,
    Averaging,
    Engine,
    Options,
    Reading,
    Running,
    Selection,
    Without,
    option,
    whole,
)
from attnprobe.values.pairing import Pairing
from attnprobe.values.plugins import load
from attnprobe.values.records import Columns
from attnprobe.writers import FIGURES, WRITERS

if TYPE_CHECKING:
    from attnprobe.analyses.kinds import Section
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
    from attnprobe.models.encoder import Encoder

EXAMPLES = (
    "attnprobe compare base.csv tuned.csv -o change.csv",
    "attnprobe compare my-model tuned reviews.txt -k entropy -o change.svg",
    "attnprobe compare my-model tuned reviews.txt --maps",
)
VIEW = "attnprobe.render.comparison:comparison_view"
FORMATS = {format: f"attnprobe.render.comparison:write_{format}" for format in FIGURES}


@dataclass(frozen=True)
class Sides(Options):
    """What is compared: two results, or two models."""

    panel: ClassVar[str] = INPUT

    a: str = option(argument=True, metavar="A", help="A result of corpus, CSV, TSV, JSON Lines or Parquet; or a model.")
    b: str = option(argument=True, metavar="B", help="What is compared with A: differences are B − A.")


@dataclass(frozen=True)
class Texts(RecordsIfAny):
    """The texts that two models read."""

    seed: int = whole(0, help="Of --sample, and of the bootstrap.")


@dataclass(frozen=True)
class Change(Tables):
    """The file to write."""

    format: str | None = format_among(*WRITERS, *FIGURES)


def compare(
    sides: Sides,
    records: Texts,
    loading: Annotated[Loading, Without("model", "revision")],
    metrics: Metrics,
    selection: Selection,
    pairing: Pairing,
    averaging: Averaging,
    reading: Reading,
    running: Running,
    engine: Engine,
    saving: Change,
    resuming: Resuming,
    progressing: Progressing,
    talking: Talking,
) -> None:
    """What changed per head, between two models or two results."""
    names = check_names(metrics.metrics) if metrics.metrics else None
    if not records.inputs:
        _refuse("without FILES, A and B are results", loading, averaging, reading, running, engine, resuming)
        _compare_results(sides, names, selection, pairing, records.seed, saving, talking.quiet)
        return
    for name in filter(os.path.isfile, (sides.a, sides.b)):
        raise UsageError(
            f"{name!r} is a file, and no model that could read FILES", "results are compared without FILES"
        )
    how = {**vars(reading), **vars(running)}
    if pairing.of_maps:
        _refuse("maps have no metrics", metrics, averaging)
        what = {**vars(selection), "match": pairing.match}
    else:
        what = {**vars(selection), **vars(averaging), "metrics": names, "seed": records.seed}
    models = [replace(loading, model=name) for name in (sides.a, sides.b)]
    asked = Asked(records, models[0].with_all_heads(), engine, saving, resuming, progressing, talking.quiet)
    measure_texts(asked, _Models(models[1], pairing, what, how, asked.silent))


def _refuse(why: str, *groups: Options) -> None:
    for group in groups:
        group.refuse(why)


def _compare_results(
    sides: Sides,
    metrics: list[str] | None,
    selection: Selection,
    pairing: Pairing,
    seed: int,
    saving: Change,
    quiet: bool,
) -> None:
    destination = Output.choose(saving.output, saving.format, saving.overwrite, [*WRITERS, *FIGURES])
    destination = replace(destination, spreadsheet_safe=saving.destination().spreadsheet_safe)
    pairing.check_results()

    from attnprobe.corpus.compared import compare_results
    from attnprobe.readers.results import read_results

    a, b = read_results(sides.a), read_results(sides.b)
    check_picture(destination, a.metrics if metrics is None else metrics)
    found = compare_results(a, b, metrics, **vars(selection), seed=seed, unpaired=pairing.unpaired)
    for remark in () if quiet else found.remarks:
        note(remark)
    show(found, destination)


def check_picture(destination: Output, metrics: Any) -> None:
    """Checks that a picture is of one metric, and can be drawn.

    Raises:
        UsageError: there are several metrics.
        MissingExtraError: matplotlib is not installed.
    """
    if destination.format in FIGURES:
        from attnprobe.render.figure import check_matplotlib

        check_matplotlib()
        if len(metrics) != 1:
            raise UsageError("a picture is of one metric", f"-k {next(iter(metrics))} chooses one")


def show(found: Any, destination: Output) -> None:
    """Writes a comparison to a file or standard output, as a table, a picture, or for a terminal."""
    from attnprobe.render.table import text_table

    if destination.format in FORMATS:
        destination.save(partial(load(FORMATS[destination.format]), found))
    elif destination.format == "table":
        destination.show(partial(load(VIEW), found))
    else:
        destination.write(found.to_table(), text_table)


class _Models:
    """Lets two models read the same texts, and shows what differs."""

    name = "compare"
    formats: Mapping[str, str] = FORMATS
    loads: Mapping[str, Any] = {}
    columns = Columns()
    instead: Mapping[str, str] = {}
    sections: Mapping[str, Section] = {}

    def __init__(
        self, second: Loading, pairing: Pairing, what: Mapping[str, Any], how: Mapping[str, Any], silent: bool
    ) -> None:
        self.second, self.pairing, self.what, self.how, self.silent = second, pairing, what, how, silent
        self.indices: Mapping[str, Any] = {name: what[name] for name in ("layers", "heads")}

    def check(self, destination: Output) -> None:
        """Checks that options suit each other and the format, and the second model, before torch is imported."""
        self.pairing.check_models()
        check_picture(destination, ["js"] if self.pairing.of_maps else self.what["metrics"] or METRICS)
        self.second.check(self.silent, **({} if self.pairing.match else self.indices))

    def settings(self, encoder: Encoder, destination: Output) -> Settings:
        """Makes the settings of the run, with the second model loaded."""
        from attnprobe.analyses.second import Second
        from attnprobe.corpus.two_models import settings_of_two

        second = Second(self.second.encoder(), self.second.arguments())
        if second.encoder.case and not self.silent:
            note(second.encoder.case)
        return settings_of_two(encoder, second, maps=self.pairing.of_maps, **self.what, **self.how)

    def stream(self, settings: Settings, destination: Output) -> IO[bytes] | None:
        """Returns None, since there are no rows."""

    def show(self, run: CorpusRun, destination: Output) -> None:
        """Prints what differs on standard output."""
        show(run.summary, destination)
