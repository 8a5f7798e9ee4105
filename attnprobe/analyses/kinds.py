"""Declares an analysis, of one text or of many, with all that the command, the library and the docs need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from attnprobe.values.options import Reading, Running, group_of, take
from attnprobe.values.plugins import load
from attnprobe.values.records import TEXTS, Columns
from attnprobe.values.table import Table

if TYPE_CHECKING:
    from attnprobe.measure.kinds import Measurement
    from attnprobe.models.encoder import Encoder


class Result(Protocol):
    """The result of an analysis: a Table, or a value that makes one.

    It may have ``remarks``, sentences that the command prints on standard error.
    """

    def to_table(self) -> Table:
        """Makes the table that a file holds."""


def fields_of(annotations: Sequence[Any]) -> list[Field[Any]]:
    """Lists the options of some groups that apply."""
    return [option for annotation in annotations for option in group_of(annotation)[1]]


def groups_of(given: Mapping[str, Any], annotations: Sequence[Any]) -> list[Any]:
    """Makes each group from those of the options that belong to it.

    Raises:
        UsageError: an option is unknown, does not apply, or has an invalid value.
    """
    groups, known = (
        [group_of(annotation)[0] for annotation in annotations],
        [one.name for one in fields_of(annotations)],
    )
    return take(given, *groups, without=[name for group in groups for name in group.names() if name not in known])


def _as_given(options: Mapping[str, Any], format: str) -> Mapping[str, Any]:
    return options


def _as_usual(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Analysis:
    """An analysis of one text, or of a pair.

    Attributes:
        run: called with text, encoder, the second text or None, and a group of each kind in ``options``, in order.
        columns: the columns of the table: name -> meaning.
        options: groups, see :func:`attnprobe.values.options.group_of`; each option is a flag and an argument.
        shown: groups of options that only a terminal's output depends on.
        fit: called with the options by name and the format of the output, ``table`` for a terminal; returns the options
            to run with, and raises UsageError if they do not suit each other. It is called before torch is imported.
        view: ``module:function`` that renders the result for a terminal: it is called with the result, a width and all
            options by name. Empty: the table as it is.
        formats: the formats besides those of tables: name -> ``module:function`` of the result and a stream.
        names_tokens: the options that name tokens, which are looked for before torch is imported, see
            :func:`attnprobe.models.foresight.check_named`.
        loads: called with the options that are given; returns further arguments of
            :func:`attnprobe.load_encoder`, such as ``task``.
        meaning: one sentence of at most 60 characters; empty: that of the row.
        examples: command lines that the help ends with.
    """

    run: Callable[..., Result]
    columns: Mapping[str, str]
    options: Sequence[Any] = ()
    shown: Sequence[Any] = ()
    fit: Callable[[Mapping[str, Any], str], Mapping[str, Any]] = _as_given
    view: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)
    names_tokens: Sequence[str] = ()
    loads: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_usual
    meaning: str = ""
    examples: Sequence[str] = ()

    def __call__(self, text: str, encoder: Encoder, *, pair: str | None = None, **options: Any) -> Any:
        """Runs the analysis on a text.

        Raises:
            UsageError: an option is unknown, or has an invalid value.
        """
        return self.run(text, encoder, pair, *groups_of(options, self.options))

    @property
    def groups(self) -> Sequence[Any]:
        """The groups of options that the analysis runs with."""
        return self.options

    def fields(self) -> list[Field[Any]]:
        """Lists the options that the analysis runs with."""
        return fields_of(self.groups)


@dataclass(frozen=True)
class Section:
    """Further files that an analysis of many texts reads in a way of their own.

    Attributes:
        flag: the name of the flag that names them; the argument of the function has the section's name.
        help: of the flag.
        labels, instead: as in :class:`CorpusAnalysis`.
    """

    flag: str
    help: str
    labels: Sequence[str] = ()
    instead: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusAnalysis:
    """An analysis of many texts: a measurement, the summary of which is the answer.

    Attributes:
        measurement: ``module:class`` of a Measurement without rows, see :mod:`attnprobe.measure.kinds`, with a class
            method ``choose(encoder, reading, **options)``. Its summary has the table ``summary`` with ``columns``, all
            other ``tables``, and ``to_frame()``; it may have ``remarks``, as :class:`Result` does.
        columns: the columns of the table: name -> meaning.
        options: groups, see :func:`attnprobe.values.options.group_of`; each option is a flag and an argument.
        reading: the group :class:`attnprobe.values.options.Reading`, perhaps without options that do not apply.
        tables: further tables of the summary, each a flag that names a file: name -> meaning.
        costly: those of them that are measured only if asked for: ``choose`` is told of each whether it is, and
            so is the function of the library.
        drawn: those of them that are also drawn as png, svg or pdf: name -> ``module:function`` of the table, a stream
            and the format.
        fit: as in :class:`Analysis`.
        view: ``module:function`` that renders the summary for a terminal: it is called with the summary, a width and
            all options by name. Empty: the summary's ``overview``.
        formats: the formats besides those of tables: name -> ``module:function`` of the summary and a stream.
        labels: what is read of each record that has it, besides its text, see :class:`attnprobe.Columns` (``also``).
        instead: formats that are read as another: name -> name.
        sections: further files that are read, see :class:`Section`, by name; records of FILES are of the section
            ``texts``. ``choose`` is told the names of the ``sections`` that are given.
        sample: whether sentences that come with attnprobe are read where no FILE is named.
        finished: ``module:function`` that is given a path, and returns the result that the file holds, or None if it
            holds none; a result that is the only FILE is written or shown in place of a summary, without a model.
        explain: ``module:function`` of the options by name that returns the rules as text, which ``--explain`` prints.
        loads, meaning, examples: as in :class:`Analysis`.
    """

    measurement: str
    columns: Mapping[str, str]
    options: Sequence[Any] = ()
    reading: Any = Reading
    tables: Mapping[str, str] = field(default_factory=dict)
    costly: Sequence[str] = ()
    drawn: Mapping[str, str] = field(default_factory=dict)
    fit: Callable[[Mapping[str, Any], str], Mapping[str, Any]] = _as_given
    view: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)
    sample: bool = False
    finished: str = ""
    explain: str = ""
    loads: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_usual
    meaning: str = ""
    examples: Sequence[str] = ()

    @property
    def groups(self) -> Sequence[Any]:
        """The groups of options that the function takes."""
        return [*self.options, self.reading, Running]

    def fields(self) -> list[Field[Any]]:
        """Lists the options that the function takes."""
        return fields_of(self.groups)

    def reads(self, options: Mapping[str, Any]) -> Columns:
        """Returns the columns that are read besides that of the text: those that options name, and the labels."""
        names = [option.name for option in fields_of(self.options) if option.metadata.get("column")]
        named = [options[name] for name in names if options.get(name) is not None]
        return Columns(labels=tuple(named), also=tuple(self.labels))

    def choose(self, encoder: Encoder, reading: Reading, options: Mapping[str, Any]) -> Measurement:
        """Makes the measurement; options that are not given have their defaults.

        Raises:
            UsageError: an option is unknown, has an invalid value, or does not suit the model.
        """
        asked: dict[str, Any] = {name: bool(options.get(name)) for name in self.costly}
        asked |= {"sections": tuple(options.get("sections", [TEXTS]))} if self.sections else {}
        given = {name: value for name, value in options.items() if name not in asked}
        values = {name: value for group in groups_of(given, self.options) for name, value in vars(group).items()}
        applying = {option.name: values[option.name] for option in fields_of(self.options)} | asked
        measurement: Measurement = load(self.measurement).choose(encoder, reading, **applying)
        return measurement
