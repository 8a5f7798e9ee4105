"""The options of what is drawn: pictures, and pages beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attnprobe.errors import UsageError
from attnprobe.values.options import Options, choice, option


@dataclass(frozen=True)
class Drawn(Options):
    """The numbers to draw.

    Attributes:
        stat: a metric to map over layers and heads in place of weights.
        special: "drop" leaves out rows and columns of the tokens that the tokenizer added, "renormalise" also makes
            the rows sum to 1 again; a row with less than 1 % left is then empty.
        colours: "viridis", or "white", which begins at white.
        summary: the file of a summary of many texts, of which a metric is drawn in place of a text's.
    """

    stat: str | None = option(None, metavar="METRIC", help="Map a metric over layers and heads instead.")
    summary: Path | None = option(
        None, metavar="FILE", signed=False, help="Map a metric of this file, which corpus --summary made, without TEXT."
    )
    special: str = choice(
        "keep",
        "drop",
        "renormalise",
        help="Of [CLS], [SEP] and their like: keep, leave out, or leave out and make rows sum to 1 again.",
    )
    colours: str = choice("viridis", "white", signed=False, help="The colours; white begins at white, for print.")

    def check(self, text: str | None, pair: str | None) -> None:
        """Refuses what does not suit each other.

        Raises:
            UsageError: special tokens are to be left out of a statistic, or there is a text beside a summary.
        """
        if self.summary is not None and (text, pair) != (None, None):
            raise UsageError("a summary is of many texts, and is drawn without TEXT", "leave out TEXT, or --summary")
        if self.special != "keep" and (self.stat, self.summary) != (None, None):
            hint = "--queries content, in heads and corpus, leaves out their rows"
            raise UsageError("special tokens are left out of weights, not of a statistic", hint)


@dataclass(frozen=True)
class Comparing(Options):
    """Chooses what a page has beside it, in the same file; no number depends on it.

    Attributes:
        against: another text, which the same model reads, unless another is given.
        against_model: the folder or Hub id of another model, which reads the same text, unless another is given.
    """

    against: str | None = option(None, metavar="TEXT", signed=False, help="Show the page of this text beside it.")
    against_model: str | None = option(
        None, metavar="NAME", signed=False, help="Show the page of this model beside it: a folder or a Hub id."
    )
