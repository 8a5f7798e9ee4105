"""Attention to tokens that are special by role or kind: [CLS], [SEP], punctuation, the other text of a pair."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from attnprobe.metrics.kinds import CellMetric, Cells, KeyMetric
from attnprobe.values.text import is_punctuation
from attnprobe.values.tokens import Role, Tokens


def _has_role(tokens: Tokens, role: Role) -> np.ndarray | None:
    """Marks keys of this role with 1; None if the tokenizer added none, so that the share is empty rather than 0."""
    return np.asarray(tokens.roles) == role if tokens.positions(role) else None


def _distance_to(tokens: Tokens, role: Role) -> np.ndarray | None:
    """Measures each key's distance to the nearest token of this role, in tokens."""
    positions = tokens.positions(role)
    return np.abs(np.subtract.outer(positions, np.arange(len(tokens)))).min(0) if positions else None


def _is_special(tokens: Tokens) -> np.ndarray | None:
    special = np.asarray(tokens.roles) != Role.CONTENT
    return special if special.any() else None


def _is_other_text(tokens: Tokens) -> np.ndarray | None:
    segments = np.asarray(tokens.segments)
    if 2 not in segments:
        return None
    return np.stack([np.full(len(tokens), np.nan), segments == 2, segments == 1])


def _same_token(tokens: Tokens) -> Cells | None:
    """Finds the cells of equal tokens of the text at different positions."""
    positions: dict[Hashable, list[int]] = {}
    for position, (read, role) in enumerate(zip(tokens.read_as, tokens.roles, strict=False)):
        if read is not None and role == Role.CONTENT:
            positions.setdefault(read, []).append(position)
    groups = [np.array(found, dtype=np.int32) for found in positions.values() if len(found) > 1]
    if not groups:
        return None
    queries = np.concatenate([np.repeat(group, len(group) - 1) for group in groups])
    keys = np.concatenate(
        [np.delete(np.tile(group, len(group)), slice(None, None, len(group) + 1)) for group in groups]
    )
    return Cells(queries, keys, np.isin(np.arange(len(tokens)), queries))


cls_share = KeyMetric(
    column=lambda tokens: _has_role(tokens, Role.CLS),
    formula="Σ a[q,k] over classification tokens k",
    unit="share",
    source="Clark et al. 2019; empty where the tokenizer adds none (T5)",
)

sep_share = KeyMetric(
    column=lambda tokens: _has_role(tokens, Role.SEP),
    formula="Σ a[q,k] over separators k",
    unit="share",
    source="Clark et al. 2019; an added end-of-text token counts where the tokenizer has no separator (T5, ESM)",
)

special_share = KeyMetric(
    column=_is_special,
    formula="Σ a[q,k] over tokens k the tokenizer added",
    unit="share",
    source="attnprobe, after Clark et al. 2019",
)

punctuation_share = KeyMetric(
    column=lambda tokens: np.asarray([is_punctuation(text) for text in tokens.texts]),
    formula="Σ a[q,k] over tokens k whose characters are all Unicode P*",
    unit="share",
    source="Clark et al. 2019, who count only . and ,",
)

same_token_share = CellMetric(
    cells=_same_token,
    formula="Σ a[q,k] over k ≠ q with the token of q; mean over the queries that have such k, added tokens left out",
    unit="share",
    source="attnprobe, after the duplicate token heads of Wang et al. 2023 (causal models); empty where none recurs",
)

cls_distance = KeyMetric(
    column=lambda tokens: _distance_to(tokens, Role.CLS),
    formula="Σₖ a[q,k]·|k−p|, p = the (nearest) classification token",
    unit="tokens",
    source="attnprobe",
)

sep_distance = KeyMetric(
    column=lambda tokens: _distance_to(tokens, Role.SEP),
    formula="Σₖ a[q,k]·minₛ |k−s|, s = separators",
    unit="tokens",
    source="attnprobe",
)

cross_share = KeyMetric(
    column=_is_other_text,
    formula="Σ a[q,k] over the other text's tokens k; mean over the queries of both texts, added tokens left out",
    unit="share",
    source="attnprobe; empty without --pair",
)
