"""An encoder that can be listened to: tokens in, blocks of attention weights out, layer by layer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch

from attnprobe.attention.blocks import Observer
from attnprobe.errors import UsageError
from attnprobe.models.batches import make_batch
from attnprobe.models.hooks import Tap, tapped
from attnprobe.models.interface import Listener, listening
from attnprobe.models.locate import Location
from attnprobe.models.tokenizing import tokenize
from attnprobe.tokens import Tokens

LayerObserver = Callable[[int, int], Observer | None]


@dataclass(frozen=True, eq=False)
class Encoder:
    """A loaded encoder; made by :func:`attnprobe.load_encoder`.

    Attributes:
        location: where its files lie.
        model: the transformers encoder, in evaluation mode.
        tokenizer: its transformers tokenizer.
        layers, heads: how many; every layer has the same number of heads.
        max_length: the most tokens it reads at once unless told otherwise; None: no limit is known.
        position_limit: the most tokens its position embeddings can tell apart; None: no limit.
        tap: where its weights are hooked; None: captured in blocks through AttentionInterface.
        tap_reason: why not through AttentionInterface.
        padding_invariant: whether a text's weights are the same in a padded batch; otherwise batches of unequal
            texts are run length by length.
    """

    location: Location
    model: Any
    tokenizer: Any
    layers: int
    heads: int
    max_length: int | None
    position_limit: int | None
    tap: Tap | None = None
    tap_reason: str = ""
    padding_invariant: bool = True

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @cached_property
    def weights_sha256(self) -> str:
        """The weight file's SHA-256; of several files, the SHA-256 of their digests in the order of their names."""
        digests = []
        for path in self.location.weight_files:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """What signatures say of the model: its short name and the first digits of its weights' hash."""
        return f"{self.location.short_name}@{self.weights_sha256[:12]}"

    def tokenize(
        self, text: str, pair: str | None = None, *, max_length: int | None = None, stride: int | None = None
    ) -> list[Tokens]:
        """The text as the encoder reads it; see :func:`attnprobe.models.tokenizing.tokenize`.

        Raises:
            UsageError: also if max_length is more than the position embeddings can tell apart.
        """
        if max_length and self.position_limit and max_length > self.position_limit:
            raise UsageError(f"max_length {max_length} is more than the model's {self.position_limit} positions")
        return tokenize(self.tokenizer, text, pair, max_length=max_length or self.max_length, stride=stride)

    def observe(
        self, texts: Sequence[Tokens], observe: LayerObserver, starts: Sequence[Sequence[int] | None] | None = None
    ) -> None:
        """Runs the encoder on a batch of texts and shows every layer's weights as they are computed.

        Args:
            observe: called with (layer, text) before each text's blocks of each layer; returns who gets the blocks,
                in order of rows, or None.
            starts: per text, the rows where a block may start; None: any.
        """
        for group in self._groups(texts):
            inputs, spans = make_batch([texts[index] for index in group], self.model, self.tokenizer)
            within = [starts[index] for index in group] if starts else None
            listener = Listener(spans, partial(_by_place, observe, group), within)
            with torch.inference_mode(), self._listening(listener):
                self.model(**inputs, **({"output_attentions": True} if self.tap else {}))

    def _groups(self, texts: Sequence[Tokens]) -> list[list[int]]:
        """Which texts are run together: all, or those of equal length where padding would change the weights."""
        if self.padding_invariant:
            return [list(range(len(texts)))]
        lengths = sorted({len(text) for text in texts})
        return [[index for index, text in enumerate(texts) if len(text) == length] for length in lengths]

    def _listening(self, listener: Listener) -> AbstractContextManager[Any]:
        return tapped(self.model, self.tap, listener) if self.tap else listening(listener)


def _by_place(observe: LayerObserver, group: Sequence[int], layer: int, place: int) -> Observer | None:
    """Asks who observes the text at this place of the group."""
    return observe(layer, group[place])
