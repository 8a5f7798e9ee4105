"""Contact maps of heads: corrected for what residues attend to anyway, and held to contacts that are known."""

from __future__ import annotations

from typing import Any

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
    return both.addcmul_(rows, rows.mT / torch.where(total > 0, total, 1), value=-1)


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
    ordered, of_contacts = np.sort(maps, axis=1), np.sort(maps[:, is_contact], axis=1)
    most = [min(max(1, length // part), len(is_contact)) for part in PARTS]
    rows = zip(maps, ordered, of_contacts, strict=True)
    return np.array(
        [[*(_precision(values, *both, is_contact, count) for count in most), _area(*both)] for values, *both in rows]
    )


def _precision(
    values: np.ndarray, ordered: np.ndarray, of_contacts: np.ndarray, is_contact: np.ndarray, count: int
) -> float:
    """Computes the share of contacts among so many pairs with the largest values."""
    least = ordered[-count]
    below, through = _ranks(ordered, least)
    contacts_below, contacts_through = _ranks(of_contacts, least)
    equal = contacts_through - contacts_below
    left = count - (len(ordered) - through)  # so many of those with the least value are taken, the first
    if left < through - below:
        equal = is_contact[np.flatnonzero(values == least)[:left]].sum()
    return float(len(of_contacts) - contacts_through + equal) / count


def _area(ordered: np.ndarray, of_contacts: np.ndarray) -> float:
    """Computes the area under the ROC curve by the ranks of the contacts (Mann & Whitney), the mean rank for ties."""
    below, through = _ranks(ordered, of_contacts)
    contacts = len(of_contacts)
    ranks = float((below + through + 1).sum()) / 2
    return (ranks - contacts * (contacts + 1) / 2) / (contacts * (len(ordered) - contacts))


def _ranks(ordered: np.ndarray, values: Any) -> tuple[Any, Any]:
    """Counts the numbers below values, and those below or equal."""
    return np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right")
