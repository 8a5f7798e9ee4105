"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attnprobe.errors import OutputError
from attnprobe.table import Table
from attnprobe.writers import SELF_DESCRIBING, get_writer


def write_file(table: Table, path: Path, format: str, *, overwrite: bool = False) -> None:
    """Writes the table in a format, and where that has no place for it, its signature as ``PATH.meta.json``.

    Raises:
        OutputError: see :func:`check_target`; or writing failed, and what stood there before still stands.
    """
    check_target(path, format, overwrite=overwrite)
    with replacing(path) as stream:
        get_writer(format)(table, stream)
    if table.sign and _needs_meta(path, format):
        with replacing(meta_path(path)) as stream:
            stream.write(json.dumps({"signature": table.sign()}, indent=2).encode() + b"\n")


def meta_path(path: Path) -> Path:
    """Where the signature of a file lies whose format has no place for it."""
    return path.with_name(path.name + ".meta.json")


def parts_folder(path: Path) -> Path:
    """Where a run that makes this file keeps what it has done so far."""
    return path.with_name(path.name + ".parts")


def check_target(path: Path, format: str, *, overwrite: bool = False) -> None:
    """Says before any work is done whether a file can be written.

    Raises:
        OutputError: it exists and ``overwrite`` is off, is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise OutputError(f"{str(path)!r} is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"no folder {str(path.parent)!r} to write {path.name!r} to", "make it first")
    for target in [path, meta_path(path)] if _needs_meta(path, format) else [path]:
        if target.exists() and not overwrite:
            raise OutputError(f"{str(target)!r} exists already", "--overwrite replaces it")
    if not _is_special(path) and not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {str(path.parent)!r} may not be written to")


def _needs_meta(path: Path, format: str) -> bool:
    return format not in SELF_DESCRIBING and not _is_special(path)


def _is_special(path: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/null, to be written into and never replaced."""
    return path.exists() and not path.is_file()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file at once when the with-block ends well, and never otherwise."""
    temporary = None
    try:
        if _is_special(path):
            with path.open("wb") as stream:
                yield stream
            return
        path = path.resolve()  # through a link to the file itself
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
