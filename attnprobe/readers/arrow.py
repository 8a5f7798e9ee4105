"""Reads Parquet and Arrow files, batch by batch and only the columns asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from attnprobe.errors import InputError, MissingExtraError, UsageError, first_line
from attnprobe.readers.fields import UnfitError, choose, to_record
from attnprobe.readers.source import Source
from attnprobe.readers.streams import seekable
from attnprobe.values.records import Columns, Record, Skipped

BATCH = 1024  # rows
BUFFER = 1024 * 1024  # bytes of a Parquet column read at once, so that a row group need not fit into memory


def read_parquet(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the rows of a Parquet file, whatever the encoding.

    Raises:
        InputError: the source is no Parquet file, or cannot be read to its end.
        MissingExtraError: pyarrow is not installed.
        UsageError: a column is missing or not text, or it is unclear which column holds the text.
    """
    _need_pyarrow()
    from pyarrow import parquet

    with seekable(source) as stream:
        with located(source.name, "no Parquet file: "):
            file = parquet.ParquetFile(stream, buffer_size=BUFFER)
        with file:
            columns = choose_typed(columns, file.schema_arrow, source.name)
            batches = file.iter_batches(BATCH, columns=columns.read, use_threads=False)
            yield from to_records(batches, columns, source.name)


def read_arrow(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the rows of an Arrow IPC file or stream (Feather too), one record batch in memory at a time.

    Raises:
        InputError: the source is no Arrow file, or cannot be read to its end.
        MissingExtraError: pyarrow is not installed.
        UsageError: a column is missing or not text, or it is unclear which column holds the text.
    """
    _need_pyarrow()
    with seekable(source) as stream:
        with located(source.name, "no Arrow file: "):
            schema = _open(stream, None).schema
        columns = choose_typed(columns, schema, source.name)
        batches = _batches(stream, [schema.names.index(name) for name in columns.read])
        yield from to_records(batches, columns, source.name)


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error


def _open(stream: IO[bytes], fields: list[int] | None) -> Any:
    """Opens a reader of the fields with these numbers; None: all fields."""
    from pyarrow import ipc

    stream.seek(0)
    is_file = stream.read(6) == b"ARROW1"
    stream.seek(0)
    options = ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    return ipc.open_file(stream, options=options) if is_file else ipc.open_stream(stream, options=options)


def _batches(stream: IO[bytes], fields: list[int]) -> Iterator[Any]:
    reader = _open(stream, fields)
    if hasattr(reader, "get_batch"):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def choose_typed(columns: Columns, schema: Any, file: str) -> Columns:
    """Chooses the column of the text, and checks that text and pair hold strings, or lists of strings or of sentences.

    Raises:
        UsageError: a column is missing or not text, or it is unclear which column holds the text.
    """
    columns = choose(columns, schema.names, file)
    for name in (columns.text, columns.pair):
        if name is None:
            continue
        held = schema.field(name).type
        if not _is_text(held) and not _is_words(held):
            raise UsageError(f"{file}: column {name!r} holds {held}, not text", "--column NAME")
    return columns


def _is_words(type: Any) -> bool:
    from pyarrow import types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    held = type.value_type if any(is_one(type) for is_one in lists) else None
    return held is not None and (_is_text(held) or _is_words(held))


def _is_text(type: Any) -> bool:
    from pyarrow import types

    inner = type.value_type if types.is_dictionary(type) else type
    # A column of nulls has no other type; each of its rows is reported as skipped.
    return any(
        is_one(inner) for is_one in (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    )


def to_records(batches: Iterable[Any], columns: Columns, file: str) -> Iterator[Record | Skipped]:
    """Makes records of the rows of record batches or tables; rows are counted from 1.

    Raises:
        InputError: a batch cannot be read; the message names the last row before it.
    """
    row = 0
    names = columns.read
    following = iter(batches)
    while (batch := _next(following, file, row)) is not None:
        for scalars in zip(*map(batch.column, names), strict=True):
            row += 1
            yield to_record(dict(zip(names, map(_value, scalars), strict=True)), columns, file, row)


def _next(batches: Iterator[Any], file: str, row: int) -> Any:
    """Reads and checks the next batch; None after the last."""
    with located(file, f"broken after row {row}: " if row else "broken: "):
        batch = next(batches, None)
        for column in batch.columns if batch is not None else ():
            _check(column)
        return batch


def _check(column: Any) -> None:
    """Checks offsets and indices, which may point outside a broken file; bad UTF-8 is left to the rows."""
    from pyarrow import ArrowInvalid

    try:
        column.validate(full=True)
    except ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise


def _value(scalar: Any) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return UnfitError(f"byte 0x{error.object[error.start]:02x} at position {error.start + 1} is not utf-8")
    except (ValueError, OverflowError) as error:  # such as a time finer than Python's
        return UnfitError(str(error))


@contextmanager
def located(file: str, what: str) -> Iterator[None]:
    """Turns pyarrow's errors into InputErrors that name the file."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, EOFError) as error:
        raise InputError(f"{file}: {what}{first_line(error)}") from error
