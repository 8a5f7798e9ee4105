"""A folder, or a tokenizer in memory -> the tokenizer, checked; how it is named, and where it cuts texts."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import transformers

from attnprobe.errors import ModelError, UsageError
from attnprobe.models.config import limit
from attnprobe.models.explained import explained
from attnprobe.values.arguments import shown


def load_tokenizer(name: str, folder: Path, options: Mapping[str, Any], **more: Any) -> Any:
    """The tokenizer in a folder.

    Args:
        options, more: of transformers' AutoTokenizer.

    Raises:
        ModelError: there is none, or it does not load.
    """
    hint = "save the tokenizer there too (tokenizer.save_pretrained), or name another one's folder (--tokenizer)"
    with explained(f"{name!r} holds no tokenizer that loads", hint):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options, **more)
        if _is_made_up(tokenizer, folder):
            raise ModelError(f"{name!r} holds no tokenizer", hint)
    return tokenizer


def _is_made_up(tokenizer: Any, folder: Path) -> bool:
    """Whether transformers stood in for files that are not there, with special tokens and hardly a piece more."""
    files = [*tokenizer.vocab_files_names.values(), "tekken.json", "tokenizer.model", "tiktoken.model"]
    pieces = len(tokenizer) - len(tokenizer.all_special_ids)
    return pieces < (1 if any((folder / file).is_file() for file in files) else 10)


def checked_tokenizer(tokenizer: Any) -> Any:
    """The tokenizer itself, if it is one.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        raise UsageError(f"a tokenizer is a folder, a Hub id or one of transformers; got {shown(tokenizer)}")
    return tokenizer


def tokenizer_name(tokenizer: Any) -> str | None:
    """How signatures name a tokenizer that was given by itself; None: it was not."""
    if tokenizer is None:
        return None
    return Path(tokenizer).name if isinstance(tokenizer, str | PathLike) else type(tokenizer).__name__


def text_limit(tokenizer: Any, settings: Mapping[str, Any]) -> int | None:
    """The most tokens that a text is cut to: as sentence-transformers was told, else as the tokenizer was; None: any.

    Raises:
        ModelError: it is no number of tokens.
    """
    told = settings.get("max_seq_length")
    if told is not None:
        return limit(told, "max_seq_length of sentence_bert_config.json")
    return limit(tokenizer.model_max_length, "the tokenizer's model_max_length")
