"""An encoder that can be observed: tokens in, blocks of attention weights out, layer by layer."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Observer
from attnprobe.attention.threads import pool_of
from attnprobe.errors import CHANGED, ModelError, TextError, UsageError, first_line
from attnprobe.models.batches import make_batch, neighbours
from attnprobe.models.edits import Edit
from attnprobe.models.families import Family
from attnprobe.models.hooks import Tap, lock_of, tapped
from attnprobe.models.interface import NAME, Call, Group, Listener, listening
from attnprobe.models.layouts import Reach
from attnprobe.models.locate import Location
from attnprobe.models.objects import digest, memory_of
from attnprobe.models.outlets import Outlet, edited
from attnprobe.models.sources import Source, ValueNorms
from attnprobe.models.tokenizing import tokenize
from attnprobe.values.arguments import check_given, check_whole
from attnprobe.values.notebook import one_line
from attnprobe.values.records import Given
from attnprobe.values.text import visible
from attnprobe.values.tokens import Role, Tokens

LayerObserver = Callable[[int, int], Observer | None]
LONG, SPREAD = 512, 1024  # tokens from which loops are compiled, heads side by side; benchmarks/long_texts.py


@dataclass(frozen=True, eq=False, repr=False)
class Encoder:
    """A loaded encoder; made by :func:`attnprobe.load_encoder`.

    Attributes:
        location: the location of the files.
        model: the transformers encoder, in evaluation mode.
        tokenizer: the transformers tokenizer.
        layers, heads: how many; all layers have the same number of heads.
        max_length: how many tokens are read at once by default; None if no limit is known.
        position_limit: how many tokens the position embeddings distinguish; None: no limit.
        tap: the outputs where weights are hooked; None: captured in blocks through AttentionInterface.
        tap_reason: why not through AttentionInterface.
        padding_invariant: whether a text's weights are the same in a padded batch; otherwise batches of unequal
            texts are run length by length.
        reach: by layer, which keys a query may see; None if unknown.
        family: the row in the table of families; None if there is none.
        settings: the settings that sentence-transformers keeps beside the model.
        case: the remark on a text with capitals; may be empty.
        compiled: whether :mod:`attnprobe.attention.kernels` computes and measures weights, see :meth:`replica`.
        spread: whether heads are computed, and shown to observers, side by side, on as many cores as torch uses.
        origin: the caller's model in memory whose weights are shared; None if the model was loaded from files.
        tokenizer_from: the name of the tokenizer, if it was given separately.
        notes: the decisions about a folder that is no plain model.
        outlets: by layer, the maps where contexts are changed although weights are hooked, see
            :func:`attnprobe.models.editable.editable`; empty if unknown.
        of: what observers are shown: "attention", or "norms", contributions of keys, as weights whose rows sum to 1.
        sources: by layer, the maps by which keys contribute, see :func:`attnprobe.models.contributing.contributing`.
    """

    location: Location
    model: Any
    tokenizer: Any
    layers: int
    heads: int
    max_length: int | None
    position_limit: int | None
    tap: Tap | None = None
    tap_reason: str = ""
    padding_invariant: bool = True
    reach: tuple[Reach | None, ...] = ()
    family: Family | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    case: str = ""
    compiled: bool = False
    spread: bool = False
    origin: Any = None
    tokenizer_from: str | None = None
    notes: tuple[str, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    of: str = "attention"
    sources: tuple[Source, ...] = ()

    def __repr__(self) -> str:
        reads = "any number of tokens" if self.max_length is None else f"{self.max_length} tokens"
        computes = f"{str(self.dtype).removeprefix('torch.')} on {self.device}"
        sizes = f"{self.layers} layers × {self.heads} heads"
        return one_line("Encoder", self.location.short_name, sizes, reads, computes)

    @property
    def kind(self) -> str:
        """The model type that config.json names; without one, the model's class."""
        return str(self.location.config.get("model_type", type(self.model).__name__))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        device: torch.device = self.model.device
        return device

    @property
    def weights_sha256(self) -> str:
        """The weight file's SHA-256; of several files, the SHA-256 of their digests in the order of their names.

        Of a model in memory, the SHA-256 of its weights as they are now.
        """
        return digest(self.model) if self.origin is not None else self._files_sha256

    @cached_property
    def _files_sha256(self) -> str:
        digests = []
        for path in (*self.location.weight_files, *self.location.adapter_files):
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The model in signatures: the short name and the first digits of the weights' hash."""
        return f"{visible(self.location.short_name)}@{self.weights_sha256[:12]}"

    @cached_property
    def tokenizer_fingerprint(self) -> str | None:
        """The tokenizer in signatures, if it was given separately; None: the model's."""
        if self.tokenizer_from is None:
            return None
        fast = self.tokenizer.is_fast
        content = self.tokenizer.backend_tokenizer.to_str() if fast else json.dumps(self.tokenizer.get_vocab())
        return f"{self.tokenizer_from}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def tokenize(
        self,
        text: Given,
        pair: Given | None = None,
        *,
        max_length: int | None = None,
        stride: int | None = None,
        words: bool = True,
    ) -> list[Tokens]:
        """Tokenizes the text, or its words as given; see :func:`attnprobe.models.tokenizing.tokenize`.

        Raises:
            UsageError: also if max_length is more than the position embeddings distinguish, or a value is no text.
        """
        check_given("text", text)
        if pair is not None:
            check_given("pair", pair)
        self.check_lengths(max_length, stride)
        longest = max_length or self.max_length
        return tokenize(self.tokenizer, text, pair, max_length=longest, stride=stride, words=words)

    def check_lengths(self, max_length: int | None, stride: int | None) -> None:
        """Checks max_length and stride.

        Raises:
            UsageError: a value is no whole number; max_length is more than the position embeddings distinguish, or
                stride leaves no room.
        """
        if max_length is not None:
            check_whole("max_length", max_length, 1)
        if stride is not None:
            check_whole("stride", stride)
        if max_length and self.position_limit and max_length > self.position_limit:
            raise UsageError(f"max_length {max_length} is more than the model's {self.position_limit} positions")
        longest = max_length or self.max_length
        if stride is not None and longest and stride >= longest:
            raise UsageError(f"stride {stride} is too large: a window has {longest} tokens")

    def for_length(self, tokens: int) -> Encoder:
        """Returns one that measures a text of LONG tokens or more by compiled loops, from SPREAD on each head apart."""
        pays = tokens >= LONG and self.tap is None and self._can_be_compiled
        return replace(self, compiled=True, spread=tokens >= SPREAD) if pays else self

    @property
    def _can_be_compiled(self) -> bool:
        return self.device.type == "cpu" and self.dtype == torch.float32

    def replica(self) -> Encoder:
        """Copies the encoder with new modules and the same weights, for a thread that measures many texts.

        The copy uses compiled loops for float32 on a CPU.
        """
        with lock_of(self.model):  # so that no run's hooks are copied
            shared = {id(tensor): tensor for tensor in (*self.model.parameters(), *self.model.buffers())}
            return replace(self, model=copy.deepcopy(self.model, shared), compiled=self._can_be_compiled)

    def check_global_attention(self) -> None:
        """Checks that the model has global attention.

        Raises:
            UsageError: the model has no global attention.
        """
        if "global_attention_mask" not in inspect.signature(self.model.forward).parameters:
            raise UsageError(f"{self.location.short_name} has no global attention", "only Longformer and LED have it")

    def with_global_attention(self, tokens: Tokens, which: str) -> Tokens:
        """Sets global attention on the classification token ("cls") or the first text ("first").

        Raises:
            UsageError: the model has no global attention, or the text has no such token.
        """
        self.check_global_attention()
        chosen = [
            role == Role.CLS if which == "cls" else segment == 1
            for role, segment in zip(tokens.roles, tokens.segments, strict=True)
        ]
        if not any(chosen):
            raise UsageError("no classification token for global attention")
        return replace(tokens, inputs={**tokens.inputs, "global_attention_mask": list(map(int, chosen))})

    def groups(self, texts: Sequence[Tokens]) -> list[slice]:
        """Groups texts that can be observed together: neighbours of equal length; or one text each if hooked."""
        return [slice(at, at + 1) for at in range(len(texts))] if self.tap else neighbours(texts)

    def observe(
        self,
        texts: Sequence[Tokens],
        observe: LayerObserver,
        groups: Sequence[slice] | None = None,
        starts: Sequence[Sequence[int] | None] | None = None,
        on_call: Callable[[Call], None] | None = None,
        edit: Edit | None = None,
        gradients: bool = False,
    ) -> list[Float[Tensor, "*token d_model"]]:
        """Runs the encoder on a batch of texts and shows every layer's weights as they are computed.

        A model makes one run at a time: another thread's waits. :meth:`replica` gives each thread a model of its own.

        Args:
            texts: those that are observed together must be neighbours.
            observe: called with (layer, group) before each group's blocks of each layer; returns the observer of the
                blocks, which come in order of rows, or None.
            groups: the slices of texts that are observed together, see :meth:`groups`; None: each alone.
            starts: per group, the rows where a block may start; None: any.
            on_call: called with the arguments of each attention; never if weights are hooked.
            edit: the changes to the attention of this run.
            gradients: whether to keep the tensors that gradients of the hidden states need, by any tensor of an edit
                that requires one. Weights shown to observers then belong to the graph of the model.

        Returns:
            the model's last hidden states of each text; or the one vector of a model that gives no more (DPR).

        Raises:
            ModelError: the model was changed since loading, some layer's weights did not come, or the attention
                cannot be edited.
            TextError: the model fails on these texts.
        """
        groups = groups or [slice(index, index + 1) for index in range(len(texts))]
        numbered = [
            Group(number, some, slice(0, len(texts[some.start])), starts[number] if starts else None)
            for number, some in enumerate(groups)
        ]
        if edit and self.tap:
            self._check_edit(edit)
        states: list[Tensor] = []
        spreads = self.spread and not (gradients or edit or on_call)
        with lock_of(self.model), pool_of(torch.get_num_threads()) if spreads else nullcontext() as pool:
            self._check_unchanged()
            for together in self._passes(numbered):
                first, stop = together[0].texts.start, together[-1].texts.stop
                inputs, _ = make_batch(texts[first:stop], self.model, self.tokenizer)
                batch = [group.counted_from(first) for group in together]
                compiled = self.compiled and not gradients
                norms = ValueNorms.of(self.model, self.sources, self.heads, self.of == "norms")
                listener = Listener(
                    batch, observe, compiled, on_call, edit, first, gradients, pool=pool, value_norms=norms
                )
                hidden = self._listen(listener, inputs)
                states += [_of_text(hidden[place], len(text)) for place, text in enumerate(texts[first:stop])]
        return states

    def _listen(self, listener: Listener, inputs: dict[str, Tensor]) -> Tensor:
        """Runs one forward pass, in which all layers must come, and returns the last hidden states."""
        observed = tapped(self.model, self.tap, listener, inputs) if self.tap else listening(listener)
        own_precision = torch.autocast(self.device.type, enabled=False)
        mode = torch.enable_grad if listener.gradients else torch.inference_mode
        changes = edited(self.model, self.outlets, listener)
        with torch.inference_mode(False), mode(), own_precision, observed, changes, _explained(self.model):
            hidden: Tensor = self.model(**inputs, **({"output_attentions": True} if self.tap else {}))[0]
        if listener.calls != self.layers:
            raise ModelError(f"attention came from {listener.calls} layers, the model has {self.layers}", CHANGED)
        return hidden

    def _check_edit(self, edit: Edit) -> None:
        """Refuses an edit that hooked modules cannot carry out.

        Raises:
            ModelError: the edit changes weights, or contexts of a model whose output maps are unknown.
        """
        if edit.weights or len(self.outlets) != self.layers:
            what = "weights" if edit.weights else "heads"
            raise ModelError(
                f"{what} of {self.kind} cannot be changed: its weights are hooked ({self.tap_reason})",
                "attnprobe models lists the types that are measured through blocks, where they can",
            )

    def _check_unchanged(self) -> None:
        """Checks that the model computes as when it was loaded.

        Raises:
            ModelError: the model was changed.
        """
        if self.origin is not None and memory_of(self.origin) != memory_of(self.model):
            raise ModelError(
                "the model in memory was changed after it was given: its weights lie elsewhere",
                "load_encoder(model, ...) anew",
            )
        if any(module.training for module in self.model.modules()):
            raise ModelError("the model is in training mode, where dropout makes weights random", "call .model.eval()")
        usual = "eager" if self.tap else NAME
        found = getattr(self.model.config, "_attn_implementation", usual)
        if found != usual:
            raise ModelError(f"the model's attention was set to {found!r} after it was loaded", "load it anew")

    def _passes(self, groups: Sequence[Group]) -> list[list[Group]]:
        """Splits groups into forward passes: all in one, or one for each length if padding would change weights."""
        if self.padding_invariant:
            return [list(groups)]
        return [list(alike) for _, alike in groupby(groups, lambda group: group.span.stop)]


def _of_text(states: Float[Tensor, "*position d_model"], length: int) -> Float[Tensor, "*token d_model"]:
    """Keeps one text's hidden states without those of padding."""
    return states[:length] if states.ndim > 1 else states


@contextmanager
def _explained(model: Any) -> Iterator[None]:
    """Names the model in an error from inside transformers, as CANINE raises on texts of fewer than four characters."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TextError(f"{type(model).__name__} runs out of memory on this text", "--max-length N cuts it") from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise TextError(
            f"{type(model).__name__} fails on this text: {first_line(error)}",
            "is the text too short, or too long, for this model?",
        ) from error
