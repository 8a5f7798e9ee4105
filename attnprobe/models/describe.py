"""What an encoder is made of, in rows."""

from __future__ import annotations

from attnprobe.models.encoder import Encoder
from attnprobe.table import Cell, Table


def describe(encoder: Encoder) -> Table:
    """The facts of an encoder that a statistic may depend on: columns ``property`` and ``value``.

    Properties: model, class, tokenizer, layers, heads, hidden_size, head_size, parameters, dtype, device, max_length,
    special_tokens, local_layers, capture, padding, weights_sha256.
    """
    config, tokenizer = encoder.model.config, encoder.tokenizer
    hidden = getattr(config, "hidden_size", None)
    special = {
        name: getattr(tokenizer, f"{name}_token")
        for name in ("cls", "sep", "bos", "eos", "pad", "mask", "unk")
        if getattr(tokenizer, f"{name}_token", None) is not None
    }
    rows: list[tuple[str, Cell]] = [
        ("model", encoder.location.name),
        ("class", type(encoder.model).__name__),
        ("tokenizer", type(tokenizer).__name__),
        ("layers", encoder.layers),
        ("heads", encoder.heads),
        ("hidden_size", hidden),
        (
            "head_size",
            getattr(config, "head_dim", None)
            or getattr(config, "d_kv", None)
            or (hidden // encoder.heads if hidden else None),
        ),
        ("parameters", sum(parameter.numel() for parameter in encoder.model.parameters())),
        ("dtype", str(encoder.dtype).removeprefix("torch.")),
        ("device", str(encoder.device)),
        ("max_length", encoder.max_length),
        ("special_tokens", " ".join(f"{name}={token}" for name, token in special.items())),
        ("local_layers", local_layers(encoder)),
        (
            "capture",
            f"hooks on eager modules ({encoder.tap_reason})" if encoder.tap else "blocks through AttentionInterface",
        ),
        ("padding", "changes nothing" if encoder.padding_invariant else "would change the weights; never padded"),
        ("weights_sha256", encoder.weights_sha256),
    ]
    return Table(["property", "value"], rows)


def local_layers(encoder: Encoder) -> str:
    """Which layers see only a window of keys, and how far it reaches, as the config declares it."""
    kinds = getattr(encoder.model.config, "layer_types", None) or ()
    local = [str(layer) for layer, kind in enumerate(kinds) if "full" not in kind]
    window = getattr(encoder.model.config, "sliding_window", None)
    return f"{','.join(local)} (sliding_window {window})" if local else "none"
