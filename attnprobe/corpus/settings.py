"""How a run over many texts goes about it: what is measured, in which chunks, and what an unusable record does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from attnprobe.corpus.chunks import Item, chunks
from attnprobe.errors import (
    InputError,
)
from attnprobe.measure.reading import check_options, sign_run
from attnprobe.metrics import check_names
from attnprobe.models.encoder import Encoder
from attnprobe.values.arguments import check_choice, check_share, check_whole, known_options
from attnprobe.values.records import Skipped
from attnprobe.values.selection import Indices, select

if TYPE_CHECKING:
    pass

BATCH_TOKENS = 2048
CHUNK_VALUES = 2**20  # statistics in the rows of a chunk, which bound its memory; more texts make better batches
CHUNK_TEXTS = 4096
CHUNK_CHARACTERS = 2**20


@dataclass(frozen=True)
class Settings:
    """What is measured of every text, and how; see :func:`attnprobe.measure.heads.head_table` for the options.

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


def failure(skipped: Skipped) -> InputError:
    """The error that a record which cannot be used ends a run with."""
    place = skipped.file if skipped.line is None else f"{skipped.file}:{skipped.line}"
    return InputError(f"{place}: {skipped.reason}", "--on-error skip leaves such records out and lists them")
