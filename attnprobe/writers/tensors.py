"""Weights as tensors: NumPy's .npz, and safetensors.

Both hold ``weights`` (layer, head, query, key) and the numbers of its axes, ``layers``, ``heads``, ``queries`` and
``keys``. ``tokens`` (what the positions stand for) and ``signature`` are arrays of text in .npz; in safetensors they
are in the metadata, ``tokens`` as JSON.
"""

from __future__ import annotations

import json
from typing import IO

import numpy as np

from attnprobe.values.attention import Excerpt


def write_npz(part: Excerpt, stream: IO[bytes]) -> None:
    """Read it with ``numpy.load(path)``."""
    text = {"tokens": np.array(part.attention.key_tokens.strings), "signature": np.array(_signature(part))}
    np.savez(stream, allow_pickle=False, **_tensors(part), **text)


def write_safetensors(part: Excerpt, stream: IO[bytes]) -> None:
    """Read it with ``safetensors.safe_open(path, "np")``, whose ``metadata()`` has the tokens and the signature."""
    from safetensors.numpy import save

    tokens = json.dumps(list(part.attention.key_tokens.strings), ensure_ascii=False)
    data = save(_tensors(part), {"tokens": tokens, "signature": _signature(part)})
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True).encode()  # the library's order is by chance
    header += b" " * (-len(header) % 8)
    stream.write(len(header).to_bytes(8, "little") + header)
    stream.write(memoryview(data)[start:])


def _tensors(part: Excerpt) -> dict[str, np.ndarray]:
    attention = part.attention
    axes = {"layers": attention.layers, "heads": attention.heads, "queries": part.queries, "keys": part.keys}
    return {"weights": np.ascontiguousarray(part.weights)} | {
        name: np.array(numbers, dtype=np.int64) for name, numbers in axes.items()
    }


def _signature(part: Excerpt) -> str:
    return part.attention.sign() if part.attention.sign else ""
