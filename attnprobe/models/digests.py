"""SHA-256 of what a model consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn


def digest_of(model: nn.Module) -> str:
    """Computes the SHA-256 of a model's current weights: names, dtypes, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def digest_of_files(paths: Sequence[Path]) -> str:
    """Computes the SHA-256 of a file; of several, that of their digests in this order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def digest_of_tokenizer(tokenizer: Any) -> str:
    """Computes the SHA-256 of a tokenizer: of all that it does, or of the vocabulary of one that is not fast."""
    fast = tokenizer.is_fast
    content = tokenizer.backend_tokenizer.to_str() if fast else json.dumps(tokenizer.get_vocab())
    return hashlib.sha256(content.encode()).hexdigest()
