"""Reads a record with labelled relations between its words: which tokens each word owns, and what relates to what.

A record's labels, values of JSON:

    relations   a list of [dependent, head, "label"], or of objects with these keys. Each of the two is a word's number,
                from 0, or a list of them; in a text without words it is [start, end], characters of the text
    upos        the part of speech of each word
    ranges      [first, after, "characters"] of words that the text writes as one, as zum for zu dem
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from attnprobe.errors import UsageError
from attnprobe.measure.annotated import Annotated, list_of, read_annotated
from attnprobe.models.encoder import Encoder
from attnprobe.values.arguments import as_integer, shown
from attnprobe.values.finding import find_characters
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.relations import LABELS, PairColumns, Relation, Sentence, Wording
from attnprobe.values.text import Span
from attnprobe.values.tokens import Tokens
from attnprobe.values.words import Words


@dataclass(frozen=True, kw_only=True)
class ReadsSentences:
    """A measurement of sentences, which its listener finds in ``Tokens.labels["sentence"]``.

    Attributes:
        knows: the labels of records that are read.
        align, subtypes, query_column, key_column, relation_column: see :func:`read_sentence`.
    """

    knows: ClassVar[Sequence[str]] = LABELS

    align: str = "words"
    subtypes: bool = False
    query_column: str | None = None
    key_column: str | None = None
    relation_column: str | None = None

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as one window.

        Raises:
            UsageError: as :func:`read_sentence`.
        """
        columns = PairColumns(self.query_column, self.key_column, self.relation_column)
        tokens, sentence = read_sentence(
            record, encoder, reading, align=self.align, subtypes=self.subtypes, columns=columns
        )
        return [replace(tokens, labels={"sentence": sentence})]

    def signed(self) -> dict[str, object]:
        """Returns how words are read, for the signature."""
        return Wording(self.align, self.subtypes).signed()

    def described(self) -> dict[str, Any]:
        """Returns how records are read, as values of JSON."""
        return {name: getattr(self, name) for name in (*Wording.names(), *PairColumns.names())}


def read_sentence(
    record: Record,
    encoder: Encoder,
    reading: Reading,
    *,
    align: str = "words",
    subtypes: bool = False,
    columns: PairColumns = PairColumns(),  # noqa: B008 (immutable)
) -> tuple[Tokens, Sentence]:
    """Reads a record, its words and the relations between them.

    Args:
        record: with words and relations between their numbers, or with a text and relations between characters.
        align: "words" lets the model read the words one by one, so that each has its own tokens; "text" lets it read
            the text as it stands, and gives each word the tokens that its characters touch. Words that share a token,
            or are written as one, are then one word.
        subtypes: whether to keep what follows the first colon of a label.
        columns: the labels that hold the characters of query and key, if these stand for relations.

    Raises:
        UsageError: the record lacks words or relations, or one of them is invalid; it is a pair; or it is too long.
    """
    if record.pair is not None:
        raise UsageError("relations are within one text, and this is a pair")
    tokens, annotated = read_annotated(record, encoder, reading, align)
    numbers = annotated.numbers
    given = [] if columns.query_column else _relations(record, annotated)
    pairs = [_pair(record, columns, tokens, annotated.words)] if columns.query_column else []
    found = [*pairs, *(_renumbered(one, numbers) for one in given)]
    labelled = [one if subtypes else one._replace(label=one.label.split(":")[0]) for one in found if one]
    return tokens, Sentence(annotated.words, tuple(dict.fromkeys(labelled)), _tags(record, numbers, given))


def _relations(record: Record, annotated: Annotated) -> list[Relation]:
    """Reads the relations of a record, between its words as annotated.

    Raises:
        UsageError: the record has none, or one is invalid.
    """
    found = list_of(record, "relations")
    if found is None:
        raise UsageError("no 'relations', as CoNLL-U has (--input-format conllu), or [[dependent, head, label], ...]")
    relations = []
    for number, value in enumerate(found, start=1):
        try:
            dependent, head, label = _triple(value)
            sides = [tuple(sorted(set(_side(side, annotated)))) for side in (dependent, head)]
            if set(sides[0]) & set(sides[1]):
                raise UsageError("a word is related to itself")
        except UsageError as error:
            raise UsageError(f"relation {number}, {shown(value)}: {error}") from error
        relations.append(Relation(sides[0], sides[1], label))
    return relations


def _renumbered(relation: Relation, numbers: Sequence[int]) -> Relation | None:
    """Numbers the words of a relation as the text has them; None if one of its words is the same on both sides."""
    dependent, head = (tuple(sorted({numbers[word] for word in side})) for side in relation[:2])
    return None if set(dependent) & set(head) else Relation(dependent, head, relation.label)


def _triple(value: Any) -> tuple[Any, Any, str]:
    """Takes a relation apart.

    Raises:
        UsageError: it has other parts.
    """
    if isinstance(value, Mapping):
        value = [value.get(name) for name in ("dependent", "head", "label")]
    match value:
        case [dependent, head, str(label)] if label.strip():
            return dependent, head, label
    raise UsageError("no [dependent, head, label]")


def _side(value: Any, annotated: Annotated) -> list[int]:
    """Finds the words that one side of a relation names, by their numbers or their characters.

    Raises:
        UsageError: there are no such words.
    """
    numbers = [as_integer(one) for one in (value if isinstance(value, list | tuple) else [value])]
    words = [number for number in numbers if number is not None]
    if not words or len(words) < len(numbers):
        raise UsageError(f"{shown(value)} names no words")
    if annotated.spans is not None:
        return _touched(words, annotated.spans)
    for word in words:
        if not 0 <= word < len(annotated.numbers):
            raise UsageError(f"there is no word {word} among {len(annotated.numbers)}, counted from 0")
    return words


def _touched(characters: Sequence[int], spans: Sequence[Span]) -> list[int]:
    """Finds the words that the characters [start, end) touch.

    Raises:
        UsageError: they touch none, or lie beyond the text.
    """
    if len(characters) != 2:
        raise UsageError("a text without words takes [start, end], characters of the text")
    start, end = characters
    length = max((after for _, after in spans), default=0)
    if not 0 <= start < end <= length:
        raise UsageError(f"[{start}, {end}] is no span of the text, whose last word ends at {length}")
    found = [number for number, (first, after) in enumerate(spans) if first < end and start < after]
    if not found:
        raise UsageError(f"the characters {start} to {end} touch no word of the text")
    return found


def _pair(record: Record, columns: PairColumns, tokens: Tokens, words: Words) -> Relation:
    """Finds the words that the labels of query and key name, at their first match.

    Raises:
        UsageError: the text has no such words, or query and key share one.
    """
    names = (columns.query_column, columns.key_column)
    query, key = (_named(_characters(record, name), tokens, words) for name in names)
    if set(query) & set(key):
        raise UsageError(f"the query and the key are the same word, {words.texts[query[0]]!r}")
    name = columns.relation_column
    return Relation(query, key, "query->key" if name is None else _characters(record, name))


def _characters(record: Record, name: str | None) -> str:
    """Finds a label that is text.

    Raises:
        UsageError: it is missing, or no text.
    """
    value = record.labels.get(name or "")
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"no {name!r}" if value is None else f"{name!r} is no text: {shown(value)}")
    return value.strip()


def _named(query: str, tokens: Tokens, words: Words) -> tuple[int, ...]:
    """Finds the words that own the tokens of the query's first match.

    Raises:
        UsageError: there is none.
    """
    first = find_characters(tokens, query)[0]
    found = sorted({words.owner[at] for at in first} - {-1})
    if not found:
        raise UsageError(f"{query!r} is no word of the text")
    return tuple(found)


def _tags(record: Record, numbers: Sequence[int], relations: Sequence[Relation]) -> tuple[str, ...]:
    """Finds the part of speech of each word; of words that are one, that of the first whose head is none of them.

    Raises:
        UsageError: the parts of speech are not those of the words.
    """
    given = list_of(record, "upos")
    if given is None:
        return ()
    if len(given) != len(numbers) or not all(isinstance(tag, str) for tag in given):
        raise UsageError(f"{len(given)} 'upos' for {len(numbers)} words")
    inner = {one.dependent[0] for one in relations if numbers[one.dependent[0]] == numbers[one.head[0]]}
    tags: dict[int, str] = {}
    for word in sorted(range(len(given)), key=lambda word: (numbers[word], word in inner, word)):
        tags.setdefault(numbers[word], given[word])
    return tuple(tags.values())
