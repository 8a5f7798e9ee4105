"""The source that a run reads: one file, stream or dataset."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attnprobe.errors import InputWarning
from attnprobe.values.records import Dialect

UNSPECIFIED = Dialect()


def warn(message: str) -> None:
    """Warns that a file is read otherwise than its suffix says."""
    warnings.warn(message, InputWarning, stacklevel=2)


@dataclass(frozen=True)
class Source:
    """One file, stream or dataset to read.

    Attributes:
        name: as messages and ids show it; `-` for stdin, `hub:...` for a dataset on the Hub.
        format: one of READERS.
        path: the file, or the folder of a dataset; None for stdin and the Hub.
        once: whether it can be read only once, as stdin and pipes can.
        dialect: how it is written, as far as that was specified.
        tell: called with a message if the source is read otherwise than its suffix says.
    """

    name: str
    format: str
    path: Path | None = None
    once: bool = False
    dialect: Dialect = UNSPECIFIED
    tell: Callable[[str], None] = field(default=warn, compare=False, repr=False)

    def files(self) -> Iterator[Path]:
        """Yields the files that the source consists of, in order; none for stdin and the Hub."""
        if self.path:
            yield from sorted(filter(Path.is_file, self.path.iterdir())) if self.path.is_dir() else [self.path]
