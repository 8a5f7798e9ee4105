"""Configuration and modules of a model, from its files, with all weights that it computes with."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import transformers

from attnprobe.errors import ModelError
from attnprobe.models.adapters import ADAPTERS, Adapter
from attnprobe.models.building import held_to_size
from attnprobe.models.config import texts
from attnprobe.models.explained import explained
from attnprobe.models.families import Family
from attnprobe.models.locate import Location
from attnprobe.models.objects import network_of
from attnprobe.models.report import UNWRAP, Report, check_dtypes, check_report, is_wrapped


def load_config(location: Location, options: dict[str, Any]) -> Any:
    """Loads the configuration; the options are those of ``from_pretrained``."""
    with explained(f"config.json of {location.name!r} is not as its model type wants it"):
        inferred = location.type_is_inferred
        config_class = (
            transformers.CONFIG_MAPPING[location.config["model_type"]] if inferred else transformers.AutoConfig
        )
        return config_class.from_pretrained(location.folder, **options)


def load_network(location: Location, family: Family | None, head: str, options: dict[str, Any]) -> tuple[Any, Location]:
    """Loads the model with all weights that the encoder needs, and adds notes on decisions to the location.

    Args:
        head: the class with the task head, if that is loaded, too.

    Raises:
        ModelError: the model does not load, or the checkpoint and the encoder do not belong together.
    """
    network, report = _load_model(location, family, head, options)
    with explained(f"{location.name!r} cannot be measured"):
        if is_wrapped(network, within(network, family, head), report):
            note = "what a wrapper put before the names of weights (module., model., _orig_mod.) is left out"
            location = location.noted(note)
            network, report = _load_model(location, family, head, {**options, "key_mapping": UNWRAP})
        check_report(location, network, within(network, family, head), report, has_head=bool(head))
        check_dtypes(location, network, "quantization_config" in options)
    return network, location


def _load_model(location: Location, family: Family | None, head: str, options: dict[str, Any]) -> tuple[Any, Report]:
    with explained(f"{location.name!r} does not load"), held_to_size(location):
        name = head or (family.model_class if family else "") or _own_class(location)
        model_class = getattr(transformers, name) if name else transformers.AutoModel
        model, report = model_class.from_pretrained(
            location.folder,
            attn_implementation="eager",
            experts_implementation="eager",  # the others compute no float64
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported as mismatched_keys, which check_report refuses
            **options,
            **(family.options if family else {}),
        )
    for file in getattr(type(model.config), "extra_files", ()):
        if (location.folder / file).is_file():
            raise ModelError(f"{type(model).__name__} reads weights beside the checkpoint ({file}), which is not done")
    return model, Report.of(report)


def _own_class(location: Location) -> str:
    """Finds the class of an encoder saved without its decoder or picture half, which AutoModel may not know."""
    name = next(iter(texts(location.config.get("architectures"))), "")
    return name if name.endswith(("EncoderModel", "TextModel")) and hasattr(transformers, name) else ""


def within(network: Any, family: Family | None, head: str) -> Any:
    """Returns the part of a loaded model that reads the text, inside a model with a task head if there is one."""
    return encoder_of(network_of(network, family) if head else network, family)


def encoder_of(network: Any, family: Family | None) -> Any:
    """Returns the part of a model that reads the text."""
    encoder = network
    if family and family.part:
        encoder = attrgetter(family.part)(network)
    elif getattr(network.config, "is_encoder_decoder", False):
        encoder = network.get_encoder()
    if family and family.adapter:
        return Adapter(network.config, encoder, ADAPTERS[family.adapter])
    if not isinstance(encoder, transformers.PreTrainedModel):
        raise ModelError(f"the encoder of {type(network).__name__} cannot be run by itself")
    return encoder
