"""Describes an encoder in rows."""

from __future__ import annotations

from attnprobe.models.config import count
from attnprobe.models.encoder import Encoder
from attnprobe.values.selection import as_ranges
from attnprobe.values.table import Cell, Table
from attnprobe.values.text import visible

UNKNOWN = "not known, so relative_entropy is empty"


def describe(encoder: Encoder) -> Table:
    """Lists the facts of an encoder that a statistic may depend on: columns ``property`` and ``value``.

    Properties: model, class, tokenizer, layers, heads, hidden_size, head_size, parameters, dtype, device, max_length,
    reading, special_tokens, reach, capture, remark, padding, weights_sha256; and ``decided`` if the folder is no plain
    one, ``off`` if heads are off.
    """
    config, tokenizer = encoder.model.config, encoder.tokenizer
    hidden = count(getattr(config, "hidden_size", None))
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
            count(getattr(config, "head_dim", None))
            or count(getattr(config, "d_kv", None))
            or (hidden // encoder.heads if hidden else None),
        ),
        ("parameters", sum(parameter.numel() for parameter in encoder.model.parameters())),
        ("dtype", str(encoder.dtype).removeprefix("torch.")),
        ("device", str(encoder.device)),
        ("max_length", encoder.max_length),
        ("reading", "; ".join(_reading(encoder)) or "as the tokenizer's files say"),
        ("special_tokens", " ".join(f"{name}={visible(token)}" for name, token in special.items())),
        ("reach", "; ".join(f"{layers}: {kind}" for layers, kind in reach_by_layers(encoder).items())),
        (
            "capture",
            f"hooks on eager modules ({encoder.tap_reason})" if encoder.tap else "blocks through AttentionInterface",
        ),
        ("remark", encoder.family.remark if encoder.family else "not in the table of families; checked when loaded"),
        ("padding", "changes nothing" if encoder.padding_invariant else "would change the weights; never padded"),
        ("weights_sha256", encoder.weights_sha256),
    ]
    if encoder.off_text:
        rows.insert(1, ("off", encoder.off_text))
    if encoder.notes:
        rows.insert(1, ("decided", "; ".join(encoder.notes)))
    return Table(["property", "value"], rows)


def _reading(encoder: Encoder) -> list[str]:
    """Describes how texts are read otherwise than the tokenizer's files say."""
    limited, lowered = encoder.settings.get("max_seq_length"), encoder.settings.get("do_lower_case") is True
    remarks = [f"max_seq_length {limited} of sentence_bert_config.json"] if limited is not None else []
    remarks += ["lower-cased, as sentence_bert_config.json says"] if lowered else []
    return [*remarks, *([encoder.case] if encoder.case else [])]


def reach_by_layers(encoder: Encoder) -> dict[str, str]:
    """Describes what queries may see, by layers: ``all layers``, ``layers 0-2,5`` or ``layer 3``."""
    kinds = [UNKNOWN if reach is None else str(reach) for reach in encoder.reach]
    if len(set(kinds)) == 1:
        return {"all layers": kinds[0]}
    layers_of = {kind: [layer for layer, found in enumerate(kinds) if found == kind] for kind in dict.fromkeys(kinds)}
    return {f"layer{'s' * (len(layers) > 1)} {as_ranges(layers)}": kind for kind, layers in layers_of.items()}
