"""A corpus run that survives being killed: it goes on from its work folder, to the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.differences import differences
from attnprobe.corpus.prober import Result
from attnprobe.corpus.results import NOTES, Results, parts_folder
from attnprobe.corpus.state import State, check_manifest
from attnprobe.corpus.workfolder import WorkFolder
from attnprobe.errors import CannotResumeError, InputError, OutputError
from attnprobe.measure.kinds import Summary
from attnprobe.values.plugins import load
from attnprobe.values.rows import RowBlock
from attnprobe.writers import WRITERS, get_writer
from attnprobe.writers.delimited import inert
from attnprobe.writers.files import meta, meta_path
from attnprobe.writers.rows import encode_rows, header, join_parts, parquet_manifest

NO_NUMBER = ("batch_tokens", "format", "spreadsheet_safe")  # options of rows that no number of a table depends on


@dataclass
class Job:
    """A run and its folder.

    Attributes:
        results: the files that appear when all is done.
        columns: of the rows, with their types; if there are none, the output is the summary.
        manifest: what must be equal for the run to go on: ``signature``, ``input`` and all else that changes a byte.
        summary: of the chunks that count so far.
        state: how far the run has come.
        anew_because: why earlier work is given up; empty if there is none, or none that could be gone on with.
    """

    results: Results
    columns: Mapping[str, str]
    manifest: dict[str, Any]
    summary: Summary
    spreadsheet_safe: bool = False
    state: State = field(default_factory=State)
    anew_because: str = ""
    digests: deque[str] = field(default_factory=deque)  # of the chunks that are being measured, chained

    @property
    def output(self) -> Path:
        """The file of rows, or of the summary."""
        return self.results.files["output"]

    @cached_property
    def work(self) -> WorkFolder:
        """The folder of the work done so far."""
        return WorkFolder(parts_folder(self.output), self.results.format)

    @property
    def folder(self) -> Path:
        """The path of the work folder."""
        return self.work.path

    def encode(self, rows: Sequence[RowBlock]) -> bytes:
        """Encodes the rows as they are stored."""
        return encode_rows(rows, self.results.format, inert_text=self.spreadsheet_safe)

    def is_finished(self) -> bool:
        """Tests whether the output exists, whole, and is of a run like this; if so, takes over its counts.

        Raises:
            CannotResumeError: the output is of another run, or lacks a table.
        """
        if self.work.has_run() or not self.output.is_file():
            return False
        before, counts = stored_manifest(self.output, self.results.format)
        self._compare(before)
        self.results.check_tables_exist()
        self.work.remove()
        self.state = counts
        return True

    def take_up(self, *, overwrite: bool) -> bool:
        """Takes up what an earlier run left, if it is the same work; returns whether nothing is left to do.

        Args:
            overwrite: whether to start anew if it is other work.

        Raises:
            CannotResumeError: it is other work, or damaged.
            OutputError: as :meth:`start`.
        """
        try:
            if self.is_finished():
                return True
        except CannotResumeError as error:
            self._give_up(error, overwrite)
        self.start(resume=True, overwrite=overwrite)
        return False

    def _give_up(self, error: CannotResumeError, overwrite: bool) -> None:
        if not overwrite:
            raise error
        self.anew_because = error.reason

    def start(self, *, resume: bool, overwrite: bool) -> None:
        """Makes the folder, or resumes the earlier run in it.

        Raises:
            OutputError: an unfinished run is in the folder, and is of other settings or may be neither resumed nor
                overwritten; a file exists that may not be replaced; or the folder is foreign or damaged.
        """
        going_on = resume and self.work.has_run() and self._loads(overwrite)
        if not going_on and self.work.has_run() and not overwrite:
            hint = "--resume goes on with it, --overwrite starts anew"
            raise OutputError(f"an unfinished run is in {str(self.folder)!r}", hint)
        if overwrite:
            self.results.allow_existing()
        self.results.check_free()
        self.results.record = self._record
        if going_on:
            self._record()
        else:
            self.work.create(self._described())

    def _loads(self, overwrite: bool) -> bool:
        """Loads the work in the folder; returns whether it is of a run like this."""
        before = self.work.manifest()
        self.results.allow_marked(before.pop("replaceable", {}))
        try:
            self._compare(before)
            self.state, self.summary = self.work.load(self.summary)
        except CannotResumeError as error:
            self._give_up(error, overwrite)
            return False
        return True

    def _compare(self, before: dict[str, Any]) -> None:
        """Checks that an earlier run did the same work.

        Raises:
            CannotResumeError: it did not.
        """
        try:
            found = differences(self.manifest, before)
        except (TypeError, AttributeError):
            found = ["it does not say what it was"]
        if found:
            raise CannotResumeError("; ".join(found), "repeat the earlier command, or start anew with --overwrite")

    def _described(self) -> dict[str, Any]:
        return {**self.manifest, "replaceable": self.results.replaceable}

    def _record(self) -> None:
        self.work.check_held()
        self.work.store_manifest(self._described())

    def rest(self, chunks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Yields the chunks that do not count yet.

        Raises:
            InputError: the first chunks are not those of the earlier run.
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
        """Writes a chunk's rows, and then the state, so that they count.

        Raises:
            OutputError: the disk is full, or the folder is gone; the earlier chunks still count.
        """
        encode = partial(self.encode, result.rows) if any(map(len, result.rows)) else None
        notes = {"skipped": result.skipped, "cut": result.cut}
        self.work.add_part(
            self.state.parts, encode, {name: b"".join(map(note_line, found)) for name, found in notes.items()}
        )
        self.summary += result.summary
        lists = {name: (growing.size, growing.digest) for name, growing in self.work.lists.items()}
        self.state = replace(self.state.after(result), digest=self.digests.popleft(), lists=lists)
        self.work.store(self.state, self.summary)

    def finish(self) -> None:
        """Joins the parts, writes the other files, and removes the folder.

        Raises:
            OutputError: a file cannot be written, or another program made it meanwhile; all parts are kept.
        """
        write_tables(self.summary, self.results, self.manifest)
        for name in NOTES:
            if self.work.lists[name].size:
                with self.results.replacing(name) as stream:
                    stream.writelines(self.work.lists[name].pieces())
            else:
                self.results.remove(name)
        manifest = {**self.manifest, "counts": self.state.counts}
        if "output.meta" in self.results.files:
            with self.results.replacing("output.meta") as stream:
                stream.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
        with self.results.replacing("output") as stream:
            if self.columns:
                join_parts(self.work.parts(), self.results.format, self.columns, stream, manifest)
            else:
                self._write_summary(stream, manifest)
        self.work.remove()

    def _write_summary(self, stream: IO[bytes], manifest: Mapping[str, Any]) -> None:
        """Writes the summary as its table, or in a format of its own."""
        if self.results.format in self.results.formats:
            load(self.results.formats[self.results.format])(self.summary, stream)
            return
        table = replace(self.summary.tables()["summary"](), made=manifest)
        get_writer(self.results.format)(table.with_text(inert) if self.spreadsheet_safe else table, stream)


@dataclass
class Stream:
    """A run without an output: its rows go straight to a stream; None: only the summary is kept."""

    stream: IO[bytes] | None
    format: str
    columns: Mapping[str, str]
    summary: Summary
    results: Results
    manifest: Mapping[str, Any]
    spreadsheet_safe: bool = False
    state: State = field(default_factory=State)

    def start(self, *, resume: bool, overwrite: bool) -> None:
        """Checks that the files may be written; there is nothing to resume.

        Raises:
            OutputError: a file exists that may not be replaced.
        """
        if overwrite:
            self.results.allow_existing()
        self.results.check_free()

    def rest(self, chunks: Iterable[list[Item]]) -> Iterable[list[Item]]:
        """Returns all chunks, after writing the header."""
        if self.stream:
            self.stream.write(header(self.columns, self.format))
        return chunks

    def add(self, result: Result) -> None:
        """Writes a chunk's rows."""
        self.summary += result.summary
        self.state = self.state.after(result)
        if self.stream:
            self.stream.write(encode_rows(result.rows, self.format, inert_text=self.spreadsheet_safe))
            self.stream.flush()

    def finish(self) -> None:
        """Writes the tables over all texts."""
        write_tables(self.summary, self.results, self.manifest)


def write_tables(summary: Summary, results: Results, manifest: Mapping[str, Any]) -> None:
    """Writes the tables over all texts that were asked for, and how they came about."""
    options = {name: value for name, value in manifest["options"].items() if name not in NO_NUMBER}
    made = {"command": results.command, "input": manifest["input"], "options": options}
    for name, make in summary.tables().items():
        if name in results.files:
            table, format = replace(make(), made=made), results.table_format(name)
            with results.replacing(name) as stream:
                if format in WRITERS:
                    get_writer(format)(table, stream)
                else:
                    load(results.drawn[name])(table, stream, format)
            if f"{name}.meta" in results.files:
                with results.replacing(f"{name}.meta") as stream:
                    stream.write(meta(table))


def stored_manifest(output: Path, format: str) -> tuple[dict[str, Any], State]:
    """Reads the manifest of the run that made a finished file, and its counts.

    Raises:
        CannotResumeError: the file has no manifest.
    """
    try:
        text = parquet_manifest(output) if format == "parquet" else meta_path(output).read_bytes()
        manifest = check_manifest(json.loads(text))
        return manifest, State.counted(manifest.pop("counts"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        reason = f"{str(output)!r} exists already, and does not say that a run like this made it"
        raise CannotResumeError(reason, "--overwrite replaces it") from error


def note_line(note: Any) -> bytes:
    """Encodes a skipped record or a cut text as a line of JSON."""
    return json.dumps(asdict(note), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
