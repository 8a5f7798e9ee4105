"""Reads a sequence so that positions are residues, whatever pieces its tokenizer has."""

from __future__ import annotations

from attnprobe.errors import UsageError
from attnprobe.measure.reading import tokenize
from attnprobe.models.encoder import Encoder
from attnprobe.models.sequences import joins_letters, kmers, reads_letters, residues_in, way_of
from attnprobe.values.options import Reading
from attnprobe.values.tokens import Role, Tokens
from attnprobe.values.words import Words


def read_residues(encoder: Encoder, sequence: str, reading: Reading) -> tuple[Tokens, Words]:
    """Reads a sequence, each residue by itself; of a k-mer, the residue in its middle is the one that attends.

    White space, gaps and an asterisk at the end are no residues. A tokenizer whose tokens are letters reads the
    sequence as it stands.

    Raises:
        UsageError: the sequence holds something else, or is longer than the model reads.
    """
    residues, way = residues_in(sequence), way_of(encoder.tokenizer, reading.kmer)
    residues = residues.upper() if way.capitals else residues
    size = way.kmer or 1
    stands = way.kmer is None and reads_letters(encoder.tokenizer)
    tokens, *more = tokenize(encoder, residues if stands else kmers(residues, size).split(), None, reading)
    if tokens.n_cut or more:
        raise UsageError(f"a sequence of {len(residues)} residues is longer than the model reads")
    content = tokens.positions(Role.CONTENT)
    if stands and len(content) != len(residues):
        raise UsageError(f"{type(encoder.tokenizer).__name__} reads several residues as one")
    units = list(range(len(tokens))) if stands else list(tokens.words or ())
    number = {unit: at for at, unit in enumerate(sorted({units[at] for at in content}))}
    owner = [number[unit] + (size - 1) // 2 if unit in number else -1 for unit in units]
    return tokens, Words(tuple(residues), tuple(owner))


def reads_apart(encoder: Encoder, reading: Reading) -> bool:
    """Tests whether residues are read by themselves although the tokenizer would join some of them."""
    return way_of(encoder.tokenizer, reading.kmer).kmer is None and joins_letters(encoder.tokenizer)
