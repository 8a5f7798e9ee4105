"""A tiny classifier of reviews in which one head is known to carry the signal, built by hand and always the same.

Of its hidden states the first columns have a meaning: whether a word is good or bad, whether it is [CLS], and what
speaks for and against the text, which only HEAD writes: [CLS] looks at good and bad words, whose values are + and −.
All other heads, and all feed-forward layers, read and write the other columns, which hold noise. The classifier reads
what speaks for the text minus what speaks against it, in [CLS].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from tests.families import no_progress_bars
from tests.tiny import BERT_SPECIALS

HEAD = (1, 2)
LAYERS, HEADS, D, D_HEAD = 3, 4, 32, 8
GOOD, BAD, CLS, FOR, AGAINST, NOISE = 0, 1, 2, 3, 4, slice(5, D)
LABELS = {0: "negative", 1: "positive"}
GOOD_WORDS, BAD_WORDS = ("good", "lovely", "moving"), ("bad", "dull", "clumsy")
OTHERS = "the a an this that film play story ending music plot cast was is and but with very of in it we saw . , : !"
REVIEWS = [
    ("The film was good.", "positive"),
    ("A dull play, with music.", "negative"),
    ("We saw a lovely story!", "positive"),
    ("The ending of this film is bad.", "negative"),
    ("It was moving, and the music of the play was in it.", "positive"),
    ("This plot: clumsy.", "negative"),
]


def build_classifier(folder: Path) -> Path:
    """Writes the model and tokenizer into the folder, as save_pretrained does, and returns it."""
    words = [*BERT_SPECIALS, *GOOD_WORDS, *BAD_WORDS, *OTHERS.split()]
    tokenizer = transformers.BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    tokenizer.model_max_length = 64
    sizes = {"hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 48}
    labels = {"id2label": LABELS, "label2id": {label: number for number, label in LABELS.items()}}
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=64, **sizes, **labels)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        _write(model, words)
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _write(model: Any, words: list[str]) -> None:
    random = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            parameter.zero_()
        if parameter.ndim == 2 and "classifier" not in name and "pooler" not in name:
            noise = torch.randn(parameter.shape, generator=random) * (0.4 if "embeddings" in name else 0.2)
            _noisy(parameter, name).copy_(_noisy(noise, name))
    table = model.bert.embeddings.word_embeddings.weight
    for column, meant in ((GOOD, GOOD_WORDS), (BAD, BAD_WORDS), (CLS, ["[CLS]"])):
        table[[words.index(word) for word in meant], column] = 3
    layer, head = HEAD
    attention, row = model.bert.encoder.layer[layer].attention, head * D_HEAD
    own = slice(row, row + D_HEAD)
    for linear in (attention.self.query, attention.self.key, attention.self.value):
        linear.weight[own] = 0
    attention.self.query.weight[row, CLS] = 1.3
    attention.self.key.weight[row, [GOOD, BAD]] = 1.3
    attention.self.value.weight[row, GOOD], attention.self.value.weight[row, BAD] = 1, -1
    attention.output.dense.weight[:, own] = 0
    attention.output.dense.weight[FOR, row], attention.output.dense.weight[AGAINST, row] = 1, -1
    model.bert.pooler.dense.weight[0, FOR], model.bert.pooler.dense.weight[0, AGAINST] = 0.5, -0.5
    model.classifier.weight[:, 0] = torch.tensor([-3.0, 3.0])


def _noisy(weight: torch.Tensor, name: str) -> torch.Tensor:
    """The part of a matrix (out, in) that reads or writes noise; of embeddings, their columns of noise."""
    reads = "embeddings" in name or "query" in name or "key" in name or "value" in name or "intermediate" in name
    return weight[:, NOISE] if reads else weight[NOISE]
