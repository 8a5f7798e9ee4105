"""Any tokenizer -> Tokens of a whole text: roles by the encoding, words as given or by character offsets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

from attnprobe.errors import ModelError, UsageError
from attnprobe.models.alignment import SPACE, agrees, align, surface
from attnprobe.models.explained import explained
from attnprobe.values.arguments import shown
from attnprobe.values.records import Given
from attnprobe.values.text import Span, assign_words
from attnprobe.values.tokens import Role, Tokens

Encoded = tuple[dict[str, Any], list[int], list[int], list[Span] | None, list[str], list[str]]
"""What a tokenizer gives: the model's inputs, and of each token the segment, the number of the given word it belongs to
(without meaning in a text), the span, the characters and the piece."""


class Located(NamedTuple):
    """The tokens of a text, or of words as given, and where each stands.

    Attributes:
        owners: the number of the given word that each token belongs to; -1 for added tokens, and in a text for all.
        spans: the (start, end) characters of each token in the text; None if tokens cannot be found again.
    """

    tokens: Tokens
    owners: Sequence[int]
    spans: Sequence[Span] | None


def encode(tokenizer: Any, texts: Sequence[Given], *, words: bool = True) -> Tokens:
    """Encodes one text or two, however long; words are found only if they are asked for or given.

    Words as given are read one by one, as ``is_split_into_words=True`` does, each with a space before it, the first
    too, where the tokenizer marks spaces: as transformers does with ``add_prefix_space=True``, and as a tagger reads
    CoNLL. So Chinese words get spaces from SentencePiece, and the model of "do", "n't" never sees "don't". A space that
    the tokenizer marks is the word's, as in Ġcat, also where it is a token by itself.

    Raises:
        UsageError: the tokenizer reads no pairs or runs them together; or it reads no words as given, or finds no token
            in one.
        ModelError: the tokenizer reads no plain text, does not report which tokens it added, or fails.
    """
    located = locate(tokenizer, texts, words=words)
    for segment, given in enumerate(texts, start=1):
        if not isinstance(given, str):
            _check_each_word(tokenizer, given, segment, located)
    return located.tokens


def locate(tokenizer: Any, texts: Sequence[Given], *, words: bool = True) -> Located:
    """Encodes one text or two as :func:`encode` does, with where tokens stand; a given word may have no token.

    Raises:
        UsageError: the tokenizer reads no pairs or runs them together; or it reads no words as given.
        ModelError: as :func:`encode`.
    """
    with explained(f"{type(tokenizer).__name__} does not read this text"):
        return _locate(tokenizer, texts, words)


def _locate(tokenizer: Any, texts: Sequence[Given], words: bool) -> Located:
    read = _encode_fast if tokenizer.is_fast else _encode_python
    forms = [text if isinstance(text, str) else spaced(tokenizer, text) for text in texts]
    inputs, segments, owners, offsets, surfaces, strings = read(tokenizer, forms)
    if len(texts) == 2:
        _check_pair(tokenizer, segments, inputs.get("token_type_ids"))
    numbers, word_texts = None, list[str]()
    if not isinstance(texts[0], str):
        numbers, word_texts = _given_units(texts, segments, owners)
    elif words and offsets:
        numbers, word_texts = assign_words(list(map(_joined, texts)), offsets, segments)
    tokens = Tokens(
        strings=strings,
        texts=surfaces,
        roles=[
            Role.CONTENT if segment else added_role(tokenizer, id)
            for id, segment in zip(inputs["input_ids"], segments, strict=True)
        ],
        segments=segments,
        words=numbers,
        word_texts=word_texts,
        read_as=[None if string == tokenizer.unk_token else string for string in strings],
        inputs=inputs,
    )
    given = not isinstance(texts[0], str)
    return Located(
        tokens, [owner if segment and given else -1 for segment, owner in zip(segments, owners, strict=True)], offsets
    )


def spaced(tokenizer: Any, words: Sequence[str]) -> list[str]:
    """Puts a space before each word but special tokens, if the tokenizer marks spaces."""
    if not _marks_spaces(tokenizer):
        return list(words)
    bare = tuple(tokenizer.all_special_tokens)
    return [word if word[:1].isspace() or word.startswith(bare) else f" {word}" for word in words]


@lru_cache(maxsize=8)
def _marks_spaces(tokenizer: Any) -> bool:
    """Tests whether a space before a word changes its tokens, and the vocabulary knows the space."""
    alone, after, both = (tokenizer.tokenize(text) for text in ("a", " a", "a a"))
    unknown = tokenizer.unk_token
    return bool(both != [*alone, *alone] and after.count(unknown) <= alone.count(unknown))


def _given_units(
    texts: Sequence[Sequence[str]], segments: Sequence[int], owners: Sequence[int]
) -> tuple[list[int], list[str]]:
    """Finds the unit of each token, and the characters of each unit: a given word, or an added token without any."""
    units: list[tuple[int, int]] = []
    numbers = []
    for at, (segment, owner) in enumerate(zip(segments, owners, strict=True)):
        unit = (segment, owner if segment else at)
        if unit not in units[-1:]:
            units.append(unit)
        numbers.append(len(units) - 1)
    return numbers, [texts[segment - 1][owner] if segment else "" for segment, owner in units]


def _check_each_word(tokenizer: Any, words: Sequence[str], segment: int, located: Located) -> None:
    """Checks that each word has a token.

    Raises:
        UsageError: a word has none.
    """
    segments = located.tokens.segments
    found = {owner for owner, own in zip(located.owners, segments, strict=True) if own == segment}
    for number, word in enumerate(words):
        if number not in found:
            raise UsageError(f"{type(tokenizer).__name__} finds no token in the word {shown(word)}")


def _encode_fast(tokenizer: Any, texts: Sequence[Given]) -> Encoded:
    encoding = call(tokenizer, texts, return_offsets_mapping=True)
    segments = [0 if sequence is None else sequence + 1 for sequence in encoding.sequence_ids(0)]
    inputs = dict(encoding)
    offsets = [tuple(offset) for offset in inputs.pop("offset_mapping")]
    owners = [0] * len(segments)
    if starts := _starts(tokenizer, texts):
        owners = [word or 0 for word in encoding.word_ids(0)]
        shifts = [starts[segment - 1][owner] if segment else 0 for segment, owner in zip(segments, owners, strict=True)]
        offsets = [(start + more, end + more) for (start, end), more in zip(offsets, shifts, strict=True)]
    strings, plain = _pieces(tokenizer, inputs["input_ids"]), list(map(_joined, texts))
    for number, text in enumerate(plain, start=1):
        here = [at for at, segment in enumerate(segments) if segment == number]
        if not agrees(text, [offsets[at] for at in here], [strings[at] for at in here], tokenizer.unk_token):
            return inputs, segments, owners, None, _surfaces(segments, strings), strings
    return inputs, segments, owners, offsets, _characters(plain, segments, offsets, strings), strings


def _joined(text: Given) -> str:
    return text if isinstance(text, str) else "".join(text)


def _starts(tokenizer: Any, texts: Sequence[Given]) -> list[list[int]]:
    """Finds where the tokenizer's offsets begin anew in each text: at each word as given; none if they never do."""
    if not isinstance(texts[0], str):
        return [list(accumulate(map(len, words), initial=0)) for words in texts]
    if _counts_in_words(tokenizer):
        return [[word.start() for word in re.finditer(r"\S+", _joined(text))] for text in texts]
    return []


@lru_cache(maxsize=8)
def _counts_in_words(tokenizer: Any) -> bool:
    """Tests whether the tokenizer's offsets begin anew in each word (MarkupLM, which cuts a text at white space)."""
    offsets = call(tokenizer, ["a a"], return_offsets_mapping=True)["offset_mapping"]
    return bool(max((end for _, end in offsets), default=0) == 1)


def _encode_python(tokenizer: Any, texts: Sequence[Given]) -> Encoded:
    inputs = dict(call(tokenizer, texts))
    words = [[text] if isinstance(text, str) else text for text in texts]
    cut = [[tokenizer.tokenize(word) for word in text] for text in words]
    pieces = [list(chain(*text)) for text in cut]
    segments = _typed_segments(tokenizer, pieces, inputs["input_ids"])
    spans = [_align_each(text, found, tokenizer.unk_token) for text, found in zip(words, cut, strict=True)]
    numbers = [number for text in cut for number, found in enumerate(text) for _ in found]
    typed, owned, known = iter(chain(*pieces)), iter(numbers), iter(chain(*(found or () for found in spans)))
    strings = _pieces(tokenizer, inputs["input_ids"])
    as_typed = [next(typed) if segment else "" for segment in segments]
    owners = [next(owned) if segment else 0 for segment in segments]
    if None in spans:
        return inputs, segments, owners, None, _surfaces(segments, as_typed), strings
    offsets = [next(known) if segment else (0, 0) for segment in segments]
    plain = list(map(_joined, texts))
    return inputs, segments, owners, offsets, _characters(plain, segments, offsets, as_typed), strings


def _align_each(words: Sequence[str], pieces: Sequence[Sequence[str]], unknown: str | None) -> list[Span] | None:
    """Finds the position of each word's pieces in the joined words; None if one is unclear."""
    spans: list[Span] = []
    for word, found, before in zip(words, pieces, accumulate(map(len, words), initial=0), strict=False):
        aligned = align(word, found, unknown)
        if aligned is None:
            return None
        spans += [(start + before, end + before) for start, end in aligned]
    return spans


def call(tokenizer: Any, texts: Sequence[Given], **options: Any) -> Any:
    """Calls the tokenizer on one text or two, or on the words of one or two.

    Raises:
        UsageError: the tokenizer does not read pairs, or words as given.
        ModelError: the tokenizer does not read plain text.
    """
    name = type(tokenizer).__name__
    given = not isinstance(texts[0], str)
    try:
        return tokenizer(*texts, verbose=False, **options, **({"is_split_into_words": True} if given else {}))
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        if len(texts) == 2 and call(tokenizer, texts[:1], **options):
            raise UsageError(f"{name} does not read pairs of texts") from error
        if given:
            raise UsageError(f"{name} does not read words as given, only plain text") from error
        raise ModelError(f"{name} does not read plain text: {' '.join(str(error).split())}") from error


def _pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    pieces: list[Any] = tokenizer.convert_ids_to_tokens(ids)
    for id, piece in zip(ids, pieces, strict=True):
        if not isinstance(piece, str):
            raise ModelError(f"{type(tokenizer).__name__} has no piece of number {id}, which it gives")
    return pieces


class Typed(int):
    """The number of a token of the text, which differs in type from an equal one that the tokenizer added."""

    segment = 0


def _typed_segments(tokenizer: Any, pieces: Sequence[Sequence[str]], ids: Sequence[int]) -> list[int]:
    """Finds the segment of each token: 0 for those that the tokenizer puts around and between the texts."""
    typed = [[Typed(id) for id in tokenizer.convert_tokens_to_ids(strings)] for strings in pieces]
    for number, tokens in enumerate(typed, start=1):
        for token in tokens:
            token.segment = number
    try:
        built = tokenizer.build_inputs_with_special_tokens(*typed)
    except ValueError:  # TAPAS insists on a table
        built = tokenizer.build_inputs_with_special_tokens(*typed, [])
    if built != ids:
        raise ModelError(f"{type(tokenizer).__name__} does not tell which tokens it added to the text")
    return [getattr(token, "segment", 0) for token in built]


def _surfaces(segments: Sequence[int], pieces: Sequence[str]) -> list[str]:
    """Finds the characters of each token whose position is unknown, by the pieces; enough for punctuation."""
    return [surface(piece) if segment else "" for segment, piece in zip(segments, pieces, strict=True)]


def _characters(
    texts: Sequence[str], segments: Sequence[int], offsets: Sequence[Span], strings: Sequence[str]
) -> list[str]:
    """Finds the characters of the text that each token stands for, without white space around them."""
    characters = [
        texts[segment - 1][start:end].strip() if segment else ""
        for (start, end), segment in zip(offsets, segments, strict=True)
    ]
    return ["" if _is_blank(piece, found) else found for piece, found in zip(strings, characters, strict=True)]


def _is_blank(piece: str, characters: str) -> bool:
    """Tests whether a piece is only white space, though its offsets are those of the next piece; not a Maltese Ġ."""
    return not piece.strip(f"{SPACE}Ġ") and not set(piece) & set(characters)


def _check_pair(tokenizer: Any, segments: Sequence[int], types: Sequence[Any] | None) -> None:
    """Refuses two texts that are encoded with nothing between them and with the same token type."""
    for before, (first, second) in enumerate(pairwise(segments)):
        if {first, second} == {1, 2} and (types is None or types[before] == types[before + 1]):
            raise UsageError(f"{type(tokenizer).__name__} does not read pairs of texts: it would read them as one")


def added_role(tokenizer: Any, token: int) -> Role:
    """Finds the role of a token that the tokenizer added.

    The separator is the tokenizer's sep token, or the end-of-text token if it has none (T5, ESM). XLM has one token for
    both: it is the separator.
    """
    separator = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    if token == separator:
        return Role.SEP
    return Role.CLS if token == tokenizer.cls_token_id else Role.OTHER
