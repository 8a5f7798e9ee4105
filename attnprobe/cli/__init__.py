"""Arguments -> one library call -> output. Imports typer at most; the commands import heavy modules themselves."""

from __future__ import annotations

import gc
import io
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attnprobe import __version__
from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import Analysis
from attnprobe.cli import compare, corpus, heads, heatmap, info, metrics, models, view
from attnprobe.cli.helping import registration
from attnprobe.cli.joining import Command, joined
from attnprobe.cli.log import log_as
from attnprobe.cli.output import clear_passing, fail, silence_stdout
from attnprobe.errors import AttnprobeError

DASHED = re.compile(r"--?([^\w-]|\d|.*\s|--)")  # what begins with a dash, and is no option


class Commands(TyperGroup):
    """The group of commands; those of analyses are loaded when they are called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Finds the command that is called, and the arguments that are left."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in ADDED else command, rest


def load_command(name: str) -> Any:
    """Loads the command of an analysis."""
    from attnprobe.cli import analysis, corpus_analysis

    loaded = load_analysis(name)
    kind = analysis if isinstance(loaded, Analysis) else corpus_analysis
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    alone.command(name, **registration(loaded.examples))(kind.command_of(name, loaded))
    return typer.main.get_command(alone)


def _to_be_loaded() -> None:
    """Stands for the command of an analysis in lists."""


app = typer.Typer(
    name="attnprobe",
    cls=Commands,
    help="What do this encoder's heads look at?",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
FIRST: Mapping[Command, Sequence[str]] = {heads.heads: heads.EXAMPLES, corpus.corpus: corpus.EXAMPLES}
LAST: Mapping[Command, Sequence[str]] = {
    compare.compare: compare.EXAMPLES,
    heatmap.heatmap: heatmap.EXAMPLES,
    view.view: view.EXAMPLES,
    info.info: info.EXAMPLES,
    metrics.metrics: metrics.EXAMPLES,
    models.models: models.EXAMPLES,
}
ADDED = [name for name in ANALYSES if name not in {command.__name__ for command in (*FIRST, *LAST)}]
for command, examples in FIRST.items():
    app.command(**registration(examples))(joined(command))
for name in ADDED:
    app.command(name, help=ANALYSES[name][1])(_to_be_loaded)
for command, examples in LAST.items():
    app.command(**registration(examples))(joined(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"attnprobe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def _hint(error: Any, message: str) -> str:
    """Hints what to do about a text that was read as several arguments, or as an option."""
    command, *arguments = sys.argv[1:] or [""]
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", "")
    if not (context and any(parameter.name == "text" for parameter in context.command.params)):
        return ""
    if "unexpected extra argument" in message:
        return "options stand before --, the text behind it" if "--" in arguments else "quote a text of several words"
    texts = [one for one in arguments if DASHED.match(one) and (one.startswith(option) or " " in one)]
    if not option or not texts:
        return ""
    return f"a text that begins with a dash stands last, after --, e.g. attnprobe {command} -- {shlex.quote(texts[0])}"


def main() -> None:
    """Runs the command line, and maps errors to a short message and an exit code."""
    debug = "--debug" in sys.argv
    log_as("text")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(__file__).parent))  # exists; else torch makes one
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no more than ASCII
    gc.disable()  # imports make a million objects that stay: looking through them takes a fifth of the start
    try:
        code = app(prog_name="attnprobe", standalone_mode=False)
    except AttnprobeError as error:
        if debug:
            raise
        code = fail(str(error), error.hint, error.exit_code)
    except typer.TyperException as error:
        if debug:
            raise
        message = error.format_message().replace("Value error, ", "")
        code = fail(message, _hint(error, message), error.exit_code)
    except SystemExit as error:  # how typer ends where nobody reads standard output any more
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        silence_stdout()
        code = 0
    except OSError as error:  # a disk that fills up while help or the version is printed
        if debug:
            raise
        code = fail(f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}")
        silence_stdout()
    else:
        if code == 130:  # an interruption that no command had a word for
            fail("interrupted", exit_code=130)
    finally:
        clear_passing()
        gc.enable()
    sys.exit(code)
