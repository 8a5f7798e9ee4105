"""Contact maps of heads: corrected for what residues attend to anyway, and held to contacts that are known."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

SCORES = ("precision_l", "precision_l2", "precision_l5", "auc")
PARTS = (1, 2, 5)  # of a sequence's length, so many pairs precision is measured of


def corrected(maps: Float[Tensor, "*any residue residue"]) -> Float[Tensor, "*any residue residue"]:
    """Makes maps symmetric, F = a + aᵀ, and takes off the average product, F_ij − F_i F_j / F.

    F_i is the sum of row i, F_j that of column j, and F that of the whole map (Dunn et al. 2008; Rao et al. 2021).
    """
    both = maps + maps.mT
    rows = both.sum(-1, keepdim=True)
    total = rows.sum(-2, keepdim=True)
    return both - rows * rows.mT / torch.where(total > 0, total, 1)


def scores_of(
    maps: Float[np.ndarray, "head pair"], is_contact: Bool[np.ndarray, " pair"], length: int
) -> Float[np.ndarray, "head score"]:
    """Computes how well each head finds the contacts among pairs: SCORES.

    Precision is the share of contacts among the L, L/2 and L/5 pairs with the largest values, L the sequence's length;
    of equal values, the first pairs count. There may be fewer pairs. AUC is the area under the ROC curve: how often a
    contact's value is larger than that of another pair, an equal one counting half.

    Args:
        is_contact: at least one pair, and not all of them.
        length: of the sequence.
    """
    ordered = np.sort(maps, axis=1)
    most = [min(max(1, length // part), len(is_contact)) for part in PARTS]
    rows = zip(maps, ordered, strict=True)
    return np.array([[*_precisions(*row, is_contact, most), _area(*row, is_contact)] for row in rows])


def _precisions(values: np.ndarray, ordered: np.ndarray, is_contact: np.ndarray, most: list[int]) -> list[float]:
    """Computes the share of contacts among so many pairs with the largest values."""
    found = []
    for count in most:
        least = ordered[-count]
        above = values > least
        ties = np.flatnonzero(values == least)[: count - int(above.sum())]
        found.append(float(is_contact[above].sum() + is_contact[ties].sum()) / count)
    return found


def _area(values: np.ndarray, ordered: np.ndarray, is_contact: np.ndarray) -> float:
    """Computes the area under the ROC curve by the ranks of the contacts (Mann & Whitney), the mean rank for ties."""
    of_contacts = values[is_contact]
    below, through = (np.searchsorted(ordered, of_contacts, side=side) for side in ("left", "right"))
    contacts = len(of_contacts)
    ranks = float((below + through + 1).sum()) / 2
    return (ranks - contacts * (contacts + 1) / 2) / (contacts * (len(values) - contacts))
