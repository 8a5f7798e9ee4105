"""attnprobe heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from attnprobe.cli.options import Loading, Metrics, Saving, Talking, Text
from attnprobe.cli.output import warnings_as_notes
from attnprobe.metrics import check_names
from attnprobe.values.options import Averaging, Mean, Options, Selection, SequenceReading, Without, option, whole

EXAMPLES = (
    "attnprobe heads 'The cat sat on the mat.' --sort previous_share --top 5",
    "attnprobe heads 'A question?' --pair 'Its answer.' -k cross_share -l 3-5",
    "attnprobe heads '天上有月，水中也有月。' -k entropy -k distance -o heads.csv",
)


@dataclass(frozen=True)
class Ranking(Options):
    """The rows to show, and their order."""

    sort: str | None = option(None, metavar="METRIC", help="Highest first by this metric.")
    top: int | None = whole(None, least=1, help="Only the first N heads.")


def heads(
    text: Text,
    loading: Loading,
    metrics: Metrics,
    selection: Selection,
    mean: Mean,
    averaging: Averaging,
    reading: SequenceReading,
    ranking: Ranking,
    saving: Annotated[Saving, Without("spreadsheet_safe")],
    talking: Talking,
) -> None:
    """What each head attends to in a text: a row per head."""
    words = text.read(quiet=talking.quiet)
    names = check_names(metrics.metrics)
    if ranking.sort:
        check_names([ranking.sort])
        names = check_names([*names, ranking.sort])
    destination = saving.destination()
    loading.check(talking.quiet, **vars(selection))

    from attnprobe.analyses.roles import table_with_roles
    from attnprobe.measure.heads import head_table
    from attnprobe.render.table import heads_table

    encoder = loading.encoder()
    options = {**vars(selection), **mean.changed(), **vars(averaging), **vars(reading)}
    with warnings_as_notes(talking.quiet, "--stride N reads all of it in windows"):
        has_roles = destination.format == "table" and mean.mean is None
        make = table_with_roles if has_roles else head_table
        table = make(words, encoder, names, pair=text.pair, **options)
    destination.write(table.sorted_by(ranking.sort).head(ranking.top), heads_table)
