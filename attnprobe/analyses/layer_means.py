"""The table by layer of what tokens write into each other: how large it is, and how much of it is their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnprobe.analyses.methods import METHODS, NORMS, STAGES
from attnprobe.analyses.rollout import shares_of_rows
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.table import Table

if TYPE_CHECKING:
    from attnprobe.analyses.written import Written
    from attnprobe.models.encoder import Encoder
    from attnprobe.values.tokens import Tokens


@dataclass(frozen=True, repr=False)
class LayerMeans:
    """Means over the tokens of a text, by layer.

    Attributes:
        meanings: of the columns.
        rows: (layer, column), None where the model has no such point.
        remarks: what a reader should know.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
    """

    meanings: Mapping[str, str]
    rows: Sequence[Sequence[float | None]]
    remarks: Sequence[str]
    notes: Mapping[str, Any]
    sign: Callable[[], str]

    def __repr__(self) -> str:
        return one_line("LayerMeans", self.notes["model"], f"{len(self.rows)} layers", ", ".join(self.meanings))

    def _repr_html_(self) -> str:
        """Shows the rows."""
        table = self.to_table()
        return html_table(repr(self), table.columns, table.rows)

    def to_table(self) -> Table:
        """Makes a row per layer."""
        rows = [(layer, *row) for layer, row in enumerate(self.rows)]
        return Table(["layer", *self.meanings], rows, self.notes, self.sign)


def take_means(text: Tokens, encoder: Encoder, method: str) -> tuple[list[Sequence[float | None]], Sequence[str]]:
    """Measures a text once; returns a row per layer, and remarks.

    Raises:
        ModelError: the layers have other parts than are known, or lack one that the method needs.
    """
    from attnprobe.analyses.contributions import contributions

    rows: list[Sequence[float | None]] = []
    if METHODS[method].means is NORMS:
        found = contributions(encoder, text, [], lambda written: rows.append(_norms(written)))
        return rows, list(found.remarks())
    found = contributions(encoder, text, [method])
    for matrix in found.matrices[method]:
        shares = shares_of_rows(matrix)
        self_share = float(shares.diagonal()[shares.sum(-1) > 0].mean())
        rows.append([float(matrix.mean()), self_share] if method == "decompx" else [self_share])
    return rows, list(found.remarks())


def _norms(written: Written) -> list[float | None]:
    """Computes the columns of NORMS in one layer."""
    lengths = written.attn.f.norm(dim=-1)
    stages = [getattr(written, name) for name in STAGES]
    return [
        float(lengths.mean()),
        float((written.attn.weights * lengths[:, None]).mean()),
        *(stage and float(stage.norms.mean()) for stage in stages),
        *(stage and stage.mixing_ratio for stage in stages),
    ]
