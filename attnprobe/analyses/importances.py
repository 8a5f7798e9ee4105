"""Sums up the importance of heads over many texts, whatever measured it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnprobe.analyses.curve import COLUMNS as CURVE_COLUMNS
from attnprobe.analyses.curve import Curve, Left
from attnprobe.analyses.kept import Kept
from attnprobe.analyses.pictures import StatMap
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.records import Record
from attnprobe.values.signature import model_of, part_of
from attnprobe.values.summary import Summary
from attnprobe.values.table import Cell, Table, Tabled

COLUMNS = ("layer", "head", "importance", "ci_low", "ci_high", "normalized", "n_texts")


@dataclass(frozen=True, repr=False)
class Importances(Tabled):
    """The importance of each head over many texts, each counted once; ``a + b`` is the summary of the texts of both.

    Attributes:
        sums: means and deviations over texts, of "importance" and then of each further effect.
        remarks: sentences on how they were measured.
        curve, kept: the measurement of what is left with many heads off, and the texts for it; None: there is none.
        left: what it has found.
    """

    sums: Summary
    remarks: Sequence[str] = ()
    curve: Curve | None = None
    kept: Kept | None = None
    left: Left | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.sums.layers)} layers × {len(self.sums.heads)} heads", f"{self.n_texts:,} texts"
        return one_line("Importances", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    @classmethod
    def empty(
        cls, layers: Sequence[int], heads: Sequence[int], signature: str, effects: Sequence[str] = ()
    ) -> Importances:
        """The summary of no text.

        Args:
            effects: the names of further columns, after those of COLUMNS.
        """
        return cls(Summary.empty(layers, heads, ["importance", *effects], signature))

    def with_curve(self, curve: Curve) -> Importances:
        """Returns the summary that keeps texts for a curve."""
        return replace(self, curve=curve, kept=Kept(curve.texts, curve.seed))

    @property
    def asks(self) -> dict[str, Callable[[], tuple[Curve, list[Record]]]]:
        """Returns what is to be measured again for a table, by its name."""
        return {"curve": self._curve} if self.curve else {}

    def _curve(self) -> tuple[Curve, list[Record]]:
        assert self.curve is not None
        assert self.kept is not None
        return self.curve.ordered(self.sums.layers, self.sums.heads, self.values), self.kept.records()

    def answered(self, name: str, summary: Left) -> Importances:
        """Returns the summary with what was measured again."""
        return replace(self, left=summary)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns the functions that make the tables, by name."""
        return {"summary": self.table, "curve": self.left.table if self.left else lambda: Table(CURVE_COLUMNS, [])}

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return self.sums.signature

    @property
    def n_texts(self) -> int:
        """How many texts were measured."""
        return int(self.sums.n_texts.max(initial=0))

    def of_texts(self, texts: Sequence[Any], together: Any) -> Importances:
        """Summarizes measured texts, whose ``found`` are arrays (layer, head, effect), NaN where there is no effect."""
        if not texts:
            return self
        values = np.array([text.found for text in texts])
        known = ~np.isnan(values)
        sums = self.sums.of(np.where(known, values, 0.0), known.all(2).astype(float))
        return replace(self, sums=sums, kept=self.kept.of_texts(texts) if self.kept else None)

    def __add__(self, other: Importances) -> Importances:
        """Summarizes the texts of both.

        Raises:
            UsageError: layers, heads, effects or signatures differ.
        """
        kept = self.kept + other.kept if self.kept and other.kept else None
        return replace(self, sums=self.sums + other.sums, kept=kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        return self.sums.arrays() | ({"kept": self.kept.array()} if self.kept else {})

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Importances:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these heads has such arrays.
        """
        sums = {name: array for name, array in arrays.items() if name != "kept"}
        kept = self.kept.restored(arrays["kept"]) if self.kept and "kept" in arrays else self.kept
        return replace(self, sums=self.sums.restored(sums), kept=kept)

    @property
    def values(self) -> np.ndarray:
        """(layer, head) the importance, NaN if no text was measured."""
        means: np.ndarray = np.where(self.sums.n_texts[:, :1] > 0, self.sums.mean[:, :, 0], np.nan)
        return means

    @property
    def normalized(self) -> np.ndarray:
        """(layer, head) the importance divided by the root of the sum of squares over the layer; NaN if that is 0."""
        values = self.values
        norms = np.sqrt(np.square(values).sum(1, keepdims=True))
        shares: np.ndarray = np.divide(values, norms, out=np.full_like(values, np.nan), where=norms > 0)
        return shares

    def picture(self) -> StatMap:
        """Makes the map of the importance by layer and head."""
        method, objective = (part_of(self.signature, name) for name in ("method", "objective"))
        texts = f"{self.n_texts:,} text{'' if self.n_texts == 1 else 's'}"
        notes = {"model": model_of(self.signature), "of": f"{objective} by {method}, {texts}"}
        layers, heads = self.sums.layers, self.sums.heads
        return StatMap("importance", self.values, layers, heads, notes, lambda: self.signature)

    def ranked(self) -> list[Sequence[Cell]]:
        """Lists the rows of the table by importance, the largest first; none where no text was measured."""
        return list(self.table().sorted_by("importance").rows) if self.n_texts else []

    def table(self) -> Table:
        """Makes a table with one row per layer and head: the importance, then the mean of each further effect."""
        measured, effects = self.sums.table().rows, len(self.sums.metrics)
        rows = [
            _row(measured[start : start + effects], normalized)
            for start, normalized in zip(
                range(0, len(measured), effects), self.normalized.ravel().tolist(), strict=True
            )
        ]
        return Table([*COLUMNS, *self.sums.metrics[1:]], rows, sign=lambda: self.signature)


def _row(of_head: Sequence[Any], normalized: float) -> Sequence[Cell]:
    """Makes the row of a head from those of the effects measured of it, the importance first."""
    layer, head, _, mean, _, low, high, _, n_texts, _ = of_head[0]
    others = [effect[3] for effect in of_head[1:]]
    return (layer, head, mean, low, high, None if np.isnan(normalized) else normalized, n_texts, *others)
