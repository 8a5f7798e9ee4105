"""Text -> the attention weights themselves, for what looks at single ones: tables, pictures, the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attnprobe.arguments import check_whole
from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rows import check_probabilities, merge_pieces, word_starts
from attnprobe.errors import ModelError, UsageError
from attnprobe.models.encoder import Encoder
from attnprobe.run import check_options, notes_on, read, sign_run
from attnprobe.selection import Indices, select
from attnprobe.tokens import Tokens

MOST_WEIGHTS = 2**28  # 1 GiB in float32


@dataclass(frozen=True)
class Attention:
    """What some heads of some layers look at in one text.

    Attributes:
        weights: (layer, head, query, key) in float32, or float64 where the model computes in it; rows sum to 1
            unless some attention falls on no token of the text.
        tokens: what the queries and keys stand for; words at level "word".
        pieces: the text as the encoder reads it, at any level.
        layers, heads: the numbers of the first two axes, counted from 0.
        notes: how the weights came about, as in :class:`attnprobe.table.Table`.
        sign: gives the signature.
    """

    weights: np.ndarray
    tokens: Tokens
    pieces: Tokens
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None

    def __len__(self) -> int:
        return len(self.tokens)


def capture(
    text: str,
    encoder: Encoder,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    level: str = "token",
    max_length: int | None = None,
    global_attention: str = "none",
    most: int | None = MOST_WEIGHTS,
    check: Callable[[Tokens], object] | None = None,
) -> Attention:
    """Keeps the attention weights of one text.

    Args:
        pair, layers, heads, level, max_length, global_attention: as in :func:`attnprobe.run.head_table`.
        most: how many weights to keep at the most; None: any number.
        check: is shown the tokens before the model runs, and refuses by raising.

    Raises:
        UsageError: a layer or head out of range, an empty text, or more weights than ``most``.
        ModelError: the rows of a layer are not probabilities, or not over tokens of the text.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.run.read`.
    """
    check_options(level=level, global_attention=global_attention)
    if most is not None:
        check_whole("most", most)
    layer_numbers = select(layers, encoder.layers, "layer")
    head_numbers = select(heads, encoder.heads, "head")
    [pieces] = read(encoder, text, pair, level=level, max_length=max_length, global_attention=global_attention)
    tokens = pieces.by_word() if level == "word" else pieces
    shape = (len(layer_numbers), len(head_numbers), len(tokens), len(tokens))
    _check_size(shape, most)
    if check:
        check(tokens)
    weights = _capture(encoder, pieces, level, layer_numbers, head_numbers, shape)

    def sign() -> str:
        return sign_run(encoder, max_length=max_length, level=level, global_attention=global_attention)

    notes = notes_on(encoder, [pieces], global_attention)
    return Attention(weights, tokens, pieces, tuple(layer_numbers), tuple(head_numbers), notes, sign)


def _check_size(shape: Sequence[int], most: int | None) -> None:
    count = int(np.prod(shape))
    if most is not None and count > most:
        layers, heads, length, _ = shape
        raise UsageError(
            f"{layers} layers × {heads} heads × {length} × {length} tokens are {count:,} weights, "
            f"{count * 4 / 2**30:.1f} GiB; the limit is {most:,}",
            "choose layers and heads, or cut the text with --max-length",
        )


def _capture(
    encoder: Encoder, pieces: Tokens, level: str, layers: Sequence[int], heads: Sequence[int], shape: Sequence[int]
) -> np.ndarray:
    import torch

    weights = np.zeros(shape, dtype=np.float64 if exact(encoder.dtype) == torch.float64 else np.float32)
    words = None if level == "token" else torch.tensor(pieces.words, device=encoder.device)

    def observe(layer: int, group: int) -> Observer | None:
        if layer not in layers:
            return None

        def keep(block: Block) -> None:
            if block.pooled:
                raise ModelError(
                    f"layer {layer} attends to pools of several tokens, so that no weight belongs to a token",
                    "choose other layers with -l",
                )
            check_probabilities(block.weights, encoder.dtype, layer, complete=block.complete)
            if words is not None:
                block = merge_pieces(block, words)
            ours = range(*(block.heads or slice(None)).indices(encoder.heads))
            for place, head in enumerate(heads):
                if head in ours:
                    rows = block.weights[0, head - ours.start]
                    weights[layers.index(layer), place, block.rows, block.keys] = rows.cpu().numpy()

        return keep

    encoder.observe([pieces], observe, starts=[None if words is None else word_starts(words)])
    return weights
