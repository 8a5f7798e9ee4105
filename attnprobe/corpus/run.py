"""A whole run over many texts: from input files to output files."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

from attnprobe.corpus.again import answered, completed
from attnprobe.corpus.chunks import Item
from attnprobe.corpus.engines import results
from attnprobe.corpus.inputs import Inputs
from attnprobe.corpus.jobs import Job, Stream
from attnprobe.corpus.prober import Prober, Result
from attnprobe.corpus.results import Results
from attnprobe.corpus.sections import Sections
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.state import State
from attnprobe.corpus.workers import Recipe
from attnprobe.errors import InputError, UsageError
from attnprobe.measure.kinds import Measurement, Summary
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.values.notebook import one_line
from attnprobe.values.options import Engine
from attnprobe.values.records import Columns, Skipped
from attnprobe.writers.rows import check_row_format


class CorpusRun:
    """A run over many texts.

    Args:
        inputs: the sources that are read.
        outputs: the files that are written.
        prober: measures the texts.
        recipe: lets other processes do the same; None: the engine must be this process.
        engine: the processes that measure.
        stream: gets the rows if there is no output; None: only the summary is kept.

    Attributes:
        first_skipped: the first record that was skipped since the run began.
        was_complete: whether an earlier run had done everything.
    """

    def __init__(
        self,
        inputs: Inputs | Sections,
        outputs: Results,
        prober: Prober,
        recipe: Recipe | None = None,
        engine: Engine | None = None,
        stream: IO[bytes] | None = None,
        spreadsheet_safe: bool = False,
    ) -> None:
        self.inputs, self.outputs, self.prober = inputs, outputs, prober
        self.recipe, self.engine = recipe, engine or Engine()
        self.first_skipped: Skipped | None = None
        self.was_complete = False
        check_tables(outputs, prober.empty)
        columns, empty = prober.settings.columns, prober.empty
        self.sink: Job | Stream
        manifest = self._manifest(spreadsheet_safe)
        if outputs.output:
            self.sink = Job(outputs, columns, manifest, empty, spreadsheet_safe)
        else:
            self.sink = Stream(stream, outputs.format, columns, empty, outputs, manifest, spreadsheet_safe)

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        paths: Mapping[str, str | PathLike[str] | None],
        encoder: Encoder | str | PathLike[str] | None,
        model: str | PathLike[str],
        measure: str | Measurement,
        *,
        columns: Columns | None,
        reading: Mapping[str, Any] | None,
        engine: Engine | None,
        spreadsheet_safe: bool,
        **options: Any,
    ) -> CorpusRun:
        """The run of :func:`attnprobe.run_corpus`, whose arguments these are.

        Args:
            names: of the inputs.
            paths: ``output``, ``summary`` and ``profile``.
        """
        inputs = Inputs.find(
            names, **(reading or {}), columns=columns or Columns(also=tuple(getattr(measure, "knows", ())))
        )
        named = {name: Path(path) for name, path in paths.items() if path is not None}
        outputs = Results.of(named.pop("output", None), named)
        if isinstance(measure, str) or measure.columns:
            check_row_format(outputs.format, streamed=False)
        outputs.check_apart(inputs.files)
        if "profile" in named:
            options["profile"] = True
        made = loaded(encoder, model)
        prober = Prober(made, Settings.choose(made, measure, **options))
        name = str(model if encoder is None else encoder)
        recipe = None if isinstance(encoder, Encoder) else Recipe({"model": name}, prober.settings)
        return cls(inputs, outputs, prober, recipe, engine, spreadsheet_safe=spreadsheet_safe)

    def __repr__(self) -> str:
        name = self.prober.encoder.name
        return one_line("CorpusRun", name, self.sizes, f"{self.state.skipped:,} skipped")

    @property
    def sizes(self) -> str:
        """How many texts and tokens were measured, in words."""
        return f"{self.state.texts:,} texts, {self.state.tokens:,} tokens"

    @property
    def state(self) -> State:
        """How far the run has come: texts, tokens, skipped, cut."""
        return self.sink.state

    @property
    def summary(self) -> Summary:
        """The summary of the texts so far; of no text if the run was complete already."""
        return self.sink.summary

    @property
    def anew_because(self) -> str:
        """Why earlier work was given up; empty if none was."""
        return self.sink.anew_because if isinstance(self.sink, Job) else ""

    def foreign_names(self) -> list[str]:
        """Lists the names in the folder of parts that no run makes; they keep the folder from being removed."""
        return self.sink.work.foreign_names() if isinstance(self.sink, Job) else []

    @property
    def folder(self) -> Path | None:
        """The folder of parts while the run lasts; None if there is no output."""
        return self.sink.folder if isinstance(self.sink, Job) else None

    def _manifest(self, spreadsheet_safe: bool) -> dict[str, Any]:
        """Describes everything that changes a byte, which must be equal for a run to resume another."""
        options = {
            **self.prober.settings.described(),
            **self.inputs.described(),
            "spreadsheet_safe": spreadsheet_safe,
            "format": self.outputs.format,
        }
        return {
            "signature": self.prober.empty.signature,
            "input": self.inputs.fingerprints(),
            "options": json.loads(json.dumps(options)),
        }

    def go(
        self,
        items: Iterable[Item] | None = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        on_result: Callable[[Result], object] | None = None,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Measures the texts that are left, and makes the files.

        Args:
            items: the records of the inputs, if they are open already.
            resume: whether to go on with an earlier run.
            overwrite: whether to start anew, and replace the files that exist; with ``resume``, only if the earlier
                run did other work.
            on_result: called with each chunk's result, once it is stored.
            tell: called with a message if earlier work is given up.

        Raises:
            AttnprobeError: an input or output cannot be used, or a worker failed; the run can be resumed.
            KeyboardInterrupt: someone pressed Ctrl-C; the run can be resumed.
        """
        self.outputs.check_resume(resume)
        items = self.inputs.records() if items is None else items
        with self.outputs.locked():
            self.was_complete = self._start(resume, overwrite)
            if self.was_complete:
                return
            if self.anew_because and tell:
                tell(f"starting anew: {self.anew_because}")
            chunks = self.inputs.watched(self.sink.rest(self.prober.settings.chunks(items)))
            for result in results(chunks, self.prober, self.recipe, self.engine):
                with interrupts_deferred():
                    self.sink.add(result)
                self.first_skipped = self.first_skipped or next(iter(result.skipped), None)
                if on_result:
                    on_result(result)
            self.sink.summary = self._completed()
            for name in self.outputs.tables.keys() & getattr(self.summary, "asks", {}):
                self.sink.summary = answered(self.summary, name, self.prober.encoder)
            self.sink.finish()

    def _completed(self) -> Summary:
        """Completes the summary; a job that refuses, having measured no text, leaves no work to go on with.

        Raises:
            InputError: the summary is of too few texts.
        """
        try:
            summary: Summary = completed(self.summary, self.prober.encoder)
        except InputError:
            if isinstance(self.sink, Job) and not self.state.texts:
                self.sink.work.remove()
            raise
        return summary

    def _start(self, resume: bool, overwrite: bool) -> bool:
        """Takes up an earlier run or starts anew; returns whether nothing is left to do."""
        if resume and isinstance(self.sink, Job):
            if not (overwrite and self.inputs.is_read_once):
                return self.sink.take_up(overwrite=overwrite)
            if self.outputs.is_begun():
                self.sink.anew_because = "what comes through a pipe cannot be compared beforehand"
        self.sink.start(resume=False, overwrite=overwrite)
        return False


def check_tables(outputs: Results, summary: Summary) -> None:
    """Refuses tables that the measurement does not give.

    Raises:
        UsageError: there is no such table.
    """
    for name in outputs.tables:
        if name not in summary.tables():
            raise UsageError(f"what is measured gives no {name}", f"leave --{name} out")


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defers SIGINT and SIGTERM to the end of the block; within a file, libraries make other errors of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: seen.append(number)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        signal.raise_signal(seen[0])
