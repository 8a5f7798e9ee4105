"""Measures how far apart the attention maps of two models are, for ``compare --maps``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.map_changes import MapChanges
from attnprobe.analyses.second import Second
from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rows import check_probabilities, merge_pieces, word_starts
from attnprobe.errors import ModelError, TextError, UsageError
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.reading import tokenize
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading, take
from attnprobe.values.selection import select
from attnprobe.values.tokens import Role, Tokens

PROBE = "A"  # a text whose tokens show what the tokenizers add


@dataclass(frozen=True)
class TwoMaps(NoRows):
    """Measures the distances of two models' maps, text by text.

    Attributes:
        layers, heads: those of A to compare.
        layers_b, heads_b: those of B: the same, or all of them if heads are matched.
        second: the second model.
        reading: how both read a text.
        matched: whether all pairs of heads are measured.
        unit: "token" or "word".
        signs: what the second model adds to the signature.
        said: remarks on how both read.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    layers_b: tuple[int, ...]
    heads_b: tuple[int, ...]
    second: Second = field(compare=False)
    reading: Reading
    matched: bool
    unit: str
    signs: Mapping[str, object]
    said: tuple[str, ...] = ()
    alone: bool = field(default=True, init=False)

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        second: Second,
        match: bool = False,
        said: tuple[str, ...] = (),
        **options: Any,
    ) -> TwoMaps:
        """Chooses what to compare.

        Args:
            second: the second model.
            match: whether to match A's heads with B's instead of comparing those of equal numbers.
            said: remarks on how both read.
            options: layers and heads of A.

        Raises:
            UsageError: an option is invalid, the models have unlike numbers of layers or heads, or neither tokens nor
                words of theirs correspond.
        """
        take(options, beside=("layers", "heads"))
        if not match:
            second.check_sizes(encoder)
        if reading.stride is not None:
            raise UsageError("maps are compared of texts that are read at once", "leave --stride out")
        layers = tuple(select(options.get("layers"), encoder.layers, "layer"))
        heads = tuple(select(options.get("heads"), encoder.heads, "head"))
        others = tuple(range(second.encoder.layers)), tuple(range(second.encoder.heads))
        others = others if match else (layers, heads)
        unit = "word" if reading.level == "word" else unit_of(encoder, second.encoder)
        return cls(layers, heads, *others, second, reading, match, unit, second.signed(encoder), said)

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of the distances: layer and head of A, and of B if heads are matched."""
        first = len(self.layers), len(self.heads)
        return (*first, len(self.layers_b), len(self.heads_b)) if self.matched else first

    @property
    def size(self) -> int:
        """How many numbers are kept of a text."""
        return 2 * int(np.prod(self.shape))

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """The second model, and what is compared."""
        return {**self.signs, "maps": self.unit, "heads": "matched" if self.matched else None}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> MapListener:
        """Makes a listener that keeps the first model's maps of the one text until the second has read it.

        Raises:
            TextError: the models read the text in units that do not correspond.
        """
        [text] = texts
        if self.unit == "word" and text.words is None and text.given is not None:
            [text] = tokenize(encoder, *text.given, self.reading)
        others = self.second.windows(texts[0], self.reading, words=self.unit == "word")
        return MapListener(self, text, others[0], encoder)

    def empty(self, signature: str) -> MapChanges:
        """The distances of no text."""
        labels = self.layers, self.heads, self.layers_b, self.heads_b
        zeros, none = np.zeros(self.shape), np.zeros((), dtype=int)
        return MapChanges(*labels, signature, self.matched, self.unit, zeros, zeros, none, none, self.said)


class Rows:
    """Makes rows of one model's maps from the blocks of a text, in float64.

    A row has one more column than there are keys, for the weight that falls on none of them.

    Attributes:
        starts: the first piece of each word, or any row.
        size: how many tokens or words there are.
        outside: whether some weight has fallen on no token.
    """

    def __init__(self, text: Tokens, encoder: Encoder, unit: str) -> None:
        self.encoder, self.outside = encoder, False
        self.words = torch.tensor(text.words, device=encoder.device) if unit == "word" else None
        self.starts = None if self.words is None else word_starts(self.words)
        self.size = len(text) if self.starts is None else len(self.starts)

    def of(self, block: Block, layer: int) -> tuple[slice, slice, Float[Tensor, "head query key"]]:
        """Returns the heads and queries of a block, and their rows.

        Raises:
            ModelError: the layer has no map of tokens.
            TextError: rows are no probabilities.
        """
        if block.pooled:
            name = self.encoder.location.short_name
            raise ModelError(
                f"{name}: layer {layer} attends to pools of several tokens, so that it has no map of tokens",
                "choose other layers with -l",
            )
        check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        if self.words is not None:
            block = merge_pieces(block, self.words)
        weights = block.weights[0].double()
        rows = weights.new_zeros(*weights.shape[:2], self.size + 1)
        rows[..., block.keys] = weights
        if not block.complete:
            self.outside = True
            rows[..., -1] = (1 - weights.sum(-1)).clamp(min=0)
        return block.heads or slice(0, len(rows)), block.rows, rows


class MapListener:
    """Keeps the first model's maps of a text, and compares those of the second with them, block by block.

    Raises:
        TextError: the models read the text in units that do not correspond.
    """

    def __init__(self, measurement: TwoMaps, text: Tokens, other: Tokens, encoder: Encoder) -> None:
        self.measurement, self.other = measurement, other
        check_units(text, other, measurement.unit, encoder, measurement.second.encoder)
        self.rows = Rows(text, encoder, measurement.unit)
        shape = encoder.heads, self.rows.size, self.rows.size + 1
        kept = exact(encoder.dtype)
        self.maps = {layer: torch.zeros(shape, dtype=kept, device=encoder.device) for layer in measurement.layers}

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return self.rows.starts

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks in the first model."""

        def keep(block: Block) -> None:
            heads, queries, rows = self.rows.of(block, layer)
            self.maps[layer][heads, queries] = rows.to(self.maps[layer].dtype)

        return keep

    def finish(self) -> Found:
        """Returns the distances of the text's maps, after the second model has read it."""
        chosen, encoder = self.measurement, self.measurement.second.replica(self.measurement.reading, self.measurement)
        kept = torch.stack([self.maps[layer][list(chosen.heads)] for layer in chosen.layers])
        self.maps.clear()
        distances = TextSums(kept.to(encoder.device), chosen)
        others = Rows(self.other, encoder, chosen.unit)

        def observe(layer: int, group: int) -> Observer | None:
            return (lambda block: distances.add(layer, *others.of(block, layer))) if layer in chosen.layers_b else None

        encoder.observe([self.other], observe, None, [others.starts])
        return Found([distances.found(self.rows.outside or others.outside)])


@dataclass(frozen=True)
class TextDistances:
    """The distances of one text's maps, and whether some weight falls on no token."""

    js: np.ndarray
    cosine: np.ndarray
    outside: bool


class TextSums:
    """Adds up the distances of one text's maps over rows of the second model.

    Args:
        kept: the first model's maps.
    """

    def __init__(self, kept: Float[Tensor, "layer head query key"], measurement: TwoMaps) -> None:
        self.kept, self.measurement = kept, measurement
        shape = len(measurement.layers_b), len(measurement.heads_b)
        pairs = (*kept.shape[:2], *shape) if measurement.matched else shape
        self.js, self.products = (torch.zeros(pairs, dtype=torch.float64, device=kept.device) for _ in range(2))
        self.squares = torch.zeros(shape, dtype=torch.float64, device=kept.device)

    def add(self, layer: int, heads: slice, queries: slice, rows: Float[Tensor, "head query key"]) -> None:
        """Compares a block's rows with those of the first model."""
        chosen = self.measurement
        i = chosen.layers_b.index(layer)
        for j, head in enumerate(chosen.heads_b):
            if head in range(heads.start, heads.stop):
                other = rows[head - heads.start]
                place = (..., i, j) if chosen.matched else (i, j)
                kept = self.kept[:, :, queries] if chosen.matched else self.kept[i, j, queries]
                self.js[place] += divergence(kept.double(), other).sum(-1)
                self.products[place] += (kept[..., :-1].double() * other[..., :-1]).sum((-2, -1))
                self.squares[i, j] += other[..., :-1].square().sum()

    def found(self, outside: bool) -> TextDistances:
        """Returns the mean over queries, and the cosine of whole maps (Kovaleva et al. 2019) over tokens alone."""
        kept = self.kept[..., :-1].double().square().sum((-2, -1))
        sizes = kept[..., None, None] * self.squares if self.measurement.matched else kept * self.squares
        js, cosine = self.js / self.kept.shape[2], self.products / sizes.sqrt()
        return TextDistances(js.cpu().numpy(), cosine.cpu().numpy(), outside)


def divergence(one: Float[Tensor, "*any query key"], other: Float[Tensor, "query key"]) -> Float[Tensor, "*any query"]:
    """Computes H((p + q) / 2) − (H(p) + H(q)) / 2 of rows in nats (Jensen–Shannon; Clark et al. 2019)."""
    entropy = torch.special.entr
    apart = entropy((one + other) / 2).sum(-1) - (entropy(one).sum(-1) + entropy(other).sum(-1)) / 2
    rounded: Tensor = apart.clamp(min=0)
    return rounded


def unit_of(a: Encoder, b: Encoder) -> str:
    """Chooses what maps are between: tokens if both have one vocabulary, else words.

    Raises:
        UsageError: the tokenizers add unlike tokens, so that neither has rows and columns that correspond.
    """
    if a.tokenizer.get_vocab() == b.tokenizer.get_vocab() and type(a.tokenizer) is type(b.tokenizer):
        return "token"
    added = [[role != Role.CONTENT for role in encoder.tokenize(PROBE)[0].by_word().roles] for encoder in (a, b)]
    if added[0] != added[1]:
        shown = [" ".join(encoder.tokenize(PROBE)[0].strings) for encoder in (a, b)]
        raise UsageError(
            f"no map of A is one of B: of {PROBE!r} {_tokenizers(a, b, *shown)}",
            "without maps, head statistics can be compared",
        )
    return "word"


def check_units(text: Tokens, other: Tokens, unit: str, a: Encoder, b: Encoder) -> None:
    """Refuses a text whose tokens or words differ between the models.

    Raises:
        TextError: they differ, or one has no words.
    """
    if unit == "token":
        if list(text.strings) != list(other.strings):
            raise TextError(f"the models read other tokens: {_tokenizers(a, b, f'{len(text)}', f'{len(other)}')}")
        return
    if text.words is None or other.words is None:
        raise TextError(f"no words in the tokens of {type((a if text.words is None else b).tokenizer).__name__}")
    if _units(text) != _units(other):
        raise TextError(
            f"the models read other words: {_tokenizers(a, b, *(str(len(it.word_texts)) for it in (text, other)))}"
        )


def _units(text: Tokens) -> list[tuple[bool, int, str]]:
    """Lists whether each word was added, its text of a pair, and its characters."""
    words = text.by_word()
    return [
        (role == Role.CONTENT, segment, characters)
        for role, segment, characters in zip(words.roles, words.segments, words.texts, strict=True)
    ]


def _tokenizers(a: Encoder, b: Encoder, one: str, other: str) -> str:
    names = [type(encoder.tokenizer).__name__ for encoder in (a, b)]
    return f"{names[0]} of A makes {one}, {names[1]} of B {other}"
