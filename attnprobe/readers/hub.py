"""Reads datasets of the datasets library: a folder that save_to_disk wrote, or one on the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnprobe.errors import InputError, MissingExtraError, UsageError, first_line
from attnprobe.readers.arrow import BATCH, choose_typed, to_records
from attnprobe.readers.source import Source
from attnprobe.values.records import Columns, Record, Skipped

PREFIX = "hub:"
NAME = re.compile(r"hub:(\w[\w.-]*(?:/\w[\w.-]*)?)(?:@([^:]+))?(?::(.+))?", re.ASCII)


def parse(name: str) -> tuple[str, str | None, str]:
    """Splits `hub:NAME[@CONFIG][:SPLIT]` into dataset, configuration and split.

    >>> parse("hub:nyu-mll/glue@sst2:validation")
    ('nyu-mll/glue', 'sst2', 'validation')

    Raises:
        UsageError: the name has another form.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise UsageError(f"cannot read {name!r}", "write hub:NAME, hub:NAME:SPLIT or hub:NAME@CONFIG:SPLIT")
    return match[1], match[2], match[3] or "train"


def read_dataset(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the rows of a dataset.

    Raises:
        InputError: the dataset cannot be found, loaded, or read to its end.
        MissingExtraError: datasets is not installed.
        UsageError: a column is missing or not text, or it is unclear which column holds the text.
    """
    dataset = load(source)
    columns = choose_typed(columns, dataset.features.arrow_schema, source.name)
    chosen = dataset.select_columns(columns.read).with_format("arrow")  # no image or sound is decoded
    yield from to_records(chosen.iter(batch_size=BATCH), columns, source.name)


def fingerprint(source: Source) -> str:
    """Returns the fingerprint that the datasets library gives a Hub dataset.

    Raises:
        InputError: the dataset cannot be found or loaded.
        MissingExtraError: datasets is not installed.
    """
    return str(getattr(load(source), "_fingerprint", ""))


def load(source: Source) -> Any:
    """Loads the dataset, its rows on disk.

    Raises:
        InputError: the dataset cannot be found or loaded.
        MissingExtraError: datasets is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "hub") from error
    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # the terminal belongs to the command
    try:
        if source.path:
            return datasets.load_from_disk(str(source.path))
        return _download(datasets, *parse(source.name))
    except Exception as error:  # whatever the network, the Hub, the cache and each file format raise
        raise InputError(f"{source.name}: {first_line(error)}", "check name, split and network") from error
    finally:
        if not quiet:
            datasets.enable_progress_bars()


def _download(datasets: Any, name: str, config: str | None, split: str) -> Any:
    if Path(name).exists():
        raise ValueError(f"a folder {name!r} lies here, which datasets would read instead")
    return datasets.load_dataset(name, config, split=split)
