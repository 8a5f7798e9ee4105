"""Which texts are run together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Generic, TypeVar

from attnprobe.errors import AttnprobeError
from attnprobe.values.records import Record, Skipped

Item = Record | Skipped
T = TypeVar("T")


class UntilError(Generic[T]):
    """Items up to an error; what came before it is used before :meth:`reraise` raises it."""

    def __init__(self, items: Iterable[T]) -> None:
        self.items = iter(items)
        self.error: AttnprobeError | None = None

    def __iter__(self) -> Iterator[T]:
        while self.error is None:
            try:
                item = next(self.items)
            except StopIteration:
                return
            except AttnprobeError as error:
                self.error = error
                return
            yield item

    def reraise(self) -> None:
        """Raises the error, if there was one."""
        if self.error is not None:
            raise self.error


def chunks(items: Iterable[Item], records: int, characters: int) -> Iterator[list[Item]]:
    """Runs of consecutive items that hold at most so many, and about so many characters: what is sorted by length.

    Where a chunk ends depends on the items before it only, so that the same input always gives the same chunks.
    """
    chunk: list[Item] = []
    size = 0
    source = UntilError(items)
    for item in source:
        chunk.append(item)
        size += len(item.text) + len(item.pair or "") if isinstance(item, Record) else 0
        if len(chunk) >= records or size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
    source.reraise()


def by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of texts of equal length (by place), each of at most ``budget`` tokens or one text, longest first.

    Texts of one length need no padding, so that nothing is computed in vain and no text's numbers depend on another.
    The batches of one length are as equal as can be.

    >>> by_length([3, 7, 3, 3], 6)
    [[1], [0, 2], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batches = []
    for length, alike in groupby(order, key=lengths.__getitem__):
        places = list(alike)
        number = -(-len(places) // max(1, budget // max(1, length)))
        size = -(-len(places) // number)
        batches += [places[start : start + size] for start in range(0, len(places), size)]
    return batches
