"""The sentences that come with attnprobe, which are read where an analysis needs no FILE and none is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attnprobe.readers.readers import read_records
from attnprobe.readers.source import Source
from attnprobe.values.records import Record, Skipped

FOLDER = Path(__file__).parents[1] / "atlases" / "samples"
LANGUAGES = ("English", "Chinese")


def sample_sources() -> list[Source]:
    """Makes the sources of the built-in samples, one for each language."""
    return [_sample(language) for language in LANGUAGES]


def _sample(language: str) -> Source:
    return Source(f"built-in sample ({language})", "txt", FOLDER / f"{language.lower()}.txt")


def sample_names(sources: Sequence[Source]) -> list[str]:
    """Lists the names of those of the sources that are built-in samples."""
    return [source.name for source in sources if _is_sample(source)]


def known_sources(sources: Sequence[Source], tokenizer: Any) -> list[Source]:
    """Leaves out the built-in samples whose language a vocabulary does not know, but for the first source."""
    from attnprobe.models.vocabulary import knows  # imports torch, and sources are found before that

    known = [source for source in sources if not _is_sample(source) or knows(tokenizer, _text(source))]
    return known or list(sources[:1])


def sample_records(tokenizer: Any) -> Iterator[Record | Skipped]:
    """Reads the built-in samples whose languages a vocabulary knows."""
    return read_records(known_sources(sample_sources(), tokenizer))


def _is_sample(source: Source) -> bool:
    return source.path is not None and source.path.parent == FOLDER


def _text(source: Source) -> str:
    assert source.path is not None
    return source.path.read_text(encoding="utf-8")
