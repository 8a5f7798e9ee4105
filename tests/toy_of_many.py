"""An analysis of many texts, as another package would bring it: how much of each head falls on the query itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Annotated, Any

import numpy as np
import pandas as pd

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.attention.blocks import Block
from attnprobe.measure.kinds import Found, Measured
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Options, Reading, Selection, Without, option, share
from attnprobe.values.rows import RowBlock
from attnprobe.values.selection import select
from attnprobe.values.summary import check_arrays
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens

COLUMNS = {"layer": "counted from 0", "head": "counted from 0", "own": "the mean weight", "role": "own or other"}


@dataclass(frozen=True)
class Judging(Options):
    least: float = share(0.1, help="The weight from which a head looks at itself.")
    seed: int = option(0, metavar="N", help="Of nothing, and of --sample.")


@dataclass(frozen=True)
class OwnWeights:
    """The weight of each query on itself, by head."""

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    least: float
    seed: int = 0
    alone: bool = False

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> OwnWeights:
        layers, heads = options.pop("layers"), options.pop("heads")
        return cls(
            tuple(select(layers, encoder.layers, "layer")), tuple(select(heads, encoder.heads, "head")), **options
        )

    @property
    def columns(self) -> dict[str, str]:
        return {}

    @property
    def size(self) -> int:
        return 2**17  # eight texts to a chunk

    def described(self) -> dict[str, Any]:
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        return {"least": self.least, "seed": self.seed}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Listener:
        return Listener(self, np.zeros((len(texts), len(self.layers), encoder.heads)), len(texts[0]))

    def rows(self, texts: Sequence[Measured]) -> list[RowBlock]:
        return []

    def empty(self, signature: str) -> OwnSummary:
        zeros = np.zeros((len(self.layers), len(self.heads)))
        return OwnSummary(signature, self, zeros, np.zeros((), dtype=np.int64))


@dataclass(frozen=True)
class Listener:
    measurement: OwnWeights
    sums: np.ndarray
    length: int
    starts: None = None

    def start_layer(self, layer: int) -> Callable[[Block], None]:
        index = self.measurement.layers.index(layer)

        def observe(block: Block) -> None:
            own = block.weights[..., range(len(block.weights[0, 0])), range(block.rows.start, block.rows.stop)]
            self.sums[block.texts, index, block.heads or slice(None)] += own.double().sum(-1).numpy()

        return observe

    def finish(self) -> Found:
        return Found([OwnSums(sums[:, list(self.measurement.heads)], self.length) for sums in self.sums])


@dataclass(frozen=True)
class OwnSums:
    sums: np.ndarray
    n_queries: int

    def __add__(self, other: OwnSums) -> OwnSums:
        return OwnSums(self.sums + other.sums, self.n_queries + other.n_queries)


@dataclass(frozen=True)
class OwnSummary:
    signature: str
    measurement: OwnWeights
    sums: np.ndarray
    n_queries: np.ndarray

    @property
    def remarks(self) -> list[str]:
        return [f"{int(self.n_queries.sum())} queries"]

    def of_texts(self, texts: Sequence[Measured], together: None) -> OwnSummary:
        summary = self
        for text in texts:
            summary += replace(self, sums=text.found.sums, n_queries=np.array(text.found.n_queries))
        return summary

    def __add__(self, other: OwnSummary) -> OwnSummary:
        return replace(self, sums=self.sums + other.sums, n_queries=np.asarray(self.n_queries + other.n_queries))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"sums": self.sums, "n_queries": self.n_queries}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> OwnSummary:
        check_arrays(arrays, self.arrays())
        return replace(self, **arrays)

    def tables(self) -> dict[str, Callable[[], Table]]:
        return {"summary": self.to_table, "by_layer": self.by_layer}

    def to_table(self) -> Table:
        means = self.sums / max(1, int(self.n_queries))
        rows = [
            (layer, head, float(mean), "own" if mean >= self.measurement.least else "other")
            for layer, of_layer in zip(self.measurement.layers, means, strict=True)
            for head, mean in zip(self.measurement.heads, of_layer, strict=True)
        ]
        return Table(list(COLUMNS), rows, sign=lambda: self.signature)

    def by_layer(self) -> Table:
        means = self.sums.mean(1) / max(1, int(self.n_queries))
        rows = list(zip(self.measurement.layers, map(float, means), strict=True))
        return Table(["layer", "own"], rows, sign=lambda: self.signature)

    def overview(self, title: str) -> Table:
        return replace(self.to_table(), notes={"title": title})

    def to_frame(self) -> pd.DataFrame:
        return self.to_table().to_frame()


def draw(summary: OwnSummary, stream: IO[bytes]) -> None:
    stream.write(f"<svg><!-- {summary.sums.sum():.3f} --></svg>".encode())


def rules(options: Mapping[str, Any]) -> str:
    return f"own: at least {options['least']} of the weight"


OWN = CorpusAnalysis(
    "tests.toy_of_many:OwnWeights",
    COLUMNS,
    options=(Selection, Judging),
    reading=Annotated[Reading, Without("stride")],
    tables={"by_layer": "The mean of each layer."},
    formats={"svg": "tests.toy_of_many:draw"},
    explain="tests.toy_of_many:rules",
    meaning="How much of each head falls on the query itself.",
)
