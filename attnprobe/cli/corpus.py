"""attnprobe corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from attnprobe.cli.corpus_options import Measuring, Progressing, Records, Results, Resuming
from attnprobe.cli.measuring import Asked, measure_texts
from attnprobe.cli.options import Loading, Metrics, Talking
from attnprobe.cli.output import Output
from attnprobe.errors import UsageError
from attnprobe.measure import check_measurement
from attnprobe.metrics import check_names
from attnprobe.values.options import Averaging, Engine, Mean, Running, Selection, SequenceReading
from attnprobe.values.records import Columns
from attnprobe.values.signature import counted

if TYPE_CHECKING:
    from attnprobe.analyses.kinds import Section
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.settings import Settings
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
    reading: SequenceReading,
    running: Running,
    engine: Engine,
    saving: Results,
    resuming: Resuming,
    progressing: Progressing,
    talking: Talking,
) -> None:
    """What each head attends to in many texts, and on the whole."""
    check_measurement(measuring.measure)
    options = {**selection.changed(), **mean.changed(), **averaging.changed(), **vars(reading), **vars(running)}
    options |= {"metrics": check_names(metrics.metrics)} if metrics.metrics else {}
    options |= {"profile": True} if saving.profile else {}
    asked = Asked(records, loading, engine, saving, resuming, progressing, talking.quiet)
    measure_texts(asked, Rows(measuring.measure, options))


class Rows:
    """Writes rows, of one text after the other, and shows the means over all texts on a terminal."""

    name = "corpus"
    formats: Mapping[str, str] = {}
    loads: Mapping[str, Any] = {}
    columns = Columns()
    instead: Mapping[str, str] = {}
    sections: Mapping[str, Section] = {}

    def __init__(self, measure: str, options: Mapping[str, Any]) -> None:
        self.measure, self.options = measure, options
        self.indices: Mapping[str, Any] = {name: options.get(name, "all") for name in ("layers", "heads")}

    def check(self, destination: Output) -> None:
        """Checks that rows can be written in this format."""
        from attnprobe.writers.rows import check_row_format

        if destination.path or destination.format != "table":
            check_row_format(destination.format, streamed=destination.path is None)

    def settings(self, encoder: Encoder, destination: Output) -> Settings:
        """Makes the settings of the run."""
        from attnprobe.corpus.settings import Settings

        return Settings.choose(encoder, self.measure, **self.options)

    def stream(self, settings: Settings, destination: Output) -> IO[bytes] | None:
        """Returns the stream that gets the rows if no file does.

        Raises:
            UsageError: a terminal is to show a summary, and there is none.
        """
        if destination.format == "table" and not settings.measurement.empty("").tables():
            raise UsageError(f"{self.measure} have no summary to show", "-o FILE writes rows, -f csv prints them")
        return None if destination.path else destination.row_stream

    def show(self, run: CorpusRun, destination: Output) -> None:
        """Shows the means over all texts on a terminal; elsewhere the rows are written already."""
        from attnprobe.render.table import overview_table

        if destination.format == "table":
            named = [run.prober.encoder.name, f"means over {run.sizes}", counted(run.summary.signature)]
            title = ", ".join(filter(None, named))
            destination.write(run.summary.overview(title), overview_table)
