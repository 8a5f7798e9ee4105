"""Two models that read the same texts, and the library's function that compares them, or results of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from attnprobe.analyses.comparing import TwoModels
from attnprobe.analyses.second import Second
from attnprobe.analyses.two_maps import TwoMaps
from attnprobe.corpus.compared import compare_results
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.corpus.texts import check_columns, to_records
from attnprobe.corpus.twins import loaded_with_warning
from attnprobe.measure.kinds import Measurement
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.readers.results import read_results
from attnprobe.values.options import Averaging, Reading, Running, take
from attnprobe.values.pairing import Pairing

if TYPE_CHECKING:
    import pandas

    from attnprobe.analyses.comparison import Comparison
    from attnprobe.analyses.map_changes import MapChanges
    from attnprobe.corpus.texts import Texts
    from attnprobe.values.records import Given
    from attnprobe.values.selection import Indices


def compare(
    a: Encoder | str | PathLike[str] | pandas.DataFrame,
    b: Encoder | str | PathLike[str] | pandas.DataFrame,
    texts: Texts | None = None,
    metrics: Sequence[str] | None = None,
    *,
    ids: Iterable[object] | None = None, pairs: Iterable[Given] | None = None,
    maps: bool = False, match: bool = False, unpaired: bool = False, seed: int = 0,
    layers: Indices = "all", heads: Indices = "all", queries: str = "all", long_range: int = 10,
    max_length: int | None = None, stride: int | None = None, level: str = "token", global_attention: str = "none",
    of: str = "attention",
    batch_tokens: int = 2048, on_error: str = "fail", max_unknown: float | None = None,
    threads: int | None = None,
) -> Comparison | MapChanges:  # fmt: skip
    """Compares two models on the same texts, or two results, head by head; the twin of ``attnprobe compare``.

    Args:
        a, b: without texts: results of ``attnprobe corpus``, files or what ``corpus_stats(...).to_frame()`` returns;
            with texts: encoders, folders or Hub ids.
        metrics: those to compare; None: all that both have.
        maps: whether to compare maps instead of head statistics.
        match: whether to compare the maps of heads that are most alike instead of those of equal numbers.
        unpaired: whether the results are of two corpora, whose texts are drawn independently.
        seed: of the bootstrap.
        texts, ids, pairs, layers, heads, queries, long_range, max_length, stride, level, global_attention, of,
            batch_tokens, on_error, max_unknown, threads: as in :func:`corpus_stats`.

    Returns:
        a summary with ``to_frame()``, ``remarks``, ``signature`` and ``picture(metric)``.

    Raises:
        UsageError: the models, or the results, do not suit each other; the message names what differs.
        InputError: a file cannot be read, or a text cannot be used.
        ModelError: a model that cannot be loaded or measured.
    """
    names = None if metrics is None else check_names(metrics)
    pairing, selected = Pairing(maps, match, unpaired), {"layers": layers, "heads": heads}
    if texts is None:
        pairing.check_results()
        chosen: dict[str, Any] = {**selected, "seed": seed, "unpaired": unpaired}
        return compare_results(read_results(a, "A"), read_results(b, "B"), names, **chosen)
    check_columns(texts, ids, pairs)
    pairing.check_models()
    averaging = Averaging(queries, long_range)
    reading = Reading(max_length, stride, level, global_attention, of)
    running = Running(batch_tokens, on_error, max_unknown)
    what = {"match": match} if pairing.of_maps else {"metrics": names, "seed": seed, **vars(averaging)}
    models: Any = (a, b)
    first, other = loaded_with_warning(models[0]), loaded_with_warning(models[1])
    how = {**selected, **what, **vars(reading), **vars(running)}
    settings = settings_of_two(first, Second(other), maps=pairing.of_maps, **how)
    found: Comparison | MapChanges
    found = CorpusStats(Prober(first, settings, threads), to_records(texts, ids, pairs)).complete()
    return found


def settings_of_two(encoder: Encoder, second: Second, *, maps: bool, **options: Any) -> Settings:
    """Chooses what a run compares, and how it goes.

    Args:
        maps: whether to compare maps instead of head statistics.
        options: those of :meth:`TwoMaps.choose` or :meth:`TwoModels.choose`, of Reading and of Running.

    Raises:
        UsageError: an option is invalid, or the models do not suit each other.
    """
    how = {name: options.pop(name) for name in (*Reading.names(), *Running.names()) if name in options}
    given, running = take(how, Reading, Running)
    reading, said = second.read_alike(encoder, given)
    kind: Any = TwoMaps if maps else TwoModels
    measurement: Measurement = kind.choose(encoder, reading, second=second, said=said, **options)
    return Settings.choose(encoder, measurement, **vars(reading), **vars(running))
