"""Merges an adapter that peft trained into the weights of its base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from attnprobe.errors import MissingExtraError, ModelError
from attnprobe.models.explained import explained
from attnprobe.models.locate import Location

PREFIX = "base_model.model."  # of all names in the files that peft writes


class Holder(nn.Module):
    """A model under the name that it has inside of a task's model, so that an adapter for that finds its modules."""

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        self.add_module(name, network)


def merge_adapter(location: Location, network: Any) -> None:
    """Adds an adapter's differences to the weights of the network, whichever task it was trained for.

    Raises:
        MissingExtraError: peft is not installed.
        ModelError: the adapter does not fit the network, or is none that can be merged.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "peft") from error
    with explained(f"the adapter {location.name!r} cannot be merged into its base model"):
        config = peft.PeftConfig.from_pretrained(str(location.adapter))
        if config.is_prompt_learning:
            kind = getattr(config.peft_type, "value", config.peft_type)
            raise ModelError(
                f"{location.name!r} is an adapter of type {kind}, which puts made-up tokens before a text",
                "adapters that change weights are measured, such as LoRA",
            )
        weights = _read(location.adapter_files)
        base = getattr(network, "base_model_prefix", "")
        inside = bool(base) and any(name.startswith(f"{PREFIX}{base}.") for name in weights)
        _merge(peft, config, Holder(base, network) if inside else network, weights, location.name)


def _read(files: tuple[Path, ...]) -> dict[str, Tensor]:
    """The tensors in the files of an adapter; a pickle may hold nothing but tensors."""
    weights: dict[str, Tensor] = {}
    for path in files:
        safe = path.suffix == ".safetensors"
        weights |= load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _merge(peft: Any, config: Any, model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    config.task_type = config.auto_mapping = None  # a task would want the head that is not loaded
    config.inference_mode = True
    dtype = next(model.parameters()).dtype
    ours = {key: tensor for key, tensor in weights.items() if _has(model, key.removeprefix(PREFIX))}
    if not ours:
        raise ModelError(f"no weight of the adapter {name!r} belongs to its base model", "is the base the right one?")
    config.modules_to_save = [each for each in config.modules_to_save or () if _names_a_module(model, each)] or None
    adapted = peft.get_peft_model(model, config, autocast_adapter_dtype=False).to(dtype)
    report = peft.set_peft_model_state_dict(adapted, dict(ours))
    lacking = [key for key in report.missing_keys if ".default" in key]
    if report.unexpected_keys or lacking:
        key, what = (report.unexpected_keys or lacking)[0], "has no place for" if report.unexpected_keys else "lacks"
        raise ModelError(f"the adapter {name!r} does not fit its base model: it {what} {key}")
    adapted.merge_and_unload(safe_merge=True)


def _has(model: nn.Module, key: str) -> bool:
    """Whether the model has the module that an adapter's weight stands beside or inside of."""
    modules = dict(model.named_modules())
    way = key.split(".")
    known = next((".".join(way[:n]) for n in range(len(way), 0, -1) if ".".join(way[:n]) in modules), "")
    return bool(known) and not any(True for _ in modules[known].children())


def _names_a_module(model: nn.Module, name: str) -> bool:
    return any(each == name or each.endswith(f".{name}") for each, _ in model.named_modules())
