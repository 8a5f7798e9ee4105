"""Stores how far a run has come, and checks it when it is read again."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from attnprobe.errors import CannotResumeError, OutputError
from attnprobe.measure.kinds import Summary

if TYPE_CHECKING:
    from attnprobe.corpus.prober import Result

LISTS = ("parts", "skipped", "cut")
COUNTS = ("items", "texts", "tokens", "rows", "skipped", "cut", "unknown", "wordless")
LARGEST_MANIFEST = 2**26  # bytes
LARGEST_STATE = 2**32


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        parts: how many chunks count.
        digest: of the records in them.
        items: how many records they had, skipped ones included.
        texts, tokens, rows: how many were measured, and gave how many rows.
        skipped, cut: how many records have no rows, how many texts were cut.
        unknown, wordless: how many texts have many tokens unknown to the model, or unknown words.
        lists: how many bytes of each of LISTS count, and their digest.
    """

    parts: int = 0
    digest: str = ""
    items: int = 0
    texts: int = 0
    tokens: int = 0
    rows: int = 0
    skipped: int = 0
    cut: int = 0
    unknown: int = 0
    wordless: int = 0
    lists: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The counts of records and texts by name, for the manifest of a finished run."""
        return {name: getattr(self, name) for name in COUNTS}

    @classmethod
    def counted(cls, counts: dict[str, Any]) -> State:
        """Returns the state of a finished run with these counts.

        Raises:
            ValueError, TypeError: these are no counts.
        """
        if set(counts) != set(COUNTS) or not all(type(count) is int and count >= 0 for count in counts.values()):
            raise ValueError("wrong counts")
        return cls(**counts)

    def after(self, result: Result) -> State:
        """Returns the state after one more chunk."""
        return replace(
            self,
            parts=self.parts + 1,
            items=self.items + result.n_items,
            texts=self.texts + result.n_texts,
            tokens=self.tokens + result.n_tokens,
            rows=self.rows + sum(map(len, result.rows)),
            skipped=self.skipped + len(result.skipped),
            cut=self.cut + len(result.cut),
            unknown=self.unknown + result.unknown,
            wordless=self.wordless + result.wordless,
        )


def check_manifest(content: Any) -> dict[str, Any]:
    """Checks that the content describes a run, and returns it.

    Raises:
        ValueError: the content does not describe a run.
    """
    if not isinstance(content, dict) or not isinstance(content.get("signature"), str):
        raise ValueError("no description of a run")
    for marks in content.get("replaceable", {}).values():
        if not all(type(number) is int for size, time in marks for number in (size, time)):
            raise ValueError("wrong marks")
    return content


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads the manifest of an unfinished run.

    Raises:
        OutputError: the file is not as attnprobe wrote it.
    """
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ValueError("too large")
        return check_manifest(json.loads(path.read_bytes()))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{str(path)!r} is damaged, or not attnprobe's", f"move {str(path.parent)!r} away, and start anew"
        ) from error


def write_state(stream: IO[bytes], state: State, summary: Summary) -> None:
    """Writes the state and the summary so far, and the digest of both, as NPZ."""
    numbers = {"state": np.array(json.dumps(asdict(state))), **summary.arrays()}
    digest = np.array(_digest(numbers))
    np.savez(stream, **numbers, digest=digest)  # type: ignore[arg-type]


def read_state(path: Path, empty: Summary) -> tuple[State, Summary]:
    """Reads what write_state wrote.

    Args:
        empty: the summary of no text.

    Raises:
        OutputError: the file is not as it was written.
    """
    try:
        numbers = _read_arrays(path)
        if str(numbers.pop("digest")) != _digest(numbers):
            raise ValueError("another digest")
        state = _check_state(json.loads(str(numbers.pop("state"))))
        summary = empty.restored(numbers)
    except Exception as error:  # zipfile, numpy and json raise errors of many kinds for a torn or foreign file
        raise damaged(path) from error
    return state, summary


def _read_arrays(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as file:
        if sum(member.file_size for member in file.infolist()) > min(LARGEST_STATE, path.stat().st_size):
            raise ValueError("too large")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _check_state(stored: dict[str, Any]) -> State:
    lists = {name: (size, digest) for name, (size, digest) in stored.pop("lists").items()}
    state = State(**stored, lists=lists)
    counts = [state.parts, *state.counts.values()] + [size for size, _ in lists.values()]
    digests = [state.digest] + [digest for _, digest in lists.values()]
    if set(lists) != set(LISTS) or any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("wrong counts")
    if not all(isinstance(digest, str) and re.fullmatch("[0-9a-f]{32}", digest) for digest in digests):
        raise ValueError("wrong digests")
    return state


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def damaged(path: Path) -> CannotResumeError:
    """Makes the error for a file that is not as a run wrote it."""
    return CannotResumeError(f"{str(path)!r} is missing, or not as it was written", "start anew with --overwrite")
