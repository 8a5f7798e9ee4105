"""Tests token scores: how the model's answer changes as tokens are taken out, or put back, in the order of a score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from attnprobe.analyses.answers import Answer
from attnprobe.errors import UsageError
from attnprobe.models.encoder import Encoder
from attnprobe.values.table import Table
from attnprobe.values.text import visible
from attnprobe.values.tokens import Role, Tokens

STEPS = 20  # at most, from the whole text to none of it
ORDERS, SEED, RANDOM = 10, 0, "random"
BATCH_TOKENS = 2048
COLUMNS = {
    "score": "the score in whose order tokens are taken; random: the mean of 10 random orders",
    "curve": "deletion: highest first, tokens are taken out; insertion: highest first, they are put back",
    "share": "of the text's tokens that are taken out, or put back",
    "value": "what the model answers then: the label's probability; the logit, where that is its answer; without a "
    "classifier's head, the cosine with the vector of the whole text",
    "area": "under the curve: low for deletion, and high for insertion, if the score finds what counts",
}
Removed = frozenset[int]  # numbers of units


@dataclass(frozen=True)
class Faithfulness:
    """The curves of some scores of one text.

    Attributes:
        shares: (step,) how much of the text is taken out, or put back.
        deletion, insertion: (step,) what the model answers, by score, and of random orders last.
        measure: what that is, in words.
        how: how tokens are taken out, in words.
        n: how many tokens or words can be taken out.
    """

    shares: Float[np.ndarray, " step"]
    deletion: Mapping[str, Float[np.ndarray, " step"]]
    insertion: Mapping[str, Float[np.ndarray, " step"]]
    measure: str
    how: str
    n: int

    @property
    def curves(self) -> Mapping[str, Mapping[str, Float[np.ndarray, " step"]]]:
        """The curves by kind and score."""
        return {"deletion": self.deletion, "insertion": self.insertion}

    def areas(self, curve: str) -> dict[str, float]:
        """Computes the area under each score's curve of this kind, by trapezoids."""
        return {score: float(np.trapezoid(values, self.shares)) for score, values in self.curves[curve].items()}

    @property
    def remark(self) -> str:
        """Says what was done."""
        done = f"tokens are {self.how} (deletion), or put back (insertion), highest score first"
        return f"{done}; what changes is the {self.measure}"

    def to_table(self) -> Table:
        """Makes a row for each point of each curve."""
        rows = [
            (score, curve, float(share), float(value), area)
            for curve, by_score in self.curves.items()
            for score, area in self.areas(curve).items()
            for share, value in zip(self.shares, by_score[score], strict=True)
        ]
        return Table(list(COLUMNS), rows)


def put_to_test(
    encoder: Encoder, pieces: Tokens, answer: Answer, words: Sequence[int], scores: Mapping[str, np.ndarray]
) -> Faithfulness:
    """Takes the tokens of a text out, and puts them back, in the order of each score and in random orders.

    Tokens are masked, or left out where the tokenizer has no mask; those that it added stay, and so does a token whose
    own label is the answer.

    Args:
        words: the unit of each piece, which is taken out as a whole.
        scores: (unit,) by name.

    Raises:
        UsageError: no token can be taken out, or none would be left.
    """
    fixed = set(answer.fixed)
    content = [at for at in pieces.positions(Role.CONTENT) if at not in fixed]
    units = sorted({words[at] for at in content} - {words[at] for at in fixed})
    places = {unit: [at for at in content if words[at] == unit] for unit in units}
    mask = encoder.tokenizer.mask_token_id
    if not units or (mask is None and len(content) == len(pieces)):
        why = "the text has one token" if not units else "there is no mask, and no token would be left"
        raise UsageError(f"tokens of this text cannot be taken out: {why}", "leave --faithfulness out")
    orders = {name: [units[at] for at in np.argsort(-values[units], kind="stable")] for name, values in scores.items()}
    random = np.random.default_rng(SEED)
    drawn = [[units[at] for at in random.permutation(len(units))] for _ in range(ORDERS)]
    counts = _counts(len(units))
    wanted = {removed for order in orders.values() for removed in (*_taken(order, counts), *_left(order, counts))}
    wanted |= {removed for order in drawn for removed in _taken(order, counts)}
    found = dict(_values(encoder, pieces, answer, places, wanted))

    def along(sets: Iterable[Removed]) -> Float[np.ndarray, " step"]:
        return np.array([found[removed] for removed in sets])

    deletion = {name: along(_taken(order, counts)) for name, order in orders.items()}
    insertion = {name: along(_left(order, counts)) for name, order in orders.items()}
    deletion[RANDOM] = np.mean([along(_taken(order, counts)) for order in drawn], 0)
    insertion[RANDOM] = deletion[RANDOM][::-1]  # the same orders backwards
    how = "left out" if mask is None else f"replaced by {visible(encoder.tokenizer.mask_token)}"
    return Faithfulness(np.array(counts) / len(units), deletion, insertion, answer.measure, how, len(units))


def _counts(n: int) -> list[int]:
    """Chooses how many units are taken out at each step, from none to all; n minus each is among them, too."""
    steps = min(n, STEPS)
    half = [step * n // steps for step in range(steps // 2 + 1)]
    return sorted({*half, *(n - count for count in half)})


def _taken(order: Sequence[int], counts: Sequence[int]) -> Iterator[Removed]:
    """Yields the units without which the text is, step by step, as they are taken out in order."""
    return (frozenset(order[:count]) for count in counts)


def _left(order: Sequence[int], counts: Sequence[int]) -> Iterator[Removed]:
    """Yields the units without which the text still is, step by step, as they are put back in order."""
    return (frozenset(order[count:]) for count in counts)


def _values(
    encoder: Encoder,
    pieces: Tokens,
    answer: Answer,
    places: Mapping[int, Sequence[int]],
    wanted: Iterable[Removed],
) -> Iterator[tuple[Removed, float]]:
    """Yields what the model answers without some units, in batches."""
    ordered = sorted(wanted, key=lambda removed: (len(removed), sorted(removed)))
    size = max(1, BATCH_TOKENS // len(pieces))
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        made = [_without(pieces, {at for unit in removed for at in places[unit]}, encoder) for removed in batch]
        by_length = sorted(range(len(made)), key=lambda index: -len(made[index][0]))
        texts = [made[index][0] for index in by_length]
        outputs = encoder.run(texts, lambda layer, group: None, encoder.groups(texts))
        for index, output in zip(by_length, outputs, strict=True):
            yield batch[index], answer.value(output, made[index][1])


def _without(pieces: Tokens, removed: set[int], encoder: Encoder) -> tuple[Tokens, Mapping[int, int]]:
    """Masks or leaves out some positions; returns the text, and the row of each position that is left."""
    mask = encoder.tokenizer.mask_token_id
    if mask is None:
        kept = [at for at in range(len(pieces)) if at not in removed]
        return pieces.take(kept), {at: row for row, at in enumerate(kept)}
    numbers = [mask if at in removed else number for at, number in enumerate(pieces.inputs["input_ids"])]
    masked = replace(pieces, inputs={**pieces.inputs, "input_ids": numbers})
    return masked, {at: at for at in range(len(pieces))}
