"""Groups texts that are run together: chunks of records, and batches of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Generic, TypeVar

from attnprobe.errors import AttnprobeError
from attnprobe.values.records import Record, Skipped

Item = Record | Skipped
T = TypeVar("T")


class UntilError(Generic[T]):
    """Iterates up to an error, so that the items before it are used before :meth:`reraise` raises it."""

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
        """Raises the error, if one came."""
        if self.error is not None:
            raise self.error


def chunks(items: Iterable[Item], records: int, characters: int) -> Iterator[list[Item]]:
    """Cuts items into chunks of one section each, within which texts are sorted by length.

    The end of a chunk depends only on the items before it, so that the same input always gives the same chunks.

    Args:
        records: how many items a chunk holds at most.
        characters: how many characters a chunk holds, up to one text more.
    """
    chunk: list[Item] = []
    size, section = 0, None
    source = UntilError(items)
    for item in source:
        if isinstance(item, Record):
            if chunk and section not in (None, item.section):
                yield chunk
                chunk, size = [], 0
            section = item.section
        chunk.append(item)
        size += len(item.text) + len(item.pair or "") if isinstance(item, Record) else 0
        if len(chunk) >= records or size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
    source.reraise()


def by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Groups the indices of texts of equal length into batches of at most ``budget`` tokens or one text, longest first.

    Texts of one length need no padding, so that nothing is computed in vain and no text's numbers depend on another.
    The batches of one length are as equal in size as possible.

    >>> by_length([3, 7, 3, 3], 6)
    [[1], [0, 2], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches = []
    for length, alike in groupby(order, key=lengths.__getitem__):
        indices = list(alike)
        number = -(-len(indices) // max(1, budget // max(1, length)))
        size = -(-len(indices) // number)
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches
