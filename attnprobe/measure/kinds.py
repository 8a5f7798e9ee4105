"""The protocol of what can be measured while the model runs.

    measurement.begin(texts, encoder)   a Listener for texts of one length
    listener.start_layer(layer)         an observer of the layer's blocks of weights
    listener.finish()                   the results, text by text; windows of one text add up
    measurement.rows(texts)             rows of texts in their order
    summary.of_texts(texts, together)   statistics of many texts; summaries add up, and are stored as arrays

Runs know nothing else about what they measure, be it of one text or a corpus, in threads, processes or on Ray. A class
whose name stands in MEASUREMENTS also has ``choose(encoder, reading, **options)``, which makes a measurement of what a
person asked for. A measurement without rows is a NoRows of ``nothing.py``, one without a summary uses NoSummary;
``tests/toy.py`` is a whole example. One that needs blocks to carry the norms of values has ``reads_values``, which is
True; its listeners may have it, too: False where their texts need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from attnprobe.attention.blocks import Observer
from attnprobe.models.encoder import Encoder
from attnprobe.values.records import Record
from attnprobe.values.rows import RowBlock
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Found:
    """The results of a listener.

    Attributes:
        texts: the result of each text, in order; results of a text's windows add up (+).
        together: one result of all texts, which adds up likewise; None: nothing.
    """

    texts: Sequence[Any]
    together: Any = None


@dataclass(frozen=True)
class Measured:
    """One text that was measured: its record, its windows, the result, and whether too many tokens are unknown."""

    record: Record
    windows: Sequence[Tokens]
    found: Any
    unknown: bool = False

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    @property
    def number(self) -> int:
        """The record's number, see :class:`attnprobe.Record`."""
        return self.record.number

    @property
    def n_tokens(self) -> int:
        """The number of tokens read, over all windows."""
        return sum(map(len, self.windows))

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the text's record, by name."""
        return self.windows[0].labels


class Listener(Protocol):
    """Receives the weights of some texts of one length, layer by layer."""

    @property
    def starts(self) -> Sequence[int] | None:
        """The rows where a block may start (ascending, 0 first); None: any."""

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the observer of the layer's blocks, which come in order of rows; None: nobody observes them."""

    def finish(self) -> Found:
        """Returns the results, after all layers have come."""


class Summary(Protocol):
    """Sufficient statistics of many texts, which add up, from whichever process they come.

    One with a table that takes the model once more, when all texts have come, has ``asks``: by the table's name a
    function that returns a measurement, with the ``reading`` of its texts, and the records; and ``answered(name,
    summary)``, which returns the summary with that of the measurement. It may ask for the table ``summary`` again and
    again, until it asks no more. One that has ``again_at_most``, the number of texts that it then measures at most, is
    estimated with that time. One that has ``without(skipped)`` is given the records that were skipped, and one that has
    ``check()`` is asked before anything is written whether it has texts enough.
    """

    @property
    def signature(self) -> str:
        """What the numbers depend on."""

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Self:
        """Summarizes these texts; ``together`` as in :class:`Found`, added up."""

    def __add__(self, other: Self) -> Self:
        """Summarizes the texts of both."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the numbers by name, to be stored."""

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of this measurement has such arrays.
        """

    def tables(self) -> Mapping[str, Callable[[], Table]]:
        """Returns a function for each table, by name: ``summary``, and others."""

    def overview(self, title: str) -> Table:
        """Makes the table that a terminal shows."""


class Measurement(Protocol):
    """A measurement of a run: made once, immutable, and picklable, so that all processes measure the same.

    It may have ``read(record, encoder, reading)``, which returns the windows of tokens that a record is measured in,
    and raises a UsageError for one that cannot be used; without it, a record's text is read as any. What its listener
    needs to know of the record it puts into :attr:`Tokens.labels`; and ``knows`` names the labels that are then read.
    """

    @property
    def layers(self) -> Sequence[int]:
        """The layers whose weights are measured, ascending; none: listeners run the model, when they finish."""

    @property
    def alone(self) -> bool:
        """Whether each text must come by itself, not with others of equal length."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of the rows after those of the text: name to ``string``, ``int16``, ``int32`` or ``float32``."""

    @property
    def size(self) -> int:
        """About how many numbers a text's rows, or what is kept of it, hold.

        It sets how many texts are held at once, at most 2²⁰ numbers or 1,024 texts, and so how often work is stored.
        """

    def described(self) -> dict[str, Any]:
        """Returns the settings as values of JSON: a run that was killed goes on only with equal ones."""

    def signed(self) -> dict[str, object]:
        """Returns the parts of the signature that numbers depend on besides the model and how texts are read."""

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Listener:
        """Makes a listener for these texts, which have one length."""

    def rows(self, texts: Sequence[Measured]) -> Sequence[RowBlock]:
        """Makes the rows of consecutive texts; an empty list if there are no columns."""

    def empty(self, signature: str) -> Summary:
        """Makes the summary of no text."""
