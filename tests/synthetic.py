"""Attention made up of simple fractions, for what is compared to the letter."""

from collections.abc import Sequence

import numpy as np

from attnprobe.values.attention import Attention
from attnprobe.values.tokens import Role, Tokens

WORDS = ["[CLS]", "the", "我", "们", "[/INST]", "\x1b[31m", ":smile:", "e\u0301té", "extraordinarily", "$x_1$", "[SEP]"]
LATIN = [word for word in WORDS if word.isascii() and word.isprintable()]  # what every machine has a font for


def synthetic(layers: int = 1, heads: int = 1, words: Sequence[str] = WORDS) -> Attention:
    """Each head looks at the token so many places before as its number says, and a little at all others."""
    count = len(words)
    places = np.arange(count)
    shifts = np.arange(layers)[:, None] + np.arange(heads)
    distance = np.abs(places[:, None] - places - shifts[:, :, None, None])
    weights = 1.0 / (1 + distance) ** 2
    tokens = Tokens(
        strings=words,
        texts=[word.strip("#") for word in words],
        roles=[Role.CONTENT] * count,
        segments=[1] * count,
    )
    return Attention(
        weights=(weights / weights.sum(-1, keepdims=True)).astype(np.float32),
        query_tokens=tokens,
        key_tokens=tokens,
        pieces=tokens,
        layers=tuple(range(layers)),
        heads=tuple(range(heads)),
        notes={"model": "made-up", "tokens": [list(words)]},
        sign=lambda: "attnprobe:test|model:made-up",
    )
