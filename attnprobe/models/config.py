"""Reads the JSON in a model's folder with types and bounds, since it may be broken or hostile."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attnprobe.errors import ModelError
from attnprobe.values.arguments import shown

MOST_BYTES = 2**28  # of a file that is no weights; the largest tokenizers have a fifth of it
MOST_CONFIG_BYTES = 2**25
DEEPEST, MOST_ENTRIES = 64, 2**18
MOST = {  # of what settings ask for by such keys
    re.compile(r"extra_ids$|^num_labels$"): 2**14,  # tokens that a tokenizer makes up, names made up for labels
    re.compile(r"^(attention_window|(global_)?block_size|local_radius)$"): 2**12,  # tokens that any text is padded to
    re.compile(r"^num_|^n_|layer|block|expert|group|depth"): 2**20,  # what lists or modules are made of, one by one
}
ELSEWHERE = (
    "transformers_weights",
    "configuration_files",
    "fast_tokenizer_files",
)  # keys by which transformers reads other files
NO_LIMIT = 10**9  # transformers writes "no limit" as 1e30
MODEL_FOLDER = "a model folder is what save_pretrained writes"


def check_folder(name: str, folder: Path) -> None:
    """Refuses a folder with files that would block the reader, or fill the memory.

    Raises:
        ModelError: the folder holds a pipe, socket or device, a huge text, or an adapter beside a
            model, which transformers would load unasked.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{name!r} cannot be read: {error.strerror}") from error
    for path in paths:
        try:
            status = path.stat()
        except OSError:  # a link to nothing: as if it were not there
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path.name} of {name!r} is no regular file", MODEL_FOLDER)
        if path.suffix in {".json", ".txt", ".model"} and status.st_size > MOST_BYTES:
            raise ModelError(f"{path.name} of {name!r} is larger than {MOST_BYTES // 2**20} MiB", MODEL_FOLDER)
    if (folder / "adapter_config.json").is_file() and (folder / "config.json").exists():
        raise ModelError(f"{name!r} holds an adapter beside the model", "merge the two, and save that")


def read_object(name: str, path: Path) -> dict[str, Any]:
    """Reads the JSON object in one of the model's files.

    Raises:
        ModelError: the file is missing, too large, nested too deeply, or no JSON object in UTF-8.
    """
    try:
        if not path.is_file():
            raise ModelError(f"{name!r} holds no {path.name}", MODEL_FOLDER)
        if path.stat().st_size > MOST_CONFIG_BYTES:
            raise ModelError(f"{path.name} of {name!r} is larger than {MOST_CONFIG_BYTES // 2**20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path.name} of {name!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path.name} of {name!r} is not JSON: {error}") from error
    except RecursionError as error:
        raise ModelError(f"{path.name} of {name!r} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} of {name!r} is not a JSON object")
    for number, (depth, _, _) in enumerate(_entries(content)):
        if depth > DEEPEST or number > MOST_ENTRIES:
            raise ModelError(f"{path.name} of {name!r} is nested too deeply, or holds too much")
    return content


def read_settings(name: str, path: Path) -> dict[str, Any]:
    """Reads config.json or tokenizer_config.json.

    Raises:
        ModelError: the file cannot be read, names other files to read, or has larger numbers than any model.
    """
    settings = read_object(name, path)
    for _, key, value in _entries(settings):
        if key in ELSEWHERE and value is not None:
            raise ModelError(f"{path.name} of {name!r} names other files ({key}), which are not read", MODEL_FOLDER)
        if isinstance(value, int) and any(value > most and asked.search(key) for asked, most in MOST.items()):
            raise ModelError(f"{path.name} of {name!r} has {shown(value)} for {key}, more than any model")
    return settings


def _entries(content: Any) -> Iterator[tuple[int, str, Any]]:
    """Yields the values at all depths, each under the nearest key above it."""
    waiting = [(0, "", content)]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, Mapping):
            waiting += [(depth + 1, inner, item) for inner, item in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, key, item) for item in value]


def texts(value: Any) -> list[str]:
    """Keeps the texts of a list; empty if the value is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """Returns a whole number above zero; None for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def limit(value: Any, what: str) -> int | None:
    """Returns a number of tokens; None if the value stands for no limit.

    Raises:
        ModelError: the value is no whole number above zero.
    """
    if value is None or (isinstance(value, int | float) and value >= NO_LIMIT):
        return None
    if count(value) is None:
        raise ModelError(f"{what} is {shown(value)}, which is no number of tokens")
    return int(value)
