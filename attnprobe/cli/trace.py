"""attnprobe trace."""

from __future__ import annotations

from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, note, read_text, warnings_as_notes
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices


def trace(
    layer: Annotated[str, typer.Option("-l", "--layer", metavar="LAYER", help="The layer, counted from 0.")],
    head: Annotated[str, typer.Option("--head", metavar="HEAD", help="The head, likewise.")],
    text: flag.Text = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            metavar="TOKEN|INDEX",
            help="Whose attention: a token or word, or a position from 0.  [default: the text's only token]",
            show_default=False,
        ),
    ] = None,
    pair: flag.Pair = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    max_length: flag.MaxLength = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="How many keys a terminal shows.")] = 10,
    output: flag.Output = None,
    format: flag.FormatOption = None,
    spreadsheet_safe: flag.SpreadsheetSafe = False,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """How one head computes one row of attention, step by step, on the model's own numbers."""
    text = read_text(text, quiet)
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(output, format, overwrite, spreadsheet_safe=spreadsheet_safe)
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.analyses.trace import trace as trace_head
    from attnprobe.models.loading import load_encoder
    from attnprobe.render.trace import trace_view

    encoder = load_encoder(
        model,
        tokenizer=tokenizer,
        revision=revision,
        device=device,
        dtype=dtype,
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    with warnings_as_notes(quiet):
        traced = trace_head(text, encoder, layer=layer, head=head, query=query, pair=pair, max_length=max_length)
    for remark in () if quiet else traced.remarks:
        note(remark)
    destination.write(traced.to_table(), lambda table, width: trace_view(traced, width, top))
