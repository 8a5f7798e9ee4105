"""The mentions of entities in a document: brackets in MISC, as CorefUD and GUM write them."""

from __future__ import annotations

import re

from attnprobe.readers.treebank import Brackets, FaultError
from attnprobe.values.arguments import shown

PIECE = re.compile(r"(\()?([^()]+)(\))?")
PART = re.compile(r"(.*)\[(\d+)/(\d+)\]")


class Mentions:
    """Collects the mentions of one document.

    ``(e1-person`` opens a mention of e1, ``e1)`` closes the last that is open, ``(e1-person)`` is one word. Mentions
    may nest, cross, and go on in the next sentence; one may be in parts, ``(e1[1/2]-``.

    Args:
        fields: the names of what brackets hold, as ``global.Entity`` gives them.
    """

    def __init__(self, fields: str) -> None:
        names = fields.split("-")
        self._place = next((names.index(name) for name in ("eid", "GRP") if name in names), 0)
        self._open: dict[str, list[tuple[int, int]]] = {}  # line and first word
        self._begun: dict[str, list[list[int]]] = {}  # the spans of mentions with parts to come
        self._found: list[tuple[list[int], str]] = []

    def add(self, brackets: Brackets, before: int) -> None:
        """Reads the brackets of one word; ``before`` words of the document come before its sentence.

        Raises:
            FaultError: the brackets are broken, or close what is not open.
        """
        pieces = list(PIECE.finditer(brackets.written))
        if "".join(piece[0] for piece in pieces) != brackets.written or not all(each[1] or each[3] for each in pieces):
            raise FaultError(brackets.line, f"broken brackets of Entity: {shown(brackets.written)}")
        for opens, name, closes in (piece.groups() for piece in pieces):
            entity = self._entity(name, brackets.line) if opens else name
            if opens:
                self._open.setdefault(entity, []).append((brackets.line, before + brackets.start))
            if closes:
                self._close(entity, brackets.line, before + brackets.end)

    def _entity(self, written: str, line: int) -> str:
        """Finds the entity among the fields of a bracket that opens.

        Raises:
            FaultError: there is none.
        """
        values = written.split("-")
        if len(values) <= self._place or not values[self._place]:
            raise FaultError(line, f"no entity in the bracket {shown(written)}")
        return values[self._place]

    def _close(self, entity: str, line: int, end: int) -> None:
        if not self._open.get(entity):
            raise FaultError(line, f"the bracket of Entity {shown(entity)} is closed, and was not opened")
        _, start = self._open[entity].pop()
        spans = [start, end] if start < end else []  # of empty nodes alone
        part = PART.fullmatch(entity)
        if part:
            entity, number, count = part[1], int(part[2]), int(part[3])
            begun = self._begun.setdefault(entity, [])
            if number > 1 and not begun:
                raise FaultError(line, f"the mention {shown(part[0])} lacks its first part")
            spans = [*(begun.pop() if number > 1 else []), *spans]
            if number < count:
                begun.append(spans)
                return
        if spans:
            self._found.append((spans, entity))

    def found(self) -> list[list[int | str]]:
        """Returns [start, end, entity] of each mention, by first word and longest first; of parts, each start and end.

        Raises:
            FaultError: a mention was not closed.
        """
        for entity, opened in self._open.items():
            for line, _ in opened:
                raise FaultError(line, f"the bracket of Entity {shown(entity)} is not closed")
        ordered = sorted(self._found, key=lambda mention: (mention[0][0], -mention[0][-1], mention[1]))
        return [[*spans, entity] for spans, entity in ordered]
