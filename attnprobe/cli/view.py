"""attnprobe view."""

from __future__ import annotations

from typing import Annotated

import typer

from attnprobe.cli import options as flag
from attnprobe.cli.output import Output, read_text, warnings_as_notes
from attnprobe.errors import UsageError
from attnprobe.models.locate import DEFAULT_MODEL, locate
from attnprobe.values.selection import parse_indices


def view(
    text: flag.Text = None,
    pair: flag.Pair = None,
    model: flag.Model = DEFAULT_MODEL,
    tokenizer: flag.Tokenizer = None,
    revision: flag.Revision = None,
    device: flag.Device = "auto",
    dtype: flag.DtypeOption = flag.Dtype.float32,
    layer: flag.Layer = "all",
    head: flag.Head = "all",
    max_length: flag.MaxLength = None,
    global_attention: flag.GlobalAttentionOption = flag.GlobalAttention.none,
    output: flag.Page = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    overwrite: flag.Overwrite = False,
    allow_pickle: flag.AllowPickle = False,
    trust_remote_code: flag.TrustRemoteCode = False,
    quiet: flag.Quiet = False,
    debug: flag.Debug = False,
) -> None:
    """One HTML page to explore the attention of a text; it needs no network."""
    text = read_text(text, quiet)
    parse_indices(layer), parse_indices(head)
    destination = Output.choose(output, "html", overwrite)
    if open and destination.path is None:
        raise UsageError("--open needs a file to open", "-o FILE.html writes one")
    locate(
        model, revision, tokenizer=tokenizer, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )  # fails before torch loads

    from attnprobe.models.loading import load_encoder
    from attnprobe.render import page

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
        made = page.view(
            text,
            encoder,
            pair=pair,
            layers=layer,
            heads=head,
            max_length=max_length,
            global_attention=global_attention,
        )
    destination.save(lambda stream: stream.write(made.html.encode()))
    if open and destination.path:
        import webbrowser

        webbrowser.open(destination.path.resolve().as_uri())
