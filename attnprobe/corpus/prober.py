"""Chunks of records -> results; one chunk is tokenized while the model measures another.

On a CPU one thread computes a batch, and several batches are computed at a time. So the numbers do not depend on how
many threads or processes share the work, and no thread waits for another within a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from attnprobe.attention.threads import pool_of
from attnprobe.corpus.chunks import Item, UntilError, by_length
from attnprobe.corpus.settings import Settings, failure
from attnprobe.corpus.threads import Replicas, cores
from attnprobe.corpus.tokenized import TokenizedChunk, TokenizedText, tokenize_chunk, unusable
from attnprobe.errors import TextError
from attnprobe.measure.kinds import Found, Measured, Summary
from attnprobe.measure.reading import weighing
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
    """The result of one chunk of records.

    Attributes:
        rows: of the texts that were measured, in input order.
        summary: of these texts.
        n_items: how many records the chunk had, skipped ones included.
        n_texts, n_tokens: how many were measured.
        skipped: the records without rows, in input order.
        cut: the texts that were cut.
        unknown: how many texts have more than a third of their tokens unknown to the model's vocabulary.
        wordless: how many texts have unknown words although words were asked for.
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
    """One window of a text, the index of the text (``owner``) in the chunk, and whether it is the text's first."""

    owner: int
    tokens: Tokens
    is_first: bool


@dataclass(frozen=True)
class Batch:
    """Windows of one length that are run together, and their future results; a TextError for a text that failed."""

    windows: Sequence[Window]
    future: Future[Found]


class Prober:
    """Measures chunks of records with one encoder, on several threads.

    Args:
        threads: how many batches are computed at a time; None: one per core on a CPU, else one.
        on_batch: called with the numbers of texts and tokens after each batch, from any thread.

    Raises:
        UsageError: the settings do not suit the model.
    """

    def __init__(
        self, encoder: Encoder, settings: Settings, threads: int | None = None, on_batch: OnBatch | None = None
    ) -> None:
        if threads is not None:
            check_whole("threads", threads, 1)
        settings.check(encoder)
        encoder = weighing(encoder, settings.reading, settings.measurement)
        self.encoder, self.settings, self.on_batch = encoder, settings, on_batch
        self.threads = (threads or cores()) if encoder.device.type == "cpu" else 1
        self.replicas = Replicas(encoder, self.threads)
        self.empty = settings.measurement.empty(settings.sign(encoder))

    def results(self, pieces: Iterable[Sequence[Item]]) -> Iterator[Result]:
        """Yields one result per chunk, in order; while a chunk is measured, the batches of the next already wait."""
        source = UntilError(pieces)
        running: tuple[TokenizedChunk, list[Batch]] | None = None
        with pool_of(self.threads) as pool:
            for items in source:
                following = self._start(tokenize_chunk(items, self.encoder, self.settings), pool)
                if running is not None:
                    yield self._finish(*running)
                running = following
            if running is not None:
                yield self._finish(*running)
        source.reraise()

    def _start(self, chunk: TokenizedChunk, pool: ThreadPoolExecutor) -> tuple[TokenizedChunk, list[Batch]]:
        """Submits a chunk's windows to the pool, in batches."""
        windows = [
            Window(owner, tokens, number == 0)
            for owner, text in enumerate(chunk.texts)
            for number, tokens in enumerate(text.windows)
        ]
        groups = by_length([len(window.tokens) for window in windows], self.settings.running.batch_tokens)
        batches = [[windows[index] for index in group] for group in groups]
        return chunk, [Batch(batch, pool.submit(self._run, batch)) for batch in batches]

    def _run(self, windows: Sequence[Window]) -> Found:
        """Measures one batch on a replica of its own."""
        with self.replicas.one() as encoder:
            try:
                return self._try([window.tokens for window in windows], encoder)
            finally:
                if self.on_batch:
                    n_tokens = sum(len(window.tokens) for window in windows)
                    self.on_batch(sum(window.is_first for window in windows), n_tokens)

    def _try(self, texts: Sequence[Tokens], encoder: Encoder) -> Found:
        """Measures a batch; if the model fails, runs each text alone to find the one it fails on."""
        try:
            return measure(texts, encoder, self.settings.measurement)
        except TextError as error:
            if len(texts) == 1:
                return Found([error])
            alone = [self._try([text], encoder) for text in texts]
            return Found(
                [result for found in alone for result in found.texts], added(found.together for found in alone)
            )

    def _finish(self, chunk: TokenizedChunk, batches: Sequence[Batch]) -> Result:
        """Waits for a chunk's batches and puts their results into the order of the records."""
        found = [(batch.windows, batch.future.result()) for batch in batches]
        failed = {
            window.owner: result
            for windows, of_batch in found
            for window, result in zip(windows, of_batch.texts, strict=True)
            if isinstance(result, TextError)
        }
        skipped = chunk.skipped | {
            chunk.texts[owner].index: unusable(chunk.texts[owner].record, error) for owner, error in failed.items()
        }
        if skipped and self.settings.running.on_error == "fail":
            raise failure(skipped[min(skipped)])
        found = [self._without(failed, windows, of_batch) for windows, of_batch in found]
        by_text: dict[int, Any] = {}
        for windows, of_batch in found:
            for window, result in zip(windows, of_batch.texts, strict=True):
                by_text[window.owner] = result if window.owner not in by_text else by_text[window.owner] + result
        kept = [chunk.texts[owner] for owner in sorted(by_text)]
        measured = [
            Measured(text.record, text.windows, by_text[owner], text.unknown)
            for owner, text in enumerate(chunk.texts)
            if owner in by_text
        ]
        together = added(of_batch.together for _, of_batch in found)
        return self._result(chunk.n_items, kept, measured, together, [skipped[index] for index in sorted(skipped)])

    def _without(
        self, failed: Iterable[int], windows: Sequence[Window], found: Found
    ) -> tuple[Sequence[Window], Found]:
        """Removes the texts that failed from a batch, and their other windows also from the results of all together."""
        kept = [index for index, window in enumerate(windows) if window.owner not in failed]
        if len(kept) == len(windows):
            return windows, found
        whole = all(isinstance(result, TextError) or index in kept for index, result in enumerate(found.texts))
        windows = [windows[index] for index in kept]
        if found.together is not None and not whole:
            with self.replicas.one() as encoder:
                return windows, self._try([window.tokens for window in windows], encoder) if windows else Found([])
        return windows, Found([found.texts[index] for index in kept], found.together)

    def _result(
        self,
        n_items: int,
        texts: Sequence[TokenizedText],
        measured: Sequence[Measured],
        together: Any,
        skipped: Sequence[Skipped],
    ) -> Result:
        summary: Any = self.empty.of_texts(measured, together)
        return Result(
            self.settings.measurement.rows(measured),
            summary.without(skipped) if skipped and hasattr(summary, "without") else summary,
            n_items,
            len(measured),
            sum(text.n_tokens for text in measured),
            skipped,
            [Cut(text.id, text.windows[0].n_cut) for text in measured if text.windows[0].n_cut],
            sum(text.unknown for text in texts),
            sum(text.wordless for text in texts),
        )
