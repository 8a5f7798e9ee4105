"""What can be measured while the model runs: the protocol that every run carries, whatever it is about.

    measurement.begin(texts, encoder)   a Listener for texts of one length
    listener.start_layer(layer)         an observer of the layer's blocks of weights
    listener.finish()                   what was found, text by text; windows of one text add up
    measurement.rows(texts)             rows of texts in their order
    summary.of_texts(texts, together)   what is left of many texts; summaries add up, and are stored as arrays

A run knows nothing else of what it measures: one text, a corpus, threads, processes, Ray, a run that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from attnprobe.attention.blocks import Observer
from attnprobe.models.encoder import Encoder
from attnprobe.values.rows import RowBlock
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Found:
    """What a listener found.

    Attributes:
        texts: of each text, in order; it adds up (+) with that of the text's other windows.
        together: of all of them at once, where no text must be told from another; it adds up likewise. None: nothing.
    """

    texts: Sequence[Any]
    together: Any = None


@dataclass(frozen=True)
class Measured:
    """One text that was measured: its id, its windows, and what was found of it."""

    id: str
    windows: Sequence[Tokens]
    found: Any

    @property
    def n_tokens(self) -> int:
        """How many tokens were read, over all windows."""
        return sum(map(len, self.windows))

    @property
    def labels(self) -> Mapping[str, Any]:
        """What the record says of its text, by name."""
        return self.windows[0].labels


class Listener(Protocol):
    """Receives the weights of some texts of one length, layer by layer."""

    @property
    def starts(self) -> Sequence[int] | None:
        """The rows where a block may start (ascending, 0 first); None: any."""

    def start_layer(self, layer: int) -> Observer | None:
        """Who gets the layer's blocks, in order of rows; None: nobody."""

    def finish(self) -> Found:
        """What the layers have given, when all have come."""


class Summary(Protocol):
    """What is left of many texts: sufficient statistics that add up, whichever process they come from."""

    @property
    def signature(self) -> str:
        """What the numbers depend on."""

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Self:
        """The summary of these texts, measured as this one says; ``together`` as in :class:`Found`, added up."""

    def __add__(self, other: Self) -> Self:
        """The summary of the texts of both."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Its numbers by name, to be stored."""

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """The summary that gave these arrays.

        Raises:
            ValueError: none like this one did.
        """

    def tables(self) -> Mapping[str, Callable[[], Table]]:
        """What makes each table that it gives, by name: ``summary``, and what else there is."""

    def overview(self, title: str) -> Table:
        """What a terminal shows of it."""


class Measurement(Protocol):
    """What a run measures: made once, immutable, and picklable, so that every process measures the same."""

    @property
    def layers(self) -> Sequence[int]:
        """The layers whose weights it wants, ascending."""

    @property
    def alone(self) -> bool:
        """Whether each text must come by itself, not with others of its length."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its rows after those of the text: name -> ``string``, ``int16``, ``int32`` or ``float32``."""

    @property
    def size(self) -> int:
        """About how many numbers the rows of a text hold, which bounds how many texts are held at once."""

    def described(self) -> dict[str, Any]:
        """Its settings, as values of JSON: a run that was killed goes on only with equal ones."""

    def signed(self) -> dict[str, object]:
        """Its parts of the signature: what its numbers depend on besides the model and how texts are read."""

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> Listener:
        """A listener for these texts, which have one length."""

    def rows(self, texts: Sequence[Measured]) -> Sequence[RowBlock]:
        """The rows of consecutive texts; none where it has no rows."""

    def empty(self, signature: str) -> Summary:
        """The summary of no text."""
