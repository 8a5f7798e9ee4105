"""The texts that show what heads do: held to plain loops over all texts, and their weights to those of each alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from attnprobe import Encoder, patterns
from attnprobe.analyses.kept import digest_of
from attnprobe.analyses.rules import ROLES
from attnprobe.analyses.shares import SHARES
from attnprobe.atlases.examples import LEAST, MOST, RANDOM, ROLE_NAMES, Examples, clearness, examples_of
from attnprobe.atlases.measuring import AtlasMeasurement
from attnprobe.atlases.summary import AtlasSummary
from attnprobe.attention.blocks import Block
from attnprobe.corpus.again import completed
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.measure.kinds import Measured
from attnprobe.measure.reading import tokenize
from attnprobe.measure.running import measure
from attnprobe.measure.stretches import DECIMALS, KeptTexts, Stretch, Stretches, Text
from attnprobe.measure.weights import KeptWeights
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.summary import Summary
from attnprobe.values.text import label
from attnprobe.values.tokens import Role, Tokens
from tests.exact import EXACT
from tests.test_atlas_measuring import exact

LAYERS, HEADS = (0, 2), (1, 3, 4)
DRAW = np.random.default_rng(0)
ROUNDED = 5e-5 + EXACT


def tokens_of(length: int) -> Tokens:
    roles = [Role.CLS, *[Role.CONTENT] * (length - 2), Role.SEP]
    return Tokens(["▁我", *["<b>"] * (length - 1)], [""] * length, roles, [0, *[1] * (length - 2), 0])


def made_up(count: int) -> tuple[list[Measured], np.ndarray]:
    """Texts of any length, with shares of few values, so that many are equal, and some without a meaning."""
    texts = [
        Measured(Record(str(at), f"text {at}", number=at), [tokens_of(int(length))], None)
        for at, length in enumerate(DRAW.integers(3, 40, count))
    ]
    shares = DRAW.integers(0, 5, (count, len(LAYERS), len(HEADS), len(SHARES))) / 4
    shares[DRAW.random(shares.shape) < 0.3] = np.nan
    return texts, shares


def none(layers: Sequence[int] = LAYERS, heads: Sequence[int] = HEADS) -> Examples:
    return Examples.none(layers, heads, seed=7)


def order(text: Measured) -> tuple[int, str]:
    """Texts that are shown whole come first, then longer ones, at last tiny ones; else as if by chance."""
    rank = 2 if text.n_tokens < LEAST else int(text.n_tokens > MOST)
    return rank, digest_of(text.record, 7)


def test_clearest_texts_are_those_that_a_loop_finds() -> None:
    texts, shares = made_up(60)
    found = none().of_texts(texts, shares)
    by_chance = sorted(texts, key=order)[:RANDOM]
    for index, role in enumerate(ROLE_NAMES):
        picks = iter(found.picks([[role] * len(HEADS)] * len(LAYERS)))
        for at in np.ndindex(len(LAYERS), len(HEADS)):
            scores = clearness(shares[(slice(None), *at)])[:, index]
            known = [text for text in texts if not np.isnan(scores[text.number])]
            best = min(known, key=lambda text: (order(text)[0], -scores[text.number], order(text)[1]))
            expected = [best, next(text for text in by_chance if text is not best)]
            for text, why in zip(expected, ("clearest", "random"), strict=True):
                pick = next(picks)
                assert (pick.layer, pick.head, pick.role, pick.why) == (LAYERS[at[0]], HEADS[at[1]], role, why)
                assert json.loads(found.texts[pick.text][1])["id"] == text.id
                read = ROLES[index].reads[0] if index < len(ROLES) else None
                share = shares[(text.number, *at, SHARES.index(read))] if read else np.nan
                assert pick.share == (None if np.isnan(share) else share)


def test_scores_are_shares_beyond_those_of_even_attention() -> None:
    shares = np.full(len(SHARES), np.nan)
    for name, value in {"same_token_share": 0.5, "same_token_even": 0.125, "vertical": 0.25, "next_share": 0.5}.items():
        shares[SHARES.index(name)] = value
    shares[SHARES.index("relative_entropy")] = 0.5
    scores = dict(zip(ROLE_NAMES, clearness(shares).tolist(), strict=True))
    assert {name: score for name, score in scores.items() if score == score} == {
        "next token": 0.5,
        "same word": 0.375,
        "broad": 0.5,
        "mixed": -0.75,
    }


def test_choice_is_the_same_however_texts_come() -> None:
    texts, shares = made_up(40)
    whole = none().of_texts(texts, shares)
    for seed in range(4):
        draw = np.random.default_rng(seed)
        parts = np.split(draw.permutation(len(texts)), sorted(draw.integers(0, len(texts), 4)))
        some = [none().of_texts([texts[at] for at in part], shares[part]) for part in parts]
        stored = [none().restored(one.arrays()) for one in some]
        for found in (sum(some, none()), sum(stored[::-1], none()), some[0] + (some[1] + sum(some[2:], none()))):
            assert found.texts == whole.texts
            for name, array in whole.arrays().items():
                np.testing.assert_array_equal(found.arrays()[name], array, name)


def test_other_arrays_are_refused() -> None:
    found = none().of_texts(*made_up(9))
    arrays = found.arrays()
    for wrong in (
        {name: array for name, array in arrays.items() if name != "scores"},
        {**arrays, "chosen": arrays["chosen"] + len(found.texts)},
        {**arrays, "typical": arrays["typical"][:1]},
        {**arrays, "shares": arrays["shares"][:1]},
    ):
        with pytest.raises(ValueError, match="wrong"):
            none().restored(wrong)


def test_what_is_kept_does_not_grow_with_the_number_of_texts() -> None:
    found = none()
    for _ in range(4):
        found += found.of_texts(*made_up(500))
    cells = len(LAYERS) * len(HEADS) * len(ROLE_NAMES)
    assert len(found.texts) <= cells + RANDOM
    used = {*found.chosen[found.chosen >= 0].tolist(), *range(RANDOM)}
    assert used == {*range(len(found.texts))}
    roles = [["broad", "self", None]] * len(LAYERS)
    _, records = found.asked(roles, Reading())
    assert len(records) <= found.again_at_most == len(LAYERS) * len(HEADS) + RANDOM


def shown(records: Sequence[Record], encoder: Encoder, **options: Any) -> AtlasSummary:
    reading = Reading(**options)
    settings = Settings(AtlasMeasurement.choose(encoder, reading, sections=["texts"]), reading)
    found: AtlasSummary = CorpusStats(Prober(encoder, settings, threads=1), records).complete()
    return completed(found, encoder, threads=1)


SENTENCES = (
    "The cat sat on the mat, and the cat slept.",
    "Nobody told her that the ferry would not come.",
    "We walked home in the rain; it was late.",
    "Is it a bird, or is it a plane?",
)
LONG = "Once there was an old lighthouse keeper who counted boats, gulls and one very patient cat, again and again."
CHINESE = "今天天气很好，我们去公园散步吧。"


RECORDS = [
    *(Record(f"t{at}", text) for at, text in enumerate((*SENTENCES, CHINESE, LONG * 3))),
    Record("words", words=SENTENCES[2].split()),
    Record("pair", SENTENCES[0], SENTENCES[1]),
]


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "funnel", "gpt2"])
def test_weights_and_shares_are_those_of_each_text_alone(family: str, exact_of: Callable[[str], Encoder]) -> None:
    """Also where weights are hooked (deberta-v2), layers pool (funnel), and no tokens are added (gpt2)."""
    check(RECORDS[:-1] if family == "gpt2" else RECORDS, exact_of(family))  # which reads no pairs


def test_weights_and_shares_are_those_of_texts_that_are_cut(exact_of: Callable[[str], Encoder]) -> None:
    check(RECORDS[:-1], exact_of("bert"), max_length=20)


def test_texts_that_are_all_long_are_shown_in_part(exact_of: Callable[[str], Encoder]) -> None:
    texts = check([Record("long", LONG * 3), Record("longer", f"{LONG} {SENTENCES[0]} " * 3)], exact_of("bert"))
    assert {len(text["tokens"]) for text in texts} == {MOST}
    assert min(text["n_tokens"] for text in texts) > 2 * MOST


def check(records: Sequence[Record], encoder: Encoder, **options: Any) -> list[dict[str, Any]]:
    """Compares the examples of some texts with what each text gives alone; returns the texts that are shown."""
    with exact():
        found = shown(records, encoder, **options)
        assert found.patterns
        assert found.examples
        alone = {record.id: patterns([record], encoder, **options).shares for record in records}
        roles = found.patterns.roles()
        layers = tuple(layer for layer, of_layer in enumerate(roles) if None not in of_layer)
        windows = {record.id: tokenize(encoder, *record.given, Reading(**options), words=False) for record in records}
        kept = KeptWeights(layers, found.examples.heads)
        weights = {id: measure(of_text, encoder, kept).texts[0].windows[0] for id, of_text in windows.items()}
    texts, of_heads = examples_of(found.examples, roles)
    assert len(of_heads) == sum(map(len, roles))
    for (layer, head), examples in zip(np.ndindex(len(roles), encoder.heads), of_heads, strict=True):
        role = roles[layer][head]
        assert [example["why"] for example in examples] == (["clearest", "random"] if role else [])
        for example in examples:
            text = texts[example["text"]]
            [tokens] = windows[text["id"]]
            whole = weights[text["id"]][layers.index(layer), head]
            start, size = stretch_that_hides_least(whole), len(text["tokens"])
            part = slice(start, start + size)
            assert size == min(len(tokens), MOST)
            np.testing.assert_allclose(example["weights"], whole[part, part], rtol=0, atol=ROUNDED)
            assert text["tokens"] == [label(string) for string in tokens.strings[part]]
            assert text["special"] == [role != Role.CONTENT for role in tokens.roles[part]]
            assert text["n_tokens"] == len(tokens) + tokens.n_cut
            assert example["share"] == pytest.approx(told(alone[text["id"]], layer, head, role), abs=EXACT)
    json.dumps([texts, of_heads], allow_nan=False)
    return texts


def stretch_that_hides_least(weights: np.ndarray) -> int:
    starts = range(max(1, len(weights) - MOST + 1))
    return max(starts, key=lambda at: weights[at : at + MOST, at : at + MOST].sum().round(DECIMALS))


def told(shares: Summary, layer: int, head: int, role: str) -> float | None:
    """The share by which a role is told."""
    read = next((rule.reads[0] for rule in ROLES if rule.name == role), None)
    if read is None or not shares.n_texts[layer, SHARES.index(read)]:
        return None
    return float(shares.mean[layer, head, SHARES.index(read)])


def test_stretches_are_put_together_from_blocks() -> None:
    """Of some texts, heads, rows and keys, as long texts and layers that look at near tokens only give them."""
    texts, heads, length, near = 2, 3, 60, 9
    weights = DRAW.random((texts, heads, length, length)) ** 8
    weights *= np.abs(np.subtract.outer(np.arange(length), np.arange(length))) <= near
    weights /= weights.sum(-1, keepdims=True)
    wanted = [(2, 0), (2, 2), (5, 1)]
    encoder: Any = SimpleNamespace(heads=heads, dtype=torch.float64, device="cpu")
    tokens = [replace(tokens_of(length), labels={"heads": wanted[text:]}) for text in range(texts)]
    listener = Stretches.of([wanted], Reading(), MOST).begin(tokens, encoder)
    for layer in (2, 5):
        observe = listener.start_layer(layer)
        for text, some, first in product(range(texts), (slice(0, 1), slice(1, 3)), range(0, length, 7)):
            rows = slice(first, min(first + 7, length))
            keys = slice(max(0, first - near), min(rows.stop + near, length))
            part = torch.tensor(weights[text : text + 1, some, rows, keys])
            observe(Block(rows, keys, part, heads=some, texts=slice(text, text + 1)))
    for text, found in enumerate(listener.finish().texts):
        assert list(found) == wanted[text:]
        for (_, head), stretch in found.items():
            start = stretch_that_hides_least(weights[text, head])
            assert stretch.start == start
            part = slice(start, start + MOST)
            np.testing.assert_allclose(stretch.weights, weights[text, head][part, part], rtol=0, atol=EXACT)


def test_examples_of_a_large_model_are_small() -> None:
    """A page holds those of 144 heads, if all texts are as long as can be and no weight is 0."""
    layers = heads = range(12)
    examples = none(layers, heads)
    texts = [Measured(Record(str(at), f"text {at}", number=at), [tokens_of(MOST)], None) for at in range(100)]
    examples = examples.of_texts(texts, DRAW.random((100, 12, 12, len(SHARES))))
    roles = [["previous token"] * 12] * 12
    asked, records = examples.asked(roles, Reading())
    of_texts = {
        number: Text(
            record.id,
            tokens_of(MOST),
            {head: Stretch(0, DRAW.dirichlet(np.ones(MOST), MOST)) for head in asked.wanted[number]},
        )
        for number, record in enumerate(records)
    }
    data = examples_of(examples.answered(KeptTexts(of_texts)), roles)
    assert len(json.dumps(data, separators=(",", ":"))) < 1_500_000
    shown_first = data[0][0]
    assert shown_first["tokens"][:2] == ["我", "<b>"]
    assert shown_first["special"] == [True, *[False] * (MOST - 2), True]
