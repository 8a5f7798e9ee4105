"""The mentions of a document, and the words that stand for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from attnprobe.errors import UsageError
from attnprobe.values.arguments import shown
from attnprobe.values.records import Record

Made = TypeVar("Made")
FIRST_WORDS = "[0, start, ...], the first word of each sentence"
BY_WORD = ("upos", "feats", "heads")  # the labels with a value for each word


class Mention(NamedTuple):
    """Some words that name an entity: the number of the word that stands for them, the entity, and all of the text."""

    head: int
    entity: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document of which it is known who or what its mentions name.

    Attributes:
        words: in order, over all sentences.
        sentences: the words of each, by number.
        mentions: by the word that stands for them; of those that share word and entity, the first.
        upos, feats: the part of speech of each word, and its features as CoNLL-U writes them; empty if unknown.
    """

    words: tuple[str, ...]
    sentences: tuple[range, ...]
    mentions: tuple[Mention, ...]
    upos: tuple[str, ...] = ()
    feats: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: Record, *, singletons: bool = False, inclusive: bool = False) -> Document:
        """Reads the labels of a record: ``mentions`` or ``clusters``, and ``sentences, upos, feats, heads`` if given.

        Args:
            singletons: whether to keep entities that are mentioned once.
            inclusive: whether a span of ``clusters`` ends with the number of its last word, not one beyond.

        Raises:
            UsageError: the record has no words or no mentions, or a label is not as it should be.
        """
        words = tuple(record.words or ())
        if not words:
            raise UsageError("the record has no words", "coreference reads CoNLL-U, or JSON Lines with words")
        upos, feats, heads = (_by_word(record.labels, name, len(words)) for name in BY_WORD)
        spans = list(_spans(record.labels, len(words), inclusive))
        count = Counter(entity for _, entity in spans)
        found: dict[tuple[int, str], Mention] = {}
        for numbers, entity in spans:
            if singletons or count[entity] > 1:
                head, text = head_of(numbers, heads), " ".join(words[at] for at in numbers)
                found.setdefault((head, entity), Mention(head, entity, text))
        sentences = _sentences(record.labels.get("sentences"), len(words))
        return cls(words, sentences, tuple(found[key] for key in sorted(found)), tuple(upos), tuple(feats))


def head_of(numbers: Sequence[int], heads: Sequence[int]) -> int:
    """Finds the word that stands for some words: the first whose syntactic head is none of them.

    Args:
        heads: the number of each word's head; empty if unknown, which gives the last word.
    """
    if not heads:
        return numbers[-1]
    inside = set(numbers)
    return next((at for at in numbers if heads[at] not in inside), numbers[-1])


def _spans(labels: Mapping[str, Any], length: int, inclusive: bool) -> Iterator[tuple[list[int], str]]:
    """Yields the words of each mention, and its entity.

    Raises:
        UsageError: there are no mentions, or one is no span of the words.
    """
    if labels.get("mentions") is not None:
        form = '[[start, end, "entity"], ...]'
        mentions = _read(lambda: [(ends, str(entity)) for *ends, entity in labels["mentions"]], "mentions", form)
    elif labels.get("clusters") is not None:
        mentions = _read(lambda: _of_clusters(labels["clusters"], inclusive), "clusters", "[[[start, end], ...], ...]")
    else:
        raise UsageError("the record names no entities", "CoNLL-U has Entity= in MISC, JSON Lines the key clusters")
    for ends, entity in mentions:
        yield _numbers(ends, length), entity


def _of_clusters(clusters: Any, inclusive: bool) -> list[tuple[list[int], str]]:
    """Lists the spans of clusters, each with the number of its cluster."""
    spans = ((span, number) for number, cluster in enumerate(clusters) for span in cluster)
    return [([start, end + inclusive], str(number)) for (start, end), number in spans]


def _read(make: Callable[[], Made], name: str, form: str) -> Made:
    """Reads a label that must have a certain form.

    Raises:
        UsageError: it has another.
    """
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise UsageError(f"the label {name} is not of the form {form}") from error


def _numbers(ends: Sequence[int], length: int) -> list[int]:
    """Lists the words of one span, or of several that are one mention: start, end, start, end ...

    Raises:
        UsageError: a span has no word, or words that there are not.
    """
    whole = len(ends) % 2 == 0 and all(type(end) is int for end in ends)
    spans = list(zip(ends[::2], ends[1::2], strict=True)) if whole else []
    if not spans or not all(0 <= start < end <= length for start, end in spans):
        hint = "an end is one beyond the last word; with --inclusive the last word of a cluster's span"
        raise UsageError(f"{shown(list(ends))} is no span of the {length:,} words of the record", hint)
    return sorted({number for start, end in spans for number in range(start, end)})


def _by_word(labels: Mapping[str, Any], name: str, length: int) -> Sequence[Any]:
    """Returns the values of a label that has one for each word; none if there is no such label.

    Raises:
        UsageError: there are more or fewer values than words, or they are of another kind.
    """
    values = labels.get(name)
    if values is None:
        return ()
    kind = int if name == "heads" else str
    if not isinstance(values, Sequence) or len(values) != length or not all(type(value) is kind for value in values):
        raise UsageError(f"the label {name} is no list of {length:,} values, one of each word")
    return values


def _sentences(starts: Any, length: int) -> tuple[range, ...]:
    """Returns the words of each sentence, by the first word of each; of one sentence if these are unknown.

    Raises:
        UsageError: the first words do not ascend from 0.
    """
    stops = [0, length] if starts is None else _read(lambda: [*map(int, starts), length], "sentences", FIRST_WORDS)
    if stops[0] != 0 or any(start >= stop for start, stop in pairwise(stops)):
        raise UsageError(f"the label sentences is not of the form {FIRST_WORDS}")
    return tuple(range(*ends) for ends in pairwise(stops))
