"""similarity: which heads do the same, by the Jensen-Shannon divergence between their rows of weights."""

from __future__ import annotations

from dataclasses import dataclass

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.errors import UsageError
from attnprobe.values.options import Options, Selection, option, whole


@dataclass(frozen=True)
class Sampling(Options):
    """Chooses the queries that pairs of heads are compared by.

    Attributes:
        queries_per_text: how many, at random; all of a text that has no more.
        all_queries: whether every query is compared instead.
        seed: of the sample, which follows from the seed and the text's tokens alone.

    Raises:
        UsageError: all queries are to be compared, and a number of them is given, too.
    """

    queries_per_text: int = whole(32, least=1, help="Random queries of each text to compare heads by.")
    all_queries: bool = option(False, help="Compare heads by all queries: exact, and slow for many heads.")
    seed: int = option(0, metavar="N", help="Of the sample of queries, and of --sample.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_queries and "queries_per_text" in self.changed():
            raise UsageError("all queries are compared, or so many of each text", "leave out one of the two")


@dataclass(frozen=True)
class Clustering(Options):
    """Chooses how many clusters heads form.

    Attributes:
        clusters: how many; at most as many as heads.
    """

    clusters: int = whole(8, least=1, help="Clusters of heads to form.")


SIMILARITY = CorpusAnalysis(
    measurement="attnprobe.analyses.distances:Distances",
    columns={
        "layer": "layer, from 0",
        "head": "head, from 0",
        "cluster": "cluster of the head: average linkage on the roots of distances; 0 is the largest",
        "x": "place on the map of heads: classical multidimensional scaling of the roots of distances",
        "y": "likewise",
        "nearest_layer": "layer of the head that is most alike",
        "nearest_head": "that head",
        "nearest_distance": "Jensen-Shannon divergence between the two in nats, mean over queries, then over texts: 0 "
        "for equal rows, ln 2 = 0.693 for rows that share no key",
    },
    options=[Selection, Sampling, Clustering],
    tables={"pairs": "The distance of each pair of heads."},
    view="attnprobe.render.similarity:similarity_view",
    formats={name: f"attnprobe.render.headmap:save_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads do the same: distances, clusters, a map.",
    examples=(
        "attnprobe similarity reviews.txt",
        "attnprobe similarity reviews.txt --clusters 6 -o heads.csv",
        "attnprobe similarity reviews.txt -o map.svg   # and a tree",
    ),
)
