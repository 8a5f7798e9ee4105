"""attnprobe view."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from attnprobe.cli.options import Loading, Talking, Text
from attnprobe.cli.output import Output, warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.values.options import Options, Reading, Selection, Without, option


@dataclass(frozen=True)
class Page(Options):
    """The destination of the page."""

    output: Path | None = option(
        None,
        flags=("-o", "--output"),
        metavar="FILE",
        help="Where the page goes. - is standard output, which is also where it goes in a pipe.",
    )
    open: bool = option(False, help="Open the page in the browser.")
    overwrite: bool = option(False, help="Replace an existing file.")


def view(
    text: Text,
    loading: Loading,
    selection: Selection,
    reading: Annotated[Reading, Without("stride", "level")],
    page: Page,
    talking: Talking,
) -> None:
    """One HTML page to explore the attention of a text; it needs no network."""
    words = text.read(quiet=talking.quiet)
    destination = Output.choose(page.output, "html", page.overwrite)
    if page.open and destination.path is None:
        raise UsageError("--open needs a file to open", "-o FILE.html writes one")
    loading.check(talking.quiet, **vars(selection))

    from attnprobe import api

    encoder = loading.encoder()
    with warnings_as_notes(talking.quiet):
        made = api.view(words, encoder, pair=text.pair, **vars(selection), **reading.without("stride", "level"))
    destination.save(lambda stream: stream.write(made.html.encode()))
    if page.open and destination.path:
        import webbrowser

        webbrowser.open(destination.path.resolve().as_uri())
