"""Many texts -> blocks of rows and a summary: chunks of records, tokenized ahead of the model that measures them.

On a CPU every batch is computed by one thread, several batches at a time. So the numbers do not depend on how many
threads or processes share the work, and no thread waits for another within a layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from threading import Lock, Thread

import numpy as np
import torch

from attnprobe.corpus.chunks import Item, by_length
from attnprobe.corpus.settings import Settings, failure
from attnprobe.errors import (
    AttnprobeError,
    TextError,
    UsageError,
)
from attnprobe.measure.reading import check_words, script_without_words
from attnprobe.measure.running import measure
from attnprobe.metrics import load_metrics
from attnprobe.metrics.reduce import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.models.vocabulary import MOST_UNKNOWN, count_unknown
from attnprobe.values.arguments import check_whole
from attnprobe.values.records import Record, Skipped
from attnprobe.values.rows import RowBlock
from attnprobe.values.summary import Summary
from attnprobe.values.tokens import Role, Tokens

_setting_counts = Lock()
OnBatch = Callable[[int, int], None]


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
            asked = self.settings.level == "word" and item.words is None
            reading.wordless.append(asked and script_without_words(windows) != "")
        return reading

    def _tokenize(self, record: Record) -> list[Tokens]:
        chosen = self.settings
        words = chosen.level == "word"
        windows = self.encoder.tokenize(*record.given, max_length=chosen.max_length, stride=chosen.stride, words=words)
        if words:
            check_words(self.encoder, windows)
        return [replace(window, labels=record.labels) for window in windows] if record.labels else windows

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
