"""Finds and checks a model's weight files: exactly those that transformers reads."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

from attnprobe.errors import ModelError
from attnprobe.models.config import MODEL_FOLDER, read_object, texts
from attnprobe.models.folders import refuse_foreign

SAFE, PICKLE = "model.safetensors", "pytorch_model.bin"
ADAPTER, ADAPTER_PICKLE = "adapter_model.safetensors", "adapter_model.bin"
LONGEST_HEADER = 100_000_000  # bytes, as for the safetensors library


def weight_files(name: str, folder: Path, allow_pickle: bool) -> tuple[Path, ...]:
    """Finds the files of weights in the order of loading: model.safetensors, else those that its index names.

    Args:
        allow_pickle: whether to accept pytorch_model.bin, or the files of its index, if there are no safetensors.

    Raises:
        ModelError: there are no files of weights, or only a pickle; or a file lies outside the folder, or is broken.
    """
    if safe := _files_of(name, folder, SAFE):
        for path in safe:
            dtypes_in(name, path)
        return safe
    pickles = sorted(folder.glob("pytorch_model*.bin*"))
    if not pickles:
        refuse_foreign(name, folder)
        raise ModelError(f"{name!r} holds no weights ({SAFE}, or {SAFE}.index.json and its parts)", MODEL_FOLDER)
    if not allow_pickle:
        raise _only_a_pickle(name, pickles[0].name)
    if files := _files_of(name, folder, PICKLE):
        return files
    raise ModelError(f"{name!r} holds neither {PICKLE} nor {PICKLE}.index.json", MODEL_FOLDER)


def adapter_files(name: str, folder: Path, allow_pickle: bool) -> tuple[Path, ...]:
    """Finds the file of an adapter's weights.

    Raises:
        ModelError: there is no such file, or only a pickle.
    """
    if files := _files_of(name, folder, ADAPTER):
        dtypes_in(name, files[0])
        return files
    pickles = _files_of(name, folder, ADAPTER_PICKLE)
    if not pickles:
        raise ModelError(f"{name!r} holds no weights of its adapter ({ADAPTER})", "peft's save_pretrained writes them")
    if not allow_pickle:
        raise _only_a_pickle(name, ADAPTER_PICKLE)
    return pickles


def _only_a_pickle(name: str, file: str) -> ModelError:
    return ModelError(
        f"{name!r} has its weights only as a pickle ({file}), whose loading may run code",
        "--allow-pickle loads it all the same; or convert it to safetensors",
    )


def _files_of(name: str, folder: Path, file: str) -> tuple[Path, ...]:
    """Finds the file of that name, or those that the index beside it names."""
    index = folder / f"{file}.index.json"
    if (folder / file).is_file():
        return (_inside(name, folder, file),)
    return tuple(_inside(name, folder, shard) for shard in _shards(name, index)) if index.is_file() else ()


def _shards(name: str, index: Path) -> list[str]:
    """Reads the names of files in an index, sorted."""
    shard_of = read_object(name, index).get("weight_map")
    shards = list(shard_of.values()) if isinstance(shard_of, dict) else []
    if not shards or texts(shards) != shards:
        raise ModelError(f"{index.name} of {name!r} names no files of weights (weight_map)")
    suffix = PurePath(index.name.removesuffix(".index.json")).suffix
    for shard in shards:
        if PurePath(shard).suffix != suffix:
            raise ModelError(f"{index.name} of {name!r} names {shard!r}, which is no {suffix} file")
    return sorted(set(shards))


def _inside(name: str, folder: Path, file: str) -> Path:
    """Finds the path of a weight file in the folder; in the Hub's cache it may be a link to a blob.

    Raises:
        ModelError: the file is missing, or lies outside the folder.
    """
    path, home = folder / file, folder.resolve()
    roots = [home]
    if home.parent.name == "snapshots":  # cache/models--owner--name/snapshots/commit
        roots += [home.parents[1] / "blobs", home.parents[2] / "blobs"]
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{name!r} holds no {file!r}, which its index names", MODEL_FOLDER) from error
    if PurePath(file).is_absolute() or not any(target.is_relative_to(root) for root in roots):
        raise ModelError(f"{file!r} of {name!r} lies outside its folder, and is not read", "copy it into the folder")
    if not target.is_file():
        raise ModelError(f"{file!r} of {name!r} is no regular file", MODEL_FOLDER)
    return path


def dtypes_in(name: str, path: Path) -> dict[str, str]:
    """Reads the names of the tensors in a safetensors file, each with its dtype, such as F32 or I8.

    Raises:
        ModelError: the file is no safetensors.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = file.read(length) if 0 < length <= min(LONGEST_HEADER, path.stat().st_size - 8) else b""
        tensors = json.loads(header)
    except OSError as error:
        raise ModelError(f"{path.name} of {name!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} of {name!r} is no safetensors, or only a part of it", "fetch it anew") from error
    if not isinstance(tensors, dict):
        raise ModelError(f"{path.name} of {name!r} is no safetensors: its header is no JSON object")
    described = {tensor: about for tensor, about in tensors.items() if tensor != "__metadata__"}
    return {tensor: str(about.get("dtype")) if isinstance(about, dict) else "" for tensor, about in described.items()}
