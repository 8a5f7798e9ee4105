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
from attnprobe.writers import Writer


def write_file(table: Table, path: Path, writer: Writer, *, overwrite: bool = False) -> None:
    """Writes the table, and beside a format without metadata its notes as ``PATH.meta.json``.

    Raises:
        OutputError: see :func:`check_target`; or writing failed, and what stood there before still stands.
    """
    check_target(path, overwrite=overwrite)
    with replacing(path) as stream:
        writer(table, stream)
    if path.suffix != ".parquet":
        with replacing(meta_path(path)) as stream:
            stream.write(json.dumps({"signature": table.notes.get("signature")}, indent=2).encode() + b"\n")


def meta_path(path: Path) -> Path:
    """Where the signature of a file lies whose format has no place for it."""
    return path.with_name(path.name + ".meta.json")


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Says before any work is done whether a file can be written.

    Raises:
        OutputError: it exists and ``overwrite`` is off, is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise OutputError(f"{str(path)!r} is a folder", "name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{str(path)!r} exists already", "--overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"no folder {str(path.parent)!r} to write {path.name!r} to", "make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {str(path.parent)!r} may not be written to")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file at once when the with-block ends well, and never otherwise."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            yield stream
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
