"""Which candidates answer which questions rightly: kept as bits, so that one half chooses and the other reports.

A candidate is a head that answers in one way, or a baseline. The best of hundreds looks too good on the texts it was
chosen on: so texts with an even number choose, and those with an odd number report. The gain of one candidate over
another comes with an interval by a bootstrap over texts, since questions of one text are not independent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int

from attnprobe.values.bootstrap import INTERVAL, TOGETHER, draw_counts

CHOOSING, REPORTING = 0, 1  # the halves: the rest of a text's number divided by 2
AT_ONCE = 2**16  # questions whose bits are unpacked at a time
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of questions, each of one text and with one label; those of more questions add up (+).

    Attributes:
        candidates: how many answer each question.
        names: the labels, ascending.
        numbers: (question,) the number of its text.
        labels: (question,) the index of its label in ``names``.
        bits: (question, byte) 1 for each candidate that is right, eight to a byte.
        span: from which text's number on, and up to which, texts were asked.
    """

    candidates: int
    names: tuple[str, ...]
    numbers: Int[np.ndarray, " question"]
    labels: Int[np.ndarray, " question"]
    bits: Int[np.ndarray, "question byte"]
    span: tuple[int, int] = (0, 0)

    @classmethod
    def of(
        cls, numbers: Sequence[int], labels: Sequence[str], right: Bool[np.ndarray, "question candidate"]
    ) -> Outcomes:
        """Keeps who is right.

        Args:
            numbers: of each question, the number of its text.
            labels: of each question.
            right: of each question, whether each candidate is right.
        """
        names = tuple(sorted(set(labels)))
        index = {name: at for at, name in enumerate(names)}
        codes = np.array([index[label] for label in labels], np.int32)
        span = (min(numbers), max(numbers) + 1) if len(numbers) else (0, 0)
        return cls(right.shape[1], names, np.array(numbers, np.int64), codes, np.packbits(right, axis=1), span)

    @classmethod
    def empty(cls, candidates: int) -> Outcomes:
        """The outcomes of no question."""
        return cls.of([], [], np.zeros((0, candidates), bool))

    @classmethod
    def joined(cls, candidates: int, parts: Iterable[Outcomes]) -> Outcomes:
        """The outcomes of the questions of all parts, in their order."""
        parts = [cls.empty(candidates), *parts]
        names = tuple(sorted({name for part in parts for name in part.names}))
        labels = np.concatenate([part.labels_among(names) for part in parts])
        numbers, bits = (np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "bits"))
        spans = [part.span for part in parts if part.span[1]] or [(0, 0)]
        span = min(start for start, _ in spans), max(stop for _, stop in spans)
        return cls(candidates, names, numbers, labels, bits, span)

    def __len__(self) -> int:
        return len(self.numbers)

    def __add__(self, other: Outcomes) -> Outcomes:
        """Joins both; texts of two runs, which were both counted from 0, are counted on."""
        if self.span[0] < other.span[1] and other.span[0] < self.span[1]:
            start, stop = (number + self.span[1] for number in other.span)
            other = replace(other, numbers=other.numbers + self.span[1], span=(start, stop))
        return self.joined(self.candidates, [self, other])

    def numbered(self, number: int) -> Outcomes:
        """Returns the outcomes with all questions, if there are any, in the text of this number."""
        return replace(self, numbers=np.full_like(self.numbers, number), span=(number, number + 1))

    def labels_among(self, names: Sequence[str]) -> Int[np.ndarray, " question"]:
        """Returns the index of each question's label in names that hold all labels."""
        index = {name: at for at, name in enumerate(names)}
        found: np.ndarray = np.array([index[name] for name in self.names], np.int32)[self.labels]
        return found

    def labels_in(self) -> dict[str, int]:
        """Counts the questions of each label."""
        counts = Counter(self.labels.tolist())
        return {name: counts[at] for at, name in enumerate(self.names)}

    def where(self, labels: Collection[str], half: int | None = None) -> Outcomes:
        """Returns the outcomes of the questions with one of these labels, in one half (CHOOSING, REPORTING) or both."""
        some = np.isin(self.labels, [at for at, name in enumerate(self.names) if name in labels])
        if half is not None:
            some &= self.numbers % 2 == half
        return replace(self, numbers=self.numbers[some], labels=self.labels[some], bits=self.bits[some])

    def count_right(self) -> Int[np.ndarray, " candidate"]:
        """Counts the questions that each candidate answers rightly."""
        counts = np.zeros(self.candidates, np.int64)
        for start in range(0, len(self), AT_ONCE):
            unpacked = np.unpackbits(self.bits[start : start + AT_ONCE], axis=1, count=self.candidates)
            counts += unpacked.sum(0, dtype=np.int64)
        return counts

    def is_right(self, candidate: int) -> Bool[np.ndarray, " question"]:
        """Returns which questions a candidate answers rightly."""
        right: np.ndarray = self.bits[:, candidate // 8] >> (7 - candidate % 8) & 1 == 1
        return right

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the numbers by name, from which :meth:`restored` makes equal outcomes."""
        names = np.frombuffer(json.dumps(self.names).encode(), np.uint8)
        span = np.array(self.span, np.int64)
        return {"names": names, "numbers": self.numbers, "labels": self.labels, "bits": self.bits, "span": span}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Outcomes:
        """Makes the outcomes whose :meth:`arrays` these are.

        Raises:
            ValueError: no outcomes of so many candidates have such arrays.
        """
        like = self.arrays()
        if set(arrays) != set(like) or any(arrays[name].dtype != like[name].dtype for name in like):
            raise ValueError("wrong names or types")
        names = json.loads(arrays["names"].tobytes())
        numbers, labels, bits, span = (arrays[name] for name in ("numbers", "labels", "bits", "span"))
        shapes = (labels.shape, bits.shape, span.shape) == (numbers.shape, (len(numbers), self.bits.shape[1]), (2,))
        if not shapes or numbers.ndim != 1 or names != sorted(map(str, names)):
            raise ValueError("wrong shapes or labels")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
            raise ValueError("labels without names")
        return Outcomes(self.candidates, tuple(names), numbers, labels, bits, (int(span[0]), int(span[1])))


@dataclass(frozen=True)
class Gain:
    """How much more often one candidate is right than another.

    Attributes:
        numbers: (question,) the number of its text.
        differences: (question,) 1 where only the candidate is right, −1 where only the other is, else 0.
    """

    numbers: Int[np.ndarray, " question"]
    differences: Int[np.ndarray, " question"]

    @classmethod
    def of(cls, right: np.ndarray, other: np.ndarray, numbers: np.ndarray) -> Gain:
        """Compares two candidates by whether they are right in each question."""
        return cls(np.asarray(numbers), right.astype(np.int64) - other.astype(np.int64))

    @classmethod
    def none(cls) -> Gain:
        """A gain in no question."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))


def gain_interval(right: np.ndarray, other: np.ndarray, numbers: np.ndarray, seed: int) -> Interval:
    """Finds the 95 % interval of the gain of one candidate over another; see :func:`gain_intervals`."""
    return gain_intervals([Gain.of(right, other, numbers)], seed)[0]


def gain_intervals(gains: Sequence[Gain], seed: int) -> list[Interval]:
    """Finds the 95 % interval of each gain: percentiles over 2,000 bootstrap samples of texts.

    A sample holds each text as often as :func:`attnprobe.values.bootstrap.draw_counts` says of its number, whatever
    the gain. A gain is then the sum of the differences in the sample, divided by the number of its questions.

    Returns:
        the two ends, from −1 to 1; None where fewer than two texts have a question.
    """
    texts = np.unique(np.concatenate([np.zeros(0, np.int64), *(gain.numbers for gain in gains)]))
    sums, counts = np.zeros((2, len(gains), len(texts)))
    for row, gain in enumerate(gains):
        at = np.searchsorted(texts, gain.numbers)
        counts[row] = np.bincount(at, minlength=len(texts))
        sums[row] = np.bincount(at, gain.differences, len(texts))
    drawn = _drawn(np.concatenate([sums, counts]), texts, seed)
    known = (counts > 0).sum(1) > 1
    return [
        _percentiles(drawn[:, row], drawn[:, row + len(gains)]) if ok else (None, None) for row, ok in enumerate(known)
    ]


def _drawn(numbers: np.ndarray, texts: np.ndarray, seed: int) -> np.ndarray:
    """Sums whole numbers (row, text) over the texts of each bootstrap sample: (draw, row)."""
    total = np.zeros((0, len(numbers)))
    for start in range(0, len(texts), TOGETHER):
        some = slice(start, start + TOGETHER)
        drawn = draw_counts([str(text) for text in texts[some]], seed).T @ numbers[:, some].T
        total = total + drawn if len(total) else drawn
    return total


def _percentiles(sums: np.ndarray, counts: np.ndarray) -> Interval:
    """Returns the ends of the interval, over samples that hold a question."""
    low, high = np.quantile(sums[counts > 0] / counts[counts > 0], INTERVAL)
    return float(low), float(high)
