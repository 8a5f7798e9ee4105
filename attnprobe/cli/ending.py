"""How a long command ends: by a signal, or with an exit code that says how many records it skipped."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnprobe.cli.log import counted
from attnprobe.errors import Interrupted, Terminated

if TYPE_CHECKING:
    from attnprobe.corpus.run import CorpusRun


@dataclass
class Ending:
    """How a command ends before its time.

    Attributes:
        run: the run that is under way, if one is.
        terminated: whether SIGTERM came; libraries turn what its handler raises into a plain KeyboardInterrupt.
    """

    run: CorpusRun | None = None
    terminated: bool = False

    def error(self) -> Interrupted:
        """Makes the error that says what ended the run, how far it was, and how to go on."""
        kind, what = (Terminated, "terminated") if self.terminated else (Interrupted, "interrupted")
        if self.run is None:
            return kind(what)
        done = f"{what} after {counted(self.run.state.texts, 'text')}"
        return kind(f"{done}; to go on: {_command(self.run)}" if self.run.outputs.output else done)


@contextmanager
def explained_end() -> Iterator[Ending]:
    """Lets SIGTERM end the block as Ctrl-C does, and says how to go on; a second SIGTERM does not disturb the end.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came.
    """
    ending = Ending()

    def end(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ending.terminated = True
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if in_main else None
    try:
        yield ending
    except KeyboardInterrupt:
        raise ending.error() from None
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


def _command(run: CorpusRun) -> str:
    """Writes the command that goes on; both flags stay, which go on with the same work."""
    arguments, both = sys.argv[1:], {"--overwrite", "--resume"}
    if not both <= set(arguments) or run.inputs.is_read_once:
        arguments = [*(argument for argument in arguments if argument not in both), "--resume"]
    return shlex.join(["attnprobe", *arguments])
