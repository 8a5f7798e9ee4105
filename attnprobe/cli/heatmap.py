"""attnprobe heatmap."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, read_text, warnings_as_notes
from attnprobe.metrics import check_names
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices
from attnprobe.writers import FIGURES


def heatmap(
    text: flag.Text = None,
    pair: flag.Pair = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    layer: flag.Layer = "all",
    head: flag.Head = "all",
    stat: Annotated[
        str | None,
        typer.Option(
            "--stat", metavar="METRIC", help="Map a metric over layers and heads instead.", show_default=False
        ),
    ] = None,
    long_range: flag.LongRange = 10,
    level: flag.LevelOption = flag.Level.token,
    max_length: flag.MaxLength = None,
    global_attention: flag.GlobalAttentionOption = flag.GlobalAttention.none,
    output: flag.Output = None,
    format: flag.HeatmapFormatOption = None,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """Draws attention: one head, a grid of heads, or a statistic by layer and head; -o FILE.svg, .pdf or .png."""
    text = read_text(text, quiet)
    if stat:
        check_names([stat])
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(output, format, overwrite, FIGURES)
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.models.loading import load_encoder
    from attnprobe.render.figure import check_matplotlib, draw, save_figure
    from attnprobe.render.heatmap import HeatmapView
    from attnprobe.render.pictures import take_picture

    if destination.format in FIGURES:
        check_matplotlib()
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
        picture = take_picture(
            text,
            encoder,
            stat,
            pair=pair,
            layers=layer,
            heads=head,
            long_range=long_range,
            level=level,
            max_length=max_length,
            global_attention=global_attention,
        )
        if destination.format == "table":
            destination.show(partial(HeatmapView, picture))
        else:
            destination.save(partial(save_figure, draw(picture), format=destination.format))
