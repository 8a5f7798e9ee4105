"""The input of a run: sources, their columns, and how many of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.sample import known_sources, sample_sources
from attnprobe.errors import InputError
from attnprobe.readers.counting import count_records
from attnprobe.readers.readers import read_records
from attnprobe.readers.source import Source, warn
from attnprobe.readers.sources import NONE, find_sources, fingerprint, stamps
from attnprobe.values.records import Columns


@dataclass(frozen=True)
class Inputs:
    """The sources of a run, and which of their records are read; see :func:`attnprobe.read_records`."""

    sources: Sequence[Source]
    columns: Columns = Columns()  # noqa: RUF009 (immutable)
    encoding: str = "utf-8"
    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    @classmethod
    def find(
        cls,
        names: Sequence[str],
        format: str | None = None,
        *,
        delimiter: str | None = None,
        quoting: str | None = None,
        header: bool | None = None,
        instead: Mapping[str, str] = NONE,
        tell: Callable[[str], None] = warn,
        **attributes: Any,
    ) -> Inputs:
        """Finds the inputs of these names, as :func:`attnprobe.find_sources` does.

        Args:
            attributes: all but ``sources``.
        """
        dialect: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "header": header}
        return cls(find_sources(names, format, **dialect, instead=instead, tell=tell), **attributes)

    @classmethod
    def of_sample(cls, **attributes: Any) -> Inputs:
        """Makes the inputs that are the sentences that come with attnprobe.

        Args:
            attributes: all but ``sources``.
        """
        return cls(sample_sources(), **attributes)

    def known_to(self, tokenizer: Any) -> Inputs:
        """Leaves out those of the built-in sentences whose language a vocabulary does not know."""
        known = known_sources(self.sources, tokenizer)
        return self if len(known) == len(self.sources) else replace(self, sources=known)

    @property
    def files(self) -> list[Path]:
        """The files and folders among the sources."""
        return [source.path for source in self.sources if source.path]

    def records(self) -> Iterator[Item]:
        """Reads the records; each source is opened at once, so that a wrong column is found before measuring."""
        self.stamps  # noqa: B018 (taken before anything is read)
        return read_records(
            self.sources,
            self.columns,
            encoding=self.encoding,
            limit=self.limit,
            sample=self.sample,
            seed=self.seed,
        )

    @cached_property
    def stamps(self) -> list[Any]:
        """Sizes and times of the sources when they were first looked at."""
        return [stamps(source) for source in self.sources]

    def count(self) -> int | None:
        """Counts the records that will come, about; None if that takes reading them."""
        counts = [count_records(source, self.encoding) for source in self.sources]
        total = sum(count for count in counts if count is not None)
        return None if None in counts else min(total, self.limit or total, self.sample or total)

    @property
    def is_read_once(self) -> bool:
        """Whether standard input or a pipe is among the sources, of which nothing is known before it is read."""
        return any(source.once for source in self.sources)

    def fingerprints(self) -> dict[str, str]:
        """Returns the fingerprints of the sources by name, which change with their content."""
        return {source.name: fingerprint(source) for source in self.sources}

    def described(self) -> dict[str, Any]:
        """Returns all attributes but the sources, as values of JSON."""
        columns = {
            name: value for name, value in asdict(self.columns).items() if value or name not in ("labels", "also")
        }
        return {
            "columns": columns,
            **asdict(self.sources[0].dialect),
            "encoding": self.encoding,
            "limit": self.limit,
            "sample": self.sample,
            "seed": self.seed,
        }

    def watched(self, chunks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Passes chunks on, and checks that no file changes while it is being read.

        Raises:
            InputError: a file changed.
        """
        before = self.stamps

        def check() -> None:
            for source, stamp in zip(self.sources, before, strict=True):
                if stamps(source) != stamp:
                    reason = f"{source.name!r} changed while it was being read"
                    raise InputError(reason, "start anew with --overwrite")

        for chunk in chunks:
            check()
            yield chunk
        check()
