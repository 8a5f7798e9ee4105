"""heads --link: what two words give to each other, held to loops over all pairs of runs."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

import attnprobe
from attnprobe import Encoder
from attnprobe.analyses.links import find_link, link_numbers, split_link
from attnprobe.errors import UsageError
from attnprobe.values.tokens import Role, Tokens
from tests.cli.commandline import Run, check_error
from tests.exact import EXACT, float64
from tests.plain import Plain

ANIMAL = "The animal didn't cross the street because it was too tired."
APPLES = "他买了苹果，因为它们很新鲜。"


def runs(tokens: Tokens, size: int) -> list[list[int]]:
    """As many tokens of one text as are asked for, one after the other."""
    places = [at for at, role in enumerate(tokens.roles) if role == Role.CONTENT and tokens.texts[at].strip()]
    found = [places[at : at + size] for at in range(len(places) - size + 1)]
    return [run for run in found if len({tokens.segments[at] for at in run}) == 1]


def by_loops(weights: np.ndarray, tokens: Tokens, query: Sequence[int], key: Sequence[int]) -> list[float]:
    """Weight, unusual and excess of one head, (query, key), as the documentation defines them."""

    def between(queries: Sequence[int], keys: Sequence[int]) -> float:
        return sum(math.fsum(weights[one, other] for other in keys) for one in queries) / len(queries)

    def mean(values: list[float]) -> float:
        return math.fsum(values) / len(values) if values else -math.inf

    asked, smaller, far, of_key = between(query, key), [], [], []
    for one in runs(tokens, len(query)):
        if one != list(query) and not {*one} & {*key}:
            of_key.append(between(one, key))
        for other in runs(tokens, len(key)):
            if {*one} & {*other} or (one, other) == (list(query), list(key)):
                continue
            smaller.append(float(between(one, other) < asked))
            if other[0] - one[0] == key[0] - query[0]:
                far.append(between(one, other))
    return [asked, mean(smaller), asked - max(mean(of_key), mean(far))]


@pytest.mark.numeric
@pytest.mark.parametrize("level", ["token", "word"])
def test_numbers_are_those_of_loops(
    level: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    encoder, plain, texts = exact_of("bert"), plain_of("bert"), ("the old cat was unhappy, and the cat", "a wet gull")
    [pieces] = encoder.tokenize(*texts)
    with float64():
        weights = plain.layers(plain.encode(texts))[1].weights
        links = ["cat:cat", "unhappy:old cat", "gull:[CLS]", "was:2"]
        found = attnprobe.links(texts[0], encoder, link=links, pair=texts[1], level=level, layers=1, heads="0,2")
    tokens = pieces
    if level == "word":
        to_words = np.eye(len(pieces.word_texts))[list(pieces.words or ())]
        weights, tokens = to_words.T / to_words.sum(0)[:, None] @ weights @ to_words, pieces.by_word()
    assert len(found) == 2 * len(links) * 2
    ends = [find_link(tokens, link)[:2] for link in links]
    ways = iter([way for first, second in ends for way in ((first, second), (second, first))])
    for _, way in found.groupby((found.index // 2).to_numpy()):
        query, key = next(ways)
        assert way["weight"].is_monotonic_decreasing
        assert {*way["query_token"]} == {" + ".join(tokens.strings[at] for at in query)}
        for _, head, *names, weight, unusual, excess in way.itertuples(index=False):
            assert (names[0], names[2]) == (query[0], key[0])
            expected = by_loops(weights[head], tokens, query, key)
            assert [weight, unusual, excess] == pytest.approx(expected, abs=EXACT)
    assert max(len(query) for link in ends for query in link) > 1


def made(strings: str) -> Tokens:
    """A text of these words, between [CLS] and [SEP]."""
    words = ["[CLS]", *strings.split(), "[SEP]"]
    roles = [Role.CLS, *[Role.CONTENT] * (len(words) - 2), Role.SEP]
    texts = ["", *words[1:-1], ""]
    return Tokens(words, texts, roles, [int(role == Role.CONTENT) for role in roles], range(len(words)), texts)


def test_a_key_that_all_look_at_and_a_fixed_distance_are_no_links() -> None:
    """Even, sink, shifted and telling heads: only of the last the weight exceeds what is usual."""
    tokens = made("a b c d e f")
    even, size = np.full((8, 8), 1 / 8), 8
    sink, shifted, telling = even.copy(), even.copy(), even.copy()
    sink[:] = [0.5 if key == 2 else 0.5 / 7 for key in range(size)]
    for query in range(size):
        shifted[query] = [0.51 if key == query - 3 else 0.07 for key in range(size)]
    telling[5] = [0.65 if key == 2 else 0.05 for key in range(size)]
    weight, unusual, excess = link_numbers(np.stack([even, sink, shifted, telling])[None], tokens, [5], [2])[:, 0]
    assert weight == pytest.approx([1 / 8, 0.5, 0.51, 0.65])
    assert unusual == pytest.approx([0, 25 / 29, 27 / 29, 1])
    assert excess == pytest.approx([0, 0, 0, 0.65 - 1 / 8])
    alone = link_numbers(even[None, None, :4, :4], made("two words"), [1], [2])[:, 0, 0]
    assert alone == pytest.approx([1 / 8, 0, math.nan], nan_ok=True)


def test_a_colon_may_stand_within_a_word() -> None:
    tokens = made("at 10 : 30 the bus : it")
    assert split_link("::x") == [(":", "x")]
    assert find_link(tokens, ":: it")[:2] == ([3], [8])
    assert find_link(tokens, "bus::")[:2] == ([6], [3])
    assert find_link(tokens, "10:30:bus")[:2] == ([2, 3, 4], [6])
    for link in ("it", "::", "it:", ":it", ""):
        with pytest.raises(UsageError, match="as a link of two words"):
            split_link(link)


def test_commands_and_library_give_the_same(run: Run, minilm: Encoder) -> None:
    more = {"of": "norms", "level": "word", "mean": "layers"}
    flags = [word for name, value in more.items() for word in (f"--{name}", value)]
    where = ("--link", "它们:苹果", "--link", "10:2", "--head", "3-5", *flags)
    result = run("heads", APPLES, "-q", *where)
    with pytest.warns(attnprobe.UnknownTokensWarning):
        expected = attnprobe.links(APPLES, minilm, link=["它们:苹果", "10:2"], heads="3-5", **more)
    pd.testing.assert_frame_equal(result.frame.astype(expected.dtypes), expected)
    assert result.frame["query_token"].tolist()[::3] == ["它 + 们", "苹 + 果", "们", "买"]
    top = run("heads", APPLES, "-q", *where, "--top", 1, "--sort", "excess").frame
    best = expected.groupby((expected.index // 3).to_numpy())["excess"].max()
    np.testing.assert_allclose(top["excess"], best, rtol=1e-6)


def test_the_head_of_the_textbook(run: Run) -> None:
    """Head 3.1 of the default model looks from the pronoun to what it stands for."""
    text = run("heads", ANIMAL, "--link", "it:animal", "--link", "the:the", "--link", "too tired:didn't", terminal=True)
    lines = [line.split() for line in text.text.splitlines()]
    assert lines[2] == ["it", "(10)", "->", "animal", "(2)"]
    assert lines[6][:2] == ["3", "1"]
    assert ["the", "(7)", "->", "The", "(1)"] in lines
    assert ["too", "tired", "(12)", "->", "didn't", "(3)"] in lines
    assert sum(len(line) > 1 and line[0].isdigit() for line in lines) == 6 * 5
    assert "The 5 highest of 72 heads each way" in text.text
    assert "the also stands at 7" in text.err
    narrow = run("heads", ANIMAL, "--link", "it:animal", "-f", "table", "--top", 1, columns=60, encoding="ascii")
    assert narrow.out.isascii()
    assert max(map(len, narrow.text.splitlines())) <= 65  # an ellipsis is spelled out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--link", "it:aminal"], ["'aminal'", "animal, "]),
        (["--link", "it"], ["'it'", "it:animal"]),
        (["--link", "it:it"], ["nowhere else"]),
        (["-k", "entropy"], ["--metric", "--link"]),
        (["--queries", "content"], ["--queries"]),
        (["--long-range", "3"], ["--long-range"]),
        (["--stride", "4"], ["--stride"]),
        (["--sort", "entropy"], ["--sort", "excess", "'entropy'"]),
    ],
    ids=str,
)
def test_wrong_usage(run: Run, arguments: list[str], words: list[str]) -> None:
    check_error(run("heads", ANIMAL, "--link", "it:animal", *arguments), 2, *words)
