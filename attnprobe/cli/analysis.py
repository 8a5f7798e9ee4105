"""The command of an analysis of one text: all of it follows from the row in ANALYSES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field
from functools import partial
from typing import Any

from attnprobe.analyses.kinds import Analysis
from attnprobe.cli.joining import Command, join
from attnprobe.cli.options import Loading, Saving, Talking, Text, saving_as
from attnprobe.cli.output import note, warnings_as_notes
from attnprobe.values.arguments import listed
from attnprobe.values.options import Options
from attnprobe.values.plugins import load
from attnprobe.writers import FIGURES, WRITERS


def command_of(name: str, analysis: Analysis) -> Command:
    """Makes the command of an analysis, for typer."""

    def command(text: Text, loading: Loading, saving: Saving, talking: Talking, **groups: Options) -> None:
        options = {option: value for group in groups.values() for option, value in vars(group).items()}
        _run(analysis, text, loading, options, saving, talking)

    more = {f"group_{number}": group for number, group in enumerate([*analysis.options, *analysis.shown])}
    saving = saving_as(*WRITERS, *analysis.formats)
    command.__name__, command.__doc__ = name, analysis.meaning
    return join({"text": Text, "loading": Loading, **more, "saving": saving, "talking": Talking}, command)


def indices_in(fields: Sequence[Field[Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    """Finds the ``layers`` and ``heads`` that are asked for, by several or one."""
    ranges = [option.name for option in fields if "indices" in option.metadata]
    return {what: options[name] for what in ("layers", "heads") for name in ranges if name in (what, what[:-1])}


def _run(
    analysis: Analysis, text: Text, loading: Loading, options: dict[str, Any], saving: Saving, talking: Talking
) -> None:
    words = text.read(quiet=talking.quiet)
    destination = saving.destination()
    asked = {option.name: options[option.name] for option in analysis.fields()} | {"pair": text.pair}
    fitted = analysis.fit(asked, destination.format)
    named = [token for name in analysis.names_tokens for token in listed(options[name])]
    loading.check(talking.quiet, text.texts(words), **indices_in(analysis.fields(), options), named=named)

    from attnprobe.render.figure import check_matplotlib
    from attnprobe.render.table import text_table

    if destination.format in FIGURES:
        check_matplotlib()
    encoder = loading.encoder(**analysis.loads(fitted))
    with warnings_as_notes(talking.quiet):
        result = analysis(words, encoder, **fitted)
    for remark in () if talking.quiet else getattr(result, "remarks", ()):
        note(remark)
    with warnings_as_notes(talking.quiet):  # of fonts that lack characters
        if destination.format in analysis.formats:
            destination.save(partial(load(analysis.formats[destination.format]), result))
        elif destination.format == "table" and analysis.view:
            destination.show(lambda width: load(analysis.view)(result, width, **options))
        else:
            destination.write(result.to_table(), text_table)
