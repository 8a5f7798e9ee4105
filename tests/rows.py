"""Rows of statistics compared."""

import pandas as pd


def check_rows(rows: pd.DataFrame, expected: pd.DataFrame, tolerance: float = 1e-6) -> None:
    """Equal to the tolerance, absolute up to 1 and relative above, leaving out ``n_tokens``.

    ``offset`` is a distance with a sign, whose parts cancel: it is as exact as the distance is.
    """
    found = rows.drop(columns="n_tokens")
    empty = [name for name in found if found[name].isna().all()]
    found[empty] = found[empty].astype(float)
    if "offset" in found:
        difference = (found["offset"] - expected["offset"]).abs()
        assert (difference <= tolerance * (1 + expected["distance"])).all(), difference.max()
        found, expected = found.drop(columns="offset"), expected.drop(columns="offset")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=tolerance, atol=tolerance)
