"""The options of comparing two models or results."""

from __future__ import annotations

from dataclasses import dataclass

from attnprobe.errors import UsageError
from attnprobe.values.options import Options, option


@dataclass(frozen=True)
class Pairing(Options):
    """What is compared of two models or results, and what belongs together.

    Attributes:
        maps: whether to compare maps instead of head statistics.
        match: whether to compare the maps of heads that are most alike instead of those of equal numbers.
        unpaired: whether two results are of two corpora.
    """

    maps: bool = option(False, help="Compare the maps of two models over FILES instead of statistics.")
    match: bool = option(False, help="Maps of heads that are most alike, for unlike models; all pairs are measured.")
    unpaired: bool = option(False, help="The results are of two corpora, whose texts are drawn independently.")

    @property
    def of_maps(self) -> bool:
        """Whether maps are compared; only these are matched."""
        return self.maps or self.match

    def check_results(self) -> None:
        """Refuses what takes models.

        Raises:
            UsageError: maps of results are asked for.
        """
        if self.of_maps:
            raise UsageError("results have no maps", "attnprobe compare A B FILES --maps, where A and B are models")

    def check_models(self) -> None:
        """Refuses what takes results.

        Raises:
            UsageError: two models are to read other texts.
        """
        if self.unpaired:
            raise UsageError("two models read the same texts, which are paired", "leave --unpaired out")
