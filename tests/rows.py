"""Rows of statistics compared."""

import numpy as np
import pandas as pd

FLOAT32 = 2e-6  # the model itself rounds by half of that: also `heads` differs so between one thread and two


def check_rows(rows: pd.DataFrame, expected: pd.DataFrame, tolerance: float = FLOAT32) -> None:
    """Equal to the tolerance, times 1 + the value, leaving out ``n_tokens``.

    ``offset`` is a distance with a sign, whose parts cancel: it is as exact as the distance is.
    """
    found = rows.drop(columns="n_tokens")
    assert list(found) == list(expected)
    for name in found:
        if pd.api.types.is_numeric_dtype(expected[name]):
            size = np.abs(expected["distance" if name == "offset" else name].to_numpy(float))
            theirs, ours = expected[name].to_numpy(float), pd.to_numeric(found[name]).to_numpy(float)
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=name)
            difference = np.nan_to_num(np.abs(ours - theirs) / (1 + size))
            assert difference.max(initial=0) <= tolerance, (name, difference.max())
        else:
            assert found[name].tolist() == expected[name].tolist(), name
