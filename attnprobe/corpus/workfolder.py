"""The folder beside an output in which a run keeps the work it has done; all that is read back from it is checked.

    OUT.parts/manifest.json      the run's signature, input, options; and which existing files it may replace
    OUT.parts/part-000000.csv    the rows of one chunk
    OUT.parts/parts.jsonl        size and digest of each part, a line per chunk
    OUT.parts/skipped.jsonl      the records without rows so far; cut.jsonl: the texts that were cut
    OUT.parts/state.npz          how many parts count, how much of each list, how far the input was read, the summary
    OUT.parts/removed.json       the manifest, from when the folder is being removed

A part counts once the state counts it; the state is replaced whole, after all that it counts is on the disk. Whenever
the run ends, the folder thus holds a valid beginning of it, and what was written after that is written again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from attnprobe.corpus.state import LISTS, State, damaged, read_manifest, read_state, write_state
from attnprobe.errors import OutputError
from attnprobe.measure.kinds import Summary
from attnprobe.writers.files import TEMPORARY, replacing, sync_folder

OWN = r"(manifest\.json|removed\.json|state\.npz|(parts|skipped|cut)\.jsonl|part-\d{6,}\.(csv|tsv|jsonl|parquet))"
OWN_NAME = re.compile(rf"{OWN}|\.{OWN}\.{TEMPORARY}")
NEW_NAME = re.compile(rf"\.manifest\.json\.{TEMPORARY}")  # the manifest before it has its name
PIECE = 2**20  # bytes read at once


class GrowingList:
    """A file to which a run appends lines; a killed run may leave bytes after the lines that count."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        """The digest of all bytes that count."""
        return self._digest.hexdigest()

    def resume(self, size: int, digest: str) -> None:
        """Goes on after the first ``size`` bytes.

        Raises:
            OutputError: these bytes have another digest.
        """
        self.size = size
        self._digest = _digest_of(self.path, size)
        if self.digest != digest:
            raise damaged(self.path)

    def append(self, lines: bytes) -> None:
        """Appends lines after those that count, and writes them to the disk.

        Raises:
            OutputError: the file is too short, or cannot be written.
        """
        if not lines:
            return
        with _explained(self.path), self.path.open("ab") as file:
            if file.tell() < self.size:
                raise damaged(self.path)
            file.truncate(self.size)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        if not self.size:
            sync_folder(self.path.parent)
        self._digest.update(lines)
        self.size += len(lines)

    def pieces(self) -> Iterator[bytes]:
        """Reads the bytes that count.

        Raises:
            OutputError: the bytes are not those that were written; raised at their end.
        """
        digest = blake2b(digest_size=16)
        for piece in _pieces(self.path, self.size):
            digest.update(piece)
            yield piece
        if digest.digest() != self._digest.digest():
            raise damaged(self.path)


class WorkFolder:
    """The folder of a run, with rows in one format."""

    def __init__(self, path: Path, format: str) -> None:
        self.path, self.format = path, format
        self.lists = _lists(path)
        self._manifest, self._removed = path / "manifest.json", path / "removed.json"
        self._state = path / "state.npz"
        self._made: tuple[int, int] | None = None  # inode and time of this run's manifest

    def has_run(self) -> bool:
        """Tests whether the folder holds an unfinished run."""
        return self._manifest.is_file()

    def foreign_names(self) -> list[str]:
        """Lists the names in the folder that no run makes."""
        return self._names_unlike(OWN_NAME) if self.path.is_dir() else []

    def _names_unlike(self, pattern: re.Pattern[str]) -> list[str]:
        return sorted(
            path.name for path in self.path.iterdir() if not (pattern.fullmatch(path.name) and path.is_file())
        )

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Makes the folder for a new run, and removes the files of an earlier one.

        Raises:
            OutputError: the folder is not of a run, or cannot be written.
        """
        self.lists = _lists(self.path)
        with _explained(self.path):
            if self.path.is_dir():
                self._clear()
            else:
                self.path.mkdir()
                sync_folder(self.path.parent)
        self.store_manifest(manifest)

    def store_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Writes the manifest anew."""
        with replacing(self._manifest) as stream:
            stream.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
        self._made = _stamp(self._manifest)

    def manifest(self) -> dict[str, Any]:
        """Reads the manifest of the run in the folder.

        Raises:
            OutputError: the manifest is not as attnprobe wrote it.
        """
        self._made = _stamp(self._manifest)
        return read_manifest(self._manifest)

    def check_held(self) -> None:
        """Checks that the folder is still this run's.

        Raises:
            OutputError: the folder is gone, or another run has begun in it.
        """
        with _explained(self.path):
            if _stamp(self._manifest) != self._made:
                raise OutputError(f"another run has begun in {str(self.path)!r}", "let one run at a time write a file")

    def add_part(self, number: int, encode: Callable[[], bytes] | None, notes: Mapping[str, bytes]) -> None:
        """Writes the rows of a chunk, if it has any, and adds to the lists.

        Raises:
            OutputError: the disk is full, or the folder is gone or of another run.
        """
        self.check_held()
        rows = b""
        if encode:
            with replacing(self._part(number)) as stream:
                rows = encode()
                stream.write(rows)
        part = {"bytes": len(rows), "digest": blake2b(rows, digest_size=16).hexdigest()}
        for name, lines in {"parts": json.dumps(part).encode() + b"\n", **notes}.items():
            self.lists[name].append(lines)

    def parts(self) -> Iterator[Path]:
        """Yields the paths of the parts that count and have rows, in their order.

        Raises:
            OutputError: a part is missing, or is not as it was written.
        """
        for number, line in enumerate(b"".join(self.lists["parts"].pieces()).splitlines()):
            part = json.loads(line)
            if part["bytes"]:
                path = self._part(number)
                if _digest_of(path, part["bytes"]).hexdigest() != part["digest"] or path.stat().st_size > part["bytes"]:
                    raise damaged(path)
                yield path

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:06}.{self.format}"

    def store(self, state: State, summary: Summary) -> None:
        """Replaces the state, after which all that it lists counts."""
        self.check_held()
        with replacing(self._state) as stream:
            write_state(stream, state, summary)

    def load(self, empty: Summary) -> tuple[State, Summary]:
        """Reads and checks the state and the summary so far.

        Args:
            empty: the summary of no text.

        Raises:
            OutputError: the state, a list or a part is not as it was written.
        """
        if not self._state.exists():
            return State(), empty
        state, summary = read_state(self._state, empty)
        for name, growing in self.lists.items():
            growing.resume(*state.lists[name])
        if b"".join(self.lists["parts"].pieces()).count(b"\n") != state.parts:
            raise damaged(self.lists["parts"].path)
        for _ in self.parts():
            pass
        return state, summary

    def remove(self) -> None:
        """Removes the files of runs, and the folder if nothing else is in it."""
        if self.path.is_dir() and (self._manifest.is_file() or self._removed.is_file()):
            with _explained(self.path):
                self._clear()
            with suppress(OSError):
                self.path.rmdir()

    def _clear(self) -> None:
        """Removes the files of runs; first the manifest, since the others must not be resumed then.

        Raises:
            OutputError: the folder has no manifest, and is not empty.
        """
        if self._manifest.is_file():
            read_manifest(self._manifest)
            self._manifest.replace(self._removed)
        if self._removed.is_file():
            read_manifest(self._removed)
        elif names := self._names_unlike(NEW_NAME):
            raise OutputError(
                f"the folder {str(self.path)!r} is not attnprobe's, and would be used; it holds {_some(names)}",
                "move it away, or name another output",
            )
        for path in self.path.iterdir():
            if path != self._removed and OWN_NAME.fullmatch(path.name) and path.is_file():
                path.unlink()
        self._removed.unlink(missing_ok=True)


def _lists(path: Path) -> dict[str, GrowingList]:
    return {name: GrowingList(path / f"{name}.jsonl") for name in LISTS}


def _digest_of(path: Path, size: int) -> blake2b:
    digest = blake2b(digest_size=16)
    for piece in _pieces(path, size):
        digest.update(piece)
    return digest


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    """Reads the first bytes of a file.

    Raises:
        OutputError: the file is missing, too short, or cannot be read.
    """
    try:
        if size:
            with path.open("rb") as file:
                while size and (piece := file.read(min(PIECE, size))):
                    size -= len(piece)
                    yield piece
    except OSError as error:
        raise damaged(path) from error
    if size:
        raise damaged(path)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns an error of the system into one that names the file.

    Raises:
        OutputError: the system raised an error.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def _some(names: Sequence[str]) -> str:
    """Lists the first few names, and counts the others."""
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if names[3:] else "")
