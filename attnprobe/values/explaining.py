"""The options of how a page explains attention."""

from __future__ import annotations

from dataclasses import dataclass

from attnprobe.values.options import Options, choice, option


@dataclass(frozen=True)
class Explaining(Options):
    """Chooses how a page explains attention.

    Attributes:
        steps: whether the page shows the steps of the computation, which more than double its size.
        lang: the language that explains these steps first, "en" or "zh".
    """

    steps: bool = option(True, help="Leave out the steps of the computation.")
    lang: str = choice("en", "zh", help="The language that explains these steps.")
