"""How well heads find contacts over many proteins, and a regression over heads that others were fitted on."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnprobe.analyses.contact_again import Again, Drawing, Drawn, Features, Gathered, Tested, Written
from attnprobe.analyses.kept import Kept, written
from attnprobe.attention.contacts import SCORES
from attnprobe.attention.regression import Regression, fit_regression
from attnprobe.measure.kinds import Measured
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.records import Record
from attnprobe.values.signature import model_of
from attnprobe.values.summary import Summary
from attnprobe.values.table import Cell, Table, Tabled

COLUMNS = ("layer", "head", *SCORES, "n")
EVERY = 2**31  # proteins: all are kept whose maps are to be written
HALVES = ("even", "odd")
KEPT = ("fit", "test", "first", "every")


@dataclass(frozen=True, repr=False)
class ContactScores(Tabled):
    """How well heads find contacts, means over proteins, each counted once; ``a + b`` is that of the proteins of both.

    Attributes:
        measurement: the :class:`attnprobe.analyses.contact_maps.ContactMaps`.
        halves: the scores of proteins of even and of odd number, and the share of their pairs that are contacts.
        kept: the proteins that are measured again, by KEPT: to fit, to test, to draw, to write.
        n_texts: how many proteins were measured, with and without contacts.
        seen: (id,) whether a protein of each id in the file of contacts was measured.
        regression: over heads, if it was fitted.
        tested: (protein, score) of the regression, of proteins that it was not fitted on.
        drawing: of the first protein by the best head.
        written: whether maps were written.
    """

    measurement: Any
    halves: tuple[Summary, ...]
    kept: tuple[Kept, ...]
    n_texts: np.ndarray
    seen: np.ndarray
    regression: Regression | None = None
    tested: np.ndarray | None = None
    drawing: Drawing | None = None
    written: bool = False

    @classmethod
    def of_none(cls, measurement: Any, signature: str) -> ContactScores:
        """The summary of no protein."""
        half = Summary.empty(measurement.layers, measurement.heads, [*SCORES, "chance"], signature)
        sample = measurement.sample
        most = (sample.fit, sample.test if sample.fit else 0, 1, EVERY if measurement.maps else 0)
        ids = measurement.file.ids if measurement.file else []
        kept = tuple(Kept(count, sample.seed) for count in most)
        return cls(measurement, (half, half), kept, np.zeros(()), np.zeros(len(ids), bool))

    def __repr__(self) -> str:
        heads = f"{len(self.measurement.layers)} layers × {len(self.measurement.heads)} heads"
        return one_line("ContactScores", model_of(self.signature), heads, f"{self.n:,} proteins")

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return self.halves[0].signature

    @property
    def sums(self) -> Summary:
        """The scores of all proteins."""
        return self.halves[0] + self.halves[1]

    @property
    def n(self) -> int:
        """How many proteins have contacts that tell heads apart."""
        return int(self.sums.n_texts.max(initial=0))

    @property
    def fitted_on(self) -> int:
        """How many proteins the regression was fitted on."""
        return len(self.kept[0].texts) if self.regression else 0

    def of_texts(self, texts: Sequence[Measured], together: Any) -> ContactScores:
        """Summarizes measured proteins, whose ``found`` are their scores and share of contacts, or None."""
        if not texts:
            return self
        scored = [text for text in texts if text.found is not None]
        halves = [[text for text in scored if text.number % 2 == half] for half in range(2)]
        drawn = [(f"{text.number:012d}", written(text.record)) for text in scored[:1]]
        sets = (self.kept[0].of_texts(halves[0]), self.kept[1].of_texts(halves[1]))
        first = replace(self.kept[2], texts=tuple(drawn))
        ids = {text.id for text in texts}
        seen = [id in ids for id in self.measurement.file.ids] if self.measurement.file else []
        return replace(
            self,
            halves=tuple(_summed(half, some) for half, some in zip(self.halves, halves, strict=True)),
            kept=(*sets, first, self.kept[3].of_texts(texts)),
            n_texts=np.array(float(len(texts))),
            seen=np.array(seen, bool),
        )

    def __add__(self, other: ContactScores) -> ContactScores:
        """Summarizes the proteins of both.

        Raises:
            UsageError: the layers, heads or signatures differ.
        """
        return replace(
            self,
            halves=tuple(one + another for one, another in zip(self.halves, other.halves, strict=True)),
            kept=tuple(one + another for one, another in zip(self.kept, other.kept, strict=True)),
            n_texts=self.n_texts + other.n_texts,
            seen=self.seen | other.seen,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        arrays = {"n_texts": self.n_texts, "seen": self.seen}
        for half, summary in zip(HALVES, self.halves, strict=True):
            arrays |= {f"{half}.{name}": array for name, array in summary.arrays().items()}
        return arrays | {f"kept.{name}": kept.array() for name, kept in zip(KEPT, self.kept, strict=True)}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> ContactScores:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these heads has such arrays.
        """
        if set(arrays) != set(self.arrays()) or arrays["seen"].shape != self.seen.shape or arrays["n_texts"].shape:
            raise ValueError("wrong names")
        halves = [
            summary.restored({name.removeprefix(f"{half}."): arrays[name] for name in arrays if name.startswith(half)})
            for half, summary in zip(HALVES, self.halves, strict=True)
        ]
        kept = [sample.restored(arrays[f"kept.{name}"]) for name, sample in zip(KEPT, self.kept, strict=True)]
        return replace(
            self, halves=tuple(halves), kept=tuple(kept), n_texts=arrays["n_texts"], seen=arrays["seen"].astype(bool)
        )

    @property
    def asks(self) -> dict[str, Callable[[], tuple[Again, list[Record]]]]:
        """Returns what is to be measured again, one step after the other."""
        return {"summary": self._begun} if next(self._steps(), None) else {}

    def _begun(self) -> tuple[Again, list[Record]]:
        """Returns the next step; one that writes has an empty folder."""
        step, records = next(self._steps())
        if isinstance(step, Written):
            shutil.rmtree(step.folder, ignore_errors=True)
            step.folder.mkdir()
        return step, records

    def _steps(self) -> Iterator[tuple[Again, list[Record]]]:
        """Yields what is left to be measured again, with its proteins."""
        this, (fit, test, first, whole) = self.measurement, self.kept
        if self.regression is None and fit.texts and test.texts:
            yield Features(this, len(fit.texts)), fit.records()
        if self.regression is not None and self.tested is None:
            yield Tested(this, self.regression), test.records()
        if self.drawing is None and first.texts:
            yield Drawn(this, Regression.of_head(self.shape, *self.best)), first.records()
        if this.maps is not None and not self.written and whole.texts:
            records, folder = whole.records(), this.maps.with_name(f".{this.maps.name}.tmp")
            yield Written(this, self.regression, folder, names_of(records), self.signature), records

    def answered(self, name: str, found: Gathered) -> ContactScores:
        """Returns the summary with the results of the step that was asked for."""
        step, _ = next(self._steps())
        if isinstance(step, Features):
            return replace(self, regression=fit_regression(found.found, self.shape))
        if isinstance(step, Tested):
            return replace(self, tested=np.array(found.found))
        if isinstance(step, Drawn):
            return replace(self, drawing=found.found[0])
        assert isinstance(step, Written)
        step.folder.replace(self.measurement.maps)
        return replace(self, written=True)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of layers and heads."""
        return len(self.measurement.layers), len(self.measurement.heads)

    @property
    def best(self) -> tuple[int, int]:
        """The places of the layer and head with the largest precision at L, the first of equals."""
        layer, head = np.unravel_index(self.sums.mean[:, :, 0].argmax(), self.shape)
        return int(layer), int(head)

    @property
    def chance(self) -> float | None:
        """The share of contacts among the pairs, the mean over proteins; None without any."""
        return float(self.sums.mean[0, 0, -1]) if self.n else None

    def table(self) -> Table:
        """Makes a table with one row per layer and head, then those of chance and of the regression."""
        sums, n = self.sums, self.n
        rows: list[Sequence[Cell]] = [
            (layer, head, *(sums.mean[i, j, :-1].tolist() if n else [None] * len(SCORES)), n)
            for i, layer in enumerate(self.measurement.layers)
            for j, head in enumerate(self.measurement.heads)
        ]
        if n:
            rows.append((None, "chance", *[self.chance] * 3, 0.5, n))
        if self.tested is not None:
            rows.append((None, "regression", *self.tested.mean(0).tolist(), len(self.tested)))
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    @property
    def remarks(self) -> list[str]:
        """Says which proteins do not count, and which ids are of none."""
        remarks = []
        if not self.seen.all():
            first = self.measurement.file.ids[int(self.seen.argmin())]
            line = self.measurement.file.lines[first]
            missing, count = f"{int((~self.seen).sum()):,} of {len(self.seen):,}", self.measurement.file.name
            remarks.append(f"{missing} ids of {count} are of no protein that was measured; line {line}: {first!r}")
        if (without := int(self.n_texts) - self.n) > 0:
            apart = self.measurement.separation
            hint = "" if self.n else "; --contacts FILE lists them"
            proteins = f"{without:,} protein{'' if without == 1 else 's'}"
            remarks.append(f"no contacts {apart} or more residues apart are known of {proteins}{hint}")
        return remarks


def _summed(half: Summary, texts: Sequence[Measured]) -> Summary:
    """Summarizes the scores of some proteins; the share of contacts stands beside those of each head."""
    if not texts:
        return half
    scores = np.array([text.found[0] for text in texts])
    shares = np.array([text.found[1] for text in texts])[:, None, None, None]
    values = np.concatenate([scores, np.broadcast_to(shares, (*scores.shape[:3], 1))], -1)
    return half.of(values, np.ones((len(texts), scores.shape[1], values.shape[-1])))


def names_of(records: Sequence[Record]) -> tuple[str, ...]:
    """Names a file for each record, by its id; those of equal names are numbered.

    >>> names_of([Record("sp|P1"), Record("sp/P1"), Record("b")])
    ('sp_P1.1.safetensors', 'sp_P1.2.safetensors', 'b.safetensors')
    """
    stems = [re.sub(r"[^\w.-]", "_", record.id).lstrip(".")[:150] or "_" for record in records]
    folded = [stem.casefold() for stem in stems]
    counts, seen = Counter(folded), Counter[str]()
    names = []
    for stem, key in zip(stems, folded, strict=True):
        seen[key] += 1
        names.append(f"{stem}.{seen[key]}.safetensors" if counts[key] > 1 else f"{stem}.safetensors")
    return tuple(names)
