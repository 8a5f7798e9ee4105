"""Loads and checks tokenizers, names them, and finds where they cut texts."""

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
    """Loads the tokenizer in a folder.

    Args:
        options, more: of transformers' AutoTokenizer.

    Raises:
        ModelError: the folder has no tokenizer, or it does not load.
    """
    hint = "save the tokenizer there too (tokenizer.save_pretrained), or name another one's folder (--tokenizer)"
    with explained(f"{name!r} holds no tokenizer that loads", hint):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options, **more)
        if _is_made_up(tokenizer, folder):
            raise ModelError(f"{name!r} holds no tokenizer", hint)
    return tokenizer


def _is_made_up(tokenizer: Any, folder: Path) -> bool:
    """Tests whether transformers made up a tokenizer for missing files, with special tokens and hardly a piece more."""
    files = [*tokenizer.vocab_files_names.values(), "tekken.json", "tokenizer.model", "tiktoken.model"]
    pieces = len(tokenizer) - len(tokenizer.all_special_ids)
    return pieces < (1 if any((folder / file).is_file() for file in files) else 10)


def checked_tokenizer(tokenizer: Any) -> Any:
    """Checks that an object is a tokenizer, and returns it.

    Raises:
        UsageError: the object is no tokenizer.
    """
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        raise UsageError(f"a tokenizer is a folder, a Hub id or one of transformers; got {shown(tokenizer)}")
    return tokenizer


def tokenizer_name(tokenizer: Any) -> str | None:
    """Names a tokenizer that was given separately, for signatures; None if it was not."""
    if tokenizer is None:
        return None
    return Path(tokenizer).name if isinstance(tokenizer, str | PathLike) else type(tokenizer).__name__


def text_limit(tokenizer: Any, settings: Mapping[str, Any]) -> int | None:
    """Finds how many tokens texts are cut to, by sentence-transformers' settings, else the tokenizer's; None: any.

    Raises:
        ModelError: the setting is no number of tokens.
    """
    stated = settings.get("max_seq_length")
    if stated is not None:
        return limit(stated, "max_seq_length of sentence_bert_config.json")
    return limit(tokenizer.model_max_length, "the tokenizer's model_max_length")
