"""Loops over rows of attention that numba compiles: one pass where torch needs several, each through memory.

The softmax also computes each row's entropy, which costs nothing extra: with t = s − max s, p = eᵗ and Z = Σ p, the
weights are p / Z and their entropy is ln Z − Σ p·t / Z. Corpora and long texts are measured with these loops; short
ones, GPUs and float64 with torch, to which ``tests/test_kernels.py`` compares them. Compiled functions are marked
``no_type_check``, since the tests' type checks cannot wrap them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f32, i32 = np.float32, np.int32
LOWEST = f32(-87.0)  # e to this is the smallest normal float32; what lies below has weight 0
LOG2_E, LN_2 = f32(math.log2(math.e)), f32(math.log(2))
ROUNDS = f32(1.5 * 2**23)  # a float32 this large has no digits after the point, so that adding it rounds
ROUNDS_BITS = i32(ROUNDS.view(i32))
# (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2 to one rounding: Moshier, Cephes Mathematical Library, expf
C5, C4, C3, C2, C1, C0 = map(
    f32, (1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 0.16666665459, 0.5)
)
INSTRUCTIONS = {"reassoc", "contract", "arcp", "nsz"}  # sums in any order; NaN and infinity keep their meaning
inlined = njit(inline="always", fastmath={"contract"})  # for functions that compiled loops call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function to machine code, which is cached on disk if a folder is writable."""
    options = {"fastmath": INSTRUCTIONS, "nogil": True, "error_model": "numpy"}
    try:
        Path.home()  # where there is none, numba would make a folder ~
        loop: Callable[..., Any] = njit(cache=True, **options)(function)
    except RuntimeError:  # there is no home; or neither this folder nor the user's cache may be written to
        loop = njit(**options)(function)
    return loop


@intrinsic
@no_type_check
def bits_of(_context: Any, _number: Any) -> Any:
    """Returns the bits of a float32 as an int32."""
    return types.int32(types.float32), lambda _, builder, __, given: builder.bitcast(given[0], ir.IntType(32))


@intrinsic
@no_type_check
def float_of(_context: Any, _bits: Any) -> Any:
    """Returns the float32 with these bits."""
    return types.float32(types.int32), lambda _, builder, __, given: builder.bitcast(given[0], ir.FloatType())


@inlined
@no_type_check
def _exp(t: Any) -> Any:
    """Computes eᵗ for t between −87 and 0 as 2ⁿ·eʳ, with the whole number n nearest to t / ln 2."""
    n = i32(bits_of(t * LOG2_E + ROUNDS) - ROUNDS_BITS)
    r = t - f32(n) * LN_2
    tail = ((((C5 * r + C4) * r + C3) * r + C2) * r + C1) * r + C0
    return (tail * r * r + r + f32(1)) * float_of(i32(i32(n + i32(127)) << i32(23)))


@njit(inline="always")
@no_type_check
def _largest(row: Any) -> Any:
    """Finds the row's maximum among whole numbers of the same order, which compilers turn into vector code."""
    top = i32(-(2**31))
    for k in range(row.shape[0]):
        bits = bits_of(row[k])
        top = max(top, i32(bits ^ i32(i32(bits >> i32(31)) & i32(0x7FFFFFFF))))
    return float_of(i32(top ^ i32(i32(top >> i32(31)) & i32(0x7FFFFFFF))))


@compiled
@no_type_check
def softmax(scores: np.ndarray, entropy: np.ndarray) -> None:
    """Turns rows of scores into weights, in place.

    Args:
        scores: (row, key) in float32.
        entropy: (row,) in float32, where to put each row's entropy in nats.
    """
    for q in range(scores.shape[0]):
        row = scores[q]
        top = _largest(row)
        z, sum_pt = f32(0), f32(0)
        for k in range(row.shape[0]):
            t = row[k] - top
            p = f32(0) if t < LOWEST else _exp(t)
            t = f32(0) if t < LOWEST else t
            row[k] = p
            z += p
            sum_pt += p * t
        share = f32(1) / z
        for k in range(row.shape[0]):
            row[k] *= share
        entropy[q] = f32(math.log(z)) - sum_pt * share


@compiled
@no_type_check
def softmax_with_contributions(
    scores: np.ndarray,
    norms: np.ndarray,
    logarithms: np.ndarray,
    shares: np.ndarray,
    totals: np.ndarray,
    entropy: np.ndarray,
) -> None:
    """Turns rows of scores into weights, in place, and computes contributions with f = ‖f(k)‖ of each key.

    With c = p·f and C = Σ c, the shares are c / C and their entropy is ln C − Σ c·(t + ln f) / C.

    Args:
        scores: (head, query, key) in float32.
        norms, logarithms: (head, key) f and ln f; the logarithm of 0 may be any number.
        shares: (head, query, key) where to put contributions, divided by the sum of each row unless this is 0.
        totals: (head, query) where to put these sums.
        entropy: (head, query) where to put the entropy of the shares in nats.
    """
    for head in range(scores.shape[0]):
        f, ln_f = norms[head], logarithms[head]
        for q in range(scores.shape[1]):
            row, own = scores[head, q], shares[head, q]
            top = _largest(row)
            z, total, sum_ct = f32(0), f32(0), f32(0)
            for k in range(row.shape[0]):
                t = row[k] - top
                p = f32(0) if t < LOWEST else _exp(t)
                t = f32(0) if t < LOWEST else t
                c = p * f[k]
                row[k] = p
                own[k] = c
                z += p
                total += c
                sum_ct += c * (t + ln_f[k])
            share = f32(1) / z
            of_total = f32(0) if total == f32(0) else f32(1) / total
            for k in range(row.shape[0]):
                row[k] *= share
                own[k] *= of_total
            totals[head, q] = total * share
            entropy[head, q] = f32(0) if total == f32(0) else f32(math.log(total)) - sum_ct * of_total


@compiled
@no_type_check
def add_sums(
    weights: np.ndarray,
    first_text: int,
    first_head: int,
    first_query: int,
    first_key: int,
    query_class: np.ndarray,
    separator: np.ndarray,
    by_key: np.ndarray,
    by_offset: np.ndarray,
    largest: np.ndarray,
    first: np.ndarray,
) -> None:
    """Adds a block of weights to the sums over queries, and finds the largest and first weight of each row.

    Args:
        weights: (text, head, query, key) in float32; they begin at the ``first_`` indices of the arrays below.
        query_class: (text, query) the class whose sums by key a query is added to; −1: to no sums.
        separator: (text, key) 0 for separators, 1 for other keys.
        by_key: (text, head, class, key) in float64.
        by_offset: (text, head, offset) in float64, with offset key − query from 1 − length on; or without offsets.
        largest: (text, head, query) in float32: the largest weight among the keys that are no separators.
        first: (text, head, query) in float32: the weight on the text's first token.
    """
    texts, heads, queries, keys = weights.shape
    for text in range(texts):
        kept = separator[first_text + text, first_key : first_key + keys]
        for head in range(heads):
            for q in range(queries):
                row = weights[text, head, q]
                at = (first_text + text, first_head + head, first_query + q)
                top = i32(0)
                for k in range(keys):
                    top = max(top, i32(bits_of(row[k] * kept[k])))  # positive: bits in their order
                largest[at] = float_of(top)
                first[at] = row[0] if first_key == 0 else f32(0)
                number = query_class[first_text + text, first_query + q]
                if number < 0:
                    continue
                sums = by_key[first_text + text, first_head + head, number, first_key : first_key + keys]
                if by_offset.shape[2]:
                    lowest = by_offset.shape[2] // 2 + first_key - (first_query + q)
                    offsets = by_offset[first_text + text, first_head + head, lowest : lowest + keys]
                    for k in range(keys):
                        sums[k] += np.float64(row[k])
                        offsets[k] += np.float64(row[k])
                else:
                    for k in range(keys):
                        sums[k] += np.float64(row[k])


@compiled
@no_type_check
def distances(weights: np.ndarray, f: np.ndarray, y: np.ndarray, far: np.ndarray) -> None:
    """Computes ‖y(q) − Σ_h a[h,q,k]·f_h(k)‖₁ of each query and key, of two queries and four heads at once.

    Args:
        weights: (head, query, key) a, in float64 as all here.
        f: (head, key, d).
        y: (query, d).
        far: (query, key), where to put the distances.
    """
    heads, queries, keys = weights.shape
    one, other = np.empty(y.shape[1]), np.empty(y.shape[1])
    for k in range(keys):
        for q in range(0, queries, 2):
            p = min(q + 1, queries - 1)
            one[:], other[:] = y[q], y[p]
            for h in range(0, heads - 3, 4):
                a0, a1, a2, a3 = weights[h, q, k], weights[h + 1, q, k], weights[h + 2, q, k], weights[h + 3, q, k]
                b0, b1, b2, b3 = weights[h, p, k], weights[h + 1, p, k], weights[h + 2, p, k], weights[h + 3, p, k]
                f0, f1, f2, f3 = f[h, k], f[h + 1, k], f[h + 2, k], f[h + 3, k]
                for i in range(one.shape[0]):
                    one[i] -= a0 * f0[i] + a1 * f1[i] + a2 * f2[i] + a3 * f3[i]
                    other[i] -= b0 * f0[i] + b1 * f1[i] + b2 * f2[i] + b3 * f3[i]
            for h in range(heads - heads % 4, heads):
                a0, b0, f0 = weights[h, q, k], weights[h, p, k], f[h, k]
                for i in range(one.shape[0]):
                    one[i] -= a0 * f0[i]
                    other[i] -= b0 * f0[i]
            of_one, of_other = 0.0, 0.0
            for i in range(one.shape[0]):
                of_one += abs(one[i])
                of_other += abs(other[i])
            far[q, k], far[p, k] = of_one, of_other
