"""attnprobe heads."""

from __future__ import annotations

from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, read_text, warnings_as_notes
from attnprobe.metrics import check_names
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices


def heads(
    text: flag.Text = None,
    pair: flag.Pair = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    metric: flag.Metric = None,
    layer: flag.Layer = "all",
    head: flag.Head = "all",
    long_range: flag.LongRange = 10,
    queries: flag.QueriesOption = flag.Queries.all,
    level: flag.LevelOption = flag.Level.token,
    max_length: flag.MaxLength = None,
    stride: flag.Stride = None,
    global_attention: flag.GlobalAttentionOption = flag.GlobalAttention.none,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="METRIC", help="Highest first by this metric.", show_default=False)
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Only the first N heads.", show_default=False)
    ] = None,
    output: flag.Output = None,
    format: flag.FormatOption = None,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """What each head attends to in a text: one row per layer and head, one column per metric."""
    text = read_text(text, quiet)
    names = check_names(metric)
    if sort:
        check_names([sort])
        names = check_names([*names, sort])
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(output, format, overwrite)
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.measure.heads import head_table
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.table import heads_table

    encoder = load_encoder(
        model,
        tokenizer=tokenizer,
        revision=revision,
        device=device,
        dtype=dtype,
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    with warnings_as_notes(quiet, "--stride N reads all of it in windows"):
        table = head_table(
            text,
            encoder,
            names,
            pair=pair,
            layers=layer,
            heads=head,
            long_range=long_range,
            queries=queries,
            level=level,
            max_length=max_length,
            stride=stride,
            global_attention=global_attention,
        )
    destination.write(table.sorted_by(sort).head(top), heads_table)
