"""The second of two models that read the same texts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from attnprobe.errors import TextError, UsageError
from attnprobe.measure.kinds import Measurement
from attnprobe.measure.reading import tokenize, weighing
from attnprobe.models.encoder import Encoder
from attnprobe.models.global_attention import check_global_attention
from attnprobe.models.loading import load_encoder
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Tokens


class Second:
    """A model that is loaded once in each process, with a replica for each thread that measures.

    Args:
        encoder: the model, if it is loaded already.
        loading: the arguments of :func:`attnprobe.load_encoder` with which another process loads it; None: none can.
    """

    def __init__(self, encoder: Encoder | None, loading: Mapping[str, Any] | None = None) -> None:
        self._encoder, self._loading = encoder, loading
        self._lock, self._of_thread = threading.Lock(), threading.local()

    @property
    def encoder(self) -> Encoder:
        """The model, loaded at first use.

        Raises:
            ModelError: the model cannot be loaded or measured.
        """
        with self._lock:
            if self._encoder is None:
                self._encoder = load_encoder(**(self._loading or {}))
            return self._encoder

    def replica(self, reading: Reading, measurement: Measurement) -> Encoder:
        """Returns the copy that this thread alone uses, always for one reading and measurement."""
        if not hasattr(self._of_thread, "encoder"):
            self._of_thread.encoder = weighing(self.encoder, reading, measurement).replica()
        copy: Encoder = self._of_thread.encoder
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        if self._loading is None:
            raise UsageError("other processes cannot share a model in memory", "give the model's name or folder")
        names = {name: self._loading.get(name) for name in ("model", "tokenizer")}
        folders = {name: str(Path(path).resolve()) for name, path in names.items() if path and Path(path).is_dir()}
        return Second, (None, {**self._loading, **folders})

    def check_sizes(self, first: Encoder) -> None:
        """Refuses a model whose heads have other numbers.

        Raises:
            UsageError: the models have unlike numbers of layers or heads.
        """
        for what in ("layers", "heads"):
            one, other = getattr(first, what), getattr(self.encoder, what)
            if one != other:
                hint = "--maps --match compares the maps of heads that are most alike"
                raise UsageError(f"heads are compared by number, and A has {one} {what}, B {other}", hint)

    def read_alike(self, first: Encoder, reading: Reading) -> tuple[Reading, tuple[str, ...]]:
        """Lets both models read as many tokens at once, and says so where they would not by default.

        Raises:
            UsageError: the reading does not suit the second model.
        """
        said: tuple[str, ...] = ()
        lengths = first.max_length, self.encoder.max_length
        if reading.max_length is None and lengths[0] != lengths[1]:
            least = min(length for length in lengths if length is not None)
            shown = ["any number of" if length is None else str(length) for length in lengths]
            said = (f"A reads {shown[0]} tokens at once by default, B {shown[1]}; here both read {least}",)
            reading = replace(reading, max_length=least)
        self.encoder.check_lengths(reading.max_length, reading.stride)
        if reading.global_attention != "none":
            check_global_attention(self.encoder)
        return reading, said

    def windows(self, text: Tokens, reading: Reading, *, words: bool = False) -> list[Tokens]:
        """Tokenizes what a text was before the first model read it; no window if the text's first has done so.

        Raises:
            TextError: the second model cannot read the text.
        """
        if text.given is None:
            return []
        try:
            return tokenize(self.encoder, *text.given, reading, words=words)
        except UsageError as error:
            raise TextError(f"{self.encoder.location.short_name}: {error}", error.hint) from error

    def signed(self, first: Encoder) -> dict[str, object]:
        """The parts of the signature that tell the second model from the first."""
        unlike = {
            "b_tokenizer": (first.tokenizer_fingerprint, self.encoder.tokenizer_fingerprint),
            "b_off": (first.off_text, self.encoder.off_text),
            "b_dtype": (str(first.dtype), str(self.encoder.dtype)),
        }
        found = {
            name: (other or "none").removeprefix("torch.") for name, (one, other) in unlike.items() if one != other
        }
        return {"b_model": self.encoder.fingerprint, **found}
