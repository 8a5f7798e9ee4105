"""The groups of flags of commands that read many texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from attnprobe.cli.options import Saving
from attnprobe.cli.output import Output
from attnprobe.errors import UsageError
from attnprobe.measure import MEASUREMENTS
from attnprobe.values.arguments import shown
from attnprobe.values.options import INPUT, OUTPUT, Options, choice, option, whole
from attnprobe.writers import FIGURES, SELF_DESCRIBING, WRITERS


@dataclass(frozen=True)
class Records(Options):
    """The records to read: files, how they are written, and which of their records.

    Attributes:
        further: the options that name the files of further sections, which subclasses add, by section.
    """

    panel: ClassVar[str] = INPUT

    inputs: list[str] = option(
        argument=True,
        metavar="FILE",
        help="Text (a text a line), JSON, JSON Lines, CSV, TSV, FASTA, CoNLL-U, Parquet, Arrow, .gz, .zst; globs; "
        "dataset folders; hub:NAME; - is standard input.",
    )
    column: str | None = option(
        None,
        metavar="NAME",
        help="The column with the text, or the key, also answer.text.  [default: the only one, else text, ...]",
    )
    id_column: str | None = option(None, metavar="NAME", help="The column of ids.  [default: line number]")
    pair_column: str | None = option(None, metavar="NAME", help="The column with the second text of pairs.")
    input_format: str | None = option(
        None,
        metavar="NAME",
        help="txt, jsonl, json, csv, tsv, fasta, conllu, parquet or arrow.  [default: by suffix]",
    )
    delimiter: str | None = option(
        None,
        metavar="TEXT",
        help="What separates cells in CSV and TSV, such as ';' or tab.  [default: the file tells]",
    )
    quoting: str | None = choice(
        None,
        "minimal",
        "none",
        help="In CSV and TSV, quotes may enclose cells, or are text.  [default: the file tells]",
    )
    header: bool | None = option(
        None,
        flags=("--header/--no-header",),
        help="In CSV and TSV, the first row names the columns, or columns are 1, 2, 3 ...  [default: --header]",
    )
    encoding: str = option("utf-8", metavar="NAME", help="Of text files.")
    limit: int | None = whole(None, least=1, help="Only the first N records.")
    sample: int | None = whole(None, least=1, help="Only N records at random.")
    seed: int = option(0, metavar="N", help="Of --sample.")

    further: ClassVar[Mapping[str, str]] = {}

    @property
    def of_sections(self) -> dict[str, list[str]]:
        """The files of further sections that are named, by section."""
        files = {name: getattr(self, option) for name, option in self.further.items()}
        return {name: named for name, named in files.items() if named}


@dataclass(frozen=True)
class Measuring(Options):
    """The measurement to take."""

    measure: str = option(
        "heads",
        metavar="NAME",
        help=f"What to measure: {', '.join(MEASUREMENTS)}. Metrics, --queries and --profile are for heads.",
        autocompletion=lambda: list(MEASUREMENTS),
    )


@dataclass(frozen=True)
class Tables(Saving):
    """The files to write: that of the result, and those of further tables, which subclasses add.

    Attributes:
        drawn: the tables that are also drawn, see :class:`attnprobe.analyses.kinds.CorpusAnalysis`.
    """

    drawn: ClassVar[Mapping[str, str]] = {}

    def tables(self) -> dict[str, Path]:
        """Returns the files of further tables that were asked for, by the table's name."""
        return {name: path for name, path in self.without(*Saving.names()).items() if path is not None}

    def destination(self) -> Output:
        """Settles the destination of the result, and checks formats; the run itself checks for existing files."""
        for name, path in self.tables().items():
            figures = FIGURES if name in self.drawn else ()
            if Output.choose(path, None, True, [*WRITERS, *figures]).format in FIGURES:
                from attnprobe.render.figure import check_matplotlib

                check_matplotlib()
        _, *formats = self.choices("format")
        return Output.choose(self.output, self.format, True, formats, self.spreadsheet_safe)

    def plan(self) -> Output:
        """Settles how standard output gets the plan of a run: in the format of the result, if that is text."""
        in_text = self.format == "table" or self.format in WRITERS.keys() - SELF_DESCRIBING
        return Output.choose(None, self.format if in_text else None, False)


@dataclass(frozen=True)
class Results(Tables):
    """The files of rows, and of tables over all texts."""

    summary: Path | None = option(
        None, metavar="FILE", help="Means, deviations and intervals over all texts, per head and metric."
    )
    profile: Path | None = option(
        None, metavar="FILE", help="How much attention falls on each offset key − query, per head."
    )


@dataclass(frozen=True)
class Resuming(Options):
    """Whether to go on with earlier work, or to say how much there would be."""

    panel: ClassVar[str] = OUTPUT

    resume: bool = option(
        False,
        help="Go on with a run that was interrupted; with --overwrite: if it is the same work, else start anew.",
    )
    dry_run: bool = option(
        False,
        flags=("-n", "--dry-run"),
        help="Say how much work it would be, from a sample, as -f says, and stop.",
    )


@dataclass(frozen=True)
class Progressing(Options):
    """What a run says on standard error, and how its end is judged."""

    panel: ClassVar[str] = OUTPUT

    max_skipped: str | None = option(
        None,
        metavar="SHARE",
        help="Skipped records up to this share, 1% or 0.01, are no failure: exit code 0.  [default: none, code 3]",
    )
    log: str = choice("text", "json", help="Lines on standard error, where it is no terminal; json: an object each.")
    no_progress: bool = option(False, help="No progress on standard error.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.allowed  # noqa: B018 (refuses what is no share)

    @property
    def allowed(self) -> Fraction | None:
        """The share of records that may be skipped; None if ``max_skipped`` is not given.

        Raises:
            UsageError: it is no share.
        """
        if self.max_skipped is None:
            return None
        number = self.max_skipped.strip()
        try:
            share = Fraction(number.removesuffix("%").strip()) / (100 if number.endswith("%") else 1)
        except (ValueError, ZeroDivisionError):
            share = Fraction(-1)
        if not 0 <= share <= 1:
            raise UsageError(f"--max-skipped is a share; got {shown(self.max_skipped)}", "such as 1% or 0.01")
        return share
