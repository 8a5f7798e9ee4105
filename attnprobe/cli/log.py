"""Lines on standard error: text for people, or with ``--log json`` an object of JSON each."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from attnprobe.values.text import visible

if TYPE_CHECKING:
    from attnprobe.corpus.prober import Result
    from attnprobe.corpus.state import State

_format = "text"


def log_as(format: str) -> None:
    """Sets how lines are written from now on: "text" or "json"."""
    global _format
    _format = format


def is_json() -> bool:
    """Tests whether lines are objects of JSON."""
    return _format == "json"


def say(event: str, message: str, more: str = "", **values: Any) -> None:
    """Writes a line on standard error.

    Args:
        event: what kind of line it is; as the values, only in JSON.
        more: a second line of text; in JSON it is one of the values.
    """
    message = one_line(message)
    if is_json():
        print(json.dumps({"time": now(), "event": event, "message": message, **values}), file=sys.stderr, flush=True)
        return
    print(f"attnprobe: {message}", file=sys.stderr)
    if more:
        print(f"  {one_line(more)}", file=sys.stderr)


def now() -> str:
    """Returns the local time to the second, as ISO 8601 writes it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def one_line(message: str) -> str:
    """Folds a message into one line that a terminal does not obey."""
    return visible(" ".join(message.split()))


def counted(count: int, noun: str) -> str:
    """Writes a count of things.

    >>> counted(1, "text"), counted(1200, "text")
    ('1 text', '1,200 texts')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Writes hours, minutes and seconds.

    >>> duration(3661.5)
    '1:01:01'
    """
    return str(timedelta(seconds=int(seconds)))


class Pace:
    """How far a run is, and how fast.

    Args:
        state: returns how far the run has come, by chunks that are stored.
        count: returns how many records there will be, None if unknown; called in a separate thread.
    """

    def __init__(self, state: Callable[[], State], count: Callable[[], int | None] | None) -> None:
        self.state, self.count = state, count
        self.start = time.monotonic()
        self.total: int | None = None
        self.tokens = self.ahead = self.stored = 0  # ahead: texts measured whose chunk is not stored yet
        self.first: int | None = None

    def ask_total(self) -> None:
        """Begins to count the records."""
        if self.count:
            threading.Thread(target=self._ask_total, args=(self.count,), daemon=True).start()

    def _ask_total(self, count: Callable[[], int | None]) -> None:
        with suppress(Exception):  # what is wrong with the input, the run itself will say
            self.total = count()

    def add(self, texts: int, tokens: int) -> None:
        """Adds a batch that is measured."""
        if self.first is None:
            self.first = self.stored = self.state().items
        self.ahead, self.tokens = self.ahead + texts, self.tokens + tokens

    def store(self, result: Result) -> None:
        """Notes that a chunk is stored."""
        self.stored = self.state().items
        self.ahead = max(0, self.ahead - result.n_texts)

    @property
    def done(self) -> int:
        """How many records are done, skipped ones included."""
        done = self.stored + self.ahead
        return done if self.total is None else min(done, self.total)

    def numbers(self) -> dict[str, Any]:
        """Returns what is known; None if unknown."""
        done, total, seconds = self.done, self.total, max(time.monotonic() - self.start, 1e-9)
        rate = (done - (self.first or 0)) / seconds
        return {
            "done": done,
            "total": total,
            "percent": round(100 * done / total, 1) if total else None,
            "skipped": self.state().skipped,
            "records_per_second": round(rate, 1),
            "tokens_per_second": round(self.tokens / seconds, 1),
            "seconds_left": round((total - done) / rate) if total is not None and rate > 0 else None,
        }

    def rates(self) -> str:
        """Writes how fast it goes, and how many records were skipped."""
        known = self.numbers()
        skipped = f", {known['skipped']:,} skipped" if known["skipped"] else ""
        return f"{known['records_per_second']:,.0f} texts/s, {known['tokens_per_second']:,.0f} tokens/s{skipped}"

    def say(self) -> None:
        """Writes a line on how far the run is."""
        known = self.numbers()
        share = "" if known["percent"] is None else f" of {known['total']:,} ({known['percent']} %)"
        left = "" if known["seconds_left"] is None else f", {duration(known['seconds_left'])} left"
        say("progress", f"{now()} {known['done']:,}{share}, {self.rates()}{left}", **known)
