"""Names the roles of the heads of one text, in the pass that measures something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attnprobe.analyses.shares import HeadShares
from attnprobe.measure.heads import HeadMeans, table_of
from attnprobe.measure.kinds import Measured
from attnprobe.measure.reading import weighing, windows_of
from attnprobe.measure.running import added, measure
from attnprobe.measure.several import Several
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Averaging, SequenceReading, take
from attnprobe.values.records import Record
from attnprobe.values.selection import Indices
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens

ABOUT = "Roles: what each head mostly does in this text. attnprobe patterns reads many texts, --explain has its rules."


def roles_of(measurement: HeadShares, sums: Sums, windows: Sequence[Tokens]) -> list[list[str | None]]:
    """Names the role of each head of one text, by layer; None where a layer's positions are no tokens."""
    return measurement.empty("").of_texts([Measured(Record(""), windows, sums)], None).roles()


def table_with_roles(
    text: str,
    encoder: Encoder,
    metrics: Sequence[str],
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    **options: Any,
) -> Table:
    """Makes the table of :func:`attnprobe.measure.heads.head_table` with a column ``role`` after ``head``.

    Roles follow the rules of ``attnprobe patterns`` with their defaults, whatever metrics are chosen, over all queries.
    """
    reading, averaging = take(options, SequenceReading, Averaging)
    chosen = {"layers": layers, "heads": heads}
    means = HeadMeans.choose(encoder, reading, metrics=metrics, **chosen, **vars(averaging))
    shares = HeadShares.choose(encoder, reading, **chosen)
    windows = windows_of(encoder, text, pair, reading)
    both = Several({"means": means, "shares": shares})
    weighed = weighing(encoder, reading, both).for_length(max(map(len, windows)))
    found = added(measure(windows, weighed, both).texts)
    table = table_of(means, found[0], encoder, windows, reading)
    roles = [role for of_layer in roles_of(shares, found[1], windows) for role in of_layer]
    rows = [(layer, head, role, *values) for (layer, head, *values), role in zip(table.rows, roles, strict=True)]
    return replace(
        table, columns=["layer", "head", "role", *table.columns[2:]], rows=rows, notes={**table.notes, "roles": ABOUT}
    )
