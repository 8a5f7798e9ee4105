"""The table of families: how each model type that transformers ships is loaded and how its attention is reached.

A type without a row is tried all the same; the short run at load decides (``selfcheck.py``). Plain data: no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attnprobe.values.table import Table

BLOCKS, HOOKS, REFUSED = "blocks", "hooks", "refused"

NO_PADDING = "never padded: padding would change its numbers"
CAUSAL = "causal: a token sees itself and all before"
LOCAL = "local layers"
LOCAL_IF_SET = f"{LOCAL} where sliding_window is set"
NO_LAYOUT = "reads words only with their places on a page, which plain text does not have"
NO_IMAGE = "needs an image beside the text"


@dataclass(frozen=True)
class Family:
    """A model type, as config.json names it.

    Attributes:
        through: "blocks" (AttentionInterface), "hooks" (eager modules) or "refused".
        remark: what to know about the numbers; or why the type is refused.
        model_class: the transformers class that loads it; empty: AutoModel.
        part: the attribute of that which reads the text; empty: all of it, or its encoder where it has a decoder.
        layout: how its modules lay out the weights they return, a name in ``layouts.py``.
        adapter: what makes its arguments, a name in ``adapters.py``.
        options: set in its configuration when it is loaded.
        unless: the configurations that are refused all the same, and why.
        untraced: the term of the attention that ``parts.py`` does not separate; empty if there is none, or unknown.
    """

    through: str
    remark: str = ""
    model_class: str = ""
    part: str = ""
    layout: str = "square"
    adapter: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    unless: tuple[Callable[[Mapping[str, Any]], bool], str] | None = None
    untraced: str = ""

    def refusal(self, config: Mapping[str, Any]) -> str:
        """Says why a model of this type and configuration cannot be measured; empty if it can."""
        if self.through == REFUSED:
            return self.remark
        return self.unless[1] if self.unless and self.unless[0](config) else ""


def _refused(why: str) -> Family:
    return Family(REFUSED, why)


def _towers(through: str, remark: str, *, inside: bool = False, **classes: str) -> dict[str, Family]:
    """Makes the rows of text towers in models of text and images (or sound): of whole models, and saved separately.

    Args:
        inside: whether the whole model must be loaded, since the tower's class cannot read its checkpoint.
    """
    alone = {f"{kind}_text_model": Family(through, remark, name) for kind, name in classes.items()}
    if inside:
        return alone | {kind: Family(through, remark, part="text_model") for kind in classes}
    return alone | {kind: Family(through, remark, name) for kind, name in classes.items()}


def _decoders(through: str, remark: str, *kinds: str, untraced: str = "") -> dict[str, Family]:
    """Makes the rows of language models that read from left to right, without their cache of keys and values."""
    return dict.fromkeys(kinds, Family(through, remark, untraced=untraced))


FULL = {"attention_type": "original_full"}
SPARSE = (
    "full attention is measured; the model's own is block-sparse for texts of more than"
    " (5 + 2·num_random_blocks)·block_size tokens"
)

FAMILIES: dict[str, Family] = {
    # BERT and its relatives
    "bert": Family(BLOCKS),
    "roberta": Family(BLOCKS),
    "xlm-roberta": Family(BLOCKS),
    "xlm-roberta-xl": Family(BLOCKS),
    "camembert": Family(BLOCKS),
    "data2vec-text": Family(BLOCKS),
    "roberta-prelayernorm": Family(BLOCKS),
    "electra": Family(BLOCKS),
    "ernie": Family(BLOCKS),
    "distilbert": Family(BLOCKS),
    "albert": Family(BLOCKS, "one layer's weights, used many times"),
    "mobilebert": Family(BLOCKS, NO_PADDING),
    "megatron-bert": Family(HOOKS),
    "bert-generation": Family(BLOCKS),
    "rembert": Family(HOOKS),
    "roc_bert": Family(BLOCKS),
    "roformer": Family(HOOKS, untraced="rotations inside its attention"),
    "splinter": Family(BLOCKS),
    "convbert": Family(HOOKS, f"a share of its heads is convolution and not measured; {NO_PADDING}"),
    "ibert": Family(HOOKS, untraced="quantized linear maps"),
    "squeezebert": Family(
        HOOKS,
        "it returns scores; the softmax is taken here",
        layout="scores",
        untraced="convolutions in place of linear maps",
    ),
    "mpnet": Family(HOOKS),
    "xmod": Family(BLOCKS),
    "layoutlm": Family(BLOCKS, "without boxes"),
    "lilt": Family(HOOKS, "without boxes", untraced="scores of the layout"),
    "visual_bert": Family(HOOKS, "without an image"),
    "markuplm": Family(BLOCKS, "without nodes"),
    "bros": Family(HOOKS, "without boxes", adapter="bros"),
    "luke": Family(HOOKS, "without entities"),
    "tapas": Family(HOOKS, "the text as a question without a table"),
    "dpr": Family(BLOCKS),
    "nystromformer": Family(
        HOOKS,
        f"only where num_landmarks is segment_means_seq_len, so that nothing is approximated; {NO_PADDING}",
        unless=(
            lambda config: config.get("num_landmarks", 64) != config.get("segment_means_seq_len", 64),
            "it approximates attention through landmarks, which gives no probabilities over tokens",
        ),
        untraced="a convolution of its values",
    ),
    "esm": Family(BLOCKS),
    "esmc": Family(BLOCKS),
    "deberta": Family(HOOKS, untraced="disentangled position terms"),
    "deberta-v2": Family(HOOKS, untraced="disentangled position terms"),
    "xlnet": Family(HOOKS, untraced="relative position terms"),
    "xlm": Family(HOOKS),
    "flaubert": Family(HOOKS),
    "cpmant": Family(
        HOOKS,
        f"what falls on the prompt that the model puts before a text is outside; {NO_PADDING}",
        layout="prompted",
        untraced="a prompt before the text",
    ),
    # newer encoders, and decoders made encoders
    "nomic_bert": Family(BLOCKS),
    "gte": Family(BLOCKS),
    "jina_embeddings_v3": Family(BLOCKS),
    "eurobert": Family(BLOCKS),
    "modernbert": Family(BLOCKS, LOCAL),
    "ultrabert": Family(BLOCKS, LOCAL),
    "neomme": Family(BLOCKS, LOCAL),
    "embedding_gemma2_text": Family(BLOCKS, LOCAL),
    "gemma3_text": Family(BLOCKS, f"both ways where use_bidirectional_attention is true; else {CAUSAL}; {LOCAL}"),
    "qwen3": Family(BLOCKS, f"both ways where is_causal is false; else {CAUSAL}"),
    "llama": Family(BLOCKS, f"both ways where is_causal is false; else {CAUSAL}"),
    "cohere_compass_text": Family(BLOCKS, LOCAL),
    "openai_privacy_filter": Family(BLOCKS, f"what falls on its learned sinks is outside; {LOCAL}"),
    "modernvbert": Family(BLOCKS, f"text alone; {LOCAL}"),
    "ultravbert": Family(BLOCKS, f"text alone; {LOCAL}"),
    # decoders
    **_decoders(BLOCKS, CAUSAL, "gpt2", "gpt_bigcode", "gpt_neox", "opt", "biogpt", "phi", "stablelm", "granite"),
    **_decoders(BLOCKS, CAUSAL, "gemma", "olmo", "olmo2", "cohere", "smollm3"),
    **_decoders(BLOCKS, f"{CAUSAL}; {LOCAL_IF_SET}", "mistral", "mixtral", "qwen2", "qwen3_moe", "phi3", "starcoder2"),
    **_decoders(BLOCKS, f"{CAUSAL}; {LOCAL}", "gemma2", "olmo3", "cohere2"),
    **_decoders(BLOCKS, f"{CAUSAL}; what falls on its learned sinks is outside; {LOCAL}", "gpt_oss"),
    **_decoders(HOOKS, CAUSAL, "gptj", "codegen", "falcon", untraced="rotations inside its attention"),
    **_decoders(HOOKS, CAUSAL, "bloom", "mpt", untraced="position terms inside its attention"),
    **_decoders(HOOKS, CAUSAL, "openai-gpt", untraced="q, k and v in one linear map"),
    **_decoders(HOOKS, CAUSAL, "xglm"),
    "gpt_neo": Family(HOOKS, f"{CAUSAL}; {LOCAL}", layout="alternating"),
    # long texts
    "longformer": Family(HOOKS, LOCAL, layout="banded"),
    "big_bird": Family(HOOKS, SPARSE, options=FULL),
    "canine": Family(
        HOOKS,
        f"characters; layers between the first and the last pool them; {NO_PADDING}",
        layout="characters",
        untraced="characters in chunks and pools",
    ),
    "funnel": Family(
        HOOKS,
        f"layers after the first block pool tokens; {NO_PADDING}",
        layout="pooled",
        untraced="relative position terms and pooled tokens",
    ),
    # encoders of encoder-decoders
    "t5": Family(BLOCKS, model_class="T5EncoderModel"),
    "mt5": Family(BLOCKS, model_class="MT5EncoderModel"),
    "umt5": Family(BLOCKS, model_class="UMT5EncoderModel"),
    "longt5": Family(
        HOOKS,
        f"what falls on side tokens (transient-global) is outside; {LOCAL}",
        "LongT5EncoderModel",
        layout="neighbours",
        untraced="position terms by block",
    ),
    "switch_transformers": Family(BLOCKS, model_class="SwitchTransformersEncoderModel"),
    "udop": _refused(NO_LAYOUT),
    "bart": Family(BLOCKS),
    "mbart": Family(BLOCKS),
    "pegasus": Family(BLOCKS),
    "marian": Family(BLOCKS),
    "m2m_100": Family(BLOCKS),
    "blenderbot": Family(BLOCKS),
    "blenderbot-small": Family(BLOCKS),
    "plbart": Family(BLOCKS),
    "mvp": Family(HOOKS),
    "prophetnet": Family(HOOKS, "it returns scores; the softmax is taken here", layout="scores"),
    "nllb-moe": Family(HOOKS, "its router reads the mask of the eager path"),
    "led": Family(HOOKS, LOCAL, layout="banded"),
    "bigbird_pegasus": Family(HOOKS, SPARSE, options=FULL),
    "pegasus_x": Family(
        HOOKS,
        f"what falls on the model's global tokens is outside; {LOCAL}",
        layout="staggered",
        untraced="global tokens",
    ),
    "fsmt": Family(HOOKS, part="encoder", adapter="fsmt"),
    "t5gemma": Family(BLOCKS, LOCAL),
    "t5gemma2": Family(BLOCKS, f"text alone; {LOCAL}"),
    "encoder-decoder": Family(BLOCKS, "as its own encoder", "EncoderDecoderModel"),
    # text towers of models of images and sound
    **_towers(
        BLOCKS,
        CAUSAL,
        clip="CLIPTextModel",
        clipseg="CLIPSegTextModel",
        metaclip_2="MetaClip2TextModel",
        owlvit="OwlViTTextModel",
        owlv2="Owlv2TextModel",
    ),
    **_towers(BLOCKS, CAUSAL, inside=True, xclip="XCLIPTextModel", aimv2="Aimv2TextModel"),
    **_towers(BLOCKS, "", siglip="SiglipTextModel", siglip2="Siglip2TextModel"),
    **_towers(
        BLOCKS,
        "",
        inside=True,
        tipsv2="Tipsv2TextModel",
        align="AlignTextModel",
        altclip="AltCLIPTextModel",
        chinese_clip="ChineseCLIPTextModel",
        clap="ClapTextModel",
    ),
    **_towers(HOOKS, CAUSAL, groupvit="GroupViTTextModel"),
    **_towers(HOOKS, "", inside=True, blip="BlipTextModel", flava="FlavaTextModel"),
    "videoprism_text_model": Family(
        HOOKS,
        f"the class token that the model puts behind a text is left out; {CAUSAL}",
        "VideoPrismTextModel",
        layout="appended",
        untraced="a soft cap inside its attention",
    ),
    "sam3_lite_text_text_model": Family(BLOCKS, NO_PADDING),
    "bridgetower": Family(BLOCKS, part="text_model"),
    "lxmert": Family(HOOKS, "its language layers, which see no image", adapter="lxmert"),
    # text encoders of models that speak
    "seamless_m4t": Family(BLOCKS, part="text_encoder"),
    "seamless_m4t_v2": Family(BLOCKS, part="text_encoder"),
    "vits": Family(HOOKS, part="text_encoder", adapter="vits", untraced="relative position keys"),
    "speecht5": Family(
        HOOKS, "", "SpeechT5ForTextToSpeech", "speecht5.encoder", adapter="speecht5", untraced="relative position keys"
    ),
    "dia": Family(BLOCKS),
    "clvp": _refused("its text encoder also reads the sound of a speaker"),
    "bark": _refused("reads codes of sound, not text"),
    "pop2piano": _refused("reads sound, not text"),
    # no token-to-token probabilities
    "yoso": _refused("YOSO samples its attention by hashing and returns no weights"),
    "mra": _refused("MRA approximates attention at several resolutions and returns no weights"),
    "fnet": _refused("FNet mixes tokens by Fourier transforms and has no attention"),
    "reformer": _refused("Reformer attends within hashed buckets, whose weights are not over the text's tokens"),
    "perceiver": _refused("Perceiver's attention is between latents, which are not the text's tokens"),
    # more than text
    "layoutlmv2": _refused(NO_LAYOUT),
    "layoutlmv3": _refused(NO_LAYOUT),
    "vilt": _refused(NO_IMAGE),
}


def family_table() -> Table:
    """Lists the families: ``model_type``, ``measured`` (yes, no), ``through`` (blocks, hooks), ``remark``."""
    rows = [
        (kind, "no", "", family.remark) if family.through == REFUSED else (kind, "yes", family.through, family.remark)
        for kind, family in sorted(FAMILIES.items())
    ]
    return Table(["model_type", "measured", "through", "remark"], rows)
