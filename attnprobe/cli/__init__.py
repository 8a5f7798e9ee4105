"""Arguments -> one library call -> output. Imports typer at most; what is heavy is imported inside the commands."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from typing import Annotated

import typer

from attnprobe import __version__
from attnprobe.cli import corpus, heads, heatmap, info, metrics, models, trace, view, weights
from attnprobe.cli.output import fail, silence_stdout
from attnprobe.errors import AttnprobeError

DASHED = re.compile(r"--?([^\w-]|\d|.*\s|--)")  # what begins with a dash, and is no option

app = typer.Typer(
    name="attnprobe",
    help="What do this encoder's heads look at?",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("heads")(heads.heads)
app.command("corpus")(corpus.corpus)
app.command("weights")(weights.weights)
app.command("heatmap")(heatmap.heatmap)
app.command("trace")(trace.trace)
app.command("view")(view.view)
app.command("info")(info.info)
app.command("metrics")(metrics.metrics)
app.command("models")(models.models)


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


def _hint(message: str, option: str) -> str:
    """What to do about a text that was taken for several arguments, or for an option."""
    command, *arguments = sys.argv[1:] or [""]
    if command not in ("heads", "weights", "heatmap", "trace", "view"):
        return ""
    if "unexpected extra argument" in message:
        return "options stand before --, the text behind it" if "--" in arguments else "quote a text of several words"
    texts = [one for one in arguments if DASHED.match(one) and (one.startswith(option) or " " in one)]
    if not option or not texts:
        return ""
    return f"a text that begins with a dash stands last, after --, e.g. attnprobe {command} -- {shlex.quote(texts[0])}"


def main() -> None:
    """The command line: runs it and maps what goes wrong to a short message and an exit code."""
    debug = "--debug" in sys.argv
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no more than ASCII
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
        code = fail(message, _hint(message, getattr(error, "option_name", "")), error.exit_code)
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
    sys.exit(code)
