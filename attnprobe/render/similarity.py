"""Similar heads for a terminal: the clusters with their heads, the nearest pairs and the farthest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from attnprobe.analyses.likeness import Similarity
from attnprobe.values.signature import counted, model_of, part_of
from attnprobe.values.text import visible

PAIRS_SHOWN = 10


def similarity_view(summary: Similarity, width: int, **options: Any) -> RenderableType:
    """Lists clusters, and the pairs of heads that are most and least alike."""
    parts: list[RenderableType] = [Text(visible(title(summary))), ""]
    if summary.n_texts:
        parts += [_clusters(summary), ""]
    if summary.n_texts and len(summary.labels) > 1:
        parts += [_pairs(summary), ""]
    return Group(*parts, *(Text(note, "dim") for note in _notes(summary)))


def title(summary: Similarity) -> str:
    """Names the model, and counts heads, clusters and texts."""
    model = model_of(summary.signature)
    counts = {"head": len(summary.labels), "cluster": len(summary.members()), "text": int(summary.n_texts)}
    heads, clusters, texts = (f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    return ", ".join(filter(None, [f"{model}: {heads} in {clusters}", texts, counted(summary.signature)]))


def label_of(summary: Similarity, index: int) -> str:
    """Writes ``layer.head``."""
    return ".".join(map(str, summary.labels[index]))


def _clusters(summary: Similarity) -> RichTable:
    """Tables the clusters: how many heads, how far apart these are on average, and which."""
    drawn = _table()
    for name in ("cluster", "heads", "distance"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("layer.head", overflow="fold")
    for number, members in enumerate(summary.members()):
        size = len(members)
        inside = summary.distances[members][:, members].sum() / (size * (size - 1)) if size > 1 else None
        written = "" if inside is None else f"{inside:.3f}"
        drawn.add_row(str(number), str(size), written, Text("  ".join(_by_layer(summary, members))))
    return drawn


def _by_layer(summary: Similarity, members: Sequence[int]) -> Iterator[str]:
    """Writes the heads of each layer, those without a gap as a range: ``2.0-3,7``, with spaces that do not break."""
    for layer, those in groupby((summary.labels[index] for index in members), lambda label: label[0]):
        heads = [head for _, head in those]
        runs = [[step[1] for step in run] for _, run in groupby(enumerate(heads), lambda step: step[1] - step[0])]
        yield f"{layer}." + ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _pairs(summary: Similarity) -> RichTable:
    """Tables the nearest pairs beside the farthest."""
    drawn = _table()
    for name in ("nearest", "distance", "farthest", "distance"):
        drawn.add_column(name, justify="right" if name == "distance" else "left", no_wrap=True)
    ranked = summary.ranked()
    nearest, farthest = ranked[:PAIRS_SHOWN], ranked[::-1][:PAIRS_SHOWN]
    for pairs in zip_longest(nearest, farthest):
        cells = [(f"{label_of(summary, a)} {label_of(summary, b)}", f"{distance:.3f}") for a, b, distance in pairs]
        drawn.add_row(*(cell for pair in cells for cell in pair))
    return drawn


def _table() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)


def _notes(summary: Similarity) -> Iterator[str]:
    """Yields sentences on how to read the numbers."""
    if not summary.n_texts:
        yield "No text was measured."
        return
    queries = part_of(summary.signature, "queries")
    sample = "all queries" if queries == "all" else f"up to {queries} random queries"
    yield (
        f"Distance: Jensen-Shannon divergence in nats between two heads' rows, mean over {sample} of each text, then "
        "over texts; 0 for equal rows, 0.693 (ln 2) for rows that share no key. Of a cluster: its mean."
    )
    yield "Clusters: average linkage on roots of distances. Layers and heads count from 0."
    yield "-f csv has every head, --pairs FILE every pair, -o FILE.png a map of the heads and their tree."
