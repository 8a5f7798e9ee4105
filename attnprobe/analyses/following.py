"""The options of ``flow``: how tokens are followed through the layers, and for which queries."""

from __future__ import annotations

from dataclasses import dataclass, fields

from attnprobe.analyses.methods import METHODS, Method
from attnprobe.errors import UsageError
from attnprobe.values.options import Options, choice, indices, option, share, spelled, whole
from attnprobe.values.selection import Indices

ROWS = ("query", "all_queries", "all_layers", "special", "top", "raw")  # of no table by layer


@dataclass(frozen=True)
class Following(Options):
    """How attention is followed through the layers, and for which tokens.

    Attributes:
        method: a name of :data:`attnprobe.analyses.methods.METHODS`.
        query: only these tokens after the layer, as :func:`attnprobe.values.finding.find_tokens` finds them; None: the
            classification token.
        all_queries: all tokens instead.
        all_layers: after each layer; else after the last.
        fusion: how the heads of a layer become one matrix: by their "mean", "max" or "min"; rows then sum to 1 again.
        heads: the heads that are fused, counted from 0; one of them is taken as it is.
        special: "drop" leaves out the shares of tokens that the tokenizer added, and of all queries their rows; no
            number changes.
        residual: the share of a token that comes around attention, through the residual connection.
        max_tokens: with "flow" and "decompx", a longer text is refused.
        raw: with "globenc", multiplies norms whose rows were not divided by their sum, as the published code does.
        per_layer: instead of shares, a table of means by layer.
        top: only the keys with the largest shares, so many of each query, largest first.

    Raises:
        UsageError: an option has an invalid value, has no effect on the method, or a query is named beside all.
    """

    method: str = choice(*METHODS, help="What is followed: attention (rollout, flow), or what tokens write.")
    query: str | None = option(
        None,
        metavar="TOKEN|N",
        help="Whose information: a token, or its position from 0.  [default: [CLS] or its like]",
    )
    all_queries: bool = option(False, help="Of all tokens instead.")
    all_layers: bool = option(False, help="After each layer, not the last only.")
    fusion: str = choice("mean", "max", "min", help="What of all heads; rows are then made to sum to 1.")
    heads: Indices = indices(
        "all", flags=("--head",), metavar="HEADS", help="Fuse only these heads of each layer: 3, 0-5, 0,2,-1 or all."
    )
    residual: float = share(0.5, help="The share of a token that comes around attention.")
    special: str = choice("keep", "drop", help="Of [CLS], [SEP] and their like: keep what they give, or leave it out.")
    max_tokens: int = whole(256, least=1, help="With --method flow or decompx, refuse a longer text.")
    raw: bool = option(False, help="With --method globenc: multiply norms as they are, rows divided at the end.")
    per_layer: bool = option(False, help="Means by layer instead: norms and mixing ratios, or what stays in place.")
    top: int | None = whole(
        None, least=1, help="Only the N largest shares of each query.  [default: 10 on a terminal, else all]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_queries and self.query is not None:
            raise UsageError("--query chooses among the queries, and --all-queries takes all", "leave out one of them")
        self._check_effects()

    @property
    def how(self) -> Method:
        """The method."""
        return METHODS[self.method]

    def _check_effects(self) -> None:
        """Refuses options that change nothing.

        Raises:
            UsageError: one has no effect on the method, or the method has no table by layer.
        """
        flags = {option.name: spelled(option)[0] for option in fields(self)}
        for name in self.changed():
            heeding = [method for method, how in METHODS.items() if name in how.options]
            if heeding and self.method not in heeding:
                named = " or ".join(heeding)
                raise UsageError(
                    f"{flags[name]} has no effect on --method {self.method}", f"it is for --method {named}"
                )
            if self.per_layer and name in ROWS:
                raise UsageError(
                    f"{flags[name]} has no effect on --per-layer, a table of means", "leave out one of them"
                )
        if self.per_layer and not self.how.means:
            able = [method for method, how in METHODS.items() if how.means]
            raise UsageError(f"--method {self.method} has no table by layer", f"--per-layer is for {', '.join(able)}")
