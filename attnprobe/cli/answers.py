"""Writes or shows the answer of an analysis of many texts: the summary of a run, or a result made before, its FILE."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.cli.corpus_options import Tables
from attnprobe.cli.options import Loading
from attnprobe.cli.output import Output
from attnprobe.errors import UsageError
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.options import Options
from attnprobe.values.plugins import load
from attnprobe.writers import FIGURES, format_of

WHY = "FILE is a result made before, for which no model runs"


def show_answer(
    summary: Any, analysis: CorpusAnalysis, options: Mapping[str, Any], destination: Output, title: str
) -> None:
    """Writes a summary as a table or in a format of its own, or shows it on a terminal."""
    from attnprobe.render.table import overview_table, text_table

    if destination.format in analysis.formats:
        destination.save(partial(load(analysis.formats[destination.format]), summary))
    elif destination.format == "table" and analysis.view:
        destination.show(lambda width: load(analysis.view)(summary, width, **options))
    elif destination.format == "table":
        destination.write(summary.overview(title), overview_table)
    else:
        destination.write(summary.tables()["summary"](), text_table)


def finished_among(names: Sequence[str] | None, analysis: CorpusAnalysis, options: Mapping[str, Any]) -> Any:
    """Reads the result that the only FILE holds; None if FILES hold texts.

    Raises:
        UsageError: a result is named among other files, or an option does not suit it.
        InputError: a result is damaged.
    """
    for name in filter(os.path.isfile, names or ()) if analysis.finished else ():
        found = load(analysis.finished)(name, options)
        if found is not None and names != [name]:
            raise UsageError(f"{name!r} holds a result, and is named among other FILES", "name it alone")
        if found is not None:
            return found
    return None


def refuse_what_runs(loading: Loading, *groups: Options) -> None:
    """Refuses options of texts, of a model and of a run.

    Raises:
        UsageError: one of them is given.
    """
    if loading.model == os.environ.get("ATTNPROBE_MODEL"):
        loading = replace(loading, model=DEFAULT_MODEL)
    for group in (loading, *groups):
        group.refuse(WHY)


def show_finished(found: Any, analysis: CorpusAnalysis, options: Mapping[str, Any], saving: Tables) -> None:
    """Writes or shows a result made before, and its further tables, as if a run had made it now.

    Raises:
        OutputError: a file exists, or cannot be written.
        MissingExtraError: matplotlib, which draws the format, is not installed.
    """
    from attnprobe.render.figure import check_matplotlib
    from attnprobe.writers.files import check_target, write_file

    output = saving.destination()
    tables = {name: (path, format_of(path)) for name, path in saving.tables().items()}
    for path, format in [*([(output.path, output.format)] if output.path else []), *tables.values()]:
        check_target(path, format, overwrite=saving.overwrite)
    if output.format in FIGURES:
        check_matplotlib()
    for name, (path, format) in tables.items():
        write_file(found.tables()[name](), path, format, overwrite=saving.overwrite)
    show_answer(found, analysis, options, replace(output, overwrite=saving.overwrite), "")
