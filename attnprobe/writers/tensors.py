"""Writes weights as tensors: NumPy's .npz, and safetensors.

Both hold ``weights`` (layer, head, query, key) and the numbers of its axes, ``layers``, ``heads``, ``queries`` and
``keys``; an axis of one mean has no numbers. ``tokens`` and ``signature`` are arrays of text in .npz; in safetensors
they are in the metadata, ``tokens`` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO

import numpy as np

from attnprobe.values.attention import Excerpt


def write_npz(excerpt: Excerpt, stream: IO[bytes]) -> None:
    """Writes weights for ``numpy.load(path)``."""
    text = {"tokens": np.array(excerpt.attention.key_tokens.strings), "signature": np.array(_signature(excerpt))}
    np.savez(stream, allow_pickle=False, **_tensors(excerpt), **text)


def write_safetensors(excerpt: Excerpt, stream: IO[bytes]) -> None:
    """Writes weights for ``safetensors.safe_open(path, "np")``, whose ``metadata()`` has tokens and signature."""
    tokens = json.dumps(list(excerpt.attention.key_tokens.strings), ensure_ascii=False)
    save_tensors(_tensors(excerpt), {"tokens": tokens, "signature": _signature(excerpt)}, stream)


def save_tensors(tensors: Mapping[str, np.ndarray], about: Mapping[str, str], stream: IO[bytes]) -> None:
    """Writes arrays by name, and metadata, as safetensors: the same bytes each time."""
    from safetensors.numpy import save

    data = save(dict(tensors), dict(about))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True).encode()  # the library's order is by chance
    header += b" " * (-len(header) % 8)
    stream.write(len(header).to_bytes(8, "little") + header)
    stream.write(memoryview(data)[start:])


def _tensors(excerpt: Excerpt) -> dict[str, np.ndarray]:
    attention = excerpt.attention
    axes = {"layers": attention.layers, "heads": attention.heads, "queries": excerpt.queries, "keys": excerpt.keys}
    return {"weights": np.ascontiguousarray(excerpt.weights)} | {
        name: np.array([number for number in numbers if number is not None], dtype=np.int64)
        for name, numbers in axes.items()
    }


def _signature(excerpt: Excerpt) -> str:
    return excerpt.attention.sign() if excerpt.attention.sign else ""
