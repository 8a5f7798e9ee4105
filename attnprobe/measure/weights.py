"""Kept weights: the attention weights themselves, for tables, pictures and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rows import check_probabilities, merge_pieces, refuse_pools, word_starts
from attnprobe.errors import UsageError
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoSummary
from attnprobe.measure.reading import notes_on, sign, weighing, windows_of
from attnprobe.measure.running import measure
from attnprobe.models.encoder import Encoder
from attnprobe.values.arguments import check_whole
from attnprobe.values.attention import MOST_WEIGHTS, Attention
from attnprobe.values.averaging import averaged_axes, mean_over, named_mean, signed_mean
from attnprobe.values.options import Mean, Reading, SequenceReading, take
from attnprobe.values.rows import HEAD_COLUMNS, RowBlock
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class KeptWeights:
    """Keeps the weights of some heads, for ``weights``, ``heatmap`` and ``view``.

    Attributes:
        layers, heads: the numbers of those kept, ascending.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
        raw: whether contributions are kept as they are instead of divided by the sum of their row.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    level: str = "token"
    raw: bool = False
    alone: bool = field(default=True, init=False)

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> KeptWeights:
        """Chooses the heads whose weights are kept.

        Args:
            options: layers and heads; None: all.

        Raises:
            UsageError: an option is unknown, or a layer or head out of range.
        """
        take(options, beside=("layers", "heads"), hint="of --measure weights, -l and --head choose layers and heads")
        layers = select(options.get("layers"), encoder.layers, "layer")
        heads = select(options.get("heads"), encoder.heads, "head")
        return cls(tuple(layers), tuple(heads), reading.level)

    @property
    def columns(self) -> dict[str, str]:
        """The columns of ``attnprobe weights``."""
        tokens = {"query": "int32", "query_token": "string", "key": "int32", "key_token": "string"}
        return {**HEAD_COLUMNS, **tokens, "weight": "float32"}

    @property
    def size(self) -> int:
        """The number of weights of a text of 128 tokens."""
        return len(self.layers) * len(self.heads) * 128 * 128

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """Whether contributions are raw; weights depend only on the model and the reading."""
        return {"rows": "raw" if self.raw else None}

    def shape(self, tokens: Tokens) -> tuple[int, int, int, int]:
        """The number of layers, heads, queries and keys of a text."""
        return len(self.layers), len(self.heads), len(tokens), len(tokens)

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> WeightsListener:
        """Makes a listener that keeps the weights of the one text."""
        [text] = texts
        return WeightsListener(self, text, encoder)

    def rows(self, texts: Sequence[Measured]) -> list[RowBlock]:
        """Makes a row per text, layer, head, query and key."""
        blocks = []
        for text in texts:
            for window, weights in zip(text.windows, text.found.windows, strict=True):
                strings = (window.by_word() if self.level == "word" else window).strings
                axes: list[Mapping[str, Sequence[Any]]] = [{"id": [text.id], "n_tokens": [text.n_tokens]}]
                axes += [{"layer": self.layers}, {"head": self.heads}]
                axes += [{axis: range(len(strings)), f"{axis}_token": strings} for axis in ("query", "key")]
                blocks.append(RowBlock(axes, ["weight"], weights[None, ..., None].astype(np.float32)))
        return blocks

    def empty(self, signature: str) -> NoSummary:
        """Makes an empty summary, since weights of different texts do not add up."""
        return NoSummary(signature)


@dataclass(frozen=True)
class Windows:
    """The weights of a text's windows, each (layer, head, query, key)."""

    windows: tuple[np.ndarray, ...]

    def __add__(self, other: Windows) -> Windows:
        return Windows(self.windows + other.windows)


class WeightsListener:
    """Keeps the weights of one text.

    Raises:
        ModelError: the rows of a layer are not probabilities, or not over tokens of the text.
    """

    def __init__(self, measurement: KeptWeights, text: Tokens, encoder: Encoder) -> None:
        self.measurement, self.encoder = measurement, encoder
        by_word = measurement.level == "word"
        self.words = torch.tensor(text.words, device=encoder.device) if by_word else None
        kind = np.float64 if exact(encoder.dtype) == torch.float64 else np.float32
        self.weights = np.zeros(measurement.shape(text.by_word() if by_word else text), dtype=kind)

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return None if self.words is None else word_starts(self.words)

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks."""
        return lambda block: self._keep(layer, block)

    def _keep(self, layer: int, block: Block) -> None:
        refuse_pools(block, layer)
        check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        if self.measurement.raw and block.totals is not None:
            block = replace(block, weights=block.weights * block.totals[..., None])
        if self.words is not None:
            block = merge_pieces(block, self.words)
        kept = self.weights[self.measurement.layers.index(layer)]
        present = range(*(block.heads or slice(None)).indices(self.encoder.heads))
        for index, head in enumerate(self.measurement.heads):
            if head in present:
                kept[index, block.rows, block.keys] = block.weights[0, head - present.start].cpu().numpy()

    def finish(self) -> Found:
        """Returns the weights."""
        return Found([Windows((self.weights,))])


def keep_weights(
    text: str,
    encoder: Encoder,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    mean: str | None = None,
    most: int | None = MOST_WEIGHTS,
    check: Callable[[Tokens], object] | None = None,
    raw: bool = False,
    **options: Any,
) -> Attention:
    """Keeps the attention weights of one text.

    Args:
        pair, layers, heads: as in :func:`attnprobe.measure.heads.head_table`.
        mean: see :class:`attnprobe.values.options.Mean`.
        most: how many weights to keep at most; None: any number.
        check: called with the tokens before the model runs; may refuse the text by an error.
        raw: whether contributions are kept as they are.
        options: those of :class:`attnprobe.values.options.SequenceReading` but ``stride``.

    Raises:
        UsageError: a layer or head is out of range, the text is empty, or has more weights than ``most``.
        ModelError: the rows of a layer are not probabilities, or not over tokens of the text.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.measure.reading.windows_of`.
    """
    reading, over = SequenceReading.from_given(options, without=["stride"]), Mean(mean)
    if most is not None:
        check_whole("most", most)
    measurement = replace(KeptWeights.choose(encoder, reading, layers=layers, heads=heads), raw=raw)
    [pieces] = windows_of(encoder, text, pair, reading)
    tokens = pieces.by_word() if reading.level == "word" else pieces
    check_size(measurement.shape(tokens), most)
    if check:
        check(tokens)
    [kept] = measure([pieces], weighing(encoder, reading), measurement).texts
    return attention_of(measurement, kept, encoder, pieces, reading, over)


def attention_of(
    measurement: KeptWeights, kept: Windows, encoder: Encoder, pieces: Tokens, reading: Reading, mean: Mean
) -> Attention:
    """Joins the weights of one window, or their mean, with its tokens and notes."""
    [weights] = kept.windows
    tokens = pieces.by_word() if measurement.level == "word" else pieces
    chosen = measurement.layers, measurement.heads
    layers, heads = averaged_axes(mean, *chosen)
    return Attention(
        mean_over(weights, mean).astype(weights.dtype, copy=False),
        tokens,
        tokens,
        pieces,
        layers,
        heads,
        {**notes_on(encoder, [pieces], reading), "mean": named_mean(mean, *chosen), "raw": measurement.raw},
        lambda: sign(encoder, reading, **measurement.signed(), **signed_mean(mean, *chosen)),
    )


def check_size(shape: Sequence[int], most: int | None) -> None:
    """Checks how many weights would be kept.

    Raises:
        UsageError: there are more than ``most``.
    """
    count = int(np.prod(shape))
    if most is not None and count > most:
        layers, heads, length, _ = shape
        raise UsageError(
            f"{layers} layers × {heads} heads × {length} × {length} tokens are {count:,} weights, "
            f"{count * 4 / 2**30:.1f} GiB; the limit is {most:,}",
            "choose layers and heads, or cut the text with --max-length",
        )
