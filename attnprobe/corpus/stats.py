"""The statistics of many texts in memory, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.prober import Prober
from attnprobe.errors import (
    UnknownTokensWarning,
    UsageError,
    WordsWarning,
)
from attnprobe.values.notebook import one_line
from attnprobe.values.records import Skipped
from attnprobe.values.rows import RowBlock

if TYPE_CHECKING:
    import pandas


class CorpusStats:
    """The statistics of many texts: iterating, which can be done once, yields blocks of rows as they are measured.

    Attributes:
        summary: of the texts so far; complete when the iteration has ended.
        skipped: the records so far that could not be used.
        unknown, wordless: how many texts so far have many tokens unknown to the model, or unknown words.
    """

    def __init__(self, prober: Prober, items: Iterable[Item]) -> None:
        self.summary = prober.empty
        self._model = prober.encoder.name
        self.skipped: list[Skipped] = []
        self.unknown = self.wordless = 0
        self._ended = False
        self._results = prober.results(prober.settings.chunks(items))

    def __repr__(self) -> str:
        return one_line("CorpusStats", self._model, "iterating measures the texts, as does to_frame()")

    def __iter__(self) -> Iterator[RowBlock]:
        """Measures the texts that are left.

        Raises:
            UsageError: all texts are measured already.
        """
        if self._ended:
            raise UsageError("these texts are measured already", "keep the rows, or call corpus_stats again")
        for result in self._results:
            self.summary += result.summary
            self.skipped += result.skipped
            self.unknown += result.unknown
            self.wordless += result.wordless
            yield from result.rows
        self._ended = True
        for category, message in doubts(self.unknown, self.wordless).items():
            warnings.warn(message, category, stacklevel=2)

    def complete(self) -> Any:
        """Measures all texts that are left and returns the summary."""
        for _ in self:
            pass
        return self.summary

    def to_frame(self) -> pandas.DataFrame:
        """Measures all texts that are left and returns their rows, with the signature in ``attrs["signature"]``."""
        import pandas

        frames = [block.to_frame() for block in self]
        frame = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()
        frame.attrs["signature"] = self.summary.signature
        return frame


def doubts(unknown: int, wordless: int) -> dict[type[Warning], str]:
    """Writes warnings about the number of texts with unknown tokens or words; see :class:`Result`."""
    warned: dict[type[Warning], str] = {}
    if unknown:
        warned[UnknownTokensWarning] = (
            f"texts with more than a third of their tokens unknown to the model's vocabulary: {unknown:,}"
        )
    if wordless:
        warned[WordsWarning] = (
            "texts whose scripts have no spaces between words, so that finding these takes a dictionary, and each token"
            f" stands for itself: {wordless:,}"
        )
    return warned
