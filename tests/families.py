"""Tiny encoders, one folder per family: random weights, a vocabulary from a few lines; offline and always the same.

The weights are spread wide, because a fresh model's attention is nearly uniform and would hide most errors.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers.utils import logging as reports

CORPUS = """\
The old lighthouse keeper counted twelve boats, seven gulls and one very patient cat.
Nobody had told her that the ferry wouldn't come; she'd waited since half past six!
"Is it raining?" he asked. "It isn't," they said (but it was), and we're all wet.
Researchers carefully measure which tokens every attention head looks at, and how far away they are.
Unbelievably, the unhappy gardeners rebuilt the unfinished greenhouse in a day: what luck...
L'été dernier, les élèves étaient déjà à l'école ; où êtes-vous allés ? Ça va très bien, merci !
Le garçon a mangé une crêpe près de l'hôtel, où l'on fête Noël à minuit.
Die Mädchen spielen draußen im größten Garten, während die Bäume blühen; schön, nicht wahr?
Der Fluß fließt übers Land – „langsam“, sagte er.
我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜
今天天气很好，我们去公园散步吧。你喜欢学习语言吗？
昨日は友達と東京へ行きました。とても楽しかったです！
In 2024, 37 of 1,586 trains were 45 minutes late (that is 2.3 %); tickets cost $9.99 + 10 %.
Brackets [ ] { } < >, dashes - – —, slashes / \\ |, marks # & * @ ^ _ ~ = and quotes ' " « ».
""".splitlines()
LONGEST_PIECE = 6
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ESM_VOCABULARY = ("<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>")


def frequent_pieces(words: Sequence[str], continued: str = "") -> Counter[str]:
    """Every letter of the words and every longer piece that occurs twice, with how often each occurs.

    Counted here because the trainers of WordPiece and Unigram give other results from run to run.

    Args:
        continued: written before a piece that does not begin its word.
    """
    pieces: Counter[str] = Counter()
    for word in words:
        for start, stop in combinations(range(len(word) + 1), 2):
            if stop - start <= LONGEST_PIECE:
                pieces[(continued if start else "") + word[start:stop]] += 1
    kept = (piece for piece in pieces if len(piece.removeprefix(continued)) == 1 or pieces[piece] > 1)
    return Counter({piece: pieces[piece] for piece in sorted(kept)})


def wordpiece(specials: Sequence[str]) -> dict[str, int]:
    """A WordPiece vocabulary, as BertTokenizer and its relatives take it."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = [word for line in CORPUS for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line))]
    return {piece: number for number, piece in enumerate([*specials, *frequent_pieces(words, "##")])}


def byte_level(specials: Sequence[str]) -> Tokenizer:
    """A trained byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_pairs(specials: Sequence[str]) -> dict[str, Any]:
    """A trained byte-level BPE's vocabulary and merges, as RobertaTokenizer and its relatives take them."""
    model = json.loads(byte_level(specials).to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def unigram(specials: Sequence[str]) -> list[tuple[str, float]]:
    """(piece, log probability) pairs, the special tokens first, as SentencePiece-like tokenizers take them."""
    pieces = frequent_pieces([f"▁{word}" for line in CORPUS for word in line.split()])
    scores = [(piece, log(count / pieces.total())) for piece, count in pieces.items()]
    return [*((special, 0.0) for special in specials), *scores]


def bert_tokenizer() -> Any:
    return transformers.BertTokenizer(vocab=wordpiece(BERT_SPECIALS))


def roberta_tokenizer() -> Any:
    return transformers.RobertaTokenizer(**byte_pairs(ROBERTA_SPECIALS))


def generic_tokenizer(cls: str, sep: str, pad: str, mask: str) -> Any:
    """A plain tokenizer.json without a class of its own, as ModernBERT and EuroBERT ship it."""
    tokenizer = byte_level([cls, sep, pad, mask])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=cls, sep_token=sep, pad_token=pad, mask_token=mask
    )


def esm_tokenizer() -> Any:
    with TemporaryDirectory() as folder:
        file = Path(folder, "vocab.txt")
        file.write_text("\n".join(ESM_VOCABULARY), encoding="utf-8")
        return transformers.EsmTokenizer(vocab_file=str(file))


@dataclass(frozen=True)
class Family:
    """What makes a tiny model of one kind.

    Attributes:
        model_type: as config.json names it.
        tokenizer: makes the tokenizer.
        config: what differs from the type's default configuration.
        model_class: in transformers; None: what AutoModel chooses.
        matrix_std: the standard deviation of every matrix that is no embedding.
    """

    model_type: str
    tokenizer: Callable[[], Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    model_class: str | None = None
    matrix_std: float = 0.25


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 160,
}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}

FAMILIES = {
    "bert": Family("bert", bert_tokenizer, SMALL),
    "roberta": Family("roberta", roberta_tokenizer, SMALL),
    "xlm-roberta": Family(
        "xlm-roberta", lambda: transformers.XLMRobertaTokenizer(vocab=unigram(ROBERTA_SPECIALS)), SMALL
    ),
    "camembert": Family(
        "camembert",
        lambda: transformers.CamembertTokenizer(
            vocab=unigram(["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<s>", "</s>", "<mask>"])
        ),
        SMALL,
    ),
    "distilbert": Family(
        "distilbert",
        bert_tokenizer,
        {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 160},
    ),
    "electra": Family("electra", bert_tokenizer, {**SMALL, "embedding_size": 16}),
    "albert": Family(
        "albert",
        lambda: transformers.AlbertTokenizer(vocab=unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])),
        {**SMALL, "embedding_size": 16},
    ),
    # Without layer normalization MobileBERT's scores grow from layer to layer: at 0.25 its rows are one-hot from
    # layer 1 on, at 0.1 uniform; at 0.135 its layers' entropies are 0.93, 0.67 and 0.62 of the largest possible.
    "mobilebert": Family(
        "mobilebert", bert_tokenizer, {**SMALL, "embedding_size": 32, "intra_bottleneck_size": 32}, matrix_std=0.135
    ),
    "modernbert": Family(
        "modernbert",
        lambda: generic_tokenizer("[CLS]", "[SEP]", "[PAD]", "[MASK]"),
        {**SMALL, "num_hidden_layers": 4, "local_attention": 8},
    ),
    "nomic_bert": Family("nomic_bert", bert_tokenizer, SMALL),
    "eurobert": Family(
        "eurobert",
        lambda: generic_tokenizer("<|begin|>", "<|end|>", "<|pad|>", "<|mask|>"),
        {**SMALL, "num_key_value_heads": 2},
    ),
    "esm": Family("esm", esm_tokenizer, {**SMALL, "position_embedding_type": "rotary", "token_dropout": True}),
    "t5": Family(
        "t5",
        lambda: transformers.T5Tokenizer(vocab=unigram(["<pad>", "</s>", "<unk>"]), extra_ids=0),
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4},
        model_class="T5EncoderModel",
    ),
    "bart": Family(
        "bart",
        roberta_tokenizer,
        {
            "d_model": 32,
            "encoder_layers": 3,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 160,
        },
    ),
    "deberta": Family(
        "deberta",
        lambda: transformers.DebertaTokenizer(**byte_pairs(["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])),
        {**SMALL, **DISENTANGLED, "max_relative_positions": -1},
    ),
    "deberta-v2": Family(
        "deberta-v2",
        lambda: transformers.DebertaV2Tokenizer(vocab=unigram(BERT_SPECIALS)),
        {**SMALL, **DISENTANGLED, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    "mpnet": Family(
        "mpnet",
        lambda: transformers.MPNetTokenizer(vocab=wordpiece(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"])),
        SMALL,
    ),
    "xlnet": Family(
        "xlnet",
        lambda: transformers.XLNetTokenizer(
            vocab=unigram(["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"])
        ),
        {"d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48},
    ),
    "convbert": Family("convbert", bert_tokenizer, {**SMALL, "embedding_size": 16}),
    "longformer": Family("longformer", roberta_tokenizer, {**SMALL, "attention_window": [8, 8, 8]}),
    "funnel": Family(
        "funnel",
        lambda: transformers.FunnelTokenizer(
            vocab=wordpiece(["<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>"])
        ),
        {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": (2, 2, 1)},
        model_class="FunnelModel",
    ),
    "squeezebert": Family("squeezebert", bert_tokenizer, {**SMALL, "embedding_size": 32}),
    "canine": Family(
        "canine",
        transformers.CanineTokenizer,
        {**SMALL, "max_position_embeddings": 512, "num_hash_buckets": 256, "local_transformer_stride": 16},
    ),
    "big_bird": Family(
        "big_bird",
        lambda: transformers.BigBirdTokenizer(
            vocab=unigram(["<pad>", "</s>", "<s>", "<unk>", "[SEP]", "[MASK]", "[CLS]"])
        ),
        {**SMALL, "block_size": 4, "num_random_blocks": 2},
    ),
}
HOOKED = ("deberta", "deberta-v2", "mpnet", "xlnet", "convbert")
REFUSED = ("longformer", "funnel", "squeezebert", "canine", "big_bird")
INTERFACE = tuple(name for name in FAMILIES if name not in (*HOOKED, *REFUSED))


def build(family: str, folder: Path) -> Path:
    """Writes the family's model and tokenizer into the folder, as save_pretrained does, and returns it."""
    its = FAMILIES[family]
    tokenizer = its.tokenizer()
    tokenizer.model_max_length = 128
    config = transformers.AutoConfig.for_model(its.model_type, **its.config, **token_settings(tokenizer))
    torch.manual_seed(0)
    make = (
        getattr(transformers, its.model_class)._from_config if its.model_class else transformers.AutoModel.from_config
    )
    model = make(config)
    spread_weights(model, its.matrix_std)
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def token_settings(tokenizer: Any) -> dict[str, int]:
    """The tokenizer's numbers that a configuration repeats; CANINE's are code points, without a vocabulary."""
    if isinstance(tokenizer, transformers.CanineTokenizer):
        return {}
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id", None) for name in ("pad", "cls", "sep", "mask")}
    ids["bos_token_id"] = tokenizer.cls_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    ids["eos_token_id"] = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return {"vocab_size": len(tokenizer)} | {name: value for name, value in ids.items() if value is not None}


def spread_weights(model: nn.Module, matrix_std: float) -> None:
    """Draws every matrix anew, embeddings with standard deviation 0.8; vectors keep their first values."""
    random = torch.Generator().manual_seed(1)
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                std = 0.8 if id(parameter) in embeddings else matrix_std
                parameter.copy_(torch.randn(parameter.shape, generator=random) * std)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    shown = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            reports.enable_progress_bar()
