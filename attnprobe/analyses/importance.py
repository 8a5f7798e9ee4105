"""Declares the analysis ``importance``: which heads matter, by gradients or by switching them off, in many texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.errors import UsageError
from attnprobe.values.options import Options, Reading, Selection, Without, choice, option, whole


@dataclass(frozen=True)
class Weighing(Options):
    """Chooses what a head is important for, and how that is found out.

    Attributes:
        method: "gradient": how much a small change of the head would change; "zero", "mean", "uniform": what changes
            when the head is switched off, see :mod:`attnprobe.models.switching`.
        objective: what changes, see :mod:`attnprobe.analyses.objectives`.
        per_token: whether magnitudes are taken token by token, as Michel's code does; of gradients only.
        label_column: the label of a record that holds what a model should say; of the loss only.

    Raises:
        UsageError: an option does not suit the others.
    """

    method: str = choice(
        "gradient", "zero", "mean", "uniform", help="Gradients, or heads switched off: how, as in --off-how."
    )
    objective: str = choice(
        *("sensitivity", "norm", "cls-norm", "similarity", "mlm", "loss"), help="What a head matters for."
    )
    per_token: bool = option(False, help="Of gradients: take magnitudes token by token.")
    label_column: str | None = option(
        None, column=True, metavar="NAME", help="Of the loss: the column with the labels."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_token and (self.method != "gradient" or self.objective == "sensitivity"):
            raise UsageError(
                "--per-token is for gradients of one number", "--method gradient --objective norm, or leave it out"
            )
        if (self.objective == "loss") != (self.label_column is not None):
            needs = self.objective == "loss"
            what = "the loss needs labels" if needs else f"the objective {self.objective} takes no labels"
            raise UsageError(what, "--label-column NAME" if needs else "choose --objective loss")


@dataclass(frozen=True)
class Curving(Options):
    """Chooses the texts that a model is run on with more and more heads off.

    Attributes:
        curve_texts: how many, at random.
        seed: of that sample, and of the random order of heads.
    """

    curve_texts: int = whole(128, least=1, help="Random texts of --curve.")
    seed: int = option(0, metavar="N", help="Of --curve, and of --sample.")


def _loads(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Loads the task head where the objective is made of what it says; if heads are switched off, any classifier's."""
    if options.get("objective") in ("mlm", "loss"):
        return {"task": True}
    return {} if options.get("method", "gradient") == "gradient" else {"task": None}


IMPORTANCE = CorpusAnalysis(
    measurement="attnprobe.analyses.gradients:Gradients",
    columns={
        "layer": "layer, from 0",
        "head": "head, from 0",
        "importance": "mean over texts; by gradients: how much a small change of the head changes the objective; of "
        "heads switched off: the objective without the head minus with it (for sensitivity, pooled_change)",
        "ci_low": "lower end of the 95 % interval over texts (Student's t)",
        "ci_high": "upper end",
        "normalized": "importance divided by the root of the sum of squares over the layer's heads (Molchanov 2017)",
        "n_texts": "how many texts the mean is over",
        "token_change": "of heads switched off: mean over tokens of 1 − cosine with the hidden state before",
        "cls_change": "of heads switched off: 1 − cosine of the classification token's hidden state with that before",
        "pooled_change": "of heads switched off: 1 − cosine of the mean over tokens' hidden states with that before",
        "logits_change": "of heads of a classifier switched off: length of the difference of its logits; of token "
        "classifiers the mean over tokens",
        "prediction_change": "of heads of a classifier switched off: share of predictions that change",
    },
    options=[Annotated[Selection, Without("heads")], Weighing, Curving],
    reading=Annotated[Reading, Without("stride", "level", "of")],
    tables={"curve": "What is left as heads are switched off, least important first."},
    drawn={"curve": "attnprobe.render.heads_off:write_curve"},
    loads=_loads,
    view="attnprobe.render.importance:importance_view",
    formats={name: f"attnprobe.render.importance:write_{name}" for name in ("png", "svg", "pdf")},
    meaning="Which heads matter: gradients, or heads switched off.",
    examples=(
        "attnprobe importance reviews.txt",
        "attnprobe importance reviews.txt --method zero -o zero.csv",
        "attnprobe importance reviews.txt -o heads.svg",
    ),
)
