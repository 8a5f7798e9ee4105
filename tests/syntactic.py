"""A tiny model whose heads are known to follow syntax, coreference or position, and a treebank that it reads.

Words are of a few types, each at most once in a sentence, and a word's type says what its head is: so a sentence is an
order of words. A hidden state is the word's type and its position, one-hot, and stays so from layer to layer. Heads:

    TO_HEAD        each word looks at its head
    FROM_HEAD      each word looks at all of its dependents
    NEXT           each token looks at the next one
    TO_ANTECEDENT  a pronoun looks at what it stands for

All other heads look at all tokens alike, and so do tokens that have nothing to look at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from tests.families import no_progress_bars
from tests.tiny import BERT_SPECIALS

LAYERS, HEADS, D, D_HEAD, POSITIONS = 2, 4, 128, 32, 32
TO_HEAD, FROM_HEAD, NEXT, TO_ANTECEDENT = (0, 1), (0, 2), (0, 3), (1, 1)
SCORE = 8.0  # of what is looked at; all other tokens have 0
MEAN, STD = 2 / D, math.sqrt(2 / D - (2 / D) ** 2)  # of the entries of a hidden state before its norm


class Type(NamedTuple):
    """What a word's type says: its part of speech, the word that is its head, and how it depends on it."""

    tag: str
    head: str
    relation: str


TYPES = {
    "the": Type("DET", "keeper", "det"),
    "old": Type("ADJ", "keeper", "amod"),
    "keeper": Type("NOUN", "counted", "nsubj"),
    "counted": Type("VERB", "", "root"),
    "seven": Type("NUM", "gulls", "nummod"),
    "gulls": Type("NOUN", "counted", "obj"),
    "slowly": Type("ADV", "counted", "advmod"),
    "at": Type("ADP", "dusk", "case"),
    "dusk": Type("NOUN", "counted", "obl"),
    "she": Type("PRON", "counted", "nsubj"),
    "them": Type("PRON", "counted", "obj"),
    ".": Type("PUNCT", "counted", "punct"),
    "?": Type("PUNCT", "counted", "punct"),
}
ANTECEDENTS = {"she": "keeper", "them": "gulls"}
SENTENCES = [  # even ones choose, odd ones report
    "the old keeper counted seven gulls .",
    "seven gulls counted the old keeper slowly .",
    "slowly the keeper counted seven gulls .",
    "the keeper slowly counted seven gulls .",
    "seven gulls the old keeper counted .",
    "the old keeper counted at dusk .",
    "at dusk the keeper counted .",
    "counted the keeper seven gulls slowly .",
]
DOCUMENTS = [  # of each, its sentences
    ("the keeper counted seven gulls .", "she counted them slowly ."),
    ("seven gulls the keeper counted at dusk .", "them she counted ."),
    ("at dusk the old keeper counted .", "slowly she counted seven gulls .", "counted she them ?"),
    ("the keeper counted at dusk .", "she counted slowly ."),
]
ENTITIES = {"keeper": "e1", "she": "e1", "gulls": "e2", "them": "e2", "dusk": "e3"}
WORDS = [*BERT_SPECIALS, *TYPES]


def treebank(sentences: Sequence[str] = SENTENCES) -> str:
    """Writes sentences as CoNLL-U."""
    return "".join(_rows(sentence.split()) + "\n" for sentence in sentences)


def coreferences(documents: Sequence[Sequence[str]] = DOCUMENTS) -> str:
    """Writes documents as CoNLL-U, in which keepers, gulls and dusk are mentioned."""
    starts = (f"# newdoc id = {number}\n# global.Entity = eid\n" for number in range(len(documents)))
    return "".join(start + treebank(sentences) for start, sentences in zip(starts, documents, strict=True))


def _rows(words: Sequence[str]) -> str:
    rows = []
    for number, word in enumerate(words, start=1):
        tag, head, relation = TYPES[word]
        at = words.index(head) + 1 if head else 0
        entity = f"Entity=({ENTITIES[word]})" if word in ENTITIES else "_"
        rows.append(f"{number}\t{word}\t{word}\t{tag}\t_\t_\t{at}\t{relation}\t_\t{entity}\n")
    return "".join(rows)


def build_syntactic(folder: Path) -> Path:
    """Writes the model and tokenizer into the folder, as save_pretrained does, and returns it."""
    tokenizer = transformers.BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})
    tokenizer.model_max_length = POSITIONS
    sizes = {"hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 4}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=POSITIONS, **sizes)
    model = transformers.BertModel(config)
    with torch.no_grad():
        _write(model)
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _write(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            parameter.zero_()
    model.embeddings.word_embeddings.weight[:, : len(WORDS)] = torch.eye(len(WORDS))
    positions = range(len(WORDS), len(WORDS) + POSITIONS)
    model.embeddings.position_embeddings.weight[:, positions.start : positions.stop] = torch.eye(POSITIONS)
    number = {word: at for at, word in enumerate(WORDS)}
    to_head = [(number[word], number[type.head]) for word, type in TYPES.items() if type.head]
    _look(model, TO_HEAD, to_head)
    _look(model, FROM_HEAD, [(head, dependent) for dependent, head in to_head])
    _look(model, NEXT, list(pairwise(positions)))
    _look(model, TO_ANTECEDENT, [(number[word], number[meant]) for word, meant in ANTECEDENTS.items()])


def _look(model: Any, place: tuple[int, int], pairs: Sequence[tuple[int, int]]) -> None:
    """Lets tokens look at others: pairs of what one has in its hidden state and the other in its own."""
    layer, head = place
    attention, own = model.encoder.layer[layer].attention.self, slice(head * D_HEAD, (head + 1) * D_HEAD)
    places = {key: at for at, key in enumerate(dict.fromkeys(key for _, key in pairs))}
    query, key = attention.query.weight[own], attention.key.weight[own]
    for asking, asked in pairs:
        query[places[asked], asking] = key[places[asked], asked] = STD * math.sqrt(SCORE * math.sqrt(D_HEAD))
    for linear in (attention.query, attention.key):
        linear.bias[own] = MEAN / STD * linear.weight[own].sum(1)
