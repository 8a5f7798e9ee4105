"""Writes results and messages; no other module knows terminals."""

from __future__ import annotations

import codecs
import io
import json
import os
import shlex
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from attnprobe.cli.log import Pace, is_json, one_line, say
from attnprobe.errors import OutputError, TruncationWarning, UsageError
from attnprobe.values.text import visible
from attnprobe.writers import SELF_DESCRIBING, WRITERS, format_of, get_writer
from attnprobe.writers.delimited import inert

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as RichProgress

    from attnprobe.corpus.prober import Result
    from attnprobe.values.table import Table

EVERY = 30  # seconds from one line of progress to the next
MESSAGE = 400  # characters of a usage error, which quotes what was given
Render = Callable[["Table", int], "RenderableType"]


@dataclass(frozen=True)
class Output:
    """A checked destination and format of a result.

    Attributes:
        path: the file; None for standard output.
        format: "table", or a writer's name.
        spreadsheet_safe: whether to keep spreadsheets from taking a text for a formula.
    """

    path: Path | None
    format: str
    overwrite: bool
    spreadsheet_safe: bool = False

    @classmethod
    def choose(
        cls,
        path: Path | None,
        format: str | None,
        overwrite: bool,
        formats: Collection[str] = WRITERS,
        spreadsheet_safe: bool = False,
    ) -> Output:
        """Settles destination and format before any work is done.

        Args:
            formats: the formats that the command writes, besides a table for people.

        Raises:
            UsageError: the format is unknown, or does not suit the destination or spreadsheets.
            OutputError: the file cannot be written, or exists.
        """
        output = cls._choose(path, format, overwrite, formats)
        if spreadsheet_safe and output.format not in ("csv", "tsv"):
            raise UsageError("--spreadsheet-safe is for csv and tsv only", "-f csv, or -o FILE.csv")
        return replace(output, spreadsheet_safe=spreadsheet_safe)

    @classmethod
    def _choose(cls, path: Path | None, format: str | None, overwrite: bool, formats: Collection[str]) -> Output:
        if path is None or str(path) == "-":
            if sys.stdout is None:
                raise OutputError("standard output is closed", "-o FILE writes a file")
            chosen = format or ("csv" if "csv" in formats and not sys.stdout.isatty() else "table")
            if chosen in SELF_DESCRIBING and sys.stdout.isatty():
                raise UsageError(f"{chosen} is not for a terminal", f"-o FILE.{chosen} writes a file")
            return cls(None, chosen, overwrite)
        from attnprobe.writers.files import check_target

        chosen = format or format_of(path, formats)
        if chosen == "table":
            raise UsageError("the format table is for terminals", f"a file is one of {', '.join(formats)}")
        check_target(path, chosen, overwrite=overwrite)
        return cls(path, chosen, overwrite)

    @property
    def row_stream(self) -> IO[bytes] | None:
        """Returns the stream that rows go to as they come; None if only a table of means is shown."""
        return None if self.format == "table" else self._stdout()

    def _stdout(self) -> IO[bytes]:
        """Returns standard output; a terminal never gets characters that it would obey."""
        return io.BufferedWriter(ShownBytes(self.format)) if sys.stdout.isatty() else sys.stdout.buffer

    def write(self, table: Table, render: Render) -> None:
        """Writes the table to the destination; ``render`` draws it for a terminal of some width."""
        table = table.with_text(inert) if self.spreadsheet_safe else table
        if self.format == "table":
            self.show(partial(render, table))
        elif self.path is None:
            self.save(partial(get_writer(self.format), table))
        else:
            from attnprobe.writers.files import write_file

            write_file(table, self.path, self.format, overwrite=self.overwrite)

    def show(self, render: Callable[[int], RenderableType]) -> None:
        """Prints what ``render`` draws for the width of standard output; in a file or pipe no line ends with blanks."""
        from rich.console import Console

        with _whole_or_explained():
            console = Console(markup=False, emoji=False, highlight=False)
            drawn = render(console.width)
            if console.is_terminal:
                console.print(drawn)
            else:
                with console.capture() as captured:
                    console.print(drawn)
                sys.stdout.writelines(f"{line.rstrip(' ')}\n" for line in captured.get().split("\n")[:-1])
            sys.stdout.flush()

    def save(self, write: Callable[[IO[bytes]], object]) -> None:
        """Lets ``write`` fill standard output, or the file, which appears whole or not at all."""
        if self.path is None:
            with _whole_or_explained():
                stream = self._stdout()
                write(stream)
                stream.flush()
                sys.stdout.flush()
        else:
            from attnprobe.writers.files import replacing

            with replacing(self.path) as stream:
                write(stream)


class ShownBytes(io.RawIOBase):
    """A stream to a terminal that shows UTF-8 text by :func:`visible`, or hidden characters in JSON as escapes."""

    def __init__(self, format: str) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.show: Callable[[str], str] = _escaped if format in ("json", "jsonl") else visible

    def writable(self) -> bool:
        """Returns True, as a stream for writing must."""
        return True

    def write(self, data: Any) -> int:
        """Shows bytes of UTF-8 text; returns how many."""
        text = self.decoder.decode(bytes(data))
        shown = (character if character in "\n\t" else self.show(character) for character in text)
        sys.stdout.buffer.write("".join(shown).encode())
        return len(data)

    def flush(self) -> None:
        """Flushes standard output."""
        sys.stdout.buffer.flush()


def _escaped(character: str) -> str:
    return character if visible(character) == character else json.dumps(character)[1:-1]


@contextmanager
def _whole_or_explained() -> Iterator[None]:
    """Turns the error of a full disk behind standard output into an OutputError; a closed pipe ends the command."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_stdout()
        raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error


def silence_stdout() -> None:
    """Drops what is still buffered for standard output, which would fail again when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def warnings_as_notes(quiet: bool, remedy: str = "") -> Iterator[None]:
    """Shows the library's warnings as plain notes on standard error, and hides all others.

    Args:
        remedy: what to do about a text that was cut.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    shown = {str(warning.message): warning.category for warning in caught}
    for message, category in shown.items():
        if not quiet and category.__module__.startswith("attnprobe"):
            cut = issubclass(category, TruncationWarning)
            note(f"{message}{f' ({remedy})' if remedy and cut else ''}")


class Progress:
    """Shows how far a long run is on standard error: a bar on a terminal, else a line every half minute.

    Args:
        pace: how far it is.
    """

    def __init__(self, pace: Pace, *, shown: bool) -> None:
        self.pace, self.shown = pace, shown
        self.on_terminal = shown and not is_json() and sys.stderr is not None and sys.stderr.isatty()
        self.said = time.monotonic()
        self.lock = threading.Lock()
        self.bar: RichProgress | None = None

    def __enter__(self) -> Progress:
        if self.on_terminal:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            console = Console(stderr=True, markup=False, emoji=False, highlight=False)
            rates = TextColumn("{task.fields[rates]}", markup=False)
            self.bar = RichProgress(
                BarColumn(), MofNCompleteColumn(), rates, TimeRemainingColumn(), console=console, transient=True
            )
            self.bar.add_task("", total=None, rates="")
            self.bar.start()
        if self.shown:
            self.pace.ask_total()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar:
            self.bar.stop()

    def add(self, texts: int, tokens: int) -> None:
        """Adds to the counts of measured texts; thread-safe."""
        with self.lock:
            self.pace.add(texts, tokens)
            self._show()

    def store(self, result: Result) -> None:
        """Notes that a chunk is stored; thread-safe."""
        with self.lock:
            self.pace.store(result)
            self._show()

    def _show(self) -> None:
        if self.bar:
            task, pace = self.bar.task_ids[0], self.pace
            self.bar.update(task, completed=pace.done, total=pace.total, rates=pace.rates())
        elif self.shown and time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            self.pace.say()


_passing = False  # whether a line is shown that goes away


def show_passing(message: str) -> None:
    """Shows a line on standard error, if that is a terminal, until :func:`clear_passing` or the next note."""
    global _passing
    if sys.stderr is None or not sys.stderr.isatty() or is_json() or os.environ.get("TERM") == "dumb":
        return
    clear_passing()
    width = shutil.get_terminal_size().columns // 2  # a longer line would wrap, and letters may be two columns wide
    line = one_line(message)
    print(line if len(line) < width else f"{line[: width - 2]}…", end="", file=sys.stderr, flush=True)
    _passing = True


def clear_passing() -> None:
    """Erases the line that :func:`show_passing` shows."""
    global _passing
    if _passing:
        _passing = False
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def note(message: str) -> None:
    """Prints one line on standard error."""
    clear_passing()
    say("note", message)


def fail(message: str, hint: str = "", exit_code: int = 1) -> int:
    """Prints an error and what to do on standard error, long values cut, and returns the exit code."""
    message = message if exit_code != 2 or len(message) <= MESSAGE else f"{message[:MESSAGE]}…"
    clear_passing()
    say("error", message, hint, hint=hint, exit_code=exit_code)
    return exit_code


def read_text(text: str | None, quiet: bool) -> str:
    """Reads TEXT, or all of a piped standard input without final line ends; notes a TEXT that is a file.

    Raises:
        UsageError: there is no text or it is empty, or standard input is not UTF-8.
    """
    if text is None:
        text = _piped_text()
    elif not quiet and _is_file(text):
        name = shlex.quote(text)
        note(
            f"TEXT is taken as it stands, though there is a file {name}; what the file holds:"
            f" attnprobe {sys.argv[1]} < {name}, or a text a line: attnprobe corpus {name}"
        )
    if not text.strip():
        raise UsageError("the text is empty", "give some text as TEXT, or pipe it in")
    return text


def _is_file(text: str) -> bool:
    with suppress(OSError, ValueError):  # as a path it is too long, or holds a null character
        return Path(text).is_file()
    return False


def _piped_text() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no TEXT, and nothing is piped in", "give a text in quotes; -h shows the options")
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"standard input is not UTF-8 (line {line})", "convert it first, e.g. with iconv") from error
