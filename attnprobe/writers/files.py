"""Writes files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from attnprobe.errors import OutputError
from attnprobe.values.table import Table
from attnprobe.writers import SELF_DESCRIBING, get_writer
from attnprobe.writers.locks import try_lock

TEMPORARY = r"[a-z0-9_]{8}\.tmp"  # how the name of a temporary file ends


def write_file(table: Table, path: Path, format: str, *, overwrite: bool = False) -> None:
    """Writes the table in a format, and its signature as ``PATH.meta.json`` if the format cannot hold it.

    Raises:
        OutputError: see :func:`check_target`; or writing failed, which leaves an earlier file as it was.
    """
    check_target(path, format, overwrite=overwrite)
    with replacing(path) as stream:
        get_writer(format)(table, stream)
    if table.sign and needs_meta(path, format):
        with replacing(meta_path(path)) as stream:
            stream.write(meta(table))


def meta_path(path: Path) -> Path:
    """Returns the path of the signature of a file whose format cannot hold it."""
    return path.with_name(path.name + ".meta.json")


def meta(table: Table) -> bytes:
    """Encodes the table's signature, and how its rows came about, as JSON."""
    kept = {"signature": table.sign() if table.sign else "", **table.made}
    return json.dumps(kept, indent=2, ensure_ascii=False).encode() + b"\n"


def check_target(path: Path, format: str, *, overwrite: bool = False) -> None:
    """Checks before any work is done that a file can be written.

    Raises:
        OutputError: the file exists and ``overwrite`` is off, is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise OutputError(f"{str(path)!r} is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"no folder {str(path.parent)!r} to write {path.name!r} to", "make it first")
    for target in [path, meta_path(path)] if needs_meta(path, format) else [path]:
        if target.exists() and not overwrite:
            raise OutputError(f"{str(target)!r} exists already", "--overwrite replaces it")
    if not is_special(path) and not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {str(path.parent)!r} may not be written to")


def needs_meta(path: Path, format: str) -> bool:
    """Tests whether the signature of a file in this format needs another file."""
    return format not in SELF_DESCRIBING and not is_special(path)


def is_special(path: Path) -> bool:
    """Tests whether a path is a pipe or a device, such as /dev/null, which is written into and never replaced."""
    return path.exists() and not path.is_file()


@contextmanager
def replacing(path: Path, confirm: Callable[[os.stat_result], None] | None = None) -> Iterator[IO[bytes]]:
    """Opens a stream whose content becomes the file at once if the with-block ends well, and never otherwise.

    The content is on the disk before the file appears.

    Args:
        confirm: called with the status of the new file before it replaces the old one; an error from it prevents that.
    """
    temporary = None
    try:
        if is_special(path):
            with path.open("wb") as stream:
                yield stream
            return
        path = path.resolve()  # through a link to the file itself
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            try_lock(file.fileno())  # while it is locked, remove_leftovers() leaves it alone
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            if confirm:
                confirm(temporary.stat())
            temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Writes the names in a folder to the disk, if the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files of processes that were killed while they wrote this file."""
    path = path.resolve()
    pattern = re.compile(re.escape(f".{path.name}.") + TEMPORARY)
    for name in filter(pattern.fullmatch, os.listdir(path.parent)):  # noqa: PTH208 (names, of many files)
        leftover = path.with_name(name)
        with suppress(OSError), leftover.open("r+b") as file:
            if try_lock(file.fileno()):
                leftover.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
