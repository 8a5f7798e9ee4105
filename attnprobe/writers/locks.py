"""Locks files by the system, which unlocks them when the process ends, however it ends."""

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


def try_lock(descriptor: int) -> bool:
    """Locks an open file, without waiting; returns False if another process has locked it.

    On a file system without locks, a file counts as not locked.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True


def lock_path(path: Path) -> Path:
    """Returns the path of the file that is locked while a process writes this file."""
    path = path.resolve()  # so that all links to a file share one lock
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other runs from writing the file until the block or the process ends.

    Raises:
        OutputError: another run is writing the file, or the lock file cannot be made.
    """
    lock = lock_path(path)
    descriptor = _open_and_lock(lock, path)
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{HOLDER}{os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        if _is_at(descriptor, lock):
            lock.unlink()
        os.close(descriptor)


def _open_and_lock(lock: Path, path: Path) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {str(lock)!r}: {error.strerror or error}") from error
        is_locked, holder = try_lock(descriptor), os.read(descriptor, 200).decode("utf-8", "replace")
        if is_locked and (not holder or holder.startswith(HOLDER)) and _is_at(descriptor, lock):
            return descriptor
        os.close(descriptor)
        if not is_locked:
            hint = "wait until it ends, or end it"
            raise OutputError(f"{str(path)!r} is being written by {holder or 'another process'}", hint)
        if holder and not holder.startswith(HOLDER):
            raise OutputError(f"{str(lock)!r} exists already, and is no lock of attnprobe", "move it away")


def _is_at(descriptor: int, path: Path) -> bool:
    """Tests whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
