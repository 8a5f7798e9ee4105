"""An encoder that can be observed: tokens in, blocks of attention weights out, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Observer
from attnprobe.attention.threads import pool_of
from attnprobe.errors import CHANGED, ModelError, UsageError
from attnprobe.models.batches import make_batch, neighbours
from attnprobe.models.digests import digest_of, digest_of_files, digest_of_tokenizer
from attnprobe.models.edits import Edit, in_turn
from attnprobe.models.explained import explained_run
from attnprobe.models.families import Family
from attnprobe.models.hooks import Tap, lock_of, tapped
from attnprobe.models.interface import Call, Group, Listener, listening, passes
from attnprobe.models.layouts import Reach
from attnprobe.models.locate import Location
from attnprobe.models.outlets import Outlet, check_edit, edited
from attnprobe.models.running import Output, check_unchanged, outputs_of
from attnprobe.models.sources import Source, ValueNorms
from attnprobe.models.switching import edit_of, switched
from attnprobe.models.tokenizing import tokenize
from attnprobe.values.arguments import check_given, check_whole
from attnprobe.values.notebook import one_line
from attnprobe.values.records import Given
from attnprobe.values.switches import Off, with_off
from attnprobe.values.text import visible
from attnprobe.values.tokens import Tokens

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
        task: the transformers model with its task head, whose base is ``model``; None if no head was loaded.
        origin: the caller's model in memory whose weights are shared; None if the model was loaded from files.
        tokenizer_from: the name of the tokenizer, if it was given separately.
        notes: the decisions about a folder that is no plain model.
        outlets: by layer, the maps where contexts are changed although weights are hooked, see
            :func:`attnprobe.models.editable.editable`; empty if unknown.
        editable: the function that finds the outlets.
        off: the heads that are switched off in every run; None: none.
        known: the digests that were computed so far, which copies share.
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
    task: Any = None
    origin: Any = None
    tokenizer_from: str | None = None
    notes: tuple[str, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    editable: Callable[[Encoder], Encoder] | None = None
    off: Off | None = None
    known: dict[str, str] = field(default_factory=dict)
    of: str = "attention"
    sources: tuple[Source, ...] = ()

    def __repr__(self) -> str:
        reads = "any number of tokens" if self.max_length is None else f"{self.max_length} tokens"
        computes = f"{str(self.dtype).removeprefix('torch.')} on {self.device}"
        sizes = f"{self.layers} layers × {self.heads} heads"
        return one_line("Encoder", self.name, sizes, reads, computes)

    @property
    def name(self) -> str:
        """The short name, and which heads are off."""
        return with_off(self.location.short_name, self.off_text)

    @property
    def off_text(self) -> str | None:
        """The heads that are off, in signatures; None: none."""
        return self.off.text(self.heads) if self.off else None

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
        if self.origin is not None:
            return digest_of(self.whole)
        if "weights" not in self.known:
            self.known["weights"] = digest_of_files([*self.location.weight_files, *self.location.adapter_files])
        return self.known["weights"]

    @property
    def fingerprint(self) -> str:
        """The model in signatures: the short name and the first digits of the weights' hash."""
        return f"{visible(self.location.short_name)}@{self.weights_sha256[:12]}"

    @property
    def tokenizer_fingerprint(self) -> str | None:
        """The tokenizer in signatures, if it was given separately; None: the model's."""
        if self.tokenizer_from is None:
            return None
        if "tokenizer" not in self.known:
            self.known["tokenizer"] = digest_of_tokenizer(self.tokenizer)
        return f"{self.tokenizer_from}@{self.known['tokenizer'][:12]}"

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

    @contextmanager
    def heads_off(self, heads: Any, *, how: str = "zero") -> Iterator[Encoder]:
        """Switches heads off inside a with-block, for all that run this encoder, or copies made of it, meanwhile.

        Shown are the weights that the model computes: of a head that is off, those that it would have used; of later
        layers, what becomes of them. Blocks inside one another add up.

        Args:
            heads: ``"3:1"``, ``"0-2:3"``, ``"5:*"``, ``"-1:0-3"``, several joined by commas; or pairs (layer, head).
            how: "zero", "mean" or "uniform", see :class:`attnprobe.values.switches.Off`; or "one": all other heads of
                their layers are off, by zero.

        Raises:
            UsageError: these are no heads of the model.
            ModelError: the model's heads cannot be changed.
        """
        with switched(self, heads, how):
            yield self

    def for_length(self, tokens: int) -> Encoder:
        """Returns one that measures a text of LONG tokens or more by compiled loops, from SPREAD on each head apart."""
        pays = tokens >= LONG and self.tap is None and self._can_be_compiled
        return replace(self, compiled=True, spread=tokens >= SPREAD) if pays else self

    @property
    def whole(self) -> Any:
        """The model with its task head, or the model alone if there is none."""
        return self.model if self.task is None else self.task

    @property
    def _can_be_compiled(self) -> bool:
        return self.device.type == "cpu" and self.dtype == torch.float32

    def replica(self) -> Encoder:
        """Copies the encoder with new modules and the same weights, for a thread that measures many texts.

        The copy uses compiled loops for float32 on a CPU.
        """
        with lock_of(self.model):  # so that no run's hooks are copied
            shared = {id(tensor): tensor for tensor in (*self.whole.parameters(), *self.whole.buffers())}
            model, task = copy.deepcopy((self.model, self.task), shared)
            return replace(self, model=model, task=task, compiled=self._can_be_compiled)

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
        made = self.run(texts, observe, groups, starts, on_call, edit, gradients, has_head=False)
        return [output.hidden for output in made]

    def run(
        self,
        texts: Sequence[Tokens],
        observe: LayerObserver,
        groups: Sequence[slice] | None = None,
        starts: Sequence[Sequence[int] | None] | None = None,
        on_call: Callable[[Call], None] | None = None,
        edit: Edit | None = None,
        gradients: bool = False,
        *,
        on_returned: Callable[[int, Tensor, tuple[int, ...]], None] | None = None,
        has_head: bool = True,
    ) -> list[Output]:
        """Runs the encoder and its task head, if one was loaded; what is not said here is as in :meth:`observe`.

        Args:
            on_returned: see :class:`attnprobe.models.interface.Listener`; never called if nothing is hooked.
            has_head: whether the head is run, too.
        """
        groups = groups or [slice(index, index + 1) for index in range(len(texts))]
        numbered = [
            Group(number, some, slice(0, len(texts[some.start])), starts[number] if starts else None)
            for number, some in enumerate(groups)
        ]
        edit = in_turn(edit, edit_of(self.off) if self.off else None)
        if edit:
            check_edit(self, edit)
        made: list[Output] = []
        spreads = self.spread and not (gradients or edit or on_call)
        with lock_of(self.model), pool_of(torch.get_num_threads()) if spreads else nullcontext() as pool:
            check_unchanged(self.whole, self.origin, is_hooked=self.tap is not None)
            for together in passes(numbered, together=self.padding_invariant):
                first, stop = together[0].texts.start, together[-1].texts.stop
                batch = [group.counted_from(first) for group in together]
                compiled = self.compiled and not gradients
                listener = Listener(batch, observe, compiled, on_call, edit, first, gradients, pool=pool)
                listener.on_returned = on_returned
                listener.value_norms = ValueNorms.of(self.model, self.sources, self.heads, self.of == "norms")
                made += self._listen(listener, self.task if has_head else None, texts[first:stop])
        return made

    def _listen(self, listener: Listener, task: Any, texts: Sequence[Tokens]) -> list[Output]:
        """Runs one forward pass, in which all layers must come."""
        inputs, _ = make_batch(texts, self.model if task is None else task, self.tokenizer)
        observed = tapped(self.model, self.tap, listener, inputs) if self.tap else listening(listener)
        own_precision = torch.autocast(self.device.type, enabled=False)
        mode = torch.enable_grad if listener.gradients else torch.inference_mode
        changes = edited(self.model, self.outlets, listener)
        arguments = inputs | ({"output_attentions": True} if self.tap else {})
        with torch.inference_mode(False), mode(), own_precision, observed, changes, explained_run(self.model):
            made = outputs_of(self.model, task, arguments, list(map(len, texts)))
        if listener.calls != self.layers:
            raise ModelError(f"attention came from {listener.calls} layers, the model has {self.layers}", CHANGED)
        return made
