"""Heads that are switched off: which, and what is put in place of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.values.arguments import as_integer, check_choice, shown
from attnprobe.values.selection import Indices, as_ranges, parse_indices, select

HOWS = ("zero", "mean", "uniform", "one")
FORMS = "write LAYER:HEAD, such as 3:1, 3:1,5:0-3 or 5:* for all of a layer"

LONGEST = 60  # characters in a name
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True)
class Off:
    """The heads that are switched off, each by (layer, head) in the field that says how.

    Attributes:
        zero: heads whose context is 0, so that they write nothing.
        mean: heads whose context is its mean over the text's positions, at each of these.
        uniform: heads whose weights are the same for all keys that a query may see.
    """

    zero: frozenset[Head] = frozenset()
    mean: frozenset[Head] = frozenset()
    uniform: frozenset[Head] = frozenset()

    @classmethod
    def of(cls, named: Any, how: str, layers: int, heads: int) -> Off:
        """Makes it from what a person names, see :func:`named_heads`; "one" switches off all others of their layers.

        Raises:
            UsageError: the heads cannot be read, are not there, or leave nothing to be switched off.
        """
        check_choice("off_how", how, HOWS)
        chosen = named_heads(named, layers, heads)
        if how != "one":
            return cls(**{how: chosen})
        named_layers = sorted({layer for layer, _ in chosen})
        others = frozenset(product(named_layers, range(heads))) - chosen
        for layer in named_layers:
            if not any(other == layer for other, _ in others):
                raise UsageError(f"one keeps all heads of layer {layer}, so that none is off there", "name fewer heads")
        return cls(zero=others)

    def __or__(self, other: Off) -> Off:
        """Adds other heads; of a head that is named twice, the other says how it is switched off."""
        again = other.zero | other.mean | other.uniform
        return Off(**{one.name: (getattr(self, one.name) - again) | getattr(other, one.name) for one in fields(self)})

    def __bool__(self) -> bool:
        return bool(self.zero or self.mean or self.uniform)

    def how(self, layer: int, head: int) -> str | None:
        """Returns the name of the way in which a head is off; None: it is on."""
        return next((one.name for one in fields(self) if (layer, head) in getattr(self, one.name)), None)

    @property
    def layers(self) -> list[int]:
        """Lists the layers that have heads switched off, in ascending order."""
        return sorted({layer for layer, _ in self.zero | self.mean | self.uniform})

    def below(self, layer: int) -> Off:
        """Keeps the heads of the layers below this one."""
        kept = {
            one.name: frozenset(head for head in getattr(self, one.name) if head[0] < layer) for one in fields(self)
        }
        return Off(**kept)

    def text(self, heads: int) -> str:
        """Writes the heads in a normal form, such as ``3:1,5:*(zero)``.

        Args:
            heads: how many heads a layer has.
        """
        return ",".join(
            f"{_text(getattr(self, one.name), heads)}({one.name})" for one in fields(self) if getattr(self, one.name)
        )


def with_off(model: str, off: str | None) -> str:
    """Adds to a model's name which of its heads are off, as :meth:`Off.text` writes them; a long text is cut."""
    short = off if off is None or len(off) <= LONGEST else f"{off[:LONGEST]}…"
    return f"{model} with heads {short} off" if short else model


def check_switches(off: Any, how: str) -> None:
    """Checks what a person says of heads that are off, without knowing the model.

    Raises:
        UsageError: the heads have another form, there is no such way, or there is one without heads.
    """
    check_choice("off_how", how, HOWS)
    if off is not None:
        parse_heads(off)
    elif how != HOWS[0]:
        raise UsageError(f"off_how {how} switches nothing off without heads", "name them: off 3:1,5:*")


def named_heads(named: Any, layers: int, heads: int) -> frozenset[Head]:
    """Lists the heads that a person names: ``3:1``, ``0-2:3``, ``5:*``, ``-1:0`` and such, or pairs of numbers.

    >>> sorted(named_heads("-1:0,0:*", 2, 2))
    [(0, 0), (0, 1), (1, 0)]

    Raises:
        UsageError: they cannot be read, or the model does not have them.
    """
    chosen = (product(select(at, layers, "layer"), select(some, heads, "head")) for at, some in parse_heads(named))
    return frozenset(head for heads_of_layers in chosen for head in heads_of_layers)


def parse_heads(named: Any) -> list[tuple[Indices, Indices]]:
    """Reads which layers and heads are named, ranges left unexpanded; see :func:`named_heads`.

    Raises:
        UsageError: they have another form, or none is named.
    """
    if isinstance(named, str):
        return [_parse(item.strip(), named) for item in named.split(",")]
    pairs = list(named) if isinstance(named, Iterable) and not isinstance(named, bytes) else [named]
    if not pairs:
        raise UsageError("no head is named", FORMS)
    return [_pair(pair) for pair in pairs]


def _parse(item: str, whole: str) -> tuple[Indices, Indices]:
    """Reads ``LAYERS:HEADS``."""
    layers, colon, heads = item.partition(":")
    if not (colon and layers.strip() and heads.strip()):
        inside = "" if item == whole.strip() else f" in {shown(whole)}"
        raise UsageError(f"cannot read {shown(item)}{inside} as heads of a layer", FORMS)
    for numbers in (layers, heads):
        if numbers.strip() not in ("*", "all"):
            _check_numbers(numbers, item)
    return _numbers(layers), _numbers(heads)


def _numbers(written: str) -> str:
    return "all" if written.strip() == "*" else written


def _check_numbers(numbers: str, item: str) -> None:
    try:
        parse_indices(numbers)
    except UsageError as error:
        raise UsageError(f"{error} in {shown(item)}", FORMS) from error


def _pair(pair: Any) -> tuple[Indices, Indices]:
    """Reads a layer and a head, given as numbers."""
    numbers = [as_integer(number) for number in pair] if isinstance(pair, tuple | list) else []
    known = [number for number in numbers if number is not None]
    if len(known) != 2 or len(numbers) != 2:
        raise UsageError(f"heads are pairs of a layer and a head; got {shown(pair)}", "write [(3, 1)], or '3:1,5:*'")
    return known[:1], known[1:]


def _text(chosen: Iterable[Head], heads: int) -> str:
    """Writes heads in ascending order, all of a layer as ``*``."""
    layers = sorted({layer for layer, _ in chosen})
    return ",".join(_of_layer(layer, sorted(head for at, head in chosen if at == layer), heads) for layer in layers)


def _of_layer(layer: int, chosen: list[int], heads: int) -> str:
    return (
        f"{layer}:*" if len(chosen) == heads else ",".join(f"{layer}:{some}" for some in as_ranges(chosen).split(","))
    )
