"""Lines of CoNLL-U -> sentences, each checked: numbers of words, columns, one root, no cycle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from attnprobe.readers import lines as limits
from attnprobe.readers.fields import UnfitError, checked
from attnprobe.readers.lines import Line, lines
from attnprobe.readers.source import Source
from attnprobe.values.arguments import shown

ID, FORM, LEMMA, UPOS, XPOS, FEATS, HEAD, DEPREL, DEPS, MISC = range(10)
COMMENT = re.compile(r"#\s*([^=]*?)\s*(?:=\s*(.*?)\s*)?")
WORD, RANGE, EMPTY = map(re.compile, (r"[1-9]\d{0,8}", r"(\d{1,9})-(\d{1,9})", r"(\d{1,9})\.\d{1,9}"))


class FaultError(Exception):
    """A fault in a treebank, with its line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Word(NamedTuple):
    """A syntactic word; ``head`` is counted from 0, -1 of a root, None if unknown."""

    line: int
    form: str
    lemma: str
    upos: str
    feats: str
    head: int | None
    relation: str
    space_after: bool


class Range(NamedTuple):
    """Words that the text writes as one: from ``first`` up to ``after``, counted from 0."""

    line: int
    first: int
    after: int
    form: str
    space_after: bool


class Brackets(NamedTuple):
    """What ``Entity`` in MISC says of the words from ``start`` up to ``end``; of no word if it is an empty node's."""

    line: int
    start: int
    end: int
    written: str


@dataclass
class Sentence:
    """A sentence of a treebank.

    Attributes:
        line: its first line.
        comments: name -> value; empty for a comment without a value.
        fault: why it cannot be used; None if it can.
    """

    line: int
    comments: dict[str, str] = field(default_factory=dict)
    words: list[Word] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    entities: list[Brackets] = field(default_factory=list)
    fault: FaultError | None = None

    @property
    def id(self) -> str:
        """Its ``sent_id``, else the number of its first line."""
        return self.comments.get("sent_id") or str(self.line)

    @property
    def begins_document(self) -> bool:
        """Whether a document begins with it."""
        return "newdoc" in self.comments or "newdoc id" in self.comments

    @property
    def text(self) -> str:
        """Its ``text``, else what its words and ranges spell."""
        if written := self.comments.get("text"):
            return written
        ranges = {each.first: each for each in self.ranges}
        spelled, number = "", 0
        while number < len(self.words):
            token = ranges.get(number) or self.words[number]
            spelled += token.form + " " * token.space_after
            number = token.after if isinstance(token, Range) else number + 1
        return spelled.rstrip()

    @property
    def has_tree(self) -> bool:
        """Whether its words have heads."""
        return bool(self.words) and self.words[0].head is not None


def sentences(source: Source, encoding: str) -> Iterator[Sentence]:
    """Reads the sentences of a CoNLL-U file; lines of comments alone are none, and belong to the next.

    Never more than MAX_LINE characters of a sentence are held in memory.

    Raises:
        InputError: the source cannot be read to its end.
    """
    comments: dict[str, str] = {}
    for block in _blocks(lines(source, encoding, returns=None)):
        sentence = _sentence(block)
        sentence.comments = comments | sentence.comments
        comments = {} if sentence.words or sentence.fault else sentence.comments
        if not comments:
            yield sentence


def _blocks(found: Iterator[Line]) -> Iterator[list[Line]]:
    """Groups lines that no blank line divides; one that is too long is one line with a fault."""
    for is_blank, alike in groupby(found, lambda line: not line.fault and not line.text.strip()):
        block: list[Line] = []
        size = 0
        for line in () if is_blank else alike:
            size += len(line.text)
            if size > limits.MAX_LINE:
                first = block[0] if block else line
                block = [Line(first.number, "", f"longer than {limits.MAX_LINE:,} bytes")]
            else:
                block.append(line)
        if block:
            yield block


def _sentence(block: Sequence[Line]) -> Sentence:
    """Reads a sentence up to its first fault."""
    sentence = Sentence(block[0].number)
    try:
        for line in block:
            if line.fault:
                raise FaultError(line.number, line.fault)
            if line.text.startswith("#"):
                _comment(line.content, sentence.comments)
            else:
                _row(line, sentence)
        _check(sentence)
    except FaultError as fault:
        sentence.fault = fault
    return sentence


def _comment(content: str, comments: dict[str, str]) -> None:
    found = COMMENT.fullmatch(content)
    if found:
        comments[found[1]] = found[2] or ""


def _row(line: Line, sentence: Sentence) -> None:
    """Reads the line of a word, a range or an empty node.

    Raises:
        FaultError: the line has a fault.
    """
    cells = line.content.split("\t")
    if len(cells) != MISC + 1:
        hint = "" if len(cells) > 1 else "; are they separated by tabs?"
        raise FaultError(line.number, f"{len(cells)} column{'s' * (len(cells) > 1)}, and CoNLL-U has 10{hint}")
    try:
        form = checked(cells[FORM], "FORM")
    except UnfitError as unfit:
        raise FaultError(line.number, str(unfit)) from unfit
    count, space_after = len(sentence.words), "SpaceAfter=No" not in cells[MISC].split("|")
    if WORD.fullmatch(cells[ID]):
        if int(cells[ID]) != count + 1:
            raise FaultError(line.number, f"word {cells[ID]} where word {count + 1} should be")
        about = cells[LEMMA], cells[UPOS], "" if cells[FEATS] == "_" else cells[FEATS]
        sentence.words.append(Word(line.number, form, *about, _head(line, cells[HEAD]), cells[DEPREL], space_after))
        _note_entities(line, cells[MISC], count, count + 1, sentence)
    elif found := RANGE.fullmatch(cells[ID]):
        first, last = int(found[1]), int(found[2])
        ends = sentence.ranges[-1].after if sentence.ranges else 0
        if first != count + 1 or last <= first or first <= ends:
            raise FaultError(line.number, f"range {cells[ID]} after word {max(count, ends)}")
        sentence.ranges.append(Range(line.number, first - 1, last, form, space_after))
    elif found := EMPTY.fullmatch(cells[ID]):
        if int(found[1]) != count:
            raise FaultError(line.number, f"empty node {cells[ID]} after word {count}")
        _note_entities(line, cells[MISC], count, count, sentence)
    else:
        raise FaultError(line.number, f"{shown(cells[ID])} is no number of a word, a range or an empty node")


def _head(line: Line, cell: str) -> int | None:
    """Reads the number of a word's head, counted from 0.

    Raises:
        FaultError: it is no number.
    """
    if cell == "_":
        return None
    if cell != "0" and not WORD.fullmatch(cell):
        raise FaultError(line.number, f"the head {shown(cell)} is no number of a word")
    return int(cell) - 1


def _note_entities(line: Line, misc: str, start: int, end: int, sentence: Sentence) -> None:
    for written in misc.split("|"):
        if written.startswith("Entity="):
            sentence.entities.append(Brackets(line.number, start, end, written.removeprefix("Entity=")))


def _check(sentence: Sentence) -> None:
    """Checks a sentence as a whole; words without any heads are no tree, but words.

    Raises:
        FaultError: a range ends after the last word, or heads are no tree.
    """
    words = sentence.words
    for each in sentence.ranges:
        if each.after > len(words):
            raise FaultError(each.line, f"range {each.first + 1}-{each.after} of {len(words)} words")
    if all(word.head is None for word in words):
        return
    for number, word in enumerate(words):
        if word.head is None:
            raise FaultError(word.line, f"word {number + 1} has no head")
        if not -1 <= word.head < len(words):
            raise FaultError(word.line, f"the head of word {number + 1} is {word.head + 1}, of {len(words)} words")
        if word.head >= 0 and word.relation in ("", "_"):
            raise FaultError(word.line, f"word {number + 1} has a head, and no relation to it")
    roots = [number for number, word in enumerate(words) if word.head == -1]
    if len(roots) > 1:
        raise FaultError(words[roots[1]].line, f"two roots, words {roots[0] + 1} and {roots[1] + 1}")
    if not roots:
        raise FaultError(words[0].line, "no root")
    _check_cycles(words, roots[0])


def _check_cycles(words: Sequence[Word], root: int) -> None:
    """Checks that heads lead from each word to the root.

    Raises:
        FaultError: they go round.
    """
    leads = {root}
    for number in range(len(words)):
        path = []
        while number not in leads and number not in path:
            path.append(number)
            number = words[number].head or 0
        if number not in leads:
            raise FaultError(words[number].line, f"the heads of word {number + 1} lead back to it")
        leads.update(path)
