"""Who is right in which question: choosing on one half, reporting on the other, and intervals of a gain."""

from __future__ import annotations

import numpy as np
import pytest

from attnprobe.values.bootstrap import draw_counts
from attnprobe.values.outcomes import CHOOSING, REPORTING, Gain, Outcomes, gain_interval, gain_intervals

NUMBERS = [0, 0, 1, 2, 3, 3, 3]
LABELS = ["nsubj", "obj", "obj", "nsubj", "obj", "nsubj", "punct"]
RIGHT = np.random.default_rng(0).random((7, 11)) < 0.5
WHOLE = Outcomes.of(NUMBERS, LABELS, RIGHT)


def test_counts_are_those_of_loops() -> None:
    for half in (None, CHOOSING, REPORTING):
        for labels in (["nsubj"], ["obj", "punct"], ["unheard of"], []):
            asked = [
                at
                for at, (number, label) in enumerate(zip(NUMBERS, LABELS, strict=True))
                if label in labels and (half is None or number % 2 == half)
            ]
            some = WHOLE.where(labels, half)
            assert len(some) == len(asked)
            assert some.numbers.tolist() == [NUMBERS[at] for at in asked]
            assert some.count_right().tolist() == [sum(RIGHT[at][k] for at in asked) for k in range(11)]
            assert [some.is_right(k).tolist() for k in range(11)] == [[RIGHT[at][k] for at in asked] for k in range(11)]
    assert WHOLE.labels_in() == {"nsubj": 3, "obj": 3, "punct": 1}
    assert WHOLE.where(LABELS, CHOOSING).labels_in() == {"nsubj": 2, "obj": 1, "punct": 0}


def test_parts_add_up_and_are_restored() -> None:
    parts = [Outcomes.of(NUMBERS[some], LABELS[some], RIGHT[some]) for some in (slice(4), slice(4, 4), slice(4, 7))]
    whole = Outcomes.empty(11) + parts[0] + parts[1] + parts[2]
    for found in (whole, Outcomes.empty(11).restored(whole.arrays())):
        assert found.names == WHOLE.names
        assert all((array == WHOLE.arrays()[name]).all() for name, array in found.arrays().items())


def test_texts_of_two_runs_are_counted_on() -> None:
    """As if the second file had been read after the first, also where its first texts have no question."""
    first = Outcomes.of([0], ["obj"], RIGHT[:1]) + Outcomes.of([], [], RIGHT[:0]).numbered(1)
    second = Outcomes.of([1, 2], ["obj", "obj"], RIGHT[1:3])
    assert (first + second).numbers.tolist() == [0, 3, 4]
    assert (first + second).span == (0, 5)


@pytest.mark.parametrize("name", ["names", "numbers", "labels", "bits", "span"])
def test_arrays_of_something_else_are_refused(name: str) -> None:
    arrays = WHOLE.arrays()
    for wrong in (arrays[name].astype(float), arrays[name][1:]):
        with pytest.raises(ValueError, match=r"wrong|Expecting|Extra"):
            Outcomes.empty(11).restored({**arrays, name: wrong})
    with pytest.raises(ValueError, match="labels without names"):
        Outcomes.empty(11).restored({**arrays, "labels": arrays["labels"] + 1})
    with pytest.raises(ValueError, match="wrong shapes"):
        Outcomes.empty(20).restored(arrays)


def test_the_interval_of_a_gain_by_hand() -> None:
    """Text 5 has two questions, both won; text 9 one, lost: each sample's gain is (2·a − b) / (2·a + b)."""
    right, other = np.array([True, True, False]), np.array([False, False, True])
    a, b = draw_counts(["5", "9"], seed=3)
    gains = [(2 * x - y) / (2 * x + y) for x, y in zip(a, b, strict=True) if x or y]
    low, high = gain_interval(right, other, np.array([5, 5, 9]), seed=3)
    assert (low, high) == tuple(np.quantile(gains, [0.025, 0.975])) == (-1, 1)
    assert gain_interval(right, right, np.array([5, 5, 9]), seed=3) == (0, 0)


def test_one_text_has_no_interval() -> None:
    nothing = Gain.none()
    one = Gain.of(np.ones(2), np.zeros(2), np.array([4, 4]))
    two = Gain.of(np.ones(2), np.zeros(2), np.array([4, 6]))
    assert gain_intervals([nothing, one, two], 0) == [(None, None), (None, None), (1, 1)]
    assert gain_intervals([nothing], 0) == [(None, None)]
    assert gain_intervals([], 0) == []


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    """Against 2,000 samples of as many texts, drawn with replacement, of 300 texts with one to nine questions."""
    chance = np.random.default_rng(1)
    numbers = np.repeat(np.arange(300), chance.integers(1, 10, 300))
    right, other = chance.random((2, len(numbers))) < [[0.6], [0.5]]
    sums, counts = (np.bincount(numbers, weights) for weights in (right * 1.0 - other, np.ones(len(numbers))))
    draws = chance.multinomial(300, np.full(300, 1 / 300), 2000)
    expected = np.quantile((draws @ sums) / (draws @ counts), [0.025, 0.975])
    np.testing.assert_allclose(gain_interval(right, other, numbers, 0), expected, atol=0.006)
