"""Which tokens a query means."""

import pytest

from attnprobe import Encoder, Tokens
from attnprobe.errors import UsageError
from attnprobe.values.finding import find_matches, find_tokens, one_query, token_label
from attnprobe.values.tokens import Role

SENTENCE = "The unbelievable cat saw The Cat's 37 toys 👍🏽; it itself [SEP] saw."


@pytest.fixture(scope="module")
def sentence(minilm: Encoder) -> Tokens:
    return minilm.tokenize(SENTENCE)[0]


def test_sentence_is_the_one_meant(sentence: Tokens) -> None:
    assert " ".join(sentence.strings) == (
        "[CLS] the unbelievable cat saw the cat ' s 37 toys [UNK] ; it itself [SEP] saw . [SEP]"
    )


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("0", [[0]]),
        ("-1", [[18]]),
        ("18", [[18]]),
        ("37", [[9]]),  # no such position, so it is the token
        ("The", [[1], [5]]),
        ("the", [[1], [5]]),  # as the vocabulary writes them
        ("cat", [[3]]),  # a whole word before a piece of one
        ("Cat's", [[6, 7, 8]]),
        ("cat's", [[6, 7, 8]]),
        ("Cat", [[6]]),
        ("saw The", [[4, 5]]),
        ("saw the", [[4, 5]]),
        ("saw", [[4], [16]]),
        ("👍🏽", [[11]]),
        ("it", [[13]]),
        ("[CLS]", [[0]]),
        (".", [[17]]),
    ],
)
def test_places(query: str, places: list[list[int]], sentence: Tokens) -> None:
    assert find_matches(sentence, query) == places
    assert find_tokens(sentence, query) == [at for place in places for at in place]


def test_added_and_typed_separators_are_both_found(sentence: Tokens) -> None:
    assert find_matches(sentence, "[SEP]") == [[15], [18]]


@pytest.mark.parametrize(
    ("query", "near"),
    [("unbelievably", "unbelievable"), ("toy", "toys"), ("saw saw", ""), ("CAT", "cat"), ("", ""), ("--3", "")],
)
def test_no_such_token(query: str, near: str, sentence: Tokens) -> None:
    with pytest.raises(UsageError, match="no token or word") as caught:
        find_matches(sentence, query)
    assert near in caught.value.hint
    assert "a position, 0 to 18" in caught.value.hint


def test_chinese_words_that_the_vocabulary_cuts(minilm: Encoder) -> None:
    tokens = minilm.tokenize("它们都很新鲜,它们都")[0]
    assert find_matches(tokens, "它们") == [[1, 2], [8, 9]]
    assert find_matches(tokens, "都很") == [[3, 4]]
    position, said = one_query(tokens, "它们")
    assert position == 1
    assert said == (
        "它们 is 2 tokens, [UNK] (它) at 1, [UNK] (们) at 2; the first piece asks; "
        "它们 also stands at 8; the first is taken"
    )


def test_a_run_does_not_cross_from_one_text_to_the_other(minilm: Encoder) -> None:
    tokens = minilm.tokenize("a cat", "sat")[0]
    assert find_tokens(tokens, "a cat") == [1, 2]
    with pytest.raises(UsageError, match="no token"):
        find_tokens(tokens, "cat sat")


def test_a_number_is_a_position_first(minilm: Encoder) -> None:
    tokens = minilm.tokenize("it has 2 cats")[0]
    assert one_query(tokens, "2") == (2, "2 is taken as a position; as a token it stands at 3")
    assert one_query(tokens, 2) == (2, "")
    assert one_query(tokens, "3") == (3, "")


def test_without_a_query(minilm: Encoder) -> None:
    assert one_query(minilm.tokenize("word")[0], None) == (1, "")
    with pytest.raises(UsageError, match="which of the 2 tokens"):
        one_query(minilm.tokenize("two words")[0], None)


def test_tokens_that_cannot_be_found_in_the_text() -> None:
    from attnprobe.values.tokens import Role

    tokens = Tokens(["<s>", "▁a", "b"], ["", "", ""], [Role.CLS, Role.CONTENT, Role.CONTENT], [0, 1, 1])
    assert find_tokens(tokens, "▁a") == [1]
    assert token_label(tokens, 1) == "▁a"


def test_pieces_without_characters_are_no_part_of_a_match() -> None:
    """A SentencePiece vocabulary may write ▁ as a token of its own before a word."""
    roles = [Role.CLS, Role.CONTENT, Role.CONTENT, Role.CONTENT]
    tokens = Tokens(
        ["<s>", "▁", "机器", "学"], ["", "", "机器", "学"], roles, [0, 1, 1, 1], [0, 1, 1, 2], ["", "机器", "学"]
    )
    assert find_matches(tokens, "机器") == [[2]]
    assert one_query(tokens, "机器") == (2, "")
    assert find_matches(tokens, "机器学") == [[2, 3]]
    assert find_matches(tokens, "▁") == [[1]]
    assert find_matches(tokens, "<s>") == [[0]]
