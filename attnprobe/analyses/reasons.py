"""What each token did for a model's answer, through the attention of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.answers import Answer
from attnprobe.attention.relevance import propagated
from attnprobe.models.encoder import Encoder
from attnprobe.models.gradients import visit_gradients
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Reasons:
    """What the weights of attention did for F, the number of an answer.

    Attributes:
        by_key: (layer, head, key) Σ over queries of a[q,k]·∂F/∂a[q,k].
        relevance: (key,) Chefer's, of the token that F reads; the mean of several.
    """

    by_key: Float[np.ndarray, "layer head key"]
    relevance: Float[np.ndarray, " key"]


def reasons_of(encoder: Encoder, tokens: Tokens, answer: Answer, heads: Sequence[int]) -> Reasons:
    """Runs the model for gradients of the answer to a text.

    Args:
        heads: those whose mean carries relevance from layer to layer.

    Raises:
        ModelError, TextError: as :func:`attnprobe.models.gradients.visit_gradients`.
    """
    identity = torch.eye(len(tokens), dtype=torch.float64)
    relevance, by_key = identity, list[Tensor]()

    def add(layer: int, weighted: Float[Tensor, "head query key"]) -> None:
        nonlocal relevance
        by_key.append(weighted.sum(1))
        relevance = propagated(relevance, weighted[list(heads)])

    reads = visit_gradients(encoder, tokens, answer.number, add)
    rows = (relevance - identity)[reads if reads.any() else slice(None)]
    return Reasons(torch.stack(by_key).numpy(), rows.mean(0).numpy())
