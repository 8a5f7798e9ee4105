"""What a finished run over many texts says of itself, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from attnprobe.cli.log import counted, duration, is_json, say
from attnprobe.errors import UnknownTokensWarning

if TYPE_CHECKING:
    from attnprobe.corpus.run import CorpusRun
    from attnprobe.corpus.state import State

SKIPPED = 3
NAMES = 3  # files that are named


def exit_code(state: State, allowed: Fraction | None) -> int:
    """Returns 3 if more records were skipped than allowed, else 0.

    Args:
        allowed: the share of the records that may be skipped; None: none.
    """
    return 0 if state.skipped <= (allowed or 0) * state.items else SKIPPED


def remarks(run: CorpusRun, allowed: Fraction | None) -> Iterator[str]:
    """Writes the remarks on records left out and doubtful texts; of a run that was complete, on records left out."""
    if not run.was_complete:
        yield from _remarks_on_texts(run)
    if run.state.skipped:
        yield _skipped(run, allowed)


def _remarks_on_texts(run: CorpusRun) -> Iterator[str]:
    from attnprobe.corpus.stats import doubts

    state = run.state
    if not state.items:
        names = [source.name for source in run.inputs.sources]
        more = f" and {len(names) - NAMES} more" if names[NAMES:] else ""
        yield f"no records in {', '.join(map(repr, names[:NAMES]))}{more}"
    if foreign := run.foreign_names():
        yield f"{str(run.folder)!r} stays, for attnprobe did not make what it holds: {', '.join(foreign)}"
    if state.cut:
        were = "was" if state.cut == 1 else "were"
        yield f"{counted(state.cut, 'text')} {were} longer than the model reads and {were} cut{_listed(run, 'cut')}"
    for category, message in doubts(state.unknown, state.wordless).items():
        yield f"{message}{_help_with_unknown(run) if category is UnknownTokensWarning else ''}"


def _help_with_unknown(run: CorpusRun) -> str:
    """Says what to do about unknown tokens; where the vocabulary is of k-mers, how texts that are sequences are cut."""
    from attnprobe.models.vocabulary import kmer_of

    size = kmer_of(run.prober.encoder.tokenizer) or 1
    cut = f"; --kmer {size} cuts sequences as the vocabulary has them" if size > 1 else ""
    return f" (--max-unknown 0.33 leaves them out{cut})"


def _skipped(run: CorpusRun, allowed: Fraction | None) -> str:
    from attnprobe.corpus.settings import failure

    state, first = run.state, run.first_skipped
    listed = _listed(run, "skipped") or (f"; the first: {failure(first)}" if first else "")
    judged = ""
    if allowed is not None:
        share, relation = 100 * state.skipped / state.items, "above" if exit_code(state, allowed) else "within"
        judged = f" ({share:.3g} % of all, {relation} --max-skipped {float(100 * allowed):.3g} %)"
    return f"{counted(state.skipped, 'record')} {'was' if state.skipped == 1 else 'were'} skipped{judged}{listed}"


def _listed(run: CorpusRun, name: str) -> str:
    path = run.outputs.files.get(name)
    return f"; {str(path)!r} lists them" if path else ""


def say_done(run: CorpusRun, seconds: float, code: int) -> None:
    """Writes the last line: counts, time and files; without files only in a log of JSON."""
    state, files = run.state, [str(path) for path in run.outputs.named]
    if not files and not is_json():
        return
    columns = run.prober.settings.columns
    rows = f" {counted(state.rows, 'row')}," if columns and run.outputs.format != "table" else ""
    counts = f"{counted(state.texts, 'text')},{rows} {state.skipped:,} skipped, {duration(seconds)}"
    message = f"done: {counts} -> {', '.join(files) or 'standard output'}"
    if run.was_complete:
        message = f"{files[0]!r} is complete; there is nothing to resume"
    values = {name: getattr(state, name) for name in ("texts", "rows", "skipped", "cut")}
    values |= {"seconds": round(seconds, 1), "files": files, "exit_code": code, "was_complete": run.was_complete}
    say("done", message, **values)
