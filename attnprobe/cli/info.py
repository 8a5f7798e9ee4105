"""attnprobe info."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from attnprobe.cli.options import Loading, Saving, Talking
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.options import MODEL, Options, Without, option

EXAMPLES = (
    "attnprobe info",
    "attnprobe info ./my-model",
    "attnprobe info ./my-model -f json",
)


@dataclass(frozen=True)
class Model(Options):
    """The model to describe."""

    panel: ClassVar[str] = MODEL

    model: str = option(
        DEFAULT_MODEL, argument=True, metavar="MODEL", envvar="ATTNPROBE_MODEL", help="A folder or a Hub id."
    )


def info(
    model: Model,
    loading: Annotated[Loading, Without("model")],
    saving: Annotated[Saving, Without("spreadsheet_safe")],
    talking: Annotated[Talking, Without("quiet")],
) -> None:
    """What a model is made of, and how its attention is captured."""
    destination = saving.destination()
    loading = replace(loading, model=model.model)
    loading.check(talking.quiet)

    from attnprobe.models.describe import describe
    from attnprobe.render.table import text_table

    destination.write(describe(loading.encoder()), text_table)
