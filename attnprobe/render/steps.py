"""Packs the steps of the computation into a page: numbers as float16, each block of them once."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.analyses.steps import HeadSteps, LayerSteps, Steps


class Blocks:
    """Packed numbers, by block.

    Attributes:
        packed: a text per block: float16, low bytes first, deflated, in base64.
        exponents: per block, the power of 2 that its float16 are multiplied with, so that none overflows.
    """

    def __init__(self) -> None:
        self.packed: list[str] = []
        self.exponents: list[int] = []
        self._by_array: dict[int, int] = {}
        self._by_content: dict[tuple[str, int], int] = {}

    def add(self, numbers: np.ndarray | None) -> int | None:
        """Returns the number of the block that holds these numbers; None of none. Equal blocks are kept once."""
        if numbers is None:
            return None
        if id(numbers) not in self._by_array:
            self._by_array[id(numbers)] = self._number(*pack_halves(numbers))
        return self._by_array[id(numbers)]

    def _number(self, packed: str, exponent: int) -> int:
        number = self._by_content.setdefault((packed, exponent), len(self.packed))
        if number == len(self.packed):
            self.packed.append(packed)
            self.exponents.append(exponent)
        return number


def pack_halves(numbers: np.ndarray) -> tuple[str, int]:
    """Packs numbers as float16, and the power of 2 to multiply them with.

    The largest lies between 2¹⁴ and 2¹⁵, so that none overflows and small ones keep their digits, too: no number moves
    by more than 2⁻¹¹ of itself, or 2⁻³⁹ of the largest.
    """
    exponent = int(np.frexp(np.abs(numbers.astype(np.float64)).max(initial=0))[1]) - 15
    halves = np.ldexp(numbers.astype(np.float64), -exponent).astype("<f2")
    return base64.b64encode(zlib.compress(halves.view("u1").reshape(-1, 2).T.tobytes())).decode(), exponent


def pack_steps(steps: Steps | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Makes what the page's JSON says of the steps, and the blocks that it names by number."""
    if steps is None:
        return None, []
    blocks = Blocks()
    layers = [_layer(layer, blocks) for layer in steps.layers]
    about = {"missing": visible(steps.missing), "heads": steps.n_heads, "layers": layers, "exponents": blocks.exponents}
    return about | {"bytes": sum(map(len, blocks.packed))}, blocks.packed


def _layer(layer: LayerSteps, blocks: Blocks) -> dict[str, Any]:
    return {"heads": [_head(head, blocks) for head in layer.heads], "projected": blocks.add(layer.projected)}


def _head(head: HeadSteps, blocks: Blocks) -> dict[str, Any]:
    named = {name: blocks.add(getattr(head, name)) for name in ("q", "k", "v", "x", "allowed", "value_output")}
    numbers = {name: getattr(head, name) for name in ("scale", "softcap", "sink", "made_by")}
    return {**named, **numbers, "terms": {name: blocks.add(term) for name, term in head.terms.items()}}
