"""The groups of flags that only commands have; those of measuring are in ``values/options.py``."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attnprobe.cli.output import Output, clear_passing, read_text, show_passing
from attnprobe.metrics import METRICS, ON_REQUEST
from attnprobe.models.foresight import check_heads, check_named, check_off, check_tokenizer_files
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.options import INPUT, MODEL, OUTPUT, Options, choice, option
from attnprobe.values.selection import Indices
from attnprobe.values.switches import HOWS, check_switches
from attnprobe.writers import WRITERS

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

BY_SUFFIX = "by suffix; else table on a terminal, csv in a pipe"


def format_among(*formats: str, default: str = BY_SUFFIX) -> Any:
    """Declares the option that chooses among these formats and a table for people."""
    help = f"{', '.join(['table', *formats])}.  [default: {default}]"
    return choice(None, "table", *formats, flags=("-f", "--format"), metavar="NAME", help=help)


def collect_again() -> None:
    """Turns on the garbage collector, which :func:`attnprobe.cli.main` turns off, but never for what is there now."""
    gc.freeze()
    gc.enable()


@dataclass(frozen=True)
class Metrics(Options):
    """The metrics to compute."""

    metrics: list[str] | None = option(
        None,
        flags=("-k", "--metric"),
        metavar="NAME",
        help="A metric to compute; may be repeated. See attnprobe metrics.  [default: all of weights]",
        autocompletion=lambda: [*METRICS, *ON_REQUEST],
    )


@dataclass(frozen=True)
class Text(Options):
    """The text to measure, or the two texts of a pair."""

    panel: ClassVar[str] = INPUT

    text: str | None = option(
        None, argument=True, metavar="TEXT", help="The text itself, never a path. Left out: standard input."
    )
    pair: str | None = option(None, metavar="TEXT", help="The second text of a pair.")

    def texts(self, text: str) -> list[str]:
        """Lists the text that was read, and the second of a pair."""
        return [text] if self.pair is None else [text, self.pair]

    def read(self, *, quiet: bool) -> str:
        """Reads the text, or standard input; see :func:`attnprobe.cli.output.read_text`."""
        return read_text(self.text, quiet)


@dataclass(frozen=True)
class Loading(Options):
    """The model, and how it is loaded; see :func:`attnprobe.load_encoder`."""

    panel: ClassVar[str] = MODEL

    model: str = option(
        DEFAULT_MODEL,
        flags=("-m", "--model"),
        metavar="NAME",
        envvar="ATTNPROBE_MODEL",
        help="A folder or a Hub id.",
    )
    tokenizer: str | None = option(
        None, metavar="NAME", help="A folder or a Hub id with the tokenizer.  [default: the model's]"
    )
    revision: str | None = option(None, metavar="REV", help="Branch, tag or commit on the Hub.")
    device: str = option("auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")
    dtype: str = choice(
        "float32",
        "float64",
        "float16",
        "bfloat16",
        help="What the model computes in, whatever its checkpoint holds.",
    )
    off: str | None = option(None, metavar="HEADS", help="Switch heads off, by LAYER:HEAD: 3:1, 3:1,5:*, 0-2:3.")
    off_how: str = choice(*HOWS, help="zero, mean or uniform; one: all other heads of their layers are off.")
    allow_pickle: bool = option(
        False, help="Load weights from a pickle where there are no safetensors. It may run code."
    )
    trust_remote_code: bool = option(False, help="Run Python code that the model brings. Read it first.")
    no_cache: bool = option(False, help="Make the check at load anew, and keep nothing of it in the user's cache.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self.off, self.off_how)

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of :func:`attnprobe.load_encoder`."""
        return {**self.without("no_cache"), "cache": not self.no_cache}

    def with_all_heads(self) -> Loading:
        """Returns the same for the first of two models: it is the second that has heads off."""
        return replace(self, off=None, off_how=HOWS[0])

    def check(
        self,
        quiet: bool = False,
        texts: Sequence[str] = (),
        *,
        layers: Indices = None,
        heads: Indices = None,
        named: Iterable[str] = (),
    ) -> None:
        """Checks what needs no weights, before torch is imported; a terminal shows what is loaded, until it is there.

        Args:
            texts: the text, or the two of a pair.
            layers, heads: those that are asked for.
            named: the tokens that are asked for.

        Raises:
            ModelError: the model is not found, has no tokenizer, or may not be loaded.
            UsageError: the model has no such layer or head, or the texts have no such token.
        """
        if not quiet:
            show_passing(f"loading {self.model} …")
        location = locate(
            self.model,
            self.revision,
            tokenizer=self.tokenizer,
            allow_pickle=self.allow_pickle,
            trust_remote_code=self.trust_remote_code,
        )
        check_tokenizer_files(location)
        check_heads(location, layers, heads)
        check_off(location, self.off, self.off_how)
        check_named(location, texts, named)

    def encoder(self, **how: Any) -> Encoder:
        """Loads the model.

        Args:
            how: further arguments of :func:`attnprobe.load_encoder`.

        Raises:
            ModelError: the model cannot be loaded or measured.
        """
        from attnprobe.models import loading

        try:
            return loading.load_encoder(**self.arguments(), **how)
        finally:
            clear_passing()
            collect_again()


@dataclass(frozen=True)
class Saving(Options):
    """The destination and format of the result."""

    panel: ClassVar[str] = OUTPUT

    output: Path | None = option(
        None,
        flags=("-o", "--output"),
        metavar="FILE",
        help="Write to a file; its suffix sets the format. - is standard output.",
    )
    format: str | None = format_among(*WRITERS)
    spreadsheet_safe: bool = option(
        False, help="In csv and tsv, put ' before text that a spreadsheet takes for a formula."
    )
    overwrite: bool = option(False, help="Replace an existing file.")

    def destination(self) -> Output:
        """Settles the destination of the result before any work is done, see :class:`attnprobe.cli.output.Output`."""
        _, *formats = self.choices("format")
        return Output.choose(self.output, self.format, self.overwrite, formats, self.spreadsheet_safe)


def saving_as(*formats: str) -> type[Saving]:
    """Makes the group for a command that writes these formats, besides a table for people."""
    field = format_among(*formats)
    return make_dataclass("Saving", [("format", str | None, field)], bases=(Saving,), frozen=True)


@dataclass(frozen=True)
class Talking(Options):
    """The messages on standard error."""

    panel: ClassVar[str] = OUTPUT

    quiet: bool = option(False, flags=("-q", "--quiet"), help="Say nothing but errors on standard error.")
    debug: bool = option(False, help="Show the traceback of an error.")
