"""Sequences of residues: whether a tokenizer must be given them in capitals, with spaces between, or as k-mers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from attnprobe.errors import AttnprobeError, UsageError
from attnprobe.models.encoding import encode
from attnprobe.models.vocabulary import MOST_UNKNOWN, TRIED, kmer_of, share_unknown
from attnprobe.values.arguments import shown
from attnprobe.values.records import Given
from attnprobe.values.tokens import Role

SEQUENCE = re.compile(r"[A-Za-z.-]+\*?")
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
PROBES = (PROTEIN, "ACGTTGCAAC", "ACGUUGCAAC")


@dataclass(frozen=True)
class Way:
    """How a tokenizer must be given a sequence.

    Attributes:
        kmer: how many residues each word has, every word one residue after the one before; None: no spaces are put in.
        capitals: whether small letters, which it does not know, are written as capitals.
    """

    kmer: int | None = None
    capitals: bool = False

    def signed(self) -> dict[str, object]:
        """The parts of the signature; None for what changes nothing."""
        return {"kmer": self.kmer, "residues": "capitals" if self.capitals else None}

    def remark(self) -> str:
        """Says what is done to sequences; empty for nothing."""
        done = ["in capitals"] * self.capitals + [
            f"as overlapping words of {self.kmer or 0} residues" if (self.kmer or 0) > 1 else "a residue a word"
        ] * (self.kmer is not None)
        return f"sequences without spaces are read {', '.join(done)}: so the vocabulary knows them" if done else ""


@lru_cache(maxsize=16)
def way_of(tokenizer: Any, kmer: int | None = None) -> Way:
    """Finds how a tokenizer must be given sequences, by what it knows of proteins, DNA and RNA.

    Args:
        kmer: how many residues to a word, where this is decided already.
    """
    apart = (not _knows(tokenizer, probe) and _knows(tokenizer, kmers(probe, 1)) for probe in PROBES)
    if kmer is None and any(apart) and kmer_of(tokenizer) == 1:  # last, because it goes through the whole vocabulary
        kmer = 1
    forms = [probe if kmer is None else kmers(probe, min(kmer, len(probe))) for probe in PROBES]
    capitals = any(_knows(tokenizer, form) and not _knows(tokenizer, form.lower()) for form in forms)
    return Way(kmer, capitals)


def _knows(tokenizer: Any, text: str) -> bool:
    try:
        return share_unknown(tokenizer, text) <= MOST_UNKNOWN
    except AttnprobeError:
        return False


def kmers(residues: str, size: int) -> str:
    """Cuts residues into overlapping words.

    >>> kmers("ATGTC", 3)
    'ATG TGT GTC'

    Raises:
        UsageError: there are fewer residues than a word has.
    """
    if len(residues) < size:
        raise UsageError(f"a sequence of {len(residues)} has no word of {size} residues")
    return " ".join(residues[at : at + size] for at in range(len(residues) - size + 1))


def residues_in(text: str) -> str:
    """Returns the letters of a sequence, without white space, gaps and an asterisk at its end.

    Raises:
        UsageError: it holds something else, or no letter.
    """
    letters = "".join(text.split())
    if not SEQUENCE.fullmatch(letters):
        wrong = re.sub(r"[A-Za-z.-]", "", letters.removesuffix("*"))[:1]
        raise UsageError(f"{shown(wrong)} is no residue" if wrong else "the sequence is empty")
    letters = re.sub("[^A-Za-z]", "", letters)
    if not letters:
        raise UsageError("the sequence has no residues")
    return letters


def as_read(tokenizer: Any, text: Given, kmer: int | None = None) -> Given:
    """Writes a text that is one sequence as the tokenizer must be given it; returns any other text as it is.

    Where spaces are put in, gaps and an asterisk at the end are left out.

    Args:
        kmer: how many residues to a word; None: the tokenizer decides.

    Raises:
        UsageError: k-mers are asked for, and the text is no sequence or too short.
    """
    if not isinstance(text, str) or (kmer is None and not SEQUENCE.fullmatch(text)):
        return text
    way = way_of(tokenizer, kmer)
    if kmer is None and way.kmer and share_unknown(tokenizer, text[:TRIED]) <= MOST_UNKNOWN:
        return text
    if kmer is not None and not SEQUENCE.fullmatch(text):
        raise UsageError(f"{shown(text[:TRIED])} is no sequence that can be cut into words of {kmer} residues")
    text = text.upper() if way.capitals else text
    return text if way.kmer is None else kmers(residues_in(text), way.kmer)


@lru_cache(maxsize=8)
def counts(tokenizer: Any) -> tuple[int, int]:
    """Counts the tokens of a sequence as it stands, and of its letters with spaces between, without added ones."""
    whole, apart = (encode(tokenizer, [given]).positions(Role.CONTENT) for given in (PROTEIN, list(PROTEIN)))
    return len(whole), len(apart)


def reads_letters(tokenizer: Any) -> bool:
    """Tests whether a token is a letter, and spaces between letters would be tokens, too."""
    whole, apart = counts(tokenizer)
    return whole == len(PROTEIN) < apart


def joins_letters(tokenizer: Any) -> bool:
    """Tests whether a token may be several letters of a sequence."""
    return counts(tokenizer)[0] < len(PROTEIN)
