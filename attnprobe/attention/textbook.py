"""Attention as the literature writes it: every step on its own line, readable before fast.

Vaswani et al. 2017, "Attention Is All You Need", equations in §3.2. It is the oracle that ``blocks.py`` is tested
against. Names follow the paper: queries Q, keys K, values V; d_k, d_v the widths of one head; W_Q, W_K, W_V, W_O the
projections.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def attention_scores(
    Q: Float[Tensor, "*batch query d_k"], K: Float[Tensor, "*batch key d_k"], scale: float | None = None
) -> Float[Tensor, "*batch query key"]:
    """QKᵀ/√d_k: how well each query matches each key. ``scale`` replaces 1/√d_k where a model uses another factor."""
    d_k = Q.shape[-1]
    return torch.einsum("...qd,...kd->...qk", Q, K) * (1 / math.sqrt(d_k) if scale is None else scale)


def mask_scores(
    scores: Float[Tensor, "*batch query key"], allowed: Bool[Tensor, "#*batch #query #key"]
) -> Float[Tensor, "*batch query key"]:
    """−∞ wherever a query may not see a key, so that softmax gives it weight 0."""
    return scores.masked_fill(~allowed, -math.inf)


def softmax(scores: Float[Tensor, "*batch query key"]) -> Float[Tensor, "*batch query key"]:
    """exp(sₖ) / Σⱼ exp(sⱼ) over each row; the row's maximum is taken off first, which changes nothing but overflow.

    >>> softmax(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    exponentials = torch.exp(scores - scores.amax(-1, keepdim=True))
    return exponentials / exponentials.sum(-1, keepdim=True)


def scaled_dot_product_attention(
    Q: Float[Tensor, "*batch query d_k"],
    K: Float[Tensor, "*batch key d_k"],
    V: Float[Tensor, "*batch key d_v"],
    allowed: Bool[Tensor, "#*batch #query #key"] | None = None,
    bias: Float[Tensor, "#*batch #query #key"] | None = None,
    scale: float | None = None,
) -> tuple[Float[Tensor, "*batch query d_v"], Float[Tensor, "*batch query key"]]:
    """Attention(Q, K, V) = softmax(QKᵀ/√d_k)V, Vaswani et al. 2017, equation 1.

    Args:
        allowed: True where a query may see a key (padding, causal or window mask). A query that sees no key gets NaN.
        bias: added to the scaled scores, e.g. T5's relative position bias (Raffel et al. 2020, §2.1).
        scale: used instead of 1/√d_k.

    Returns:
        the weighted sums of values, and the attention weights; each row of weights sums to 1.
    """
    scores = attention_scores(Q, K, scale)
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = mask_scores(scores, allowed)
    weights = softmax(scores)
    return torch.einsum("...qk,...kv->...qv", weights, V), weights


def split_heads(X: Float[Tensor, "*batch token d_model"], heads: int) -> Float[Tensor, "*batch head token d_head"]:
    """Cut each token's vector into one piece per head.

    Raises:
        ValueError: d_model is not a multiple of heads.
    """
    if X.shape[-1] % heads:
        raise ValueError(f"d_model must be a multiple of heads; got {X.shape[-1]} and {heads}")
    return X.reshape(*X.shape[:-1], heads, X.shape[-1] // heads).transpose(-2, -3)


def concat_heads(X: Float[Tensor, "*batch head token d_head"]) -> Float[Tensor, "*batch token d_model"]:
    """Concat(head₁, …, head_h): put the heads' pieces side by side again."""
    return X.transpose(-2, -3).flatten(-2)


def linear(
    X: Float[Tensor, "*batch token d_in"], W: Float[Tensor, "d_in d_out"], b: Float[Tensor, " d_out"] | None = None
) -> Float[Tensor, "*batch token d_out"]:
    """XW + b, a linear map of every token's vector. W is (in, out) as in the paper; torch's ``Linear.weight`` is Wᵀ."""
    return X @ W if b is None else X @ W + b


def multi_head_attention(
    X_query: Float[Tensor, "*batch query d_query"],
    X_key: Float[Tensor, "*batch key d_key"],
    X_value: Float[Tensor, "*batch key d_value"],
    W_Q: Float[Tensor, "d_query d_all"],
    W_K: Float[Tensor, "d_key d_all"],
    W_V: Float[Tensor, "d_value d_all_v"],
    W_O: Float[Tensor, "d_all_v d_model"],
    heads: int,
    b_Q: Float[Tensor, " d_all"] | None = None,
    b_K: Float[Tensor, " d_all"] | None = None,
    b_V: Float[Tensor, " d_all_v"] | None = None,
    b_O: Float[Tensor, " d_model"] | None = None,
    allowed: Bool[Tensor, "#*batch #head #query #key"] | None = None,
    bias: Float[Tensor, "#*batch #head #query #key"] | None = None,
    scale: float | None = None,
) -> tuple[Float[Tensor, "*batch query d_model"], Float[Tensor, "*batch head query key"]]:
    """Concat(head₁, …, head_h)W_O with headᵢ = Attention(QW_Qⁱ, KW_Kⁱ, VW_Vⁱ), Vaswani et al. 2017, §3.2.2.

    Self-attention passes the same X three times. The heads' projections stand side by side in W_Q, W_K and W_V, as
    every implementation stores them; ``allowed`` and ``bias`` have a head axis, possibly of size 1.

    Returns:
        the output, and the weights of each head.
    """
    Q = split_heads(linear(X_query, W_Q, b_Q), heads)
    K = split_heads(linear(X_key, W_K, b_K), heads)
    V = split_heads(linear(X_value, W_V, b_V), heads)
    head_outputs, weights = scaled_dot_product_attention(Q, K, V, allowed, bias, scale)
    return linear(concat_heads(head_outputs), W_O, b_O), weights
