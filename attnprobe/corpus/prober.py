"""Chunks of records -> results: tokenized ahead of the model that measures them, whatever is measured.

On a CPU every batch is computed by one thread, several batches at a time. So the numbers do not depend on how many
threads or processes share the work, and no thread waits for another within a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from attnprobe.corpus.chunks import Item, UntilError, by_length
from attnprobe.corpus.settings import Settings, failure
from attnprobe.corpus.threads import Replicas, cores, pool_of
from attnprobe.corpus.tokenized import ReadChunk, ReadText, because, read_chunk
from attnprobe.errors import TextError
from attnprobe.measure.kinds import Found, Measured, Summary
from attnprobe.measure.running import added, measure
from attnprobe.models.encoder import Encoder
from attnprobe.values.arguments import check_whole
from attnprobe.values.records import Skipped
from attnprobe.values.rows import RowBlock
from attnprobe.values.tokens import Tokens

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
        rows: of the texts that were measured, in input order.
        summary: of these texts.
        n_items: how many records and skipped ones the chunk had.
        n_texts, n_tokens: how many were measured.
        skipped: those without rows, in input order.
        cut: the texts that were cut.
        unknown: how many texts have more than a third of their tokens unknown to the model's vocabulary.
        wordless: how many have words that were asked for and are not known.
    """

    rows: Sequence[RowBlock]
    summary: Summary
    n_items: int
    n_texts: int
    n_tokens: int
    skipped: Sequence[Skipped]
    cut: Sequence[Cut]
    unknown: int = 0
    wordless: int = 0


@dataclass(frozen=True)
class Window:
    """One window of a text, and the number of its text in the chunk."""

    owner: int
    tokens: Tokens


@dataclass(frozen=True)
class Batch:
    """Windows of one length that are run together, and what they will give; a TextError in place of what failed."""

    windows: Sequence[Window]
    future: Future[Found]


class Prober:
    """Measures chunks of records with one encoder, on as many threads as told.

    Args:
        threads: how many batches are computed at a time; None: one per core on a CPU, else one.
        on_batch: told (texts, tokens) after every batch, from any thread.

    Raises:
        UsageError: the settings do not suit the model.
    """

    def __init__(
        self, encoder: Encoder, settings: Settings, threads: int | None = None, on_batch: OnBatch | None = None
    ) -> None:
        if threads is not None:
            check_whole("threads", threads, 1)
        settings.check(encoder)
        self.encoder, self.settings, self.on_batch = encoder, settings, on_batch
        self.threads = (threads or cores()) if encoder.device.type == "cpu" else 1
        self.replicas = Replicas(encoder, self.threads)
        self.nothing = settings.measurement.empty(settings.sign(encoder))

    def results(self, pieces: Iterable[Sequence[Item]]) -> Iterator[Result]:
        """One result per chunk, in order; the next chunk is read and its batches wait while one is measured."""
        source = UntilError(pieces)
        running: tuple[ReadChunk, list[Batch]] | None = None
        with pool_of(self.threads) as pool:
            for items in source:
                following = self._start(read_chunk(items, self.encoder, self.settings), pool)
                if running is not None:
                    yield self._finish(*running)
                running = following
            if running is not None:
                yield self._finish(*running)
        source.reraise()

    def _start(self, chunk: ReadChunk, pool: ThreadPoolExecutor) -> tuple[ReadChunk, list[Batch]]:
        """Lets the pool run a chunk's windows in batches."""
        windows = [Window(owner, tokens) for owner, text in enumerate(chunk.texts) for tokens in text.windows]
        places = by_length([len(window.tokens) for window in windows], self.settings.running.batch_tokens)
        batches = [[windows[place] for place in batch] for batch in places]
        return chunk, [Batch(batch, pool.submit(self._run, [window.tokens for window in batch])) for batch in batches]

    def _run(self, texts: Sequence[Tokens]) -> Found:
        """Measures one batch on a replica of its own."""
        with self.replicas.one() as encoder:
            try:
                return self._try(texts, encoder)
            finally:
                if self.on_batch:
                    self.on_batch(len(texts), sum(map(len, texts)))

    def _try(self, texts: Sequence[Tokens], encoder: Encoder) -> Found:
        """What a batch gives; a text that the model fails on is found by running each alone."""
        try:
            return measure(texts, encoder, self.settings.measurement)
        except TextError as error:
            if len(texts) == 1:
                return Found([error])
            alone = [self._try([text], encoder) for text in texts]
            return Found([one for found in alone for one in found.texts], added(found.together for found in alone))

    def _finish(self, chunk: ReadChunk, batches: Sequence[Batch]) -> Result:
        """Waits for a chunk's batches and puts what they give into the order of the records."""
        found = [(batch.windows, batch.future.result()) for batch in batches]
        failed = {
            window.owner: one
            for windows, of_batch in found
            for window, one in zip(windows, of_batch.texts, strict=True)
            if isinstance(one, TextError)
        }
        skipped = chunk.skipped | {
            chunk.texts[owner].place: because(chunk.texts[owner].record, error) for owner, error in failed.items()
        }
        if skipped and self.settings.running.on_error == "fail":
            raise failure(skipped[min(skipped)])
        found = [self._without(failed, windows, of_batch) for windows, of_batch in found]
        by_text: dict[int, Any] = {}
        for windows, of_batch in found:
            for window, one in zip(windows, of_batch.texts, strict=True):
                by_text[window.owner] = one if window.owner not in by_text else by_text[window.owner] + one
        kept = [chunk.texts[owner] for owner in sorted(by_text)]
        measured = [
            Measured(text.record.id, text.windows, by_text[owner])
            for owner, text in enumerate(chunk.texts)
            if owner in by_text
        ]
        together = added(of_batch.together for _, of_batch in found)
        return self._result(chunk.n_items, kept, measured, together, [skipped[place] for place in sorted(skipped)])

    def _without(
        self, failed: Iterable[int], windows: Sequence[Window], found: Found
    ) -> tuple[Sequence[Window], Found]:
        """A batch without the texts that failed; their other windows are taken out of what was found together, too."""
        kept = [place for place, window in enumerate(windows) if window.owner not in failed]
        if len(kept) == len(windows):
            return windows, found
        whole = all(isinstance(one, TextError) or place in kept for place, one in enumerate(found.texts))
        windows = [windows[place] for place in kept]
        if found.together is not None and not whole:
            with self.replicas.one() as encoder:
                return windows, self._try([window.tokens for window in windows], encoder) if windows else Found([])
        return windows, Found([found.texts[place] for place in kept], found.together)

    def _result(
        self,
        n_items: int,
        texts: Sequence[ReadText],
        measured: Sequence[Measured],
        together: Any,
        skipped: Sequence[Skipped],
    ) -> Result:
        return Result(
            self.settings.measurement.rows(measured),
            self.nothing.of_texts(measured, together),
            n_items,
            len(measured),
            sum(text.n_tokens for text in measured),
            skipped,
            [Cut(text.id, text.windows[0].n_cut) for text in measured if text.windows[0].n_cut],
            sum(text.unknown for text in texts),
            sum(text.wordless for text in texts),
        )
