"""Keeps what the check at load found in the user's cache, for the same files, libraries, device and processor.

A verdict is looked up under all that it depends on. Weights are known by the identity of their files: no program can
change what a file holds and leave its inode, size and both times as they were, and files that changed within the last
moments, which a coarse clock might not tell apart, are not looked up. A sample of their bytes guards against file
systems with fewer times. What is not as this module writes it, or may have been written by others, is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from attnprobe.models.hooks import Tap
from attnprobe.models.interface import NAME
from attnprobe.models.layouts import LAYOUTS, Reach
from attnprobe.models.locate import Location
from attnprobe.models.selfcheck import Capture
from attnprobe.version import __version__

MOST_ENTRIES, MOST_BYTES = 64, 2**18
SETTLED = 2.0  # seconds since a file changed: the coarsest clock of a file system
SAMPLES, SAMPLE_BYTES = 64, 4096
OWN = ("attnprobe.attention", "attnprobe.models")  # the packages that make a verdict
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")

Identity = list[tuple[object, ...]]


def files_of(location: Location) -> Identity | None:
    """Identifies the files that a model is loaded from; None if one changed just now, or cannot be read."""
    folders = {location.folder, location.tokenizer_folder} | ({location.adapter} if location.adapter else set())
    try:
        files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
        statuses = [path.stat() for path in files]
        sampled = [_sample(path) for path in (*location.weight_files, *location.adapter_files)]
    except OSError:
        return None
    if not all(max(status.st_mtime, status.st_ctime) < time.time() - SETTLED for status in statuses):
        return None
    return [*(_identity(path, status) for path, status in zip(files, statuses, strict=True)), tuple(sampled)]


def key_of(files: Identity, location: Location, model: Any, max_length: int | None) -> str:
    """Makes the name of a verdict: a digest of all that it depends on."""
    classes = {type(module).__module__ for module in model.modules()} | {"transformers.masking_utils"}
    sources = {name for name in sys.modules if name in classes or name.startswith(OWN)}
    device = model.device
    depends: list[object] = [
        files,
        location.config,
        [_source(name) for name in sorted(sources)],
        [__version__, *map(version, LIBRARIES), platform.python_version(), platform.machine()],
        [str(device), torch.cuda.get_device_name(device) if device.type == "cuda" else "", str(model.dtype)],
        torch.backends.cpu.get_cpu_capability(),
        max_length,
    ]
    return hashlib.sha256(json.dumps(depends, default=str, sort_keys=True).encode()).hexdigest()


def checked_once(check: Callable[[], Capture], key: str, model: Any) -> Capture:
    """Finds a verdict, or makes the check and keeps what it finds.

    Args:
        check: of a freshly loaded eager model, which it leaves as a run wants it.
        model: that model.
    """
    known = recall(key)
    if known is not None and known.tap is None:
        model.set_attn_implementation(NAME)
    if known is None or (known.tap is None and model.config._attn_implementation != NAME):
        known = check()
        keep(key, known)
    return known


def recall(key: str) -> Capture | None:
    """Finds a verdict; None if there is none that this user wrote whole."""
    folder = _folder()
    if folder is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        entry = json.loads(_read(folder / f"{key}.json"))
        if entry["digest"] == _digest(key, entry["verdict"]):
            return _from_json(**entry["verdict"])
    return None


def keep(key: str, capture: Capture) -> None:
    """Keeps a verdict, if there is a folder of this user's to keep it in; the oldest ones are removed."""
    folder, verdict = _folder(make=True), _to_json(capture)
    if folder is None or verdict is None:
        return
    with suppress(OSError):
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
            json.dump({"verdict": verdict, "digest": _digest(key, verdict)}, file)
        Path(file.name).replace(folder / f"{key}.json")
        entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in entries[:-MOST_ENTRIES]:
            old.unlink()


def _folder(*, make: bool = False) -> Path | None:
    """Finds the folder of verdicts in the user's cache; None if it is not there, or others may write to it."""
    with suppress(OSError, RuntimeError):  # no home
        folder = _cache() / "attnprobe" / "verdicts"
        if make and folder.parents[2].is_dir():  # a home that is not there is not made
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_ISDIR(folder.stat().st_mode) and _is_own(folder.stat()):
            return folder
    return None


def _cache() -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _is_own(status: os.stat_result) -> bool:
    """Tests whether this user, and nobody else, may write; where there are no such users, folders are private."""
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def _read(path: Path) -> str:
    """Reads an entry.

    Raises:
        OSError: there is none, or it is no file of this user's alone.
    """
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), encoding="utf-8") as file:  # noqa: PTH123
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not _is_own(status) or status.st_size > MOST_BYTES:
            raise OSError(f"{path} is not as it was written")
        return file.read()


def _identity(path: Path, status: os.stat_result) -> tuple[object, ...]:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (str(path.resolve()), status.st_dev, status.st_ino, status.st_size, *times)


def _sample(path: Path) -> str:
    """Computes a digest of parts of a file, spread over all of it."""
    found, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for start in range(0, size, max(SAMPLE_BYTES, size // SAMPLES)):
            file.seek(start)
            found.update(file.read(SAMPLE_BYTES))
    return found.hexdigest()


def _source(module: str) -> tuple[object, ...]:
    """Identifies the code of an imported module."""
    path = getattr(sys.modules[module], "__file__", None)
    with suppress(OSError):
        return (module, *_identity(Path(path), Path(path).stat())) if path else (module,)
    return (module,)


def _digest(key: str, verdict: Any) -> str:
    return hashlib.sha256(json.dumps([key, verdict], sort_keys=True).encode()).hexdigest()  # tuples are as lists


def _to_json(capture: Capture) -> dict[str, Any] | None:
    """Turns a verdict into values of JSON; None if its layout is in no table."""
    tap = capture.tap
    layout = next((name for name, layout in LAYOUTS.items() if tap and layout is tap.layout), None)
    if tap and layout is None:
        return None
    outputs = {name: list(paths.items()) for name, paths in tap.outputs.items()} if tap else None
    return {
        "layers": capture.layers,
        "heads": capture.heads,
        "tap": {"layout": layout, "outputs": outputs, "reach": _reaches(tap.reach)} if tap else None,
        "tap_reason": capture.tap_reason,
        "padding_invariant": capture.padding_invariant,
        "reach": _reaches(capture.reach),
    }


def _from_json(
    layers: int, heads: int, tap: dict[str, Any] | None, tap_reason: str, padding_invariant: bool, reach: list[Any]
) -> Capture:
    """Makes a verdict of such values."""
    known = tap and Tap(
        {name: {tuple(path): tuple(axes) for path, axes in paths} for name, paths in tap["outputs"].items()},
        LAYOUTS[tap["layout"]],
        _to_reach(tap["reach"]),
    )
    return Capture(layers, heads, known or None, tap_reason, padding_invariant, _to_reach(reach))


def _reaches(reach: Iterable[Reach | None]) -> list[Any]:
    return [layer and list(astuple(layer)) for layer in reach]


def _to_reach(reach: Iterable[Any]) -> tuple[Reach | None, ...]:
    return tuple(layer and Reach(*layer) for layer in reach)
