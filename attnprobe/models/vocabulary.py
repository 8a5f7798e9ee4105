"""Checks what a vocabulary can read: capitals, and texts whose tokens it does not know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from attnprobe.errors import AttnprobeError
from attnprobe.models.alignment import surface
from attnprobe.models.config import read_object
from attnprobe.models.encoding import encode
from attnprobe.values.tokens import Role, Tokens

CAPITALS = 0.05  # share of a vocabulary's words from which it is one with capitals; uncased ones have next to none
MOST_UNKNOWN = 1 / 3  # share of a text's tokens from which its numbers say little of the text
FEW_UNKNOWN = 0.05  # share of a text's tokens up to which a vocabulary is one for such texts
NEXT_TO_ALL = 0.9  # share of a vocabulary's words that have one length, from which it is one of k-mers
TRIED = 300  # characters of a text that are written otherwise, to see what helps
KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
BRACKETED = re.compile(r"[\[<].*[\]>]")
LOWERING = ("do_lower_case", "do_lowercase", "do_lowercase_and_remove_accent")


def sentence_settings(name: str, folder: Path) -> dict[str, Any]:
    """Reads the settings of sentence-transformers beside a model: ``max_seq_length``, ``do_lower_case``; may be empty.

    Raises:
        ModelError: the file of settings is no JSON object.
    """
    paths = (folder / f"sentence_{kind}_config.json" for kind in KINDS)
    path = next(filter(Path.is_file, paths), None)
    return read_object(name, path) if path else {}


def settle_case(tokenizer: Any, folder: Path, settings: Mapping[str, Any], load: Callable[..., Any]) -> tuple[Any, str]:
    """Makes a tokenizer lower-case texts, or keep their capitals, as its vocabulary needs.

    Args:
        settings: see :func:`sentence_settings`.
        load: loads the tokenizer anew with the options given.

    Returns:
        the tokenizer, and the remark on a text with capitals.
    """
    if settings.get("do_lower_case") is True:
        _lower(tokenizer)
    share = _capitals(tokenizer) if _lowers(tokenizer) else 0.0
    if share < CAPITALS:
        return tokenizer, ""
    if settings.get("do_lower_case") is not True and not _states_case(folder):
        cased = load(do_lower_case=False)
        if not _lowers(cased):
            return cased, "capitals are kept: the vocabulary has them, and no file says that texts are lower-cased"
    return tokenizer, f"the tokenizer lower-cases texts, although {share:.0%} of its vocabulary's words have capitals"


def _states_case(folder: Path) -> bool:
    """Tests whether a file states how capitals are read; otherwise transformers lower-cases them unasked."""
    stated = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file():
        return True
    return stated.is_file() and any(name in read_object(folder.name, stated) for name in LOWERING)


def _lowers(tokenizer: Any) -> bool:
    if not tokenizer.is_fast:
        return any(getattr(tokenizer, name, False) for name in LOWERING)
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer is not None and "a" in normalizer.normalize_str("A")


def _lower(tokenizer: Any) -> None:
    """Makes a tokenizer lower-case texts first, as sentence-transformers does."""
    if not tokenizer.is_fast:
        with suppress(AttributeError):  # it has neither, or only as a property
            getattr(tokenizer, "basic_tokenizer", tokenizer).do_lower_case = True
    elif not _lowers(tokenizer):
        from tokenizers.normalizers import Lowercase, Sequence

        before = tokenizer.backend_tokenizer.normalizer
        tokenizer.backend_tokenizer.normalizer = Sequence([Lowercase(), *([before] if before else [])])


def _words(tokenizer: Any) -> list[str]:
    """Lists the vocabulary's pieces without special ones, and without the marks of their position in a word."""
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    return [
        surface(piece) for piece in tokenizer.get_vocab() if piece not in special and not BRACKETED.fullmatch(piece)
    ]


def _capitals(tokenizer: Any) -> float:
    """Computes the share of words with capitals among those of ASCII letters; single letters count only if alone."""
    words = [word for word in _words(tokenizer) if word.isascii() and word.isalpha()]
    words = [word for word in words if len(word) > 1] or words
    return sum(word != word.lower() for word in words) / len(words) if words else 0.0


def count_unknown(tokenizer: Any, windows: Sequence[Tokens]) -> tuple[int, int]:
    """Counts the tokens of a text that the vocabulary lacks, and all of its tokens, without added ones."""
    content = [window.strings[at] for window in windows for at in window.positions(Role.CONTENT)]
    return content.count(tokenizer.unk_token), len(content)


def remark_on_unknown(tokenizer: Any, windows: Sequence[Tokens], texts: Sequence[str]) -> str:
    """Writes the remark on texts with a share of unknown tokens above MOST_UNKNOWN; empty for other texts."""
    unknown, content = count_unknown(tokenizer, windows)
    if unknown <= MOST_UNKNOWN * content:
        return ""
    starts = [text[:TRIED] for text in texts]
    worst = max(starts, key=lambda start: share_unknown(tokenizer, start))
    better = next((one for one in _otherwise(tokenizer, worst) if share_unknown(tokenizer, one) <= MOST_UNKNOWN), None)
    if better is None:
        helps = "does the model read texts of this language and kind?"
    else:
        size = kmer_of(tokenizer)
        cut = f", as --kmer {size} writes it" if size and " " in better and " " not in worst else ""
        helps = f"written like this they are known: {better[:30]}{'...' if better[30:] else ''}{cut}"
    return f"{unknown:,} of the text's {content:,} tokens are unknown to the model's vocabulary; {helps}"


def share_unknown(tokenizer: Any, text: str) -> float:
    """Computes the share of a text's tokens that the vocabulary lacks; 1 if it has no token."""
    unknown, content = count_unknown(tokenizer, [encode(tokenizer, [text], words=False)])
    return unknown / content if content else 1.0


def knows(tokenizer: Any, text: str) -> bool:
    """Tests whether a vocabulary was made for texts like this: it knows next to all of one, and not only its bytes."""
    start = text[:TRIED]
    with suppress(AttnprobeError):
        unknown, content = count_unknown(tokenizer, [encode(tokenizer, [start], words=False)])
        return unknown <= FEW_UNKNOWN * content and 0 < content <= len(start)
    return False


@lru_cache(maxsize=8)
def kmer_of(tokenizer: Any) -> int | None:
    """Returns the length of next to all words of the vocabulary, as one of k-mers has it; None if they differ."""
    sizes = Counter(len(word) for word in _words(tokenizer))
    [(size, count)] = sizes.most_common(1) or [(0, 0)]
    return size if count > NEXT_TO_ALL * sizes.total() else None


def _otherwise(tokenizer: Any, text: str) -> Iterator[str]:
    """Lists other ways to write a text: in capitals, with the vocabulary's residues or k-mers apart, or both."""
    yield text.upper()
    if size := kmer_of(tokenizer):
        letters = "".join(text.split())
        apart = " ".join(letters[at : at + size] for at in range(len(letters) - size + 1))
        yield from (apart, apart.upper())
    yield text.lower()
