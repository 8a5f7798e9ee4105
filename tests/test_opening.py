"""What a page opens on: what was asked for, else a telling head by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from attnprobe import Encoder, view
from attnprobe.analyses.opening import Asked, Opening, asked, open_on
from attnprobe.errors import UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.values.attention import Attention
from attnprobe.values.display import Showing
from attnprobe.values.tokens import Role, Tokens
from tests.test_page import data_of

WORDS = ["[CLS]", "the", "Cat", "sat", ",", "[UNK]", "on", "cat", "mats", "[SEP]"]
ROLES = [Role.CLS, *[Role.CONTENT] * 8, Role.SEP]
ANY = Asked(None, (), ())


def attention(*weights: tuple[int, int, int, int, float], usual: np.ndarray | None = None) -> Attention:
    """Two layers of two heads that look evenly at all tokens, but for these weights of (layer, head, query, key)."""
    size = len(WORDS)
    given = np.full((2, 2, size, size), 1 / size) if usual is None else usual
    for layer, head, query, key, weight in weights:
        given[layer, head, query] = (1 - weight) / (size - 1)
        given[layer, head, query, key] = weight
    texts = [text if role == Role.CONTENT else "" for text, role in zip(WORDS, ROLES, strict=True)]
    tokens = Tokens(WORDS, texts, ROLES, [0, *[1] * 8, 0], range(size), texts)
    return Attention(given, tokens, tokens, tokens, (0, 1), (0, 1))


def test_the_most_telling_weight_opens() -> None:
    found = open_on(ANY, attention((0, 1, 3, 8, 0.5), (1, 0, 3, 8, 0.8)), "[UNK]")
    assert found == Opening(1, 0, (3,), ())


@pytest.mark.parametrize(
    ("query", "key"),
    [(3, 0), (3, 9), (3, 4), (3, 5), (3, 2), (3, 3), (7, 2), (2, 6), (0, 8)],
    ids=["cls", "sep", "comma", "unknown", "neighbour", "itself", "the same word", "a short word", "of cls"],
)
def test_what_tells_nothing_does_not_open(query: int, key: int) -> None:
    assert open_on(ANY, attention((1, 1, query, key, 0.9), (0, 1, 3, 8, 0.4)), "[UNK]") == Opening(0, 1, (3,), ())


def test_sinks_and_heads_of_one_distance_do_not_open() -> None:
    size = len(WORDS)
    sink, shifted = np.full((size, size), 0.01), np.full((size, size), 0.01)
    sink[:, 8] = shifted[np.arange(size), (np.arange(size) + 3) % size] = 0.91
    usual = np.stack([np.stack([sink, shifted]), np.full((2, size, size), 1 / size)])
    assert open_on(ANY, attention((1, 1, 3, 8, 0.6), usual=usual), "[UNK]") == Opening(1, 1, (3,), ())


def test_a_text_without_such_words_opens_on_the_first_head(minilm: Encoder) -> None:
    for text in ("cat", "hello world", "!?", "the the the the"):
        assert open_on(ANY, keep_weights(text, minilm), "[UNK]") == Opening()


@pytest.mark.parametrize(
    ("text", "query", "key"),
    [
        ("The trophy doesn't fit in the brown suitcase because it is too big.", "it", "big"),
        ("My sister bought flowers because her friend likes roses.", "her", "sister"),
        ("Paris is the capital of France, and Berlin is the capital of Germany.", "berlin", "germany"),
        ("I love this product but the delivery was terrible.", "love", "product"),
        ("In 2024, 37 of 1,586 trains were 45 minutes late; tickets cost $9.99.", "tickets", "trains"),
        ("Where did the cat sleep? The cat slept on the mat.", "slept", "sleep"),
    ],
)
def test_it_opens_on_what_readers_look_for(minilm: Encoder, text: str, query: str, key: str) -> None:
    found = keep_weights(text, minilm)
    opening = open_on(ANY, found, "[UNK]")
    row = found.weights[opening.layer, opening.head, opening.query[0]]
    strings = found.pieces.strings
    assert [strings[opening.query[0]], strings[row.argmax()]] == [query, key]


def test_a_query_and_keys_open_the_strongest_head() -> None:
    given = attention((0, 1, 3, 8, 0.3), (1, 1, 3, 8, 0.4), (1, 0, 3, 8, 0.2), (1, 0, 3, 7, 0.7))
    assert open_on(Asked(None, (3,), (8,)), given) == Opening(1, 1, (3,), (8,))
    assert open_on(Asked(None, (3,), (7, 8)), given) == Opening(1, 0, (3,), (7, 8))
    assert open_on(Asked((0, 0), (3,), (8,)), given) == Opening(0, 0, (3,), (8,))


def test_a_query_or_a_key_narrows_the_choice() -> None:
    given = attention((0, 1, 3, 8, 0.9), (1, 1, 0, 8, 0.4), (1, 0, 6, 2, 0.3), (0, 0, 2, 9, 0.5))
    assert open_on(Asked(None, (0,), ()), given, "[UNK]") == Opening(1, 1, (0,), ())
    assert open_on(Asked(None, (), (2,)), given, "[UNK]") == Opening(1, 0, (6,), (2,))
    assert open_on(Asked(None, (), (9,)), given, "[UNK]") == Opening(0, 0, (2,), (9,))


def test_tokens_are_found_by_the_rule_of_all_commands(minilm: Encoder) -> None:
    [pieces] = minilm.tokenize("The cat sat on the unremarkable cat.")
    showing = Showing("3.4", "cat", ["unremarkable"])
    found = asked(showing, pieces, (1, 3), (2, 4))
    assert (found.place, found.query) == ((1, 1), (2,))
    assert [pieces.strings[at] for at in found.key] == ["un", "##rem", "##ark", "##able"]
    assert asked(Showing(key="cat"), pieces, (0,), (0,)).key == (2, 10)
    assert asked(Showing(query="-1", key=["0", "2"]), pieces, (0,), (0,)).query == (len(pieces) - 1,)


WRONG: Sequence[tuple[dict[str, Any], str]] = [
    ({"show": "3"}, "show must name a layer and a head, such as 5.11; got '3'"),
    ({"show": "a.b"}, "'a.b'"),
    ({"show": 3.1}, "3.1"),
    ({"show": "6.0"}, "no layer 6 in the page"),
    ({"show": "0.12"}, "no head 12 in the page"),
    ({"query": "dog"}, "no token or word 'dog'"),
    ({"key": ["cat", "dog"]}, "no token or word 'dog'"),
    ({"scale": "log"}, "scale must be sqrt or linear; got 'log'"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=str)
def test_what_cannot_open_is_refused_before_the_model_runs(
    minilm: Encoder, options: dict[str, Any], message: str
) -> None:
    runs: list[object] = []
    handle = minilm.model.register_forward_hook(lambda *call: runs.append(call))
    with pytest.raises(UsageError, match=message):
        view("The cat slept.", minilm, **options)
    handle.remove()
    assert runs == []


def test_the_page_carries_what_it_opens_on(minilm: Encoder) -> None:
    data = data_of(
        view("The cat slept.", minilm, layers="2-5", heads=[1, 4], show="3.4", query="cat", scale="linear").html
    )
    assert data["opening"] == {"layer": 1, "head": 1, "query": [2], "key": [], "scale": "linear"}
