"""A corpus run that survives being killed: parts and their state in a folder beside the output, until all is done.

    OUT.parts/manifest.json      what the run is: signature, input, format
    OUT.parts/part-000000.csv    the rows of one chunk after another
    OUT.parts/skipped.jsonl      the records without rows so far; cut.jsonl: the texts that were cut
    OUT.parts/state.npz          how many parts count, how far the input was read, and the summary so far

A part counts once the state says so, and the state is replaced whole. So whenever the run ends, the folder holds a
valid beginning of it, and what was written after that beginning is written again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from attnprobe.corpora import Prober, Result
from attnprobe.corpus.batches import Item
from attnprobe.corpus.records import InputError
from attnprobe.corpus.sources import Source
from attnprobe.errors import OutputError
from attnprobe.summary import Summary
from attnprobe.writers import format_of
from attnprobe.writers.files import meta_path, parts_folder, replacing, write_file
from attnprobe.writers.rows import encode_rows, header, join_parts, parquet_manifest

NOTES = ("skipped", "cut")
SIGNED = ("queries", "level", "long_range", "max_length", "stride")  # what the signature says already


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        parts: how many chunks count.
        digest: of the records in them.
        items: how many records and skipped ones these were.
        skipped, cut: how many records have no rows, how many texts were cut.
        note_bytes: how much of the lists of these counts.
    """

    parts: int = 0
    digest: str = ""
    items: int = 0
    texts: int = 0
    tokens: int = 0
    skipped: int = 0
    cut: int = 0
    note_bytes: tuple[int, int] = (0, 0)

    def after(self, result: Result) -> State:
        """The state with one more chunk."""
        return replace(
            self,
            parts=self.parts + 1,
            items=self.items + result.n_items,
            texts=self.texts + len(result.rows.ids),
            tokens=self.tokens + sum(result.rows.n_tokens),
            skipped=self.skipped + len(result.skipped),
            cut=self.cut + len(result.cut),
        )


@dataclass
class Job:
    """A run and its folder.

    Attributes:
        output: the file that appears when all is done.
        format: of its rows.
        columns: of its rows.
        manifest: what must be equal for the run to go on: ``signature``, ``input`` and whatever else changes a byte.
        summary: of what counts so far.
        state: how far it has come.
    """

    output: Path
    format: str
    columns: list[str]
    manifest: dict[str, Any]
    summary: Summary
    state: State = field(default_factory=State)
    digests: deque[str] = field(default_factory=deque)  # of the chunks that are being measured, chained

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return parts_folder(self.output)

    def is_finished(self) -> bool:
        """Whether the output is there, whole, and of a run like this.

        Raises:
            OutputError: it is of another run.
        """
        if (self.folder / "manifest.json").is_file() or not self.output.is_file():
            return False
        self._compare(stored_manifest(self.output, self.format))
        if self.folder.is_dir():
            self._remove()
        return True

    def start(self, *, resume: bool, overwrite: bool) -> None:
        """Makes the folder, or takes up what an earlier run left in it.

        Raises:
            OutputError: an unfinished run is there and neither to be resumed nor overwritten, or was another run.
        """
        manifest = self.folder / "manifest.json"
        if resume and manifest.is_file():
            self._compare(json.loads(manifest.read_bytes()))
            self._load()
            return
        if self.folder.is_dir():
            if manifest.is_file() and not overwrite:
                hint = "--resume goes on with it, --overwrite starts anew"
                raise OutputError(f"an unfinished run is in {str(self.folder)!r}", hint)
            self._remove()
        self.folder.mkdir()
        with replacing(manifest) as stream:
            stream.write(_json(self.manifest))

    def _compare(self, before: dict[str, Any]) -> None:
        for name in [*self.manifest, *before]:
            ours, theirs = self.manifest.get(name), before.get(name)
            if ours != theirs:
                raise OutputError(
                    f"cannot resume, the {name} is another; now: {ours}; then: {theirs}",
                    "repeat the command of then, or start anew with --overwrite",
                )

    def _load(self) -> None:
        path = self.folder / "state.npz"
        if not path.is_file():
            return
        with np.load(path) as stored:
            numbers = {name: stored[name] for name in stored.files}
        state = json.loads(str(numbers.pop("state")))
        self.state = State(**{**state, "note_bytes": tuple(state["note_bytes"])})
        self.summary = replace(self.summary, **numbers)

    def rest(self, chunks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """The chunks that do not count yet.

        Raises:
            InputError: those that count already are not those of the earlier run.
        """
        digest, number = "", 0
        for number, chunk in enumerate(chunks, start=1):
            digest = hashlib.blake2b((digest + repr(chunk)).encode("utf-8", "backslashreplace")).hexdigest()[:32]
            if number == self.state.parts and digest != self.state.digest:
                raise InputError(
                    f"cannot resume: the first {self.state.items} records are not those of the earlier run"
                )
            if number > self.state.parts:
                self.digests.append(digest)
                yield chunk
        if number < self.state.parts:
            raise InputError(f"cannot resume: the input is shorter than the {self.state.items} records read before")

    def add(self, result: Result) -> None:
        """Writes a chunk's rows, and then that they count.

        Raises:
            OutputError: the disk is full, the folder is gone; what counted before still does.
        """
        before = self.state
        if len(result.rows):
            with replacing(self._part(before.parts)) as stream:
                stream.write(encode_rows(result.rows, self.format))
        sizes = [
            self._append(name, size, notes)
            for name, size, notes in zip(NOTES, before.note_bytes, (result.skipped, result.cut), strict=True)
        ]
        self.summary += result.summary
        self.state = replace(before.after(result), digest=self.digests.popleft(), note_bytes=(sizes[0], sizes[1]))
        numbers: dict[str, Any] = {"state": json.dumps(asdict(self.state)), **self.summary.arrays()}
        with replacing(self.folder / "state.npz") as stream:
            np.savez(stream, **numbers)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06}.{self.format}"

    def _append(self, name: str, size: int, notes: Sequence[Any]) -> int:
        """Puts notes behind the first ``size`` bytes of a list; returns how long it is then."""
        if not notes and not size:
            return 0
        try:
            with (self.folder / f"{name}.jsonl").open("ab") as file:
                file.truncate(size)
                file.seek(size)  # else tell() would still count what was cut off
                file.writelines(map(note_line, notes))
                return file.tell()
        except OSError as error:
            raise OutputError(f"cannot write to {str(self.folder)!r}: {error.strerror or error}") from error

    def finish(self, summary: Path | None = None, profile: Path | None = None) -> None:
        """Puts the parts together, writes what else was asked for, and removes the folder.

        Raises:
            OutputError: something cannot be written; the parts are all still there.
        """
        write_summaries(self.summary, summary, profile)
        for name, size in zip(NOTES, self.state.note_bytes, strict=True):
            write_notes(note_path(self.output, name), (self.folder / f"{name}.jsonl").read_bytes() if size else b"")
        parts = [part for part in map(self._part, range(self.state.parts)) if part.is_file()]
        if self.format != "parquet":
            with replacing(meta_path(self.output)) as stream:
                stream.write(_json(self.manifest))
        with replacing(self.output) as stream:
            join_parts(parts, self.format, self.columns, stream, self.manifest)
        self._remove()

    def _remove(self) -> None:
        """Removes the folder, the manifest first: without it, what is left is never taken for a run to resume."""
        (self.folder / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder)


@dataclass
class Stream:
    """Rows that go straight to a stream; None: nowhere, only the summary is kept."""

    stream: IO[bytes] | None
    format: str
    columns: list[str]
    summary: Summary
    state: State = field(default_factory=State)

    def rest(self, chunks: Iterable[list[Item]]) -> Iterable[list[Item]]:
        """All chunks."""
        if self.stream:
            self.stream.write(header(self.columns, self.format))
        return chunks

    def add(self, result: Result) -> None:
        """Writes a chunk's rows."""
        self.summary += result.summary
        self.state = self.state.after(result)
        if self.stream:
            self.stream.write(encode_rows(result.rows, self.format))
            self.stream.flush()

    def finish(self, summary: Path | None = None, profile: Path | None = None) -> None:
        """Writes what else was asked for."""
        write_summaries(self.summary, summary, profile)


def write_summaries(summary: Summary, table: Path | None, profile: Path | None) -> None:
    """The tables over all texts that were asked for."""
    for path, make in ((table, summary.table), (profile, summary.profile)):
        if path is not None:
            write_file(make(), path, format_of(path), overwrite=True)


def describe_run(prober: Prober, sources: Sequence[Source], format: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for a run to go on where another one ended: everything that changes a byte."""
    settings = {name: value for name, value in asdict(prober.settings).items() if name not in SIGNED}
    options = {**settings, **chosen, "columns": asdict(chosen["columns"]), "format": format}
    return {
        "signature": prober.nothing.signature,
        "input": [f"{source.name} {source.fingerprint()}" for source in sources],
        "options": json.loads(json.dumps(options)),
    }


def watched(chunks: Iterable[list[Item]], sources: Sequence[Source]) -> Iterator[list[Item]]:
    """The chunks, as long as no file changes while it is being read.

    Raises:
        InputError: one does.
    """
    before = [source.state() for source in sources]

    def check() -> None:
        for source, state in zip(sources, before, strict=True):
            if source.state() != state:
                raise InputError(f"{source.name!r} changed while it was being read", "start anew with --overwrite")

    for chunk in chunks:
        check()
        yield chunk
    check()


def stored_manifest(output: Path, format: str) -> dict[str, Any]:
    """What a finished file says of the run that made it.

    Raises:
        OutputError: nothing, so it was not made by such a run.
    """
    try:
        text = parquet_manifest(output) if format == "parquet" else meta_path(output).read_bytes()
        stored: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{str(output)!r} exists already", "--overwrite replaces it") from error
    return stored


def note_path(output: Path, name: str) -> Path:
    """Where the list of skipped records, or of cut texts, of an output lies."""
    return output.with_name(f"{output.name}.{name}.jsonl")


def note_line(note: Any) -> bytes:
    """A skipped record or a cut text as a line of JSON."""
    return json.dumps(asdict(note), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def write_notes(path: Path, lines: bytes) -> None:
    """The list as a file; no file, also none of before, where there is nothing to say."""
    if lines:
        with replacing(path) as stream:
            stream.write(lines)
    else:
        path.unlink(missing_ok=True)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
