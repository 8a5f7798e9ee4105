"""Maximum flow of attention through the layers (Abnar & Zuidema 2020, §3): layers are pipes, weights their capacities.

The graph has a node (l, i) for each token i before layer l and after the last; an edge leads from (l + 1, q) down to
(l, k), as wide as M_l[q, k]. The flow from a token after the last layer to an input token is at most
min(1, Σ_q' M_0[q', k]), since all of it leaves one node and enters the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNIT = 10**9  # capacities are whole numbers: a row sums to about this, which an int32 holds


def bounds(first: np.ndarray) -> np.ndarray:
    """Computes min(1, Σ_q' M_0[q', k]) of each key, which no flow exceeds.

    >>> bounds(np.array([[0.75, 0.25], [0.5, 0.5]]))
    array([1.  , 0.75])
    """
    return np.asarray(np.minimum(1, first.sum(0)))


def maximum_flows(matrices: Sequence[np.ndarray], query: int) -> np.ndarray:
    """Computes the maximum flow from a token after the last layer to each input token, (key,).

    >>> maximum_flows([np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5]])], 1)
    array([1.  , 0.75])
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    first, *above = [np.rint(matrix * UNIT).astype(np.int32) for matrix in matrices]
    length, sink = len(first), len(above) * len(first) + 1  # layer by layer down from the query, which is node 0
    if not above:
        return np.asarray(first[query] / UNIT)
    below = np.arange(length)
    edges = [(np.zeros_like(below), below + 1, above[-1][query])]
    for depth, matrix in enumerate(reversed(above[:-1])):
        upper, lower = np.indices(matrix.shape).reshape(2, -1) + depth * length + 1
        edges.append((upper, lower + length, matrix.ravel()))
    edges.append((below + sink - length, np.full_like(below, sink), first[:, 0]))
    tails, heads, capacities = map(np.concatenate, zip(*edges, strict=True))
    graph = csr_array((capacities, (tails, heads)), shape=(sink + 1, sink + 1))
    flows = np.zeros(length)
    for key in below:
        graph.data[-length:] = first[:, key]  # the edges to the sink, which is one key after another
        flows[key] = maximum_flow(graph, 0, sink).flow_value
    return np.asarray(np.minimum(1, flows / UNIT))
