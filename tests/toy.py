"""What another package would bring: a metric, a writer, and a measurement quite unlike head means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from attnprobe import Columns, run_corpus
from attnprobe.attention.blocks import Block
from attnprobe.measure.kinds import Found, Measured
from attnprobe.metrics.kinds import OffsetMetric
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Engine, Reading, take
from attnprobe.values.rows import HEAD_COLUMNS, RowBlock
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens

left_share = OffsetMetric(
    of_offset=lambda offset, long_range: offset < 0, formula="sum of a[q,k] over k < q", unit="share", source="a test"
)


def write_count(table: Table, stream: IO[bytes]) -> None:
    """Writes how many rows there are, and the last number of the first."""
    stream.write(f"{len(table.rows)} rows, {table.columns[-1]} = {table.rows[0][-1]:.6f}".encode())


@dataclass(frozen=True)
class LargestWeights:
    """The position of the largest weight of each query, and by class of text, how often it is the query's own."""

    layers: tuple[int, ...]
    heads: int
    alone: bool = False

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> LargestWeights:
        take(options)
        return cls(tuple(range(encoder.layers)), encoder.heads)

    @property
    def columns(self) -> dict[str, str]:
        return {"class": "string", **HEAD_COLUMNS, "query": "int32", "position": "int32"}

    @property
    def size(self) -> int:
        return 2**17  # eight texts to a chunk

    def described(self) -> dict[str, Any]:
        return {"layers": self.layers}

    def signed(self) -> dict[str, object]:
        return {"largest": "weight"}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Listener:
        return Listener(np.zeros((len(texts), len(self.layers), self.heads, len(texts[0])), dtype=np.int32))

    def rows(self, texts: Sequence[Measured]) -> list[RowBlock]:
        blocks = []
        for text in texts:
            places = [{"layer": self.layers}, {"head": range(self.heads)}]
            for (positions,) in text.found.windows:
                own = {"id": [text.id], "n_tokens": [text.n_tokens], "class": [class_of(text)]}
                axes = [own, *places, {"query": range(positions.shape[-1])}]
                blocks.append(RowBlock(axes, ["position"], positions[None, ..., None]))
        return blocks

    def empty(self, signature: str) -> OwnShares:
        return OwnShares(signature, {})


def class_of(text: Measured) -> str:
    return str(text.labels.get("class", "none"))


@dataclass(frozen=True)
class Positions:
    """The positions in a text's windows, each (layer, head, query)."""

    windows: tuple[tuple[np.ndarray], ...]

    def __add__(self, other: Positions) -> Positions:
        return Positions(self.windows + other.windows)


@dataclass(frozen=True)
class Listener:
    positions: np.ndarray
    starts: None = None

    def start_layer(self, layer: int) -> Callable[[Block], None]:
        def observe(block: Block) -> None:
            found = block.weights.argmax(-1).numpy() + block.keys.start
            self.positions[block.texts, layer, block.heads or slice(None), block.rows] = found

        return observe

    def finish(self) -> Found:
        return Found([Positions(((of_text,),)) for of_text in self.positions])


@dataclass(frozen=True)
class OwnShares:
    """By class of text (layer, head, 2): how many queries look at themselves most, and how many there are."""

    signature: str
    counts: Mapping[str, np.ndarray]

    def of_texts(self, texts: Sequence[Measured], together: None) -> OwnShares:
        summary = self
        for text in texts:
            for (positions,) in text.found.windows:
                own = (positions == np.arange(positions.shape[-1])).sum(-1)
                summary += OwnShares(
                    self.signature, {class_of(text): np.stack([own, np.full_like(own, positions.shape[-1])], -1)}
                )
        return summary

    def __add__(self, other: OwnShares) -> OwnShares:
        counts = dict(self.counts)
        for name, count in other.counts.items():
            counts[name] = counts[name] + count if name in counts else count
        return OwnShares(self.signature, counts)

    def arrays(self) -> dict[str, np.ndarray]:
        return dict(self.counts)

    def restored(self, arrays: Mapping[str, np.ndarray]) -> OwnShares:
        return OwnShares(self.signature, arrays)

    def tables(self) -> dict[str, Callable[[], Table]]:
        return {"summary": lambda: self.overview("")}

    def overview(self, title: str) -> Table:
        rows = [
            (name, layer, head, int(own) / int(count), int(count))
            for name, of_class in sorted(self.counts.items())
            for layer, of_layer in enumerate(of_class)
            for head, (own, count) in enumerate(of_layer)
        ]
        return Table(["class", "layer", "head", "own", "n"], rows, {"title": title}, lambda: self.signature)


TEXTS = [f"The {'very ' * (n % 4)}patient cat number {n} waited." for n in range(30)]


def write_records(path: Path) -> Path:
    """Records that carry a class, and two that cannot be used."""
    records = [{"id": f"n{n}", "text": text, "class": "even" if n % 2 else "odd"} for n, text in enumerate(TEXTS)]
    records[7]["text"], records[21]["text"] = "", ""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def run(source: Path, folder: Path, encoder: Encoder | Path, engine: Engine | None = None, **options: bool) -> None:
    """Measures the toy, with the records' classes, in a model of three layers and four heads."""
    toy = LargestWeights((0, 1, 2), 4)
    columns = Columns(text="text", id="id", labels=("class",))
    folder.mkdir(exist_ok=True)
    own = encoder if isinstance(encoder, Encoder) else str(encoder)
    tables = {"measure": toy, "summary": folder / "own.csv", "columns": columns}
    run_corpus(source, folder / "out.csv", own, **vars(engine or Engine()), **tables, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
