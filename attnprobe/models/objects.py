"""Borrows the part of a transformers model in memory that reads text, without changing the model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor, nn

from attnprobe.errors import ModelError, UsageError
from attnprobe.models.families import Family
from attnprobe.models.locate import Location
from attnprobe.values.arguments import shown

WRAPPERS = ("module", "_orig_mod")  # of DataParallel and its like, and of torch.compile


def unwrapped(model: Any) -> Any:
    """Finds the transformers model inside a wrapper: DataParallel, torch.compile, peft, sentence-transformers.

    Raises:
        UsageError: the object holds no transformers model.
        ModelError: peft puts made-up tokens before the texts.
    """
    while not isinstance(model, transformers.PreTrainedModel):
        if any(getattr(config, "is_prompt_learning", False) for config in _peft_configs(model)):
            raise ModelError(f"{type(model).__name__} puts made-up tokens before a text, which is not measured")
        inner = _inside(model)
        if inner is None:
            raise UsageError(
                f"a model is a folder, a Hub id or a transformers model; got {shown(model)}",
                "of another library's model, give the transformers model inside it",
            )
        model = inner
    return model


def _peft_configs(model: Any) -> list[Any]:
    configs = getattr(model, "peft_config", None)
    return list(configs.values()) if isinstance(configs, dict) else []


def _inside(model: Any) -> Any:
    if not isinstance(model, nn.Module):
        return None
    base: Any = getattr(model, "get_base_model", None)
    if base is not None:
        return base()
    wrapped = next((getattr(model, name) for name in WRAPPERS if name in dict(model.named_children())), None)
    if wrapped is not None:
        return wrapped
    first = next(model.children(), None)  # the Transformer of a SentenceTransformer
    return getattr(first, "auto_model", None) or getattr(model, "auto_model", None)


def location_of(model: Any) -> Location:
    """Makes the location of a model in memory, from its class name and configuration."""
    return Location(
        type(model).__name__,
        Path(),
        model.config.to_dict(),
        (),
        Path(),
        notes=("a model in memory, whose weights are used as they are at the time",),
    )


def network_of(model: Any, family: Family | None) -> Any:
    """Finds the part of a model, with heads or without, that loading its folder would give.

    Raises:
        ModelError: the model has an option that cannot be measured.
    """
    wanted = getattr(transformers, family.model_class) if family and family.model_class else None
    towers = [module for module in model.modules() if wanted and isinstance(module, wanted)]
    network = towers[0] if towers else model.get_encoder() if wanted else model.base_model
    for option, value in (family.options if family else {}).items():
        if getattr(network.config, option, value) != value:
            raise ModelError(
                f"the {option} of {type(model).__name__} is {getattr(network.config, option)!r}; measured is {value!r}",
                "save_pretrained, and give the folder",
            )
    return network


def borrowed(encoder: Any) -> Any:
    """Makes new modules around the encoder's weights, in evaluation mode, with eager attention and no gradients."""
    shared = {id(tensor): _alias(tensor) for tensor in (*encoder.parameters(), *encoder.buffers())}
    copied = copy.deepcopy(encoder, shared).eval()
    for module in copied.modules():
        if isinstance(module, transformers.PreTrainedModel) and module._can_set_attn_implementation():
            module.set_attn_implementation("eager")
    copied.config._attn_implementation = "eager"
    return copied


def _alias(tensor: Tensor) -> Tensor:
    """Shares a parameter's memory without a gradient; a parameter of a special class is returned as it is."""
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(tensor.detach(), requires_grad=False) if type(tensor) is nn.Parameter else tensor
    return tensor.detach()


def memory_of(model: nn.Module) -> dict[str, tuple[object, ...]]:
    """Returns the memory addresses of the weights that a model computes with, by name."""
    tensors = dict((*model.named_parameters(), *model.named_buffers()))
    return {name: (tensor.data_ptr(), tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
