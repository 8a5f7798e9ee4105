"""Statistics compared: to EXACT in float64, in float32 to what rounding explains."""

import numpy as np
import pandas as pd
import torch

from attnprobe import Encoder
from attnprobe.attention.rounding import rounding, terms
from tests.exact import EXACT

STORED = float(np.finfo(np.float32).eps)  # a corpus stores its rows in float32, whatever the model computes in


def noise(encoder: Encoder, tokens: int) -> float:
    """How far rounding moves the encoder's statistics, times what is added up: EXACT for a model in float64."""
    if encoder.dtype == torch.float64:
        return EXACT
    width = max(parameter.shape[-1] for parameter in encoder.model.parameters() if parameter.ndim > 1)
    return rounding(encoder.dtype, terms(encoder.layers, width, tokens))


def assert_close(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float, distance: np.ndarray) -> None:
    """One metric's values are equal to the tolerance, times 1 + the value.

    ``offset`` is a distance with a sign, whose parts cancel: it is as exact as the distance is. ``sink_share`` counts
    rows above a threshold, where a row that lies on it may fall on either side: it is held in float64 alone.

    Args:
        distance: the distances that belong to the values.
    """
    assert ours.shape == theirs.shape, name
    assert (np.isnan(ours) == np.isnan(theirs)).all(), f"{name} is empty elsewhere"
    if name == "sink_share" and tolerance > max(EXACT, STORED):
        return
    size = 1 + np.abs(distance if name == "offset" else theirs)
    error = np.nan_to_num(np.abs(ours - theirs) / size).max(initial=0)
    assert error <= tolerance, f"{name} is off by {error:.1e} of its size, more than {tolerance:.1e}"


def check_rows(rows: pd.DataFrame, expected: pd.DataFrame, encoder: Encoder) -> None:
    """Rows of a corpus, leaving out ``n_tokens``, are those expected of the encoder; see :func:`assert_close`."""
    found = rows.drop(columns="n_tokens")
    assert list(found) == list(expected)
    tolerance = max(STORED, noise(encoder, int(rows["n_tokens"].max())))
    for name in found:
        if pd.api.types.is_numeric_dtype(expected[name]):
            theirs, ours = expected[name].to_numpy(float), pd.to_numeric(found[name]).to_numpy(float)
            distance = expected["distance" if name == "offset" else name].to_numpy(float)
            assert_close(name, ours, theirs, tolerance, distance)
        else:
            assert found[name].tolist() == expected[name].tolist(), name
