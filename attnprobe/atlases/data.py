"""The atlas as data: what is known of every head of a model, in plain values of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from attnprobe.atlases.changes import compared
from attnprobe.atlases.checking import HINT, check
from attnprobe.errors import InputError
from attnprobe.values.notebook import one_line
from attnprobe.values.plugins import load
from attnprobe.values.signature import model_of
from attnprobe.values.table import Cell, Table
from attnprobe.writers import FIGURES, format_of
from attnprobe.writers.files import check_target, replacing

if TYPE_CHECKING:
    import pandas

FORMATS: Mapping[str, str] = {
    "html": "attnprobe.render.atlas_page:write_html",
    "json": "attnprobe.atlases.data:write_json",
    "markdown": "attnprobe.render.atlas_markdown:write_markdown",
    **{name: f"attnprobe.render.atlas_figure:write_{name}" for name in FIGURES},
}
"""The formats of an atlas: name -> ``module:function`` of what has an ``atlas``, and a stream."""
LABELS = ("layer", "head", "role", "pattern", "cluster", "x", "y")
COLUMNS = (*LABELS, "n_texts", "finding")
NUMBER_COLUMNS = ("layer", "head", "measure", "value", "ci_low", "ci_high")


@dataclass(frozen=True, repr=False, eq=False)
class Atlas:
    """What was measured of every head of a model; in a notebook it shows its page.

    Attributes:
        data: all of it, as ``attnprobe atlas -f json`` writes it; ``docs/atlas-data.md`` names each field.
    """

    data: Mapping[str, Any]

    def __repr__(self) -> str:
        layers, heads = (len(self.data["model"][axis]) for axis in ("layers", "heads"))
        sizes = f"{layers} layers × {heads} heads", f"{len(self.data['measures'])} measures", f"{self.n_texts:,} texts"
        beside = [f"against {model_of(self.data['against']['signature'])}"] if "against" in self.data else []
        return one_line("Atlas", model_of(self.signature), *sizes, *beside)

    def _repr_html_(self) -> str:
        """Puts the page in a frame that can reach neither the notebook nor the network."""
        page = load("attnprobe.render.atlas_page:make_atlas_page")(self.data)
        return str(load("attnprobe.render.page:View")(page, self.signature)._repr_html_())

    @property
    def atlas(self) -> Atlas:
        """The atlas itself, for what writes anything that has one."""
        return self

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return str(self.data["signature"])

    @property
    def n_texts(self) -> int:
        """How many texts were measured, those of treebanks and documents not counted; 0 if there are none."""
        return sum(section["texts"] for section in self.data["sections"] if section["name"] == "texts")

    @cached_property
    def measures(self) -> list[str]:
        """The names of all numbers that heads have."""
        return [measure["name"] for measure in self.data["measures"]]

    def table(self) -> Table:
        """Makes a table with one row per head, whose ``finding`` is the strongest one, in words."""
        rows: list[Sequence[Cell]] = [
            (*_labels(head), self.n_texts, head["findings"][0]["text"] if head["findings"] else None)
            for head in self.data["heads"]
        ]
        return self._table(COLUMNS, rows)

    def numbers(self) -> Table:
        """Makes a table with one row per head and measure; a head has no row of what has no meaning for it."""
        rows: list[Sequence[Cell]] = [
            (head["layer"], head["head"], name, *head["values"][name])
            for head in self.data["heads"]
            for name in self.measures
            if name in head["values"]
        ]
        return self._table(NUMBER_COLUMNS, rows)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns the functions that make the tables, by name."""
        return {"summary": self.table, "numbers": self.numbers}

    def to_table(self) -> Table:
        """Makes the table with one row per head."""
        return self.table()

    def to_frame(self) -> pandas.DataFrame:
        """Returns a row per head: its labels, then a column per measure, NaN where it has no meaning."""
        rows = [
            (*_labels(head), *(head["values"].get(name, [None])[0] for name in self.measures))
            for head in self.data["heads"]
        ]
        return self._table((*LABELS, *self.measures), rows).to_frame()

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
        return Table(columns, rows, sign=lambda: self.signature)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Writes a file, in the format of its suffix: html, json, md, svg, png or pdf.

        Raises:
            UsageError: the suffix is another one.
            MissingExtraError: matplotlib, which draws svg, png and pdf, is not installed.
            OutputError: the file exists and ``overwrite`` is off, or it cannot be written.
        """
        path = Path(path)
        write = load(FORMATS[format_of(path, FORMATS)])
        check_target(path, "html", overwrite=overwrite)
        with replacing(path) as stream:
            write(self, stream)

    def against(self, other: Atlas) -> Atlas:
        """Returns the atlas with another one beside it, to see what changed from that one to this.

        Raises:
            UsageError: there is no head, or no number, that both have.
        """
        return Atlas({**self.data, "against": compared(self.data, other.data)})


class Charted(Protocol):
    """What has an atlas: the summary of a run, or the atlas itself."""

    @property
    def atlas(self) -> Atlas:
        """The atlas."""


def _labels(head: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (*(head[name] for name in LABELS[:5]), *(head["place"] or (None, None)))


def write_json(summary: Charted, stream: IO[bytes]) -> None:
    """Writes an atlas as JSON, a line for each head, text and measure; equal atlases give equal bytes."""
    text = f"{{\n{_fields(summary.atlas.data)}\n}}\n"
    stream.write(text.encode("utf-8", "backslashreplace"))  # half of a surrogate pair, as JSON escapes it


def _fields(data: Mapping[str, Any]) -> str:
    return ",\n".join(f"{_encoded(name)}: {_lines(name, value)}" for name, value in data.items())


def _lines(name: str, value: Any) -> str:
    if name == "against":
        return f"{{\n{_fields(value)}\n}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(map(_encoded, value)) + "\n]"
    return _encoded(value)


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_atlas(source: str | PathLike[str] | bytes | IO[bytes]) -> Atlas:
    """Reads an atlas that ``attnprobe atlas`` wrote as JSON.

    Args:
        source: a path, the content of a file, or a stream of bytes.

    Raises:
        InputError: there is no such file, or it is no atlas; the message says which field is wrong.
    """
    name, content = _read(source)
    try:
        data = json.loads(content.decode("utf-8-sig"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no atlas: {_fault(error, content)}", HINT) from error
    if not isinstance(data, dict) or data.get("format") != "attnprobe-atlas":
        raise InputError(f"{name} is no atlas: it is JSON of something else", HINT)
    check(data, name)
    return Atlas(data)


def _read(source: str | PathLike[str] | bytes | IO[bytes]) -> tuple[str, bytes]:
    """Reads what there is, with a name for messages."""
    if isinstance(source, bytes):
        return "this", source
    if not isinstance(source, str | PathLike):
        return str(getattr(source, "name", "this")), source.read()
    try:
        return repr(fspath(source)), Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"cannot open {fspath(source)!r}: {error.strerror or error}", HINT) from error


def _refused(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which JSON does not have")


def _fault(error: Exception, content: bytes) -> str:
    """Says why bytes are no JSON."""
    if isinstance(error, json.JSONDecodeError):
        ends = not error.doc[error.pos :].strip() or error.msg.startswith("Unterminated string")
        return (
            "it ends too early" if ends else f"it is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        )
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start:,} is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
