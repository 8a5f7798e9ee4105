"""attnprobe info."""

from __future__ import annotations

from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output
from attnprobe.models.locate import DEFAULT_MODEL, locate


def info(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", envvar="ATTNPROBE_MODEL", help="A folder or a Hub id.")
    ] = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    output: flag.Output = None,
    format: flag.FormatOption = None,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    debug: flag.Debug = False,
) -> None:
    """What an encoder is made of, and how its attention is captured."""
    destination = Output.choose(output, format, overwrite)
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.models.describe import describe
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.table import text_table

    encoder = load_encoder(
        model,
        tokenizer=tokenizer,
        revision=revision,
        device=device,
        dtype=dtype,
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    destination.write(describe(encoder), text_table)
