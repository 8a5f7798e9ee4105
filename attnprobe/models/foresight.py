"""Refuses what a model's small files show to be wrong, before torch is imported or weights are loaded.

What they do not show for certain is left to the checks that follow.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attnprobe.errors import ModelError
from attnprobe.models.config import count, read_object
from attnprobe.models.families import FAMILIES
from attnprobe.models.locate import Location
from attnprobe.values.finding import find_tokens
from attnprobe.values.selection import Indices, select
from attnprobe.values.switches import Off
from attnprobe.values.text import assign_words
from attnprobe.values.tokens import Role, Tokens

LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers")
HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads")
VOCABULARY = re.compile(r"(?i).*(vocab|merges|token|tekken|bpe|piece).*|.*\.(txt|model|vocab|tiktoken|spm|codes)")
BESIDE = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json"}
USUAL = "tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece .model"
NEEDS_NONE = {  # which read bytes or characters
    *("canine", "dia", "perceiver"),
    *("ByT5Tokenizer", "CanineTokenizer", "DiaTokenizer", "PerceiverTokenizer"),
}
LATER = re.compile(r"\s*-?[0-9]+\s*|[<\[].*[>\]]")  # positions, which depend on how the text is cut; special tokens
MARKS = re.compile(r"^(##|▁|Ġ|Ċ)+|(</w>|@@)$")


def check_tokenizer_files(location: Location) -> None:
    """Refuses a folder without any file that could hold a vocabulary.

    Raises:
        ModelError: there is none.
    """
    folder = location.tokenizer_folder
    told = _settings(folder, "tokenizer_config.json")
    if {str(location.config.get("model_type")), str(told.get("tokenizer_class"))} & NEEDS_NONE or "auto_map" in told:
        return
    names = {path.name for path in folder.iterdir()} - BESIDE
    if not any(map(VOCABULARY.fullmatch, names)):
        raise ModelError(
            f"{location.name!r} holds no tokenizer: there is no {USUAL}",
            "save the tokenizer there too (tokenizer.save_pretrained), or name another one's folder (--tokenizer)",
        )


def check_heads(location: Location, layers: Indices, heads: Indices) -> None:
    """Refuses layers or heads that a model does not have, if config.json says how many there are.

    Raises:
        UsageError: a number is out of range.
    """
    for chosen, names, what in ((layers, LAYERS, "layer"), (heads, HEADS, "head")):
        known = _stated(location, names)
        if known and chosen is not None:
            select(chosen, known, what)


def check_off(location: Location, off: str | None, how: str) -> None:
    """Refuses to switch heads off that a model does not have, if config.json says how many there are.

    Raises:
        UsageError: a number is out of range, or nothing would be off.
    """
    layers, heads = _stated(location, LAYERS), _stated(location, HEADS)
    if off is not None and layers and heads:
        Off.of(off, how, layers, heads)


def _stated(location: Location, names: Sequence[str]) -> int | None:
    """Finds a number that config.json states, of model types that have exactly so many."""
    kind = location.config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None or family.model_class or family.part or family.adapter or family.layout != "square":
        return None
    if "head_ratio" in location.config:  # ConvBERT puts convolutions in place of some heads
        return None
    stated = {location.config[name] for name in names if count(location.config.get(name))}
    return stated.pop() if len(stated) == 1 else None


def check_named(location: Location, texts: Sequence[str], named: Iterable[str]) -> None:
    """Refuses a query or key that cannot be in a text, whatever is done to its letters; added tokens are left alone.

    Args:
        named: what a person calls tokens, see :func:`attnprobe.values.finding.find_matches`.

    Raises:
        UsageError: no token matches.
    """
    for query in named:
        bare = _simple(MARKS.sub("", query))
        if not any(bare in _simple(text) for text in texts) and not LATER.fullmatch(query):
            tokens = _tokens(location.tokenizer_folder, texts)
            if tokens is not None:
                find_tokens(tokens, query)


def _simple(text: str) -> str:
    """Leaves out white space, case, accents and ways to write a letter."""
    letters = unicodedata.normalize("NFKD", "".join(text.split()).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _tokens(folder: Path, texts: Sequence[str]) -> Tokens | None:
    """Tokenizes as tokenizer.json says; None if there is none that can be read."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        found = tokenizer.encode(texts[0], texts[1] if len(texts) > 1 else None)
    except Exception:  # what is wrong with the file, loading it will say
        return None
    owners = zip(found.sequence_ids, found.special_tokens_mask, strict=True)
    segments = [0 if special else (text or 0) + 1 for text, special in owners]
    spans = zip(segments, found.offsets, strict=True)
    surfaces = [texts[segment - 1][start:stop] if segment else "" for segment, (start, stop) in spans]
    words, word_texts = assign_words(list(texts), found.offsets, segments)
    roles = [Role.CONTENT if segment else Role.OTHER for segment in segments]
    return Tokens(found.tokens, surfaces, roles, segments, words, word_texts)


def _settings(folder: Path, name: str) -> dict[str, Any]:
    """Reads settings beside a model; none where there are none, or loading will refuse them."""
    with suppress(ModelError):
        return read_object(folder.name, folder / name)
    return {}
