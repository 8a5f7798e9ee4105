"""Recognizes folders that are no plain model: an adapter, a sentence-transformers model, a Trainer's runs, ..."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any

from attnprobe.errors import ModelError
from attnprobe.models.config import MOST_CONFIG_BYTES, read_object
from attnprobe.values.arguments import shown

CONFIG, ADAPTER, MODULES = "config.json", "adapter_config.json", "modules.json"
POINTER = b"version https://git-lfs"
MOST_POINTER_BYTES = 1024
FOREIGN = {  # files with weights that transformers does not read, and whose they are
    "*.gguf": "GGUF (llama.cpp)",
    "*.onnx": "ONNX",
    "onnx/*.onnx": "ONNX",
    "*.h5": "TensorFlow",
    "*.ckpt.index": "TensorFlow",
    "*.ckpt.data-*": "TensorFlow",
    "*.msgpack": "Flax",
    "openvino_*.xml": "OpenVINO",
    "*.ckpt": "PyTorch Lightning",
}


def is_adapter(folder: Path) -> bool:
    """Tests whether peft saved the folder: an adapter without its base model."""
    return (folder / ADAPTER).is_file() and not (folder / CONFIG).exists()


def base_of(name: str, folder: Path) -> tuple[str, str | None]:
    """Reads the name and the revision of the model that an adapter belongs to.

    Raises:
        ModelError: the adapter's settings name no model.
    """
    settings = read_object(name, folder / ADAPTER)
    base, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{ADAPTER} of {name!r} names no base model (base_model_name_or_path: {shown(base)})",
            "write there the folder or the Hub id that the adapter was trained on",
        )
    return base, revision if isinstance(revision, str) and revision else None


def sentence_modules(name: str, folder: Path) -> tuple[Path, str]:
    """Finds the transformer in a sentence-transformers folder, and a remark on it, which is empty for other folders.

    Raises:
        ModelError: the transformer is missing, or lies outside the folder.
    """
    if not (folder / MODULES).is_file():
        return folder, ""
    modules = [(_kind(module), module.get("path")) for module in _modules(name, folder / MODULES)]
    inner = next((path for kind, path in modules if kind in ("Transformer", "CLIPModel")), None)
    if not isinstance(inner, str):
        if (folder / CONFIG).exists():
            return folder, ""
        kinds = ", ".join(kind for kind, _ in modules) or "none"
        raise ModelError(f"{name!r} is a sentence-transformers folder without a transformer (its modules: {kinds})")
    if PurePath(inner).is_absolute() or ".." in PurePath(inner).parts:
        raise ModelError(f"{MODULES} of {name!r} leads out of its folder ({inner!r})")
    others = ", ".join(kind for kind, path in modules if path != inner)
    if not inner and not others:
        return folder, ""
    place = f"its transformer in {inner!r}" if inner else "its transformer"
    return folder / inner, f"sentence-transformers: {place} is measured{', without ' if others else ''}{others}"


def _modules(name: str, path: Path) -> list[dict[str, Any]]:
    """Reads the list of modules in a modules.json."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= MOST_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} of {name!r} is not JSON: {type(error).__name__}") from error
    if not isinstance(content, list):
        raise ModelError(f"{path.name} of {name!r} is no list of modules")
    return [module for module in content if isinstance(module, dict)]


def _kind(module: dict[str, Any]) -> str:
    """Returns the class of a module, without its package.

    >>> _kind({"type": "sentence_transformers.models.Pooling"})
    'Pooling'
    """
    return str(module.get("type", "")).rpartition(".")[2]


def check_model(name: str, folder: Path) -> None:
    """Refuses a folder without config.json, and names what it holds instead.

    Raises:
        ModelError: config.json is missing, and the folder holds a Trainer's runs or weights of another library.
    """
    if (folder / CONFIG).exists():
        return
    runs = [path for path in folder.glob("checkpoint-*") if (path / CONFIG).is_file() or is_adapter(path)]
    if runs:
        last = max(runs, key=lambda path: (_number(path.name), path.name))
        raise ModelError(
            f"{name!r} holds no {CONFIG}, but what a Trainer saved on its way ({len(runs)} checkpoint folders)",
            f"did you mean {str(PurePath(name, last.name))!r}?",
        )
    refuse_foreign(name, folder)


def _number(name: str) -> int:
    digits = re.search(r"\d+$", name)
    return int(digits[0][:18]) if digits else -1


def refuse_foreign(name: str, folder: Path) -> None:
    """Refuses a folder with the weights of another library, which the error names.

    Raises:
        ModelError: the folder has such weights.
    """
    for pattern, library in FOREIGN.items():
        found = sorted(folder.glob(pattern))
        if found:
            raise ModelError(
                f"{name!r} has its weights only for {library} ({found[0].name}), which is not read",
                "a model folder has config.json and model.safetensors: look for such a copy, or convert it",
            )


def check_pointers(name: str, folder: Path) -> None:
    """Refuses files that git left on its server.

    Raises:
        ModelError: a file is a git-lfs pointer.
    """
    for path in sorted(folder.iterdir()):
        if _begins_as_pointer(path):
            raise ModelError(
                f"{path.name} of {name!r} is a git-lfs pointer: git fetched its address and not the file",
                "run git lfs pull in that folder",
            )


def _begins_as_pointer(path: Path) -> bool:
    try:
        small = path.is_file() and path.stat().st_size <= MOST_POINTER_BYTES
        return small and path.read_bytes().startswith(POINTER)
    except OSError:  # whoever needs the file will say so
        return False
