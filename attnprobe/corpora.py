"""Many texts -> blocks of rows and a summary: chunks of records, tokenized ahead of the model that measures them.

On a CPU every batch is computed by one thread, several batches at a time. So the numbers do not depend on how many
threads or processes share the work, and no thread waits for another within a layer.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from attnprobe.arguments import check_choice, check_column, check_share, check_whole, known_options
from attnprobe.corpus.batches import Item, by_length, chunks
from attnprobe.corpus.records import InputError, Record, Skipped
from attnprobe.errors import (
    AttnprobeError,
    CaseWarning,
    TextError,
    UnknownTokensWarning,
    UsageError,
    WordsWarning,
)
from attnprobe.metrics import check_names, load_metrics
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.models.vocabulary import MOST_UNKNOWN, count_unknown
from attnprobe.run import check_options, check_words, measure, script_without_words, sign_run
from attnprobe.selection import Indices, select
from attnprobe.summary import Summary
from attnprobe.tokens import Role, Tokens

if TYPE_CHECKING:
    import pandas

BATCH_TOKENS = 2048
CHUNK_VALUES = 2**20  # statistics in the rows of a chunk, which bound its memory; more texts make better batches
CHUNK_TEXTS = 4096
CHUNK_CHARACTERS = 2**20

MISSING = object()
_setting_counts = Lock()

OnBatch = Callable[[int, int], None]


@dataclass(frozen=True)
class RowBlock:
    """The rows of consecutive texts, layer by layer and head by head.

    Attributes:
        ids: of the texts.
        n_tokens: how many tokens of each were read.
        layers, heads, metrics: what the axes of ``values`` stand for.
        values: (text, layer, head, metric) in float32; NaN where a metric has no meaning.
    """

    ids: Sequence[str]
    n_tokens: Sequence[int]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    metrics: tuple[str, ...]
    values: np.ndarray

    @property
    def columns(self) -> list[str]:
        """``id, n_tokens, layer, head``, then the metrics."""
        return ["id", "n_tokens", "layer", "head", *self.metrics]

    def __len__(self) -> int:
        return len(self.ids) * len(self.layers) * len(self.heads)

    def to_frame(self) -> pandas.DataFrame:
        """One row per text, layer and head."""
        import pandas

        texts, per_text = len(self.ids), len(self.layers) * len(self.heads)
        frame = pandas.DataFrame(self.values.reshape(-1, len(self.metrics)), columns=list(self.metrics))
        frame.insert(0, "head", np.tile(self.heads, texts * len(self.layers)))
        frame.insert(0, "layer", np.tile(np.repeat(self.layers, len(self.heads)), texts))
        frame.insert(0, "n_tokens", np.repeat(np.asarray(self.n_tokens, dtype=int), per_text))
        frame.insert(0, "id", np.repeat(np.asarray(self.ids, dtype=object), per_text))
        return frame


@dataclass(frozen=True)
class Cut:
    """A text that was longer than the model reads."""

    id: str
    n_cut: int


@dataclass(frozen=True)
class Result:
    """What became of one chunk of records.

    Attributes:
        n_items: how many records and skipped ones it had.
        skipped: those without rows, in input order.
        cut: the texts that were cut.
        unknown: how many texts have more than a third of their tokens unknown to the model's vocabulary.
        wordless: how many have words that were asked for and are not known.
    """

    rows: RowBlock
    summary: Summary
    n_items: int
    skipped: Sequence[Skipped]
    cut: Sequence[Cut]
    unknown: int = 0
    wordless: int = 0


@dataclass(frozen=True)
class Settings:
    """What is measured of every text, and how; see :func:`attnprobe.run.head_table` for the options.

    Attributes:
        profile: whether the summary also gets the weights by key − query.
        batch_tokens: how many tokens are run at once.
        on_error: what a record that cannot be used does: "skip" leaves it out, "fail" ends the run.
        max_unknown: a record with a larger share of tokens that the model's vocabulary lacks cannot be used; None: any.
    """

    metrics: tuple[str, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    long_range: int = 10
    queries: str = "all"
    level: str = "token"
    max_length: int | None = None
    stride: int | None = None
    profile: bool = False
    batch_tokens: int = BATCH_TOKENS
    on_error: Literal["skip", "fail"] = "skip"
    max_unknown: float | None = None

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        metrics: Sequence[str] | None = None,
        layers: Indices = None,
        heads: Indices = None,
        **options: Any,
    ) -> Settings:
        """The settings for an encoder, checked.

        Raises:
            UsageError: an unknown metric or option, a layer or head out of range, an option without such a value.
        """
        names, layers = tuple(check_names(metrics)), tuple(select(layers, encoder.layers, "layer"))
        heads = tuple(select(heads, encoder.heads, "head"))
        settings = cls(names, layers, heads, **known_options(options, cls))
        check_options(long_range=settings.long_range, queries=settings.queries, level=settings.level)
        check_choice("on_error", settings.on_error, ("skip", "fail"))
        check_whole("batch_tokens", settings.batch_tokens, 1)
        if settings.max_unknown is not None:
            check_share("max_unknown", settings.max_unknown)
        encoder.check_lengths(settings.max_length, settings.stride)
        return settings

    @property
    def columns(self) -> list[str]:
        """Of the rows: ``id, n_tokens, layer, head``, then the metrics."""
        return ["id", "n_tokens", "layer", "head", *self.metrics]

    def sign(self, encoder: Encoder) -> str:
        """The signature of the numbers, which neither batches nor errors change."""
        return sign_run(
            encoder,
            max_length=self.max_length,
            stride=self.stride,
            queries=self.queries,
            level=self.level,
            long_range=self.long_range,
        )

    def chunks(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """The items in chunks that are measured together; what one chunk gives does not depend on any other.

        Raises:
            InputError: under on_error "fail", for the first record that cannot be used, after the chunk before it.
        """
        per_text = len(self.layers) * len(self.heads) * len(self.metrics)
        return chunks(self._usable(items), max(1, min(CHUNK_TEXTS, CHUNK_VALUES // per_text)), CHUNK_CHARACTERS)

    def _usable(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if isinstance(item, Skipped) and self.on_error == "fail":
                raise failure(item)
            yield item


@dataclass
class Reading:
    """A chunk that has been tokenized: of each record its windows, and what cannot be used."""

    items: Sequence[Item]
    records: list[Record] = field(default_factory=list)
    windows: list[list[Tokens]] = field(default_factory=list)
    skipped: dict[int, Skipped] = field(default_factory=dict)  # by place among the items
    places: list[int] = field(default_factory=list)  # of the records among the items
    unknown: list[bool] = field(default_factory=list)  # whether many of a record's tokens are
    wordless: list[bool] = field(default_factory=list)  # whether its words are asked for and not known


@dataclass(frozen=True)
class Done:
    """What a batch gave: text by text, and by offset for each length of text if that was asked for."""

    sums: Sequence[Sums | TextError]
    profiles: Sequence[np.ndarray]


@dataclass(frozen=True)
class Running:
    """A chunk that is being measured: its batches, texts by place, and what they will give."""

    reading: Reading
    batches: Sequence[Sequence[int]]
    futures: Sequence[Future[Done]]


class Prober:
    """Measures chunks of records with one encoder, on as many threads as told.

    Args:
        threads: how many batches are computed at a time; None: one per core on a CPU, else one.
        on_batch: told (texts, tokens) after every batch, from any thread.
    """

    def __init__(
        self, encoder: Encoder, settings: Settings, threads: int | None = None, on_batch: OnBatch | None = None
    ) -> None:
        if threads is not None:
            check_whole("threads", threads, 1)
        self.encoder, self.settings, self.on_batch = encoder, settings, on_batch
        self.metrics = load_metrics(settings.metrics)
        self.threads = (threads or cores()) if encoder.device.type == "cpu" else 1
        self.replicas: SimpleQueue[Encoder] = SimpleQueue()
        for _ in range(self.threads):
            self.replicas.put(encoder.replica())
        self.nothing = Summary.empty(settings.layers, settings.heads, settings.metrics, settings.sign(encoder))

    def results(self, pieces: Iterable[Sequence[Item]]) -> Iterator[Result]:
        """One result per chunk, in order; the next chunk is read and its batches wait while one is measured."""
        with _pool(self.threads) as pool:
            running: Running | None = None
            ended: AttnprobeError | None = None
            source = iter(pieces)
            while ended is None:
                try:
                    following = self.start(self.read(next(source)), pool)
                except StopIteration:
                    break
                except AttnprobeError as error:  # what came before it is still measured
                    ended = error
                    continue
                if running is not None:
                    yield self.finish(running)
                running = following
            if running is not None:
                yield self.finish(running)
            if ended is not None:
                raise ended

    def read(self, items: Sequence[Item]) -> Reading:
        """Tokenizes a chunk."""
        reading = Reading(items)
        for place, item in enumerate(items):
            if isinstance(item, Skipped):
                reading.skipped[place] = item
                continue
            try:
                windows = self._tokenize(item)
                is_unknown = self._is_unknown(windows)
            except UsageError as error:
                reading.skipped[place] = Skipped(item.file, item.line, str(error), item.id)
                continue
            reading.records.append(item)
            reading.windows.append(windows)
            reading.places.append(place)
            reading.unknown.append(is_unknown)
            reading.wordless.append(self.settings.level == "word" and script_without_words(windows) != "")
        return reading

    def _tokenize(self, record: Record) -> list[Tokens]:
        chosen = self.settings
        words = chosen.level == "word"
        windows = self.encoder.tokenize(
            record.text, record.pair, max_length=chosen.max_length, stride=chosen.stride, words=words
        )
        if words:
            check_words(self.encoder, windows)
        return windows

    def _is_unknown(self, windows: Sequence[Tokens]) -> bool:
        """Whether so many of a text's tokens are unknown that its numbers say little of it.

        Raises:
            UsageError: they are more than the settings allow.
        """
        unknown, content = count_unknown(self.encoder.tokenizer, windows)
        most = self.settings.max_unknown
        if most is not None and unknown > most * content:
            raise UsageError(f"{unknown:,} of {content:,} tokens are unknown to the model's vocabulary")
        return unknown > MOST_UNKNOWN * content

    def start(self, reading: Reading, pool: ThreadPoolExecutor) -> Running:
        """Lets the pool run a chunk's windows in batches."""
        texts = [window for windows in reading.windows for window in windows]
        batches = by_length([len(text) for text in texts], self.settings.batch_tokens)
        return Running(reading, batches, [pool.submit(self._run, [texts[at] for at in batch]) for batch in batches])

    def finish(self, running: Running) -> Result:
        """Waits for a chunk's batches and puts what they give back into the order of the records."""
        reading = running.reading
        owners = [owner for owner, windows in enumerate(reading.windows) for _ in windows]
        shape = self.nothing.mean.shape
        totals, counts = np.zeros((len(reading.records), *shape)), np.zeros((len(reading.records), shape[0], shape[2]))
        failed: dict[int, TextError] = {}
        profile, heads = self.nothing, list(self.settings.heads)
        for batch, future in zip(running.batches, running.futures, strict=True):
            done = future.result()
            for place, sums in zip(batch, done.sums, strict=True):
                if isinstance(sums, TextError):
                    failed[owners[place]] = sums
                else:
                    totals[owners[place]] += sums.total[:, heads]
                    counts[owners[place]] += sums.count
            for offsets in done.profiles:
                profile = profile.with_profile(offsets[:, heads])
        return self._result(reading, totals, counts, failed, profile.offsets)

    def _run(self, texts: Sequence[Tokens]) -> Done:
        """One batch on a replica of its own."""
        encoder = self.replicas.get()
        try:
            return self._try(texts, encoder)
        finally:
            self.replicas.put(encoder)
            if self.on_batch:
                self.on_batch(len(texts), sum(map(len, texts)))

    def _try(self, texts: Sequence[Tokens], encoder: Encoder) -> Done:
        """What a batch gives; a text that the model fails on is found by running each alone."""
        chosen = self.settings
        profiles: list[np.ndarray] | None = [] if chosen.profile else None
        try:
            sums = measure(
                texts,
                encoder,
                self.metrics,
                layers=chosen.layers,
                long_range=chosen.long_range,
                queries=chosen.queries,
                level=chosen.level,
                profiles=profiles,
            )
        except TextError as error:
            if len(texts) == 1:
                return Done([error], [])
            each = [self._try([text], encoder) for text in texts]
            return Done([its for done in each for its in done.sums], [its for done in each for its in done.profiles])
        return Done(list(sums), profiles or [])

    def _result(
        self,
        reading: Reading,
        totals: np.ndarray,
        counts: np.ndarray,
        failed: Mapping[int, TextError],
        offsets: np.ndarray,
    ) -> Result:
        chosen, skipped = self.settings, dict(reading.skipped)
        for owner, error in failed.items():
            record = reading.records[owner]
            skipped[reading.places[owner]] = Skipped(record.file, record.line, str(error), record.id)
        if skipped and chosen.on_error == "fail":
            raise failure(skipped[min(skipped)])
        kept = [owner for owner in range(len(reading.records)) if owner not in failed]
        if failed:
            totals, counts = totals[kept], counts[kept]
        windows = [reading.windows[owner] for owner in kept]
        names = [reading.records[owner].id for owner in kept]
        values = np.full(totals.shape, np.nan, dtype=np.float32)
        np.divide(totals, counts[:, :, None], out=values, where=counts[:, :, None] > 0, casting="same_kind")
        n_queries = sum(self._n_queries(window) for its in windows for window in its) if chosen.profile else 0
        return Result(
            RowBlock(
                names, [sum(map(len, its)) for its in windows], chosen.layers, chosen.heads, chosen.metrics, values
            ),
            self.nothing.of(totals, counts).with_profile(offsets, n_queries),
            len(reading.items),
            [skipped[place] for place in sorted(skipped)],
            [Cut(name, its[0].n_cut) for name, its in zip(names, windows, strict=True) if its[0].n_cut],
            sum(reading.unknown[owner] for owner in kept),
            sum(reading.wordless[owner] for owner in kept),
        )

    def _n_queries(self, text: Tokens) -> int:
        text = text.by_word() if self.settings.level == "word" else text
        return len(text) if self.settings.queries == "all" else list(text.roles).count(Role.CONTENT)


class CorpusStats:
    """The statistics of many texts: iterate over it for blocks of rows as they are measured.

    Attributes:
        summary: of the texts so far; complete when the iteration has ended.
        skipped: the records so far that could not be used.
        unknown, wordless: of how many texts so far many tokens are unknown to the model, or no words are known.
    """

    def __init__(self, prober: Prober, items: Iterable[Item]) -> None:
        self.summary = prober.nothing
        self.skipped: list[Skipped] = []
        self.unknown = self.wordless = 0
        self._results = prober.results(prober.settings.chunks(items))

    def __iter__(self) -> Iterator[RowBlock]:
        for result in self._results:
            self.summary += result.summary
            self.skipped += result.skipped
            self.unknown += result.unknown
            self.wordless += result.wordless
            yield result.rows
        for category, message in doubts(self.unknown, self.wordless).items():
            warnings.warn(message, category, stacklevel=2)

    def to_frame(self) -> pandas.DataFrame:
        """All rows that are still to come, at once; ``attrs["signature"]`` says what the numbers depend on."""
        import pandas

        frames = [block.to_frame() for block in self]
        frame = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()
        frame.attrs["signature"] = self.summary.signature
        return frame


def doubts(unknown: int, wordless: int) -> dict[type[Warning], str]:
    """What to say of so many texts whose tokens are unknown, or whose words are not known; see :class:`Result`."""
    said: dict[type[Warning], str] = {}
    if unknown:
        said[UnknownTokensWarning] = (
            f"texts with more than a third of their tokens unknown to the model's vocabulary: {unknown:,}"
        )
    if wordless:
        said[WordsWarning] = (
            "texts whose scripts have no spaces between words, so that finding these takes a dictionary, and each token"
            f" stands for itself: {wordless:,}"
        )
    return said


def corpus_stats(
    texts: Iterable[str | Record | Skipped],
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    ids: Iterable[object] | None = None,
    pairs: Iterable[str] | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    threads: int | None = None,
    **options: Any,
) -> CorpusStats:
    """What each head attends to in each of many texts; the twin of ``attnprobe corpus``.

    Nothing is read before the result is iterated, and no more than two chunks of texts are held at a time.

    Args:
        texts: any iterable of texts, or of records from :func:`attnprobe.read_records`.
        encoder, metrics, model: as in :func:`attnprobe.head_stats`.
        ids: of the texts; None: their numbers, from 1.
        pairs: the second text of each.
        threads: how many batches are computed at a time on a CPU; None: one per core. No number depends on it.
        options: layers, heads, long_range, queries, level, max_length, stride as in ``head_stats``; batch_tokens;
            profile; max_unknown, the largest share of tokens that the vocabulary may lack; on_error, "fail" unless told
            otherwise, or "skip".

    Returns:
        an iterable of :class:`RowBlock`, with ``.summary``, ``.skipped`` and ``.to_frame()``. Summaries add up.

    Raises:
        UsageError: an unknown metric or option, no list of texts; also while iterating, ids or pairs that are not as
            many as the texts.
        InputError: while iterating, a text that cannot be used (empty, not Unicode, one the model gives NaN for),
            unless these are skipped.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        UnknownTokensWarning, WordsWarning, CaseWarning: texts are not read as they stand; the first two at the end.
    """
    names = check_names(metrics)
    _check_columns(texts, ids, pairs)
    encoder = loaded(encoder, model)
    if encoder.case:
        warnings.warn(encoder.case, CaseWarning, stacklevel=2)
    settings = Settings.choose(encoder, names, **{"on_error": "fail", **options})
    return CorpusStats(Prober(encoder, settings, threads), _records(texts, ids, pairs))


def _check_columns(texts: Any, ids: Any, pairs: Any) -> None:
    """Refuses what is no column of texts, and ids or pairs that are not as many, where that can be told.

    Raises:
        UsageError: it does not fit.
    """
    check_column("texts", texts)
    for name, values in (("ids", ids), ("pairs", pairs)):
        if values is None:
            continue
        check_column(name, values)
        if isinstance(texts, Sized) and isinstance(values, Sized) and len(values) != len(texts):
            raise UsageError(f"there are {len(values)} {name} for {len(texts)} texts")


def _records(
    texts: Iterable[str | Record | Skipped], ids: Iterable[object] | None, pairs: Iterable[str] | None
) -> Iterator[Item]:
    beside = {name: iter(values) for name, values in (("ids", ids), ("pairs", pairs)) if values is not None}
    number = 0
    for number, text in enumerate(texts, start=1):
        if isinstance(text, Record | Skipped):
            if beside:
                raise UsageError(f"{' and '.join(beside)} are for texts alone; a record brings its own")
            yield _usable(text) if isinstance(text, Record) else text
            continue
        own: dict[str, Any] = {name: next(values, MISSING) for name, values in beside.items()}
        for name, value in own.items():
            if value is MISSING:
                raise UsageError(f"there are more texts than {name}, of which there are {number - 1}")
        yield _usable(Record(str(own.get("ids", number)), text, own.get("pairs"), "text", number))
    for name, values in beside.items():
        if next(values, MISSING) is not MISSING:
            raise UsageError(f"there are more {name} than texts, of which there are {number}")


def _usable(record: Record) -> Item:
    """The record; or why it cannot be used, if its text or pair is none."""
    for value in (record.text, "" if record.pair is None else record.pair):
        if not isinstance(value, str):
            return Skipped(record.file, record.line, f"{type(value).__name__}, not text", record.id)
    return record


def failure(skipped: Skipped) -> InputError:
    """The error that a record which cannot be used ends a run with."""
    place = skipped.file if skipped.line is None else f"{skipped.file}:{skipped.line}"
    return InputError(f"{place}: {skipped.reason}", "--on-error skip leaves such records out and lists them")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for batches; those that have not begun at its end never will."""
    pool = ThreadPoolExecutor(threads, initializer=_compute_alone)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _compute_alone() -> None:
    """Lets torch compute in this thread without the help of others, and in no other thread otherwise than before.

    torch counts threads for each thread by itself. But whoever sets the count also sets that of threads still to come,
    which a thread for just that sets back.
    """
    with _setting_counts:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        other = Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
