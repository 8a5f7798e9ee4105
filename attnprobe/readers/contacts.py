"""Reads contacts of residues, or distances between them, from CSV and TSV files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from attnprobe.errors import InputError, UsageError
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources
from attnprobe.values.arguments import shown
from attnprobe.values.records import Columns, Record, Skipped


@dataclass(frozen=True)
class ContactFile:
    """The contacts that a file lists.

    Attributes:
        name: of the file.
        pairs: by id of a sequence, (contact, 3): the numbers of two residues, from 0, and the line.
        lines: by id, the first line that has it.
    """

    name: str
    pairs: dict[str, np.ndarray]
    lines: dict[str, int]

    def of(self, id: str, length: int) -> list[list[int]] | None:
        """Returns the contacts of a sequence; None if none are given.

        Raises:
            UsageError: the sequence does not have such a residue.
        """
        if id not in self.pairs:
            return None
        pairs = self.pairs[id]
        beyond = (pairs[:, :2] >= length).any(1)
        if beyond.any():
            *residues, line = pairs[beyond.argmax()].tolist()
            raise UsageError(f"{self.name}:{line}: no residue {max(residues)} in a sequence of {length}, from 0")
        found: list[list[int]] = pairs[:, :2].tolist()
        return found

    @cached_property
    def ids(self) -> list[str]:
        """The ids, in the order of the file."""
        return list(self.pairs)

    @cached_property
    def digest(self) -> str:
        """The first digits of the SHA-256 of what it says."""
        hashed = hashlib.sha256()
        for id, pairs in self.pairs.items():
            hashed.update(f"{id}\0".encode() + pairs[:, :2].astype("<i4").tobytes())
        return hashed.hexdigest()[:12]


def read_contacts(path: Path, within: float | None = None) -> ContactFile:
    """Reads a file with columns ``id``, ``i`` and ``j``, residues counted from 0, a row for each contact.

    Args:
        within: takes pairs closer than this as contacts, by a column ``distance``.

    Raises:
        InputError: the file cannot be read, or a row of it; the message names the line.
        UsageError: a column is missing.
    """
    [source] = find_sources([str(path)])
    columns = Columns("i", "id", labels=("j",) if within is None else ("j", "distance"))
    found: dict[str, list[list[int]]] = defaultdict(list)
    lines: dict[str, int] = {}
    for row in read_records([source], columns):
        if isinstance(row, Skipped):
            raise InputError(f"{source.name}:{row.line}: {row.reason}")
        pairs = found[row.id]
        lines.setdefault(row.id, row.line or 0)
        pair = [_residue(row, row.text, "i", source.name), _residue(row, row.labels["j"], "j", source.name)]
        if within is None or _distance(row, source.name) < within:
            pairs.append([*pair, row.line or 0])
    by_id = {id: np.array(pairs, np.int32).reshape(-1, 3) for id, pairs in found.items()}
    return ContactFile(source.name, by_id, lines)


def _residue(row: Record, value: object, column: str, file: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < 0:
        raise InputError(f"{file}:{row.line}: {column} is {shown(value)}, not the number of a residue, from 0")
    return number


def _distance(row: Record, file: str) -> float:
    value = row.labels["distance"]
    try:
        return float(str(value)) if str(value).strip() else np.inf
    except ValueError as error:
        raise InputError(f"{file}:{row.line}: distance is {shown(value)}, not a number") from error
