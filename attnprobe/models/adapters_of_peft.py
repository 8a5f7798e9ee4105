"""Merges an adapter that peft trained into the weights of its base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Holds a model under the name it has within a task's model, so that an adapter for that task finds its modules."""

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        self.add_module(name, network)


def merge_adapter(location: Location, network: Any) -> None:
    """Adds an adapter's differences to the weights of the network, whichever task it was trained for.

    Raises:
        MissingExtraError: peft is not installed.
        ModelError: the adapter does not fit the network, or is of a type that cannot be merged.
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
        _check_ranks(config, weights, location.name)
        base = getattr(network, "base_model_prefix", "")
        inside = bool(base) and any(name.startswith(f"{PREFIX}{base}.") for name in weights)
        model = Holder(base, network) if inside else network
        fitting = {
            key: tensor for key, tensor in weights.items() if _home(model, key) not in ("", base if inside else "")
        }
        if not fitting:
            raise ModelError(
                f"no weight of the adapter {location.name!r} belongs to its base model", "is the base the right one?"
            )
        _merge(peft, config, model, fitting, location.name)


def _read(files: tuple[Path, ...]) -> dict[str, Tensor]:
    """Reads the tensors in the files of an adapter; a pickle may hold only tensors."""
    weights: dict[str, Tensor] = {}
    for path in files:
        safe = path.suffix == ".safetensors"
        weights |= load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _check_ranks(config: Any, weights: Mapping[str, Tensor], name: str) -> None:
    """Refuses an adapter that asks for larger matrices than its file holds, before these fill the memory."""
    ranks = [getattr(config, "r", None), *(getattr(config, "rank_pattern", None) or {}).values()]
    largest = max((max(tensor.shape, default=0) for tensor in weights.values()), default=0)
    if any(isinstance(rank, int) and rank > largest for rank in ranks):
        raise ModelError(f"adapter_config.json of {name!r} asks for larger matrices than the adapter holds (r)")


def _merge(peft: Any, config: Any, model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    config.task_type = config.auto_mapping = None  # a task would want the head that is not loaded
    config.inference_mode = True
    modules = [path for path, _ in model.named_modules()]
    saved = [kept for kept in getattr(config, "modules_to_save", None) or () if _names_one_of(modules, kept)]
    if hasattr(config, "modules_to_save"):
        config.modules_to_save = saved or None
    dtype = next(model.parameters()).dtype
    in_dtype = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in weights.items()}
    adapted = peft.get_peft_model(model, config, autocast_adapter_dtype=False, low_cpu_mem_usage=True)
    report = peft.set_peft_model_state_dict(adapted, in_dtype, low_cpu_mem_usage=True)
    lacking = [key for key in report.missing_keys if ".default" in key]
    if report.unexpected_keys or lacking:
        what = f"has {report.unexpected_keys[0]} for it" if report.unexpected_keys else f"lacks {lacking[0]}"
        raise ModelError(f"the adapter {name!r} does not fit its base model: it {what}")
    adapted.merge_and_unload(safe_merge=True)


def _home(model: nn.Module, key: str) -> str:
    """Finds the innermost module that an adapter's weight belongs to; empty if it belongs to a task's head."""
    modules = dict(model.named_modules())
    way = key.removeprefix(PREFIX).split(".")
    homes = (".".join(way[:length]) for length in range(len(way), 0, -1))
    return next((home for home in homes if home in modules), "")


def _names_one_of(modules: Sequence[str], name: str) -> bool:
    return any(module == name or module.endswith(f".{name}") for module in modules)
