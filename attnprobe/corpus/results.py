"""The files that a run over many texts writes, checked at the start and before each appears."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from attnprobe.errors import CannotResumeError, OutputError, UsageError
from attnprobe.writers import FIGURES, WRITERS, format_of
from attnprobe.writers.files import is_special, meta_path, needs_meta, remove_leftovers, replacing, sync_folder
from attnprobe.writers.locks import lock_path, locked

NOTES = ("skipped", "cut")

Mark = tuple[int, int]  # a file's size, and the time of its last change in ns


@dataclass
class Results:
    """The files of a run.

    Attributes:
        output: the file of rows, or of the summary if what is measured has no rows; None: there is none.
        format: of the output.
        tables: the files of further tables over all texts, by the table's name.
        command: the command that makes them, as files say it.
        formats: the formats of the summary besides those of tables: name -> ``module:function`` of it and a stream.
        drawn: the tables that are also drawn, see :class:`attnprobe.analyses.kinds.CorpusAnalysis`.
        replaceable: marks of the existing files that the run may replace, by name: those that existed when --overwrite
            was given, and those that the run itself has made.
        record: stores ``replaceable``, before a file is made.
    """

    output: Path | None
    format: str
    tables: Mapping[str, Path] = field(default_factory=dict)
    command: str = "attnprobe corpus"
    formats: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, str] = field(default_factory=dict)
    replaceable: dict[str, list[Mark]] = field(default_factory=dict)
    record: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, output: Path | None, tables: Mapping[str, Path]) -> Results:
        """The files of a run whose output has the format of its suffix.

        Raises:
            UsageError: the suffix tells no format.
        """
        return cls(output, "csv" if output is None else format_of(output), tables)

    @property
    def named(self) -> list[Path]:
        """The files that the user named."""
        return [*([self.output] if self.output else []), *self.tables.values()]

    def is_begun(self) -> bool:
        """Tests whether an earlier run left its output, finished or unfinished."""
        return self.output is not None and (self.output.exists() or parts_folder(self.output).is_dir())

    def table_format(self, name: str) -> str:
        """Returns the format of a table's file.

        Raises:
            UsageError: the suffix stands for no format of that table.
        """
        return format_of(self.tables[name], [*WRITERS, *(FIGURES if name in self.drawn else ())])

    @cached_property
    def files(self) -> dict[str, Path]:
        """All files by their content.

        Raises:
            UsageError: the suffix of a table stands for no format.
        """
        files: dict[str, Path] = {}
        if self.output:
            files["output"] = self.output
            if self.format != "parquet" and not is_special(self.output):  # what else cannot hold the run's manifest
                files["output.meta"] = meta_path(self.output)
        for name, path in self.tables.items():
            files[name] = path
            if needs_meta(path, self.table_format(name)):
                files[f"{name}.meta"] = meta_path(path)
        return files | ({name: note_path(self.output, name) for name in NOTES} if self.output else {})

    def check_tables_exist(self) -> None:
        """Checks that a finished run made all tables that are asked for.

        Raises:
            CannotResumeError: a table is missing.
        """
        for path in self.tables.values():
            if not path.exists():
                reason = f"{str(self.output)!r} is complete, but was made without {str(path)!r}"
                raise CannotResumeError(reason, "--overwrite measures everything anew")

    def check_resume(self, resume: bool) -> None:
        """Checks that there is an output, if a run is to be resumed.

        Raises:
            UsageError: there is none.
        """
        if resume and self.output is None:
            raise UsageError("--resume goes on with an output, and none is named", "-o FILE names one")

    def check_apart(self, inputs: Iterable[Path]) -> None:
        """Checks that all files and inputs are different.

        Raises:
            UsageError: two files, or a file and an input, share a path, or a file lies in the folder of parts.
        """
        inputs = list(inputs)
        input_files, written = {_identity(path) for path in inputs}, set()
        for path in [*self.files.values(), *map(lock_path, self.named)]:
            if _identity(path) in input_files:
                raise UsageError(f"{str(path)!r} would be written, and is an input", "name another file")
            if _identity(path) in written:
                raise UsageError(
                    f"{str(path)!r} is named for two results",
                    "give each a file of its own; some write NAME.meta.json, NAME.skipped.jsonl and NAME.cut.jsonl too",
                )
            written.add(_identity(path))
        for path in [*inputs, *self.files.values()]:
            if self.output and parts_folder(self.output).resolve() in path.resolve().parents:
                raise UsageError(f"{str(path)!r} lies in the folder of the unfinished run", "name another file")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs from writing these files, and removes temporary files of killed runs.

        Raises:
            OutputError: another run writes one of the files.
        """
        with ExitStack() as stack:
            for path in self.named:
                if not is_special(path):
                    stack.enter_context(locked(path))
            for path in self.files.values():
                if not is_special(path):
                    remove_leftovers(path)
            yield

    def allow_marked(self, stored: Mapping[str, list[list[int]]]) -> None:
        """Lets the run replace the files that an earlier one could."""
        self.replaceable = {name: [(size, time) for size, time in marks] for name, marks in stored.items()}

    def allow_existing(self) -> None:
        """Lets the run replace the files that exist now."""
        for name, path in self.files.items():
            if path.exists():
                self.replaceable.setdefault(name, []).append(_mark(path.stat()))

    def check_free(self, *names: str) -> None:
        """Checks that the files, all or those named, do not exist or may be replaced.

        Raises:
            OutputError: a file exists that may not be replaced.
        """
        for name in names or self.files:
            path = self.files[name]
            if path.exists() and not is_special(path) and _mark(path.stat()) not in self.replaceable.get(name, []):
                raise OutputError(f"{str(path)!r} exists already", "move it away; or --overwrite replaces it")

    @contextmanager
    def replacing(self, name: str) -> Iterator[IO[bytes]]:
        """Opens a stream whose content becomes that file when the with-block ends well.

        Raises:
            OutputError: another program made the file meanwhile; or it cannot be written.
        """

        def confirm(status: os.stat_result) -> None:
            self.check_free(name)
            self.replaceable.setdefault(name, []).append(_mark(status))
            self.record()

        with replacing(self.files[name], confirm) as stream:
            yield stream

    def remove(self, name: str) -> None:
        """Removes that file of an earlier run, if it exists.

        Raises:
            OutputError: another program made the file.
        """
        self.check_free(name)
        self.files[name].unlink(missing_ok=True)
        sync_folder(self.files[name].parent)


def note_path(output: Path, name: str) -> Path:
    """Returns the path of an output's list of skipped records or of cut texts."""
    return output.with_name(f"{output.name}.{name}.jsonl")


def parts_folder(output: Path) -> Path:
    """Returns the path of the folder in which a run keeps the parts of an output."""
    return output.with_name(f"{output.name}.parts")


def _mark(status: os.stat_result) -> Mark:
    return status.st_size, status.st_mtime_ns


def _identity(path: Path) -> tuple[int, int] | Path:
    """Identifies a file, whichever name it is reached by."""
    try:
        status = path.stat()
    except OSError:
        return path.resolve()
    return status.st_dev, status.st_ino
