"""attnprobe view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from attnprobe.cli.options import Loading, Talking, Text
from attnprobe.cli.output import Output, warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.values.arguments import listed
from attnprobe.values.display import Comparing, Explaining, Scaling, Showing
from attnprobe.values.options import OUTPUT, Mean, Options, Reading, Selection, Without, option

PAGES = (".html", ".htm")
EXAMPLES = (
    "attnprobe view 'The cat sat on the mat.' -o page.html",
    "attnprobe view 'The cat sat on the mat.' --query cat --key mat -o page.html",
    "attnprobe view 'It was too tired.' --against 'It was too wide.' -o two.html",
)


@dataclass(frozen=True)
class Page(Options):
    """The destination of the page."""

    panel: ClassVar[str] = OUTPUT

    output: Path | None = option(
        None,
        flags=("-o", "--output"),
        metavar="FILE",
        help="Where the page goes; in a pipe, or as -, to standard output.",
    )
    open: bool = option(False, help="Open the page in the browser.")
    overwrite: bool = option(False, help="Replace an existing file.")

    def destination(self) -> Output:
        """Settles the destination of the page before any work is done.

        Raises:
            UsageError: the page is to be opened but in no file, or its file does not look like a page.
            OutputError: the file cannot be written, or exists.
        """
        from attnprobe.writers.files import is_special

        output = Output.choose(self.output, "html", self.overwrite)
        if self.open and output.path is None:
            raise UsageError("--open needs a file to open", "-o FILE.html writes one")
        if output.path and output.path.suffix.lower() not in PAGES and not is_special(output.path):
            raise UsageError(f"a page is an HTML file; got {str(output.path)!r}", "-o FILE.html")
        return output


def view(
    text: Text,
    loading: Loading,
    selection: Selection,
    mean: Mean,
    reading: Annotated[Reading, Without("stride", "level")],
    showing: Showing,
    scaling: Scaling,
    explaining: Explaining,
    comparing: Comparing,
    page: Page,
    talking: Talking,
) -> None:
    """Makes a page to explore the attention of a text, offline."""
    words = text.read(quiet=talking.quiet)
    destination = page.destination()
    models, other = [loading], comparing.against_model
    if other is not None:
        models = [loading.with_all_heads(), replace(loading, model=other, tokenizer=None, revision=None)]
    named = [*listed(showing.query), *showing.keys]
    for model in models:
        model.check(talking.quiet, text.texts(words), **vars(selection), named=named)

    from attnprobe.api import pictures

    encoder, *others = [model.encoder() for model in models]
    beside: dict[str, Any] = {"against": comparing.against, "against_model": others[0] if others else None}
    options = {
        **vars(selection),
        **vars(mean),
        **reading.without("stride", "level"),
        **vars(showing),
        **vars(scaling),
        **beside,
    }
    with warnings_as_notes(talking.quiet):
        made = pictures.view(words, encoder, pair=text.pair, **options, **vars(explaining))
    destination.save(lambda stream: stream.write(made.html.encode()))
    if page.open and destination.path:
        import webbrowser

        webbrowser.open(destination.path.resolve().as_uri())
