"""Tiny encoders, one folder per family: random weights, a vocabulary from a few lines; offline and always the same.

The weights are spread wide, because a fresh model's attention is nearly uniform and would hide most errors.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers.utils import logging as reports

from tests.tiny import (
    ALBERT_SPECIALS,
    BERT_SPECIALS,
    ROBERTA_SPECIALS,
    T5_SPECIALS,
    albert_tokenizer,
    bert_tokenizer,
    blenderbot_small_tokenizer,
    byte_pairs,
    clip_tokenizer,
    clvp_tokenizer,
    esm_tokenizer,
    eurobert_tokenizer,
    flaubert_tokenizer,
    from_files,
    fsmt_tokenizer,
    funnel_tokenizer,
    gemma_tokenizer,
    gpt2_tokenizer,
    luke_tokenizer,
    m2m_100_tokenizer,
    marian_tokenizer,
    mluke_tokenizer,
    modernbert_tokenizer,
    pegasus_tokenizer,
    prophetnet_tokenizer,
    qwen_tokenizer,
    roberta_tokenizer,
    roc_bert_tokenizer,
    seamless_tokenizer,
    sentence_pairs,
    sentencepiece_model,
    t5_tokenizer,
    unigram,
    vits_tokenizer,
    wordpiece,
    xlm_roberta_tokenizer,
    xlm_tokenizer,
)


@cache
def code_points() -> dict[str, int]:
    """CANINE's vocabulary, a million characters, which its tokenizer makes at each look."""
    return {chr(number): number for number in range(0x110000)}


transformers.CanineTokenizer.get_vocab = lambda tokenizer: code_points() | tokenizer.added_tokens_encoder


@dataclass(frozen=True)
class Family:
    """What makes a tiny model of one kind.

    Attributes:
        model_type: as config.json names it.
        tokenizer: makes the tokenizer.
        config: what differs from the type's default configuration.
        model_class: in transformers; None: what AutoModel chooses.
        matrix_std: the standard deviation of every matrix that is no embedding.
        token_places: the dotted parts of the configuration that repeat the tokenizer's numbers; "" is its top.
    """

    model_type: str
    tokenizer: Callable[[], Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    model_class: str | None = None
    matrix_std: float = 0.25
    token_places: Sequence[str] = ("",)


def without(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 160,
}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
XLM = {"emb_dim": 32, "n_layers": 3, "n_heads": 4, "max_position_embeddings": 160}
FUNNEL = {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": (2, 2, 1)}
ENTITY_AWARE = {**SMALL, "entity_vocab_size": 4, "entity_emb_size": 8}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
ROTARY_IN_THREE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
GEMMA = {**GROUPED, "num_hidden_layers": 6, "query_pre_attn_scalar": 8, "sliding_window": 8}
GPT = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 160}
LOCAL = {**GROUPED, "num_hidden_layers": 4, "sliding_window": 8}
EXPERTS = {"num_local_experts": 2, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
T5_ENCODER = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4}
T5 = {**T5_ENCODER, "num_decoder_layers": 1}
LONG_T5 = {**T5, "local_radius": 3, "global_block_size": 4}
BART = {
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 160,
}
VOCODER = {
    "upsample_initial_channel": 8,
    "upsample_rates": [2],
    "upsample_kernel_sizes": [4],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1]],
}
SEAMLESS = {
    **without(BART, "d_model"),
    "hidden_size": 32,
    "speech_encoder_layers": 1,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 16,
    "feature_projection_input_dim": 16,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "t2u_vocab_size": 20,
    "t2u_encoder_layers": 1,
    "t2u_encoder_ffn_dim": 16,
    "t2u_encoder_attention_heads": 2,
    "t2u_decoder_layers": 1,
    "t2u_decoder_ffn_dim": 16,
    "t2u_decoder_attention_heads": 2,
    "t2u_max_position_embeddings": 16,
    "t2u_variance_predictor_embed_dim": 8,
    "t2u_variance_predictor_hidden_dim": 8,
    "char_vocab_size": 20,
    "max_source_positions": 16,
    "adaptor_kernel_size": 2,
    "adaptor_stride": 2,
    "conv_depthwise_kernel_size": 3,
    "unit_hifi_gan_vocab_size": 20,
    "unit_embed_dim": 8,
    "lang_embed_dim": 8,
    "spkr_embed_dim": 8,
    "vocoder_num_langs": 2,
    "vocoder_num_spkrs": 2,
    **VOCODER,
}
VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 8,
    "patch_size": 4,
}

FAMILIES = {
    "bert": Family("bert", bert_tokenizer, SMALL),
    "roberta": Family("roberta", roberta_tokenizer, SMALL),
    "xlm-roberta": Family("xlm-roberta", xlm_roberta_tokenizer, SMALL),
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
    "albert": Family("albert", albert_tokenizer, {**SMALL, "embedding_size": 16}),
    # Without layer normalization MobileBERT's scores grow from layer to layer: at 0.25 its rows are one-hot from
    # layer 1 on, at 0.1 uniform; at 0.135 its layers' entropies are 0.93, 0.67 and 0.62 of the largest possible.
    "mobilebert": Family(
        "mobilebert", bert_tokenizer, {**SMALL, "embedding_size": 32, "intra_bottleneck_size": 32}, matrix_std=0.135
    ),
    "modernbert": Family("modernbert", modernbert_tokenizer, {**SMALL, "num_hidden_layers": 4, "local_attention": 8}),
    "nomic_bert": Family("nomic_bert", bert_tokenizer, SMALL),
    "eurobert": Family("eurobert", eurobert_tokenizer, {**SMALL, "num_key_value_heads": 2}),
    "esm": Family("esm", esm_tokenizer, {**SMALL, "position_embedding_type": "rotary", "token_dropout": True}),
    "t5": Family("t5", t5_tokenizer, T5_ENCODER, model_class="T5EncoderModel"),
    "bart": Family("bart", roberta_tokenizer, BART),
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
        funnel_tokenizer,
        FUNNEL,
        model_class="FunnelModel",
    ),
    "squeezebert": Family("squeezebert", bert_tokenizer, {**SMALL, "embedding_size": 32}, matrix_std=0.8),
    "canine": Family(
        "canine",
        transformers.CanineTokenizer,
        {**SMALL, "max_position_embeddings": 512, "num_hash_buckets": 256, "local_transformer_stride": 16},
        matrix_std=0.4,
    ),
    "big_bird": Family(
        "big_bird",
        lambda: transformers.BigBirdTokenizer(
            vocab=unigram(["<pad>", "</s>", "<s>", "<unk>", "[SEP]", "[MASK]", "[CLS]"])
        ),
        {**SMALL, "block_size": 4, "num_random_blocks": 2},
    ),
    # Encoders like BERT.
    "xlm": Family("xlm", xlm_tokenizer, XLM),
    "flaubert": Family("flaubert", flaubert_tokenizer, XLM),
    "roformer": Family("roformer", bert_tokenizer, {**SMALL, "embedding_size": 16}),
    "rembert": Family(
        "rembert",
        lambda: transformers.RemBertTokenizer(vocab=unigram(ALBERT_SPECIALS)),
        {**SMALL, "input_embedding_size": 16, "output_embedding_size": 16},
    ),
    "megatron-bert": Family("megatron-bert", bert_tokenizer, SMALL),
    "luke": Family("luke", luke_tokenizer, ENTITY_AWARE, matrix_std=0.4),
    "mluke": Family("luke", mluke_tokenizer, ENTITY_AWARE, matrix_std=0.4),
    "ibert": Family("ibert", roberta_tokenizer, SMALL),
    "lilt": Family(
        "lilt",
        roberta_tokenizer,
        {**SMALL, "hidden_size": 48, "max_2d_position_embeddings": 16},
        matrix_std=0.3,
    ),
    # A table cell or box that all tokens share makes them alike, and wide matrices keep attention from being uniform.
    "tapas": Family(
        "tapas",
        lambda: from_files("TapasTokenizer", {"vocab_file": "\n".join(wordpiece([*BERT_SPECIALS, "[EMPTY]"]))}),
        SMALL,
        matrix_std=0.5,
    ),
    "ultrabert": Family("ultrabert", modernbert_tokenizer, {**SMALL, "num_key_value_heads": 2, "sliding_window": 4}),
    "gte": Family("gte", xlm_roberta_tokenizer, SMALL),
    "jina_embeddings_v3": Family("jina_embeddings_v3", xlm_roberta_tokenizer, SMALL),
    "esmc": Family("esmc", lambda: transformers.EsmcTokenizer(), SMALL),
    "xlm-roberta-xl": Family("xlm-roberta-xl", xlm_roberta_tokenizer, SMALL),
    "data2vec-text": Family("data2vec-text", roberta_tokenizer, SMALL),
    "roberta-prelayernorm": Family("roberta-prelayernorm", roberta_tokenizer, SMALL),
    "ernie": Family("ernie", bert_tokenizer, SMALL),
    "xmod": Family("xmod", xlm_roberta_tokenizer, {**SMALL, "default_language": "en_XX"}),
    "bert-generation": Family(
        "bert-generation",
        lambda: from_files("BertGenerationTokenizer", {"vocab_file": sentencepiece_model()}),
        SMALL,
    ),
    "roc_bert": Family(
        "roc_bert",
        roc_bert_tokenizer,
        {
            **SMALL,
            "pronunciation_embed_dim": 8,
            "pronunciation_vocab_size": 10,
            "shape_embed_dim": 8,
            "shape_vocab_size": 10,
        },
    ),
    "splinter": Family(
        "splinter",
        lambda: transformers.SplinterTokenizer(vocab=wordpiece([*BERT_SPECIALS, "[QUESTION]"])),
        {**SMALL, "question_token_id": 5},
    ),
    "nystromformer": Family("nystromformer", albert_tokenizer, {**SMALL, "conv_kernel_size": 5}),
    "nystromformer_approx": Family(
        "nystromformer",
        albert_tokenizer,
        {**SMALL, "conv_kernel_size": 5, "num_landmarks": 8, "segment_means_seq_len": 32},
    ),
    "yoso": Family("yoso", albert_tokenizer, SMALL),
    "mra": Family("mra", roberta_tokenizer, SMALL),
    "fnet": Family("fnet", lambda: transformers.FNetTokenizer(vocab=unigram(ALBERT_SPECIALS)), SMALL),
    "layoutlm": Family("layoutlm", bert_tokenizer, {**SMALL, "max_2d_position_embeddings": 16}, matrix_std=0.6),
    "layoutlmv3": Family(
        "layoutlmv3",
        roberta_tokenizer,
        {**SMALL, "max_2d_position_embeddings": 16, "coordinate_size": 5, "shape_size": 6, "input_size": 32},
    ),
    "bros": Family("bros", bert_tokenizer, {**SMALL, "hidden_size": 64}),
    "markuplm": Family(
        "markuplm",
        roberta_tokenizer,
        {**SMALL, "max_depth": 1, "xpath_unit_hidden_size": 1, "max_xpath_subs_unit_embeddings": 1024},
    ),
    "dpr": Family(
        "dpr",
        lambda: transformers.DPRQuestionEncoderTokenizer(vocab=wordpiece(BERT_SPECIALS)),
        SMALL,
    ),
    "lxmert": Family(
        "lxmert",
        bert_tokenizer,
        {
            **without(SMALL, "num_hidden_layers"),
            "l_layers": 3,
            "x_layers": 1,
            "r_layers": 1,
            "visual_feat_dim": 8,
        },
    ),
    "visual_bert": Family("visual_bert", bert_tokenizer, {**SMALL, "visual_embedding_dim": 8}, matrix_std=0.4),
    "cpmant": Family(
        "cpmant",
        bert_tokenizer,
        {
            "hidden_size": 32,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "dim_head": 8,
            "dim_ff": 48,
            "position_bias_num_buckets": 16,
            "prompt_types": 4,
            "prompt_length": 4,
            "segment_types": 4,
        },
    ),
    "reformer": Family(
        "reformer",
        lambda: transformers.ReformerTokenizer(**sentence_pairs(["</s>", "<unk>", "<pad>"]), pad_token="<pad>"),
        {
            "hidden_size": 32,
            "num_attention_heads": 4,
            "attention_head_size": 8,
            "feed_forward_size": 48,
            "attn_layers": ["local", "lsh", "local"],
            "axial_pos_shape": [8, 20],
            "axial_pos_embds_dim": [16, 16],
            "max_position_embeddings": 160,
            "local_attn_chunk_length": 8,
            "lsh_attn_chunk_length": 8,
            "num_buckets": 4,
            "hash_seed": 0,
        },
    ),
    "perceiver": Family(
        "perceiver",
        transformers.PerceiverTokenizer,
        {
            "num_latents": 8,
            "d_latents": 32,
            "d_model": 32,
            "num_self_attends_per_block": 3,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 4,
            "max_position_embeddings": 160,
        },
        model_class="PerceiverForMaskedLM",
    ),
    "funnel_base": Family(
        "funnel",
        funnel_tokenizer,
        FUNNEL,
        model_class="FunnelBaseModel",
    ),
    # Encoder-decoders, whole, as their checkpoints are.
    "mt5": Family("mt5", t5_tokenizer, T5, model_class="MT5ForConditionalGeneration"),
    "umt5": Family("umt5", t5_tokenizer, T5, model_class="UMT5ForConditionalGeneration"),
    "byt5": Family("t5", lambda: transformers.ByT5Tokenizer(extra_ids=0), T5, model_class="T5ForConditionalGeneration"),
    "longt5_local": Family("longt5", t5_tokenizer, LONG_T5, model_class="LongT5ForConditionalGeneration"),
    "longt5_tglobal": Family(
        "longt5",
        t5_tokenizer,
        {**LONG_T5, "encoder_attention_type": "transient-global"},
        model_class="LongT5ForConditionalGeneration",
    ),
    "switch": Family(
        "switch_transformers",
        t5_tokenizer,
        {**T5, "num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
        model_class="SwitchTransformersForConditionalGeneration",
    ),
    "udop": Family(
        "udop",
        t5_tokenizer,
        {**T5, "max_2d_position_embeddings": 16, "image_size": 8, "patch_size": 4},
        model_class="UdopForConditionalGeneration",
    ),
    "pop2piano": Family("pop2piano", t5_tokenizer, T5, model_class="Pop2PianoForConditionalGeneration"),
    "mbart": Family(
        "mbart",
        lambda: transformers.MBartTokenizer(vocab=unigram(ROBERTA_SPECIALS), src_lang="en_XX"),
        BART,
        model_class="MBartForConditionalGeneration",
    ),
    "pegasus": Family("pegasus", pegasus_tokenizer, BART, model_class="PegasusForConditionalGeneration"),
    "pegasus_x": Family(
        "pegasus_x",
        pegasus_tokenizer,
        {**BART, "block_size": 8, "num_global_tokens": 4},
        model_class="PegasusXForConditionalGeneration",
    ),
    "bigbird_pegasus": Family(
        "bigbird_pegasus",
        pegasus_tokenizer,
        {**BART, "block_size": 4, "num_random_blocks": 2},
        model_class="BigBirdPegasusForConditionalGeneration",
    ),
    "marian": Family("marian", marian_tokenizer, BART, model_class="MarianMTModel"),
    "m2m_100": Family(
        "m2m_100", m2m_100_tokenizer, {**BART, "vocab_size": 512}, model_class="M2M100ForConditionalGeneration"
    ),
    "blenderbot": Family(
        "blenderbot",
        lambda: transformers.BlenderbotTokenizer(**byte_pairs(ROBERTA_SPECIALS)),
        BART,
        model_class="BlenderbotForConditionalGeneration",
    ),
    "blenderbot-small": Family(
        "blenderbot-small",
        blenderbot_small_tokenizer,
        BART,
        model_class="BlenderbotSmallForConditionalGeneration",
    ),
    "plbart": Family(
        "plbart",
        lambda: from_files("PLBartTokenizer", {"vocab_file": sentencepiece_model()}),
        BART,
        model_class="PLBartForConditionalGeneration",
    ),
    "mvp": Family("mvp", roberta_tokenizer, BART, model_class="MvpForConditionalGeneration"),
    "led": Family(
        "led",
        roberta_tokenizer,
        {
            **without(BART, "max_position_embeddings"),
            "max_encoder_position_embeddings": 160,
            "max_decoder_position_embeddings": 16,
            "attention_window": [8, 8, 8],
        },
        model_class="LEDForConditionalGeneration",
    ),
    "prophetnet": Family(
        "prophetnet",
        prophetnet_tokenizer,
        {
            "hidden_size": 32,
            "num_encoder_layers": 3,
            "num_decoder_layers": 1,
            "num_encoder_attention_heads": 4,
            "num_decoder_attention_heads": 2,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 160,
        },
        model_class="ProphetNetForConditionalGeneration",
    ),
    "nllb-moe": Family(
        "nllb-moe",
        lambda: transformers.NllbTokenizer(**sentence_pairs(ROBERTA_SPECIALS)),
        {**BART, "num_experts": 2, "encoder_sparse_step": 2, "decoder_sparse_step": 2},
        model_class="NllbMoeForConditionalGeneration",
    ),
    "fsmt": Family(
        "fsmt",
        fsmt_tokenizer,
        {**BART, "src_vocab_size": 640, "tgt_vocab_size": 640, "scale_embedding": False},
        model_class="FSMTForConditionalGeneration",
    ),
    "t5gemma": Family(
        "t5gemma",
        gemma_tokenizer,
        {"encoder": GEMMA, "decoder": {**GEMMA, "num_hidden_layers": 1}},
        model_class="T5GemmaForConditionalGeneration",
        token_places=("", "encoder", "decoder"),
    ),
    "t5gemma2": Family(
        "t5gemma2",
        gemma_tokenizer,
        {
            "encoder": {"text_config": GEMMA, "vision_config": VISION, "mm_tokens_per_image": 4},
            "decoder": {**GEMMA, "num_hidden_layers": 1},
        },
        model_class="T5Gemma2ForConditionalGeneration",
        token_places=("", "encoder.text_config", "decoder"),
    ),
    "seamless_m4t": Family(
        "seamless_m4t",
        seamless_tokenizer,
        SEAMLESS,
        model_class="SeamlessM4TModel",
    ),
    "seamless_m4t_v2": Family(
        "seamless_m4t_v2",
        seamless_tokenizer,
        SEAMLESS,
        model_class="SeamlessM4Tv2Model",
    ),
    "bert2bert": Family(
        "encoder-decoder",
        bert_tokenizer,
        {
            "encoder": {**SMALL, "model_type": "bert"},
            "decoder": {
                **SMALL,
                "model_type": "bert",
                "num_hidden_layers": 1,
                "is_decoder": True,
                "add_cross_attention": True,
            },
        },
        model_class="EncoderDecoderModel",
        token_places=("encoder", "decoder"),
    ),
    # Decoders made to look both ways.
    "gemma3_text": Family("gemma3_text", gemma_tokenizer, {**GEMMA, "use_bidirectional_attention": True}),
    "embedding_gemma2_text": Family(
        "embedding_gemma2_text",
        gemma_tokenizer,
        {
            **GROUPED,
            "num_hidden_layers": 6,
            "sliding_window": 4,
            "global_head_dim": 16,
            "hidden_size_per_layer_input": 8,
            "embedding_dim": 16,
        },
    ),
    "qwen3": Family("qwen3", qwen_tokenizer, {**GROUPED, "is_causal": False}),
    "llama": Family("llama", eurobert_tokenizer, {**GROUPED, "is_causal": False}),
    "cohere_compass_text": Family(
        "cohere_compass_text",
        eurobert_tokenizer,
        {
            **SMALL,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "sliding_window": 4,
            "is_causal": False,
            "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {"sliding_attention": ROTARY_IN_THREE, "full_attention": ROTARY_IN_THREE},
        },
    ),
    "neomme": Family(
        "neomme",
        eurobert_tokenizer,
        {
            **GROUPED,
            "head_dim": 16,
            "num_hidden_layers": 4,
            "embedding_rank": 16,
            "embedding_dim": 8,
            "patch_size": 4,
            "sliding_window": 4,
            "per_layer_config": {1: {"sliding_window": 8}, 3: {"sliding_window": None}},
        },
    ),
    "openai_privacy_filter": Family(
        "openai_privacy_filter",
        eurobert_tokenizer,
        {**GROUPED, "sliding_window": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "modernvbert": Family(
        "modernvbert",
        modernbert_tokenizer,
        {
            "text_config": {**SMALL, "num_hidden_layers": 4, "local_attention": 8, "model_type": "modernbert"},
            "vision_config": {**VISION, "model_type": "siglip_vision_model"},
            "pixel_shuffle_factor": 2,
        },
        token_places=("text_config",),
    ),
    "ultravbert": Family(
        "ultravbert",
        modernbert_tokenizer,
        {
            "text_config": {**SMALL, "num_key_value_heads": 2, "sliding_window": 4, "model_type": "ultrabert"},
            "vision_config": {**VISION, "model_type": "siglip_vision_model"},
            "pixel_shuffle_factor": 2,
        },
        token_places=("text_config",),
    ),
    # Decoders, as they are.
    "gpt2": Family("gpt2", gpt2_tokenizer, GPT, "GPT2LMHeadModel"),
    "gpt_bigcode": Family("gpt_bigcode", gpt2_tokenizer, GPT),
    "openai-gpt": Family("openai-gpt", gpt2_tokenizer, GPT),
    "gptj": Family("gptj", gpt2_tokenizer, {**GPT, "rotary_dim": 4}),
    "codegen": Family("codegen", gpt2_tokenizer, {**GPT, "n_ctx": 160, "rotary_dim": 4}),
    "gpt_neo": Family(
        "gpt_neo",
        gpt2_tokenizer,
        {
            "hidden_size": 32,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 8,
            "max_position_embeddings": 160,
        },
        matrix_std=0.15,  # its scores are not scaled
    ),
    "gpt_neox": Family("gpt_neox", qwen_tokenizer, SMALL),
    "opt": Family("opt", gpt2_tokenizer, {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "biogpt": Family("biogpt", gpt2_tokenizer, SMALL),
    "xglm": Family(
        "xglm",
        gpt2_tokenizer,
        {"d_model": 32, "num_layers": 3, "attention_heads": 4, "ffn_dim": 48, "max_position_embeddings": 160},
    ),
    "bloom": Family("bloom", qwen_tokenizer, {"hidden_size": 32, "n_layer": 3, "n_head": 4}),
    "mpt": Family("mpt", qwen_tokenizer, {"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 160}),
    "falcon": Family("falcon", qwen_tokenizer, without(SMALL, "intermediate_size")),
    "phi": Family("phi", qwen_tokenizer, SMALL),
    "phi3": Family("phi3", qwen_tokenizer, {**without(GROUPED, "head_dim"), "sliding_window": 8}),
    "qwen2": Family(
        "qwen2", qwen_tokenizer, {**without(LOCAL, "head_dim"), "use_sliding_window": True, "max_window_layers": 2}
    ),
    "qwen3_causal": Family("qwen3", qwen_tokenizer, GROUPED),
    "qwen3_moe": Family("qwen3_moe", qwen_tokenizer, {**GROUPED, **EXPERTS}),
    "llama_causal": Family("llama", eurobert_tokenizer, GROUPED),
    "mistral": Family("mistral", eurobert_tokenizer, {**GROUPED, "sliding_window": 8}),
    "mixtral": Family("mixtral", eurobert_tokenizer, {**GROUPED, **EXPERTS}),
    "gemma": Family("gemma", gemma_tokenizer, GROUPED),
    "gemma2": Family("gemma2", gemma_tokenizer, GEMMA),
    "gemma3_causal": Family("gemma3_text", gemma_tokenizer, GEMMA),
    "gpt_oss": Family("gpt_oss", qwen_tokenizer, {**LOCAL, **EXPERTS}),
    "olmo": Family("olmo", qwen_tokenizer, SMALL),
    "olmo2": Family("olmo2", qwen_tokenizer, SMALL),
    "olmo3": Family("olmo3", qwen_tokenizer, without(LOCAL, "head_dim")),
    "cohere": Family("cohere", qwen_tokenizer, SMALL),
    "cohere2": Family("cohere2", qwen_tokenizer, without(LOCAL, "head_dim")),
    "stablelm": Family("stablelm", qwen_tokenizer, {**SMALL, "num_key_value_heads": 4}),
    "starcoder2": Family("starcoder2", qwen_tokenizer, {**without(GROUPED, "head_dim"), "sliding_window": 8}),
    "granite": Family("granite", qwen_tokenizer, {**SMALL, "attention_multiplier": 0.35}),
    "smollm3": Family("smollm3", qwen_tokenizer, SMALL),
    # Models of images and text, whole, then the text towers alone.
    "clip": Family(
        "clip",
        clip_tokenizer,
        {"text_config": SMALL, "vision_config": VISION, "projection_dim": 16},
        token_places=("text_config",),
    ),
    "siglip": Family(
        "siglip", t5_tokenizer, {"text_config": SMALL, "vision_config": VISION}, token_places=("text_config",)
    ),
    "clip_text": Family("clip_text_model", clip_tokenizer, {**SMALL, "projection_dim": 16}, "CLIPTextModel"),
    "siglip_text": Family("siglip_text_model", t5_tokenizer, SMALL, "SiglipTextModel"),
    "siglip2_text": Family(
        "siglip2_text_model",
        lambda: transformers.Siglip2Tokenizer(**sentence_pairs(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])),
        SMALL,
        "Siglip2TextModel",
    ),
    "aimv2_text": Family("aimv2_text_model", clip_tokenizer, SMALL, "Aimv2TextModel"),
    "altclip_text": Family(
        "altclip_text_model", xlm_roberta_tokenizer, {**SMALL, "project_dim": 16}, "AltCLIPTextModel"
    ),
    "align_text": Family("align_text_model", bert_tokenizer, SMALL, "AlignTextModel"),
    "chinese_clip_text": Family("chinese_clip_text_model", bert_tokenizer, SMALL, "ChineseCLIPTextModel"),
    "clap_text": Family("clap_text_model", roberta_tokenizer, {**SMALL, "projection_dim": 16}, "ClapTextModel"),
    "clipseg_text": Family("clipseg_text_model", clip_tokenizer, SMALL, "CLIPSegTextModel"),
    "metaclip_2_text": Family("metaclip_2_text_model", xlm_roberta_tokenizer, SMALL, "MetaClip2TextModel"),
    "owlvit_text": Family("owlvit_text_model", clip_tokenizer, SMALL, "OwlViTTextModel"),
    "owlv2_text": Family("owlv2_text_model", clip_tokenizer, SMALL, "Owlv2TextModel"),
    "xclip_text": Family("xclip_text_model", clip_tokenizer, SMALL, "XCLIPTextModel"),
    "groupvit_text": Family("groupvit_text_model", clip_tokenizer, SMALL, "GroupViTTextModel"),
    "flava_text": Family("flava_text_model", bert_tokenizer, SMALL, "FlavaTextModel"),
    "blip_text": Family(
        "blip_text_model", bert_tokenizer, {**SMALL, "encoder_hidden_size": 16, "is_decoder": False}, "BlipTextModel"
    ),
    "bridgetower": Family(
        "bridgetower",
        roberta_tokenizer,
        {
            "text_config": SMALL,
            "vision_config": {**VISION, "hidden_size": 64, "remove_last_layer": True},
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
        },
        matrix_std=0.3,
        token_places=("text_config",),
    ),
    "tipsv2_text": Family(
        "tipsv2_text_model",
        lambda: transformers.Tipsv2Tokenizer(**sentence_pairs(["<pad>", "<unk>"])),
        SMALL,
        "Tipsv2TextModel",
    ),
    "videoprism_text": Family(
        "videoprism_text_model",
        lambda: transformers.VideoPrismTokenizer(vocab=unigram(T5_SPECIALS), extra_ids=0),
        SMALL,
        "VideoPrismTextModel",
    ),
    "sam3_lite_text": Family(
        "sam3_lite_text_text_model",
        clip_tokenizer,
        {**SMALL, "projection_dim": 16, "use_repmixer_blocks": False},
        "Sam3LiteTextTextModel",
    ),
    # Models of speech that read text.
    "clvp": Family(
        "clvp",
        clvp_tokenizer,
        {
            # Its rotary embedding needs heads of 32.
            "text_config": {
                "hidden_size": 64,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "projection_dim": 16,
            },
            "speech_config": {
                "hidden_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "intermediate_size": 16,
                "projection_dim": 16,
                "vocab_size": 20,
            },
            "decoder_config": {
                "vocab_size": 20,
                "bos_token_id": 18,
                "eos_token_id": 19,
                "max_position_embeddings": 16,
                "max_text_tokens": 16,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_mel_attn_blocks": 1,
                "feature_size": 8,
            },
            "projection_dim": 16,
        },
        model_class="ClvpModelForConditionalGeneration",
        token_places=("text_config",),
    ),
    "vits": Family(
        "vits",
        vits_tokenizer,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "ffn_dim": 48,
            "flow_size": 8,
            "spectrogram_bins": 9,
            "duration_predictor_filter_channels": 8,
            "duration_predictor_num_flows": 1,
            "prior_encoder_num_flows": 1,
            "prior_encoder_num_wavenet_layers": 1,
            "posterior_encoder_num_wavenet_layers": 1,
            **VOCODER,
        },
        matrix_std=0.2,
    ),
    "speecht5": Family(
        "speecht5",
        lambda: from_files("SpeechT5Tokenizer", {"vocab_file": sentencepiece_model(model_type="char", vocab_size=180)}),
        {
            **without(BART, "d_model", "max_position_embeddings"),
            "hidden_size": 32,
            "encoder_max_relative_position": 16,
            "max_text_positions": 160,
            "max_speech_positions": 16,
            "num_mel_bins": 8,
            "speaker_embedding_dim": 8,
            "speech_decoder_prenet_units": 8,
            "speech_decoder_postnet_units": 8,
            "speech_decoder_postnet_layers": 2,
        },
        model_class="SpeechT5ForTextToSpeech",
    ),
    "dia": Family(
        "dia",
        transformers.DiaTokenizer,
        {
            "delay_pattern": [0, 1],
            "encoder_config": {**GROUPED, "num_key_value_heads": 4},
            "decoder_config": {
                **GROUPED,
                "num_hidden_layers": 1,
                "cross_num_attention_heads": 2,
                "cross_num_key_value_heads": 2,
                "cross_head_dim": 8,
                "cross_hidden_size": 32,
                "vocab_size": 20,
                "num_channels": 2,
                "bos_token_id": 17,
                "eos_token_id": 18,
                "pad_token_id": 19,
            },
        },
        model_class="DiaForConditionalGeneration",
        token_places=("encoder_config",),
    ),
}
# Whole models of text and pictures (or sound), of which only the text tower is measured; "clip" and "siglip" are above.
SOUND = {
    "num_mel_bins": 8,
    "spec_size": 16,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "patch_embeds_hidden_size": 8,
    "depths": [1],
    "num_attention_heads": [1],
    "hidden_size": 8,
    "window_size": 2,
    "num_hidden_layers": 1,
}
NARROW = {"image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 32}
OTHER_HALVES: dict[str, dict[str, Any]] = {
    **{
        kind: {"vision_config": VISION}
        for kind in ["aimv2", "altclip", "blip", "chinese_clip", "clipseg", "metaclip_2", "owlvit", "owlv2", "siglip2"]
    },
    "groupvit": {
        "vision_config": {**VISION, "depths": [1], "num_group_tokens": [0], "num_output_groups": [0]},
        "projection_intermediate_dim": 16,
    },
    "xclip": {
        "vision_config": {
            **VISION,
            "mit_hidden_size": 16,
            "mit_intermediate_size": 16,
            "mit_num_hidden_layers": 1,
            "mit_num_attention_heads": 2,
        },
        "projection_dim": 16,
        "prompt_layers": 1,
        "prompt_num_attention_heads": 2,
    },
    "align": {"vision_config": NARROW},
    "clap": {"audio_config": SOUND},
    "flava": {"image_config": VISION, "multimodal_config": {**VISION, "num_hidden_layers": 1}},
    "tipsv2": {"vision_config": {**VISION, "hidden_size": 32}},
}
FAMILIES |= {
    kind: Family(
        kind,
        FAMILIES[f"{kind}_text"].tokenizer,
        {"text_config": FAMILIES[f"{kind}_text"].config, **other_half},
        matrix_std=FAMILIES[f"{kind}_text"].matrix_std,
        token_places=("text_config",),
    )
    for kind, other_half in OTHER_HALVES.items()
}


def build(family: str, folder: Path) -> Path:
    """Writes the family's model and tokenizer into the folder, as save_pretrained does, and returns it."""
    its = FAMILIES[family]
    tokenizer = its.tokenizer()
    tokenizer.model_max_length = 128
    config = deepcopy(dict(its.config))
    for place in its.token_places:
        part = config
        for name in filter(None, place.split(".")):
            part = part[name]
        part.update(token_settings(tokenizer) | part)
    torch.manual_seed(0)
    make = (
        getattr(transformers, its.model_class)._from_config if its.model_class else transformers.AutoModel.from_config
    )
    model = make(transformers.AutoConfig.for_model(its.model_type, **config))
    spread_weights(model, its.matrix_std)
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def build_once(family: str, root: Path) -> Path:
    """Builds the family in the folder of its name unless a process has done so before; returns the folder."""
    folder = root / family
    with (root / f"{family}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            build(family, root / f"{family}.part").rename(folder)
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
