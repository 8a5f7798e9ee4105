"""attnprobe heads."""

from __future__ import annotations

from dataclasses import dataclass

from attnprobe.cli.options import Loading, Metrics, Saving, Talking, Text
from attnprobe.cli.output import note, warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.metrics import check_names
from attnprobe.values.arguments import check_choice
from attnprobe.values.options import Averaging, Mean, Options, Selection, SequenceReading, option, whole

EXAMPLES = (
    "attnprobe heads 'The cat sat on the mat.' --sort previous_share --top 5",
    "attnprobe heads 'The cat slept; it was old.' --link it:cat",
    "attnprobe heads '天上有月，水中也有月。' -k entropy -k distance -o heads.csv",
)


@dataclass(frozen=True)
class Ranking(Options):
    """The rows to show, and their order."""

    sort: str | None = option(
        None, metavar="METRIC", help="Highest first by this metric; of a link: weight, unusual or excess."
    )
    top: int | None = whole(None, least=1, help="Only the first N heads; of a link, in each direction.")


@dataclass(frozen=True)
class Linking(Options):
    """The words whose links are measured.

    Attributes:
        link: ``A:B``, two words or positions, or a list of such.
    """

    link: list[str] | None = option(
        None,
        metavar="A:B",
        help="Instead, which heads join two words, such as it:animal, or positions; may be repeated.",
    )


def heads(
    text: Text,
    loading: Loading,
    metrics: Metrics,
    linking: Linking,
    selection: Selection,
    mean: Mean,
    averaging: Averaging,
    reading: SequenceReading,
    ranking: Ranking,
    saving: Saving,
    talking: Talking,
) -> None:
    """What each head attends to in a text: a row per head."""
    if linking.link:
        _check_effect(metrics, averaging, reading)
        _links(text, loading, linking, selection, mean, reading, ranking, saving, talking)
        return
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


def _links(
    text: Text,
    loading: Loading,
    linking: Linking,
    selection: Selection,
    mean: Mean,
    reading: SequenceReading,
    ranking: Ranking,
    saving: Saving,
    talking: Talking,
) -> None:
    """Writes the heads that join two words."""
    from attnprobe.analyses.links import NUMBERS, measure_links, words_in

    words, sort = text.read(quiet=talking.quiet), ranking.sort or "weight"
    check_choice("with --link, --sort", sort, tuple(NUMBERS))
    named = words_in(linking.link)
    destination = saving.destination()
    loading.check(talking.quiet, text.texts(words), **vars(selection), named=named)

    from attnprobe.render.links import LinksView

    with warnings_as_notes(talking.quiet):
        links = measure_links(words, loading.encoder(), text.pair, linking.link, selection, mean, reading)
    for remark in () if talking.quiet else links.remarks:
        note(remark)
    table = links.to_table(sort, ranking.top)
    destination.write(table, lambda table, width: LinksView(links, width, sort, ranking.top))


def _check_effect(metrics: Metrics, averaging: Averaging, reading: SequenceReading) -> None:
    """Refuses options that have no effect on links.

    Raises:
        UsageError: one is given.
    """
    given = {"metric": metrics.metrics, "stride": reading.stride, **averaging.changed()}
    for name, value in given.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} has no effect on --link, which gives weights", "leave it out")
