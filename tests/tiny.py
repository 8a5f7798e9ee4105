"""Vocabularies and tokenizers made from a few lines of text, offline and always the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import combinations
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

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
ALBERT_SPECIALS = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
T5_SPECIALS = ("<pad>", "</s>", "<unk>")
XLM_SPECIALS = ("<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10)))
ENTITIES = ("[MASK]", "[PAD]", "[UNK]", "[MASK2]")
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


def trained_pairs(specials: Sequence[str], splitter: Any, size: int, **settings: Any) -> Tokenizer:
    """A trained BPE tokenizer; the settings are the trainer's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitter
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), show_progress=False, **settings)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def vocabulary_and_merges(tokenizer: Tokenizer) -> dict[str, Any]:
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def byte_level(specials: Sequence[str]) -> Tokenizer:
    """A trained byte-level BPE tokenizer."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return trained_pairs(specials, splitter, 420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def byte_pairs(specials: Sequence[str]) -> dict[str, Any]:
    """A trained byte-level BPE's vocabulary and merges, as RobertaTokenizer and its relatives take them."""
    return vocabulary_and_merges(byte_level(specials))


def ending_pairs(words: Sequence[str], specials: Sequence[str], alphabet: Sequence[str]) -> dict[str, Any]:
    """A trained BPE's vocabulary and merges, with </w> at the end of every piece that ends its word.

    A letter of its own stands for each letter at an end: the trainer's suffix gives other results from run to run.
    """
    ending = {letter: chr(0xE000 + number) for number, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=list(specials),
        initial_alphabet=[*alphabet, *ending.values()],
        show_progress=False,
    )
    tokenizer.train_from_iterator([word[:-1] + ending[word[-1]] for word in words], trainer)
    written = str.maketrans({letter: f"{last}</w>" for last, letter in ending.items()})
    trained = vocabulary_and_merges(tokenizer)
    return {
        "vocab": {piece.translate(written): number for piece, number in trained["vocab"].items()},
        "merges": [(left.translate(written), right.translate(written)) for left, right in trained["merges"]],
    }


def split_words() -> list[str]:
    return [word for line in CORPUS for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(line)]


def clip_pairs() -> dict[str, Any]:
    """A trained byte-level BPE's vocabulary and merges with </w> at the ends of words, as CLIPTokenizer takes them."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = [splitter.pre_tokenize_str(word)[0][0] for word in split_words()]
    return ending_pairs(words, ["<|startoftext|>", "<|endoftext|>"], sorted(splitter.alphabet()))


def sentence_pairs(specials: Sequence[str]) -> dict[str, Any]:
    """A trained BPE's vocabulary and merges with ▁ for a space, as GemmaTokenizer and NllbTokenizer take them."""
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return vocabulary_and_merges(trained_pairs(specials, splitter, 560))


def unigram(specials: Sequence[str]) -> list[tuple[str, float]]:
    """(piece, log probability) pairs, the special tokens first, as SentencePiece-like tokenizers take them."""
    pieces = frequent_pieces([f"▁{word}" for line in CORPUS for word in line.split()])
    scores = [(piece, log(count / pieces.total())) for piece, count in pieces.items()]
    return [*((special, 0.0) for special in specials), *scores]


def sentencepiece_model(**settings: Any) -> bytes:
    """A trained SentencePiece model, a BPE of 400 pieces unless the settings of its trainer say otherwise."""
    import sentencepiece

    model = BytesIO()
    usual: dict[str, Any] = {"model_type": "bpe", "vocab_size": 400, "num_threads": 1, "minloglevel": 2}
    usual["normalization_rule_name"] = "identity"  # the usual one would fill 240 KiB
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=model, **(usual | settings))
    return model.getvalue()


def from_files(tokenizer_class: str, files: Mapping[str, bytes | str], **settings: Any) -> Any:
    """A tokenizer whose class reads its vocabulary from files: what they hold by the name of the argument."""
    with TemporaryDirectory() as folder:
        paths = {}
        for argument, content in files.items():
            path = Path(folder, argument)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths[argument] = str(path)
        return getattr(transformers, tokenizer_class)(**paths, **settings)


def bert_tokenizer() -> Any:
    return transformers.BertTokenizer(vocab=wordpiece(BERT_SPECIALS))


def roberta_tokenizer() -> Any:
    return transformers.RobertaTokenizer(**byte_pairs(ROBERTA_SPECIALS))


def xlm_roberta_tokenizer() -> Any:
    return transformers.XLMRobertaTokenizer(vocab=unigram(ROBERTA_SPECIALS))


def albert_tokenizer() -> Any:
    return transformers.AlbertTokenizer(vocab=unigram(ALBERT_SPECIALS))


def t5_tokenizer() -> Any:
    return transformers.T5Tokenizer(vocab=unigram(T5_SPECIALS), extra_ids=0)


def pegasus_tokenizer() -> Any:
    specials = ("<pad>", "</s>", "<mask_1>", "<mask_2>", "<unk_2>", "<unk>")
    return transformers.PegasusTokenizer(vocab=unigram(specials), offset=3)


def funnel_tokenizer() -> Any:
    specials = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>")
    return transformers.FunnelTokenizer(vocab=wordpiece(specials))


def seamless_tokenizer() -> Any:
    specials = ("<pad>", "<unk>", "<s>", "</s>", "__eng__", "__fra__")
    return transformers.SeamlessM4TTokenizer(**sentence_pairs(specials))


def gemma_tokenizer() -> Any:
    specials = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)))
    tokenizer = transformers.GemmaTokenizer(**sentence_pairs(specials))
    tokenizer.add_bos_token = tokenizer.add_eos_token = True
    return tokenizer


def qwen_tokenizer() -> Any:
    return transformers.Qwen2Tokenizer(**byte_pairs(["<|endoftext|>"]))


def gpt2_tokenizer() -> Any:
    """It adds no token to a text, and has none for padding."""
    return transformers.GPT2Tokenizer(**byte_pairs(["<|endoftext|>"]))


def clip_tokenizer() -> Any:
    return transformers.CLIPTokenizer(**clip_pairs())


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


def modernbert_tokenizer() -> Any:
    return generic_tokenizer("[CLS]", "[SEP]", "[PAD]", "[MASK]")


def eurobert_tokenizer() -> Any:
    return generic_tokenizer("<|begin|>", "<|end|>", "<|pad|>", "<|mask|>")


def esm_tokenizer() -> Any:
    return from_files("EsmTokenizer", {"vocab_file": "\n".join(ESM_VOCABULARY)})


def merges_text(merges: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges), ""])


def word_pairs(specials: Sequence[str]) -> dict[str, str]:
    """A trained BPE's two files, pieces that end their word ending in </w>, as XLMTokenizer takes them."""
    words = split_words()
    trained = ending_pairs(words, specials, sorted({letter for word in words for letter in word}))
    return {"vocab_file": json.dumps(trained["vocab"]), "merges_file": merges_text(trained["merges"])}


def xlm_tokenizer() -> Any:
    return from_files("XLMTokenizer", word_pairs(XLM_SPECIALS))


def flaubert_tokenizer() -> Any:
    return from_files("FlaubertTokenizer", word_pairs(XLM_SPECIALS))


def fsmt_tokenizer() -> Any:
    files = word_pairs(ROBERTA_SPECIALS)
    vocabularies = dict.fromkeys(["src_vocab_file", "tgt_vocab_file"], files.pop("vocab_file"))
    return from_files("FSMTTokenizer", files | vocabularies, langs=["en", "de"])


def blenderbot_small_tokenizer() -> Any:
    """Its pieces carry @@ where their word goes on, its merges </w> where it ends."""
    specials = ("__null__", "__start__", "__end__", "__unk__")
    files = word_pairs(specials)
    pieces = [*specials]
    for piece in json.loads(files["vocab_file"]):
        if piece not in specials:
            pieces.append(piece.removesuffix("</w>") if piece.endswith("</w>") else f"{piece}@@")
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return from_files("BlenderbotSmallTokenizer", files | {"vocab_file": json.dumps(vocabulary)})


def prophetnet_tokenizer() -> Any:
    pieces = wordpiece(["[PAD]", "[UNK]", "[SEP]", "[MASK]", "[X_SEP]"])
    return from_files("ProphetNetTokenizer", {"vocab_file": "\n".join(pieces)})


def roc_bert_tokenizer() -> Any:
    """Every piece has a shape and a sound of its own number, counted in tens."""
    pieces = wordpiece(BERT_SPECIALS)
    kinds = json.dumps({piece: number % 10 for piece, number in pieces.items()})
    files = {"vocab_file": "\n".join(pieces), "word_shape_file": kinds, "word_pronunciation_file": kinds}
    return from_files("RoCBertTokenizer", files)


def spoken_pieces(specials: Sequence[str]) -> str:
    """A SentencePiece model's pieces as the vocab.json that Marian and M2M100 keep beside it."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    pieces = [*specials, *(model.id_to_piece(number) for number in range(len(model)))]
    return json.dumps({piece: number for number, piece in enumerate(dict.fromkeys(pieces))})


def marian_tokenizer() -> Any:
    files: dict[str, bytes | str] = dict.fromkeys(["source_spm", "target_spm"], sentencepiece_model())
    return from_files("MarianTokenizer", files | {"vocab": spoken_pieces(["</s>", "<unk>", "<pad>"])})


def m2m_100_tokenizer() -> Any:
    files: dict[str, bytes | str] = {"vocab_file": spoken_pieces(ROBERTA_SPECIALS[:4])}
    files["spm_file"] = sentencepiece_model()
    return from_files("M2M100Tokenizer", files, src_lang="en", tgt_lang="fr")


def luke_tokenizer() -> Any:
    specials = (*ROBERTA_SPECIALS, "<ent>", "<ent2>")
    return transformers.LukeTokenizer(**byte_pairs(specials), entity_vocab=numbered(ENTITIES))


def mluke_tokenizer() -> Any:
    return transformers.MLukeTokenizer(vocab=unigram(ROBERTA_SPECIALS), entity_vocab=numbered(ENTITIES))


def vits_tokenizer() -> Any:
    letters = sorted({letter for line in CORPUS for letter in line.lower()})
    return from_files(
        "VitsTokenizer", {"vocab_file": json.dumps(numbered(["<pad>", "<unk>", *letters]))}, phonemize=False
    )


def numbered(tokens: Sequence[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def clvp_tokenizer() -> Any:
    trained = byte_pairs(["[STOP]", "[UNK]", "[SPACE]", "<|endoftext|>"])
    files = {"vocab_file": json.dumps(trained["vocab"]), "merges_file": merges_text(trained["merges"])}
    return from_files("ClvpTokenizer", files)
