"""Reads JSON in one document, an array of objects or an object with one, element by element.

json.load would hold the whole file. Here brackets, strings and commas are followed only so far as to cut out one
element after the other, which json then reads; so a broken one is skipped, and the others keep their numbers.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from json import JSONDecoder

from attnprobe.errors import InputError, UsageError
from attnprobe.readers import lines as limits
from attnprobe.readers import streams
from attnprobe.readers.lines import Line, lines
from attnprobe.readers.objects import to_records
from attnprobe.readers.source import Source
from attnprobe.readers.streams import peek
from attnprobe.values.records import Columns, Record, Skipped

STRING_END = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
TOKEN = re.compile(rf'"{STRING_END.pattern}|["{{}}\[\],]', re.DOTALL)  # a lone quote begins a string that goes on
LINES = re.compile(r"\s*\{.*\}[ \t\r]*\n\s*\{")  # an object a line
DATA = "data"
END = Line(0, "\n")


def read_json(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the elements of an array, of the first array of objects in an object, or objects one after the other.

    Ids are their numbers, from 1. Never more than MAX_LINE characters of an element are held in memory.

    Raises:
        InputError: the source cannot be read to its end, or is no such JSON.
        UsageError: as :func:`attnprobe.readers.objects.to_records`; or the encoding uses a comma's byte for more.
    """
    if codecs.lookup(encoding).name.startswith(("iso2022", "hz")):
        raise UsageError(f"JSON in {encoding!r} cannot be read", "convert it with iconv")
    return to_records(_values(source, encoding), columns, source.name)


def _values(source: Source, encoding: str) -> Iterator[tuple[int, str, str]]:
    """Yields number, text and fault of each value that should be a record."""
    size = 0

    def enough(piece: Line) -> bool:
        nonlocal size
        size += len(piece.text)
        return size >= streams.HEAD

    seen, pieces, _ = peek(_checked(lines(source, encoding, commas=True), source.name), enough)
    head = "".join(piece.text for piece in seen).lstrip()
    if head.startswith("{") and (by_line := LINES.match(head) is not None) | _is_followed(head):
        source.tell(f"{source.name}: objects one after the other are read, as in JSON Lines")
        return _by_line(pieces) if by_line else _chosen(_Scan(source.name, 0).elements(pieces), source)
    if head.startswith(("[", "{")):
        return _chosen(_Scan(source.name, 1).elements(pieces), source)
    if not head and size < streams.HEAD:
        return ((0, piece.text, "") for piece in pieces if piece.text.strip())  # no value, but maybe an error
    raise InputError(f"{source.name}: no JSON array or object at its start", "--input-format jsonl or txt?")


def _checked(pieces: Iterator[Line], file: str) -> Iterator[Line]:
    """Passes pieces on, and refuses one that is too long, since its end is unknown."""
    for piece in pieces:
        if piece.too_long:
            raise InputError(f"{file}: broken JSON: {piece.fault} without a comma")
        yield piece


def _is_followed(head: str) -> bool:
    """Tests whether the first object is followed by another."""
    try:
        _, end = JSONDecoder().raw_decode(head)
    except (ValueError, RecursionError):
        return False
    return head[end:].lstrip().startswith("{")


def _by_line(pieces: Iterator[Line]) -> Iterator[tuple[int, str, str]]:
    """Yields number, text and fault of each line that is not blank."""
    number, held = 1, _TextBuffer()
    for piece in chain(pieces, [END]):
        *ended, rest = piece.text.split("\n")
        for text in ended:
            held.add(text, piece.fault)
            line = held.take()
            if line.text or line.fault:
                yield number, line.text, line.fault
            number += 1
        held.add(rest, piece.fault)


def _chosen(elements: Iterator[Element], source: Source) -> Iterator[tuple[int, str, str]]:
    """Yields number, text and fault of each element of the array that holds the records."""
    number = 0
    chosen: str | None = None
    reported = set()
    for element in elements:
        is_object = element.text.startswith("{")
        if chosen is None and (is_object or element.key in ("", DATA)):
            chosen = element.key
        if element.key == chosen:
            number += 1
            yield number, element.text, element.fault
        elif is_object and element.key not in reported:
            reported.add(element.key)
            source.tell(f"{source.name}: only what is under {chosen!r} is read, not what is under {element.key!r}")


@dataclass(frozen=True)
class Element:
    """One element of an array, or an object that is in none.

    Attributes:
        key: the key of its array; empty if the array has none.
        text: its JSON, without white space around it; empty if it is too long.
        fault: why it cannot be used; empty if it can.
    """

    key: str
    text: str
    fault: str


@dataclass
class _TextBuffer:
    """Collects the text of the element that is being read."""

    pieces: list[str] = field(default_factory=list)
    size: int = 0
    fault: str = ""

    def add(self, text: str, fault: str = "") -> None:
        self.fault = self.fault or (fault if text.strip() else "")
        self.size += len(text)
        self.pieces.append(text)
        if self.size > limits.MAX_LINE:
            self.pieces.clear()
            self.fault = f"longer than {limits.MAX_LINE:,} bytes"

    def take(self, key: str = "") -> Element:
        element = Element(key, "".join(self.pieces).strip(), self.fault)
        self.pieces, self.size, self.fault = [], 0, ""
        return element


class _Scan:
    """Follows brackets and strings, and cuts where elements end.

    Args:
        file: the file's name.
        level: how many brackets are open around an element: 0 for objects one after the other, else 1, which becomes 2
            within an array that is in an object.
    """

    def __init__(self, file: str, level: int) -> None:
        self.file, self.level = file, level
        self.depth = 0
        self.inside = False  # of a string
        self.ended = False
        self.root = self.key = ""
        self.held = _TextBuffer()
        self.all: _TextBuffer | None = None  # of an object in which no array of objects is found yet

    def elements(self, pieces: Iterator[Line]) -> Iterator[Element]:
        """Yields whole elements; those of arrays in an object have the array's key.

        Raises:
            InputError: brackets do not match, or text follows the last one.
        """
        for piece in pieces:
            yield from self._cut(piece)
        if self.depth or self.inside:
            raise InputError(f"{self.file}: broken JSON: it ends too early")
        if (rest := self.held.take()).text:
            yield rest
        if self.all:
            yield self.all.take()

    def _cut(self, piece: Line) -> Iterator[Element]:
        start, text = 0, piece.text
        if self.all:
            self.all.add(text, piece.fault)
        for token in self._tokens(text):
            if self._ends(token[0]):
                end = token.end() if self.level == 0 else token.start()
                self.held.add(text[start:end], piece.fault)
                start = token.end()
                yield from self._ended_element(token[0], piece)
        if self.ended and text[start:].strip():
            raise InputError(f"{self.file}: broken JSON: there is more after its end")
        self.held.add(text[start:], piece.fault)

    def _tokens(self, text: str) -> Iterator[re.Match[str]]:
        """Finds the brackets and commas outside of strings, except commas within an element."""
        end = STRING_END.match(text) if self.inside else None
        if self.inside and not end:
            return
        self.inside = False
        for token in TOKEN.finditer(text, end.end() if end else 0):
            if token[0] == '"':
                self.inside = True
                return
            if token[0][0] != '"' and (token[0] != "," or self.depth == self.level):
                yield token

    def _ends(self, token: str) -> bool:
        """Follows one bracket or comma; returns whether the collected text ends there."""
        before = self.depth
        self.depth += (token in ("{", "[")) - (token in ("}", "]"))
        if self.depth < 0:
            raise InputError(f"{self.file}: broken JSON: a bracket that is not open is closed")
        if self.level == 0:
            return self.depth == 0 and before == 1
        if token in ("{", "["):
            return self.depth == 1 or (self.depth == 2 and self.level == 1 and self.root == "{" and token == "[")
        return before == self.level and token in (",", "}", "]")

    def _ended_element(self, token: str, piece: Line) -> Iterator[Element]:
        """Yields the collected text, if it is an element."""
        taken = self.held.take(self.key)
        if self.level == 0:
            yield taken
        elif token in ("{", "["):
            self._open(token, taken, piece)
        else:
            is_element = self.root == "[" or self.level == 2
            if is_element and (taken.text or taken.fault or token == ","):
                self.all = None if taken.text.startswith("{") else self.all
                yield taken
            if token != ",":
                self._close(token)

    def _open(self, token: str, before: Element, piece: Line) -> None:
        if self.depth == 2:
            self.level, self.key = 2, _name(before.text)
            self.all = None if self.key == DATA else self.all
            return
        if before.text or self.ended:
            raise InputError(f"{self.file}: broken JSON: there is more after its end")
        self.root = token
        if token == "{":
            self.all = _TextBuffer()
            self.all.add(piece.text, piece.fault)

    def _close(self, token: str) -> None:
        if token != ("]" if self.level == 2 or self.root == "[" else "}"):
            raise InputError(f"{self.file}: broken JSON: a bracket is closed by {token!r}")
        self.ended = self.level == 1
        self.level, self.key = 1, ""


def _name(member: str) -> str:
    """Reads the key before an array."""
    try:
        return str(JSONDecoder().raw_decode(member)[0])
    except ValueError:
        return member
