"""Locks that the system holds for a process, and lets go when the process ends, however it ends."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnprobe.errors import OutputError

if sys.platform != "win32":
    import fcntl

UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}  # some network file systems have no locks
HOLDER = "process "  # how the content of a lock file begins


def take(descriptor: int) -> bool:
    """Locks an open file, without waiting; False if another process holds it.

    A file system without locks counts as if nobody held it.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True


def lock_path(path: Path) -> Path:
    """The file whose lock means that a process is writing this file."""
    path = path.resolve()  # so that all links to a file share one lock
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps every other run from writing the file until the block ends, or the process.

    Raises:
        OutputError: another run is writing it, or its lock cannot be made.
    """
    lock = lock_path(path)
    descriptor = _open_and_take(lock, path)
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{HOLDER}{os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        if _is_at(descriptor, lock):
            lock.unlink()
        os.close(descriptor)


def _open_and_take(lock: Path, path: Path) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {str(lock)!r}: {error.strerror or error}") from error
        is_taken, holder = take(descriptor), os.read(descriptor, 200).decode("utf-8", "replace")
        if is_taken and (not holder or holder.startswith(HOLDER)) and _is_at(descriptor, lock):
            return descriptor
        os.close(descriptor)
        if not is_taken:
            hint = "wait until it ends, or end it"
            raise OutputError(f"{str(path)!r} is being written by {holder or 'another process'}", hint)
        if holder and not holder.startswith(HOLDER):
            raise OutputError(f"{str(lock)!r} exists already, and is no lock of attnprobe", "move it away")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that lies there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
