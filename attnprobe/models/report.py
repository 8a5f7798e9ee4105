"""Compares a checkpoint with the model: no weight of the encoder may be missing or unused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnprobe.errors import ModelError
from attnprobe.models.checkpoint import dtypes_in
from attnprobe.models.locate import Location

# What wrappers put before the names of weights: torch.compile, DataParallel, Lightning and the like.
WRAPPED = r"^(?:(?:_orig_mod|module|model)\.)+"
UNWRAP = {WRAPPED: "", r"_orig_mod\.": ""}  # as from_pretrained's key_mapping takes it
FLOATS = re.compile("F64|F32|F16|BF16|F8_E4M3|F8_E5M2")  # as safetensors names them
# Poolers, which do not touch attention, and what older models kept of tables and masks that are computed.
COMPUTED = re.compile(
    r"(^|\.)(pooler\..*|position_ids|token_type_ids|(original_)?inv_freq|version"
    r"|embed_positions\.weights|(attn|attention)\.bias|masked_bias|causal_mask)$"
)
CONFIG_OF_ANOTHER = "is this the right checkpoint for its config.json?"


@dataclass(frozen=True)
class Report:
    """The report of transformers after loading a model, by names of tensors.

    Attributes:
        missing: tensors of the model that the checkpoint lacks or has in another shape.
        unexpected: tensors of the checkpoint that are not in the model.
    """

    missing: frozenset[str]
    unexpected: frozenset[str]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Report:
        """Makes the report of from_pretrained's output_loading_info."""
        mismatched = {key for key, *_ in report.get("mismatched_keys", ())}
        return cls(frozenset(report["missing_keys"]) | mismatched, frozenset(report["unexpected_keys"]))


def is_wrapped(network: nn.Module, encoder: nn.Module, report: Report) -> bool:
    """Tests whether weights of the encoder are missing, and others have names that a wrapper made."""
    wrapped = any(re.search(WRAPPED, key) or "._orig_mod." in key for key in report.unexpected)
    return wrapped and bool(_lacking(network, encoder, report))


def check_report(location: Location, network: Any, encoder: nn.Module, report: Report, has_head: bool) -> None:
    """Checks that the encoder is the checkpoint's, and its task head if it has one.

    Raises:
        ModelError: weights of them are missing and would be random; or their modules would ignore some of the
            checkpoint's weights.
    """
    if lacking := _lacking(network, encoder, report, has_head):
        unknown = min(report.unexpected, default="")
        whose = "task head's" if has_head and not _lacking(network, encoder, report) else "encoder's"
        raise ModelError(
            f"{location.name!r} lacks {len(lacking)} of the {whose} weights, or has them in another shape:"
            f" {_some(lacking)}",
            "random numbers would stand in for them; "
            + (
                f"{unknown!r} and the like have no place: rename them, or {CONFIG_OF_ANOTHER}"
                if unknown
                else CONFIG_OF_ANOTHER
            ),
        )
    if unused := _unused(network, encoder, report) or (_unused_by_head(network, report) if has_head else []):
        what = f"{location.name!r} holds {len(unused)} weights that {type(encoder).__name__} has no place for"
        raise ModelError(f"{what}: {_some(unused)}", _why_unused(unused))


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' if names[3:] else ''}"


def _why_unused(names: list[str]) -> str:
    if any(re.search(r"\.lora_|\.base_layer\.|\.ia3_|\.hada_|\.lokr_", name) for name in names):
        return "it holds an adapter that was not merged: peft's merge_and_unload does that, then save_pretrained"
    if any(
        re.search(r"\.(SCB|qweight|qzeros|absmax|scales?|\w+_scale(_inv)?|\w+_zero_point)$", name) for name in names
    ):
        return "its weights are quantized: give the model from before its quantization"
    if any("distance_embedding" in name for name in names):
        return "its relative positions (position_embedding_type) are gone from transformers since 5.0"
    return f"it would be measured without them; {CONFIG_OF_ANOTHER}"


def _lacking(network: nn.Module, encoder: nn.Module, report: Report, has_head: bool = False) -> list[str]:
    """Finds the weights that the checkpoint lacks; sinusoids are computed, and only heads read what poolers make."""
    part = network if has_head else encoder
    sinusoids = {
        id(weight) for m in part.modules() if "Sinusoidal" in type(m).__name__ for weight in m.parameters(recurse=False)
    }
    measured = {id(parameter) for parameter in part.parameters()} - sinusoids
    return sorted(
        name
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if name in report.missing and id(parameter) in measured and (has_head or "pooler" not in name)
    )


def _unused(network: Any, encoder: nn.Module, report: Report) -> list[str]:
    """Finds the unused weights of the checkpoint that belong to a module of the encoder."""
    inside = {id(module) for module in encoder.modules()} - {id(network)}  # beside which heads and poolers are
    modules = {name for name, module in network.named_modules(remove_duplicate=False) if id(module) in inside}
    base = getattr(network, "base_model_prefix", "")
    return sorted(
        key
        for key in report.unexpected
        if not COMPUTED.search(key) and any(name in modules for name in _homes(key, base))
    )


def _unused_by_head(network: Any, report: Report) -> list[str]:
    """Finds the unused weights of the checkpoint whose own module is there; those of other heads' modules are left."""
    modules = {name for name, _ in network.named_modules(remove_duplicate=False)}
    return sorted(
        key for key in report.unexpected if not COMPUTED.search(key) and key.rpartition(".")[0] in modules - {""}
    )


def _homes(key: str, base: str) -> Iterator[str]:
    """Lists the modules that a weight may belong to, by its name with and without the base model's before it."""
    for name in {key, key.removeprefix("base_model.model."), re.sub(WRAPPED, "", key)}:
        for path in {name, name.removeprefix(f"{base}.")}:
            way = path.split(".")[:-1]
            yield from (".".join(way[:length]) for length in range(1, len(way) + 1))


def check_dtypes(location: Location, network: nn.Module, dequantized: bool) -> None:
    """Refuses weights stored as integers, which transformers would read as values.

    Args:
        dequantized: whether weights of 8 bits were turned back into floats by their scales.

    Raises:
        ModelError: a weight is stored as integers, or in 8 bits without a scale.
    """
    stored = _stored(location)
    floats = {name.rpartition(".")[2] for name, tensor in _tensors(network) if tensor.is_floating_point()}
    for name, dtype in sorted(stored.items()):
        if name.rpartition(".")[2] in floats and not FLOATS.fullmatch(dtype):
            raise ModelError(
                f"{name} of {location.name!r} is stored as {dtype}, integers of a quantization that nothing declares",
                "give the model from before its quantization",
            )
        if dequantized and dtype.startswith("F8") and not stored.keys() & {f"{name}_scale_inv", f"{name[:-6]}scale"}:
            raise ModelError(f"{name} of {location.name!r} is stored as {dtype}, and its scale is missing")


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _stored(location: Location) -> dict[str, str]:
    """Lists the tensors in all weight files of the location, each with its dtype."""
    stored: dict[str, str] = {}
    for path in location.weight_files:
        stored |= dtypes_in(location.name, path) if path.suffix == ".safetensors" else _dtypes_in_pickle(path)
    return stored


def _dtypes_in_pickle(path: Any) -> dict[str, str]:
    """Lists the tensors in a pickle; floats are named F32, whatever their size."""
    content = torch.load(path, map_location="meta", weights_only=True)
    tensors = {name: tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}
    return {
        name: "F32" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
        for name, tensor in tensors.items()
    }
