"""attnprobe weights."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, read_text, warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.filters import MOST_ROWS, check_filters
from attnprobe.values.selection import parse_indices
from attnprobe.writers import TENSORS, WRITERS


def weights(
    text: flag.Text = None,
    pair: flag.Pair = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    layer: flag.Layer = "all",
    head: flag.Head = "all",
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            metavar="TOKEN|N",
            help="Only this query: its position, counted from 0, or a token; all that are alike.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="N", min=1, help="Only the N largest weights of each query.", show_default=False),
    ] = None,
    min_weight: Annotated[
        float | None,
        typer.Option("--min-weight", metavar="W", min=0, max=1, help="Only weights of at least W.", show_default=False),
    ] = None,
    direction: Annotated[
        flag.Direction | None,
        typer.Option(
            "--direction",
            help="Of a pair: only from queries in the first text to keys in the second, or the other way.",
            show_default=False,
        ),
    ] = None,
    level: flag.LevelOption = flag.Level.token,
    max_length: flag.MaxLength = None,
    global_attention: flag.GlobalAttentionOption = flag.GlobalAttention.none,
    max_rows: Annotated[
        int, typer.Option("--max-rows", metavar="N", min=1, help="Refuse to write more rows than this.")
    ] = MOST_ROWS,
    output: flag.Output = None,
    format: flag.WeightsFormatOption = None,
    spreadsheet_safe: flag.SpreadsheetSafe = False,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """The attention weights themselves: one row per layer, head, query and key; or tensors (.npz, .safetensors)."""
    text = read_text(text, quiet)
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(output, format, overwrite, (*WRITERS, *TENSORS), spreadsheet_safe)
    as_tensors = destination.format in TENSORS
    check_filters(pair=pair, direction=direction, top=top, min_weight=min_weight)
    if as_tensors and (top, min_weight) != (None, None):
        raise UsageError("--top and --min-weight choose rows; tensors hold every weight", "use -f csv or parquet")
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.analyses.weights import take_excerpt, weights_table
    from attnprobe.measure.weights import MOST_WEIGHTS
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.weights import KEYS_SHOWN, WeightsView
    from attnprobe.writers.tensors import TENSOR_WRITERS

    encoder = load_encoder(
        model,
        tokenizer=tokenizer,
        revision=revision,
        device=device,
        dtype=dtype,
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    shortened = KEYS_SHOWN if destination.format == "table" and (top, min_weight) == (None, None) else None
    top = top or shortened
    with warnings_as_notes(quiet):
        part = take_excerpt(
            text,
            encoder,
            layers=layer,
            heads=head,
            query=query,
            pair=pair,
            direction=direction,
            level=level,
            max_length=max_length,
            global_attention=global_attention,
            top=top,
            min_weight=min_weight,
            max_rows=max(max_rows, MOST_WEIGHTS) if as_tensors else max_rows,
        )
    if as_tensors:
        destination.save(partial(TENSOR_WRITERS[destination.format], part))
    else:
        table = weights_table(part, top=top, min_weight=min_weight, max_rows=max_rows)
        destination.write(table, partial(WeightsView, top=shortened))
