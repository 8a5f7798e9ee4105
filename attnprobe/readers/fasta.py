"""Reads FASTA: sequences of residues below headers."""

from __future__ import annotations

from collections.abc import Iterator

from attnprobe.errors import UsageError
from attnprobe.readers import lines as limits
from attnprobe.readers.fields import to_record
from attnprobe.readers.lines import Line, lines
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped

NAMES = Columns(text="sequence", id="id")


def read_fasta(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the sequences of a FASTA file, their lines joined; the id is the first word of the header.

    Never more than MAX_LINE characters of a sequence are held in memory.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: a column is asked for.
    """
    if columns.names:
        raise UsageError(f"{source.name} is read as FASTA, which has no columns", "--input-format csv or jsonl?")
    entry: _Entry | None = None
    for line in lines(source, encoding, returns=None):
        if line.text.startswith(">"):
            if entry:
                yield entry.record(source.name)
            entry = _Entry(line)
        elif entry:
            entry.add(line)
        elif line.fault or (line.text.strip() and not line.text.startswith(";")):
            yield Skipped(source.name, line.number, line.fault or "no header with > before it")
    if entry:
        yield entry.record(source.name)


class _Entry:
    """One header and the sequence below it."""

    def __init__(self, header: Line) -> None:
        self.line, self.fault = header.number, header.fault
        self.id = next(iter(header.text[1:].split()), str(header.number))
        self.pieces: list[str] = []
        self.size = 0

    def add(self, line: Line) -> None:
        """Adds one more line of the sequence; a line that begins with ; is a comment."""
        self.fault = self.fault or (line.fault and f"line {line.number}: {line.fault}")
        if line.text.startswith(";"):
            return
        self.size += len(line.text)
        if self.size > limits.MAX_LINE:
            self.pieces.clear()
            self.fault = self.fault or f"longer than {limits.MAX_LINE:,} bytes"
        else:
            self.pieces.append("".join(line.text.split()))

    def record(self, file: str) -> Record | Skipped:
        """Makes the record, or the reason to skip it."""
        if self.fault:
            return Skipped(file, self.line, self.fault, self.id)
        return to_record({"id": self.id, "sequence": "".join(self.pieces)}, NAMES, file, self.line)
