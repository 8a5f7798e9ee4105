"""Names on the command line -> the sources to read, each checked before anything is computed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from attnprobe.errors import InputError, MissingExtraError, UsageError
from attnprobe.readers import hub
from attnprobe.readers.readers import READERS
from attnprobe.readers.source import UNSPECIFIED, Source, warn
from attnprobe.readers.streams import compression
from attnprobe.values.arguments import check_choice, shown
from attnprobe.values.records import Dialect

NONE: Mapping[str, str] = {}
STDIN = "-"
PACKED = (".gz", ".zst", ".zstd")
SUFFIXES = {f".{name}": name for name in READERS if name != "dataset"} | {
    ".text": "txt",
    ".ndjson": "jsonl",
    ".tab": "tsv",
    ".fa": "fasta",
    ".faa": "fasta",
    ".conll": "conllu",
    ".pq": "parquet",
    ".feather": "arrow",
    ".ipc": "arrow",
}
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
DELIMITED = ("csv", "tsv")
QUOTING = ("minimal", "none")
EXTRAS = {"parquet": ("pyarrow", "parquet"), "arrow": ("pyarrow", "parquet"), "dataset": ("datasets", "hub")}


def find_sources(
    inputs: Sequence[str],
    format: str | None = None,
    *,
    delimiter: str | None = None,
    quoting: str | None = None,
    header: bool | None = None,
    instead: Mapping[str, str] = NONE,
    tell: Callable[[str], None] = warn,
) -> list[Source]:
    """Finds the sources that files, globs, `-` for stdin, dataset folders and `hub:NAME[@CONFIG][:SPLIT]` name.

    A name that does not exist is a glob, whose files come sorted.

    Args:
        inputs: in the order in which they are to be read.
        format: of files and stdin, one of READERS; by default a file's suffix decides, and stdin is plain text.
        delimiter: the character between the cells of CSV and TSV files, `tab` for a tab; by default the file decides.
        quoting: "minimal" if quotes may enclose cells, "none" if they are text; by default the file decides.
        header: whether the first row names the columns; if not, their names are 1, 2, 3 ...; by default it does, and an
            unclear first row is an error.
        instead: formats that are read as another, such as conllu as conllu-documents.
        tell: called with a message if a file is read otherwise than its suffix says; by default a warning.

    Raises:
        InputError: a file does not exist or cannot be read, or a folder is no dataset.
        MissingExtraError: a package that reads such a source is not installed.
        UsageError: there is no input or the same twice, the format or suffix is unknown, or the delimiter invalid.
    """
    dialect = _dialect(delimiter, quoting, header)
    if format is not None and format not in READERS:
        raise UsageError(f"no input format {format!r}", f"one of {' '.join(READERS)}")
    if not inputs:
        raise UsageError("no input", "name files, or - for stdin")
    found = [source for name in inputs for source in _named(name, format)]
    sources = [
        replace(source, format=instead.get(source.format, source.format), dialect=dialect, tell=tell)
        for source in found
    ]
    if dialect != UNSPECIFIED and not any(source.format in DELIMITED for source in sources):
        raise UsageError("delimiter, quoting and header are for CSV and TSV", "--input-format csv or tsv?")
    seen = set()
    for source in sources:
        if (source.path or source.name) in seen:
            raise UsageError(f"{source.name!r} is named twice", "name each input once")
        seen.add(source.path or source.name)
        _check(source)
    return sources


def fingerprint(source: Source) -> str:
    """Makes a text that changes with the source's content: of a file, its size and digest.

    Raises:
        InputError: the source cannot be read.
        MissingExtraError: datasets is not installed.
    """
    if source.once:
        return "stdin"
    if source.path is None:
        return f"{source.name} {hub.fingerprint(source)}"
    try:
        return " ".join(_fingerprint(path) for path in source.files())
    except OSError as error:
        raise _unreadable(source.name, error) from error


def stamps(source: Source) -> tuple[tuple[int, int, int], ...] | None:
    """Returns size, time of the last change and inode of each file, which show if it changed while it was read.

    Returns:
        None for stdin, a pipe, the Hub, and a file that is gone.
    """
    if source.once or source.path is None:
        return None
    try:
        return tuple((at.st_size, at.st_mtime_ns, at.st_ino) for at in map(Path.stat, source.files()))
    except OSError:
        return None


def _dialect(delimiter: str | None, quoting: str | None, header: bool | None) -> Dialect:
    """Makes the dialect of the options about how files are written.

    Raises:
        UsageError: an option has an invalid value.
    """
    if quoting is not None:
        check_choice("quoting", quoting, QUOTING)
    character = "\t" if delimiter in ("tab", r"\t") else delimiter
    if character is not None and (len(character) != 1 or character in '"\r\n\0'):
        raise UsageError(f"the delimiter is one character; got {shown(delimiter)}", "such as ';', or tab")
    return Dialect(character, quoting, header)


def _named(name: str, format: str | None) -> list[Source]:
    if name == STDIN:
        return [Source(STDIN, format or "txt", once=True)]
    try:
        if name and Path(name).exists():
            return [_at(Path(name), format)]
        if not name.startswith(hub.PREFIX):
            return [_at(path, format) for path in _matching(name)]
    except OSError as error:
        raise _unreadable(name, error) from error
    hub.parse(name)
    return [Source(name, "dataset")]


def _matching(pattern: str) -> list[Path]:
    """Lists the files that match a pattern, sorted."""
    found = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    files = sorted(path for path in found if not path.is_dir())
    if not files:
        raise InputError(f"no file matches {pattern!r}" if glob.has_magic(pattern) else f"no file {pattern!r}")
    return files


def _at(path: Path, format: str | None) -> Source:
    """Makes the source of a path that exists."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    if path.is_dir():
        return Source(name, "dataset", _dataset_folder(path, name))
    return Source(name, format or _format_of(path, name), path, once=not stat.S_ISREG(path.stat().st_mode))


def _format_of(path: Path, name: str) -> str:
    bare = path.with_suffix("") if path.suffix.lower() in PACKED else path
    if path.suffix.lower() in SPREADSHEETS:
        raise UsageError(f"{name!r} is a spreadsheet, which is not read", "save it as CSV or Parquet")
    try:
        return SUFFIXES[bare.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot tell the format of {name!r} from its suffix", f"--input-format, one of {' '.join(READERS)}"
        ) from None


def _dataset_folder(folder: Path, name: str) -> Path:
    """Finds the folder of one split: the folder itself, the only split in it, or train."""
    if (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file():
        return folder
    try:
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return folder / str(splits[0] if len(splits) == 1 else splits[splits.index("train")])
    except FileNotFoundError as error:
        raise InputError(
            f"{name!r} is a folder, and no dataset that save_to_disk wrote", f"name its files, such as '{name}/*.txt'"
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{name!r} holds a dataset without a split 'train'", "name the folder of one split") from error


def _check(source: Source) -> None:
    """Checks early what would fail later: that the packages are installed, and the file can be read."""
    package, extra = EXTRAS.get(source.format, ("", ""))
    if package and find_spec(package) is None:
        raise MissingExtraError(package, extra)
    if source.path is None or source.path.is_dir():
        return
    if source.format == "dataset":
        raise UsageError(f"{source.name!r} is a file, and a dataset is a folder", "--input-format arrow?")
    try:
        if not source.once:
            compression(source.path)
    except OSError as error:
        raise _unreadable(source.name, error) from error


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name!r} cannot be read: {error.strerror or error}")


def _fingerprint(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, partial(hashlib.blake2b, digest_size=16))
        return f"{stream.tell()}-{digest.hexdigest()}"
