"""Finds the kind of model in a folder if config.json does not name it, and refuses some kinds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from attnprobe.errors import ModelError
from attnprobe.models.config import texts
from attnprobe.models.families import FAMILIES, Family
from attnprobe.models.locate import Location
from attnprobe.values.arguments import shown

READS = {"pixel_values": "pictures", "input_values": "sound", "input_features": "sound", "input_audio": "sound"}
DEQUANTIZED = "fp8"  # the one kind of quantization whose weights transformers turns back into floats as it loads them


def with_model_type(location: Location) -> Location:
    """Adds the model type that the architectures imply, if config.json names none."""
    kind = _inferred(location)
    family = FAMILIES.get(kind)
    if not kind or (family and (family.model_class or family.options)):  # whose class reads config.json itself
        return location
    location = replace(location, config={**location.config, "model_type": kind}, type_is_inferred=True)
    return location.noted(f"config.json names no model_type; {kind} is taken from its architectures")


def _inferred(location: Location) -> str:
    """Finds the one model type that the architectures have; empty if a type is named, or none or several fit."""
    if location.config.get("model_type") is not None:
        return ""
    kinds = set().union(*(_kinds_of_classes().get(name, ()) for name in texts(location.config.get("architectures"))))
    return kinds.pop() if len(kinds) == 1 else ""


@cache
def _kinds_of_classes() -> Mapping[str, set[str]]:
    """Lists the model types by the name of each class that transformers' auto classes load."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, mapping in vars(modeling_auto).items():
        if name.endswith("_MAPPING_NAMES"):
            for kind, classes in mapping.items():
                for class_name in [classes] if isinstance(classes, str) else classes:
                    found[class_name].add(kind)
    return found


def check_code(location: Location, trusted: bool) -> None:
    """Refuses a model that only its own Python code can load.

    Raises:
        ModelError: the model's code is not trusted, or transformers does not know the type.
    """
    kind = location.config.get("model_type")
    if trusted or (isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES):
        return
    if "auto_map" in location.config:
        raise ModelError(
            f"{location.name!r} brings its own Python code, which is not run unasked",
            "--trust-remote-code runs it; read it first",
        )
    if kind is None:
        raise ModelError(
            f"config.json of {location.name!r} names no model type",
            f'write it there: "model_type": "{_inferred(location) or "bert"}", or whichever it is',
        )
    raise ModelError(
        f"config.json of {location.name!r} names no model type that transformers knows ({shown(kind)})",
        f"transformers {transformers.__version__} is installed; a newer one may know it",
    )


def find_family(location: Location) -> Family | None:
    """Finds the model's row in the table of families; None if it has none.

    Raises:
        ModelError: the family is one that cannot be measured.
    """
    kind = location.config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    refusal = family.refusal(location.config) if family else ""
    if refusal:
        raise ModelError(f"{location.name!r} is of type {kind}, which is not measured: {refusal}")
    return family


def check_reads_text(location: Location, config: Any, family: Family | None) -> None:
    """Refuses a model of unknown family that reads something else than text.

    Raises:
        ModelError: the model reads pictures or sound.
    """
    known = None if family else transformers.MODEL_MAPPING.get(type(config), None)
    model_class = known[0] if isinstance(known, tuple) else known
    kind = READS.get(getattr(model_class, "main_input_name", ""))
    if kind:
        raise ModelError(
            f"{location.name!r} is of type {location.config.get('model_type')}, which reads {kind} and no text",
            "attnprobe measures encoders of text",
        )


def quantization_of(location: Location) -> str:
    """Returns the name of the quantization that config.json declares; empty if there is none.

    Raises:
        ModelError: transformers cannot turn the quantized weights back.
    """
    declared = location.config.get("quantization_config") or location.config.get("compression_config")
    if not declared:
        return ""
    method = declared.get("quant_method") if isinstance(declared, Mapping) else declared
    if method == DEQUANTIZED:
        return DEQUANTIZED
    raise ModelError(
        f"the weights of {location.name!r} are quantized ({shown(method)}), which is not measured",
        f"only {DEQUANTIZED} is turned back into plain weights; give the model from before its quantization",
    )
