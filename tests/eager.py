"""What an encoder's own output_attentions=True says, as dense rows over the text's real tokens.

The reference against which attnprobe's reading of a model is tested: transformers, torch and numpy alone, in the
plainest loops, for tiny inputs. A layer's weights on anything that is not a token of the text (a side token, a prompt,
a sink) are left out, so its rows may sum to less than 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from packaging.version import Version
from torch import Tensor

CAUSAL = {
    "aimv2_text_model",
    "clip_text_model",
    "clipseg_text_model",
    "groupvit_text_model",
    "metaclip_2_text_model",
    "owlv2_text_model",
    "owlvit_text_model",
    "videoprism_text_model",
    "xclip_text_model",
}
DECODERS = {
    *("gpt2", "gpt_bigcode", "openai-gpt", "gptj", "codegen", "gpt_neo", "gpt_neox", "opt", "biogpt", "xglm"),
    *("bloom", "mpt", "falcon", "phi", "phi3", "qwen2", "qwen3", "qwen3_moe", "llama", "mistral", "mixtral"),
    *("gemma", "gemma2", "gemma3_text", "gpt_oss", "olmo", "olmo2", "olmo3", "cohere", "cohere2", "stablelm"),
    *("starcoder2", "granite", "smollm3"),
}
MASK_MAKES_CAUSAL = {"aimv2_text_model", "videoprism_text_model"}  # without an attention_mask they see every key
FIELDS = ("encoder_{}", "language_{}", "{}")


@dataclass(frozen=True)
class Layer:
    """One layer's attention.

    Attributes:
        weights: (head, query, key) in float64.
        reach: (query,) how many of these keys each query may see.
        pooled: whether its positions are not the text's tokens.
    """

    weights: np.ndarray
    reach: np.ndarray
    pooled: bool = False


def eager_layers(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """One unpadded text (a batch of 1) through an eager encoder.

    A BigBird is switched to full attention first and stays so.
    """
    with torch.no_grad():
        layers = LAYOUTS.get(model.config.model_type, square)(model, inputs)
    assert layers, "the model returned no attention"
    return layers


def forward(model: Any, inputs: Mapping[str, Tensor]) -> Any:
    return model(**inputs, output_attentions=True)


def field(output: Any, name: str) -> Sequence[Any]:
    """The encoder's attentions or global_attentions, whichever of FIELDS the output calls them; empty: it has none."""
    return next((output[full_name] for form in FIELDS if (full_name := form.format(name)) in output), ())


def length_of(inputs: Mapping[str, Tensor]) -> int:
    return inputs["input_ids"].shape[1]


def matrix(weights: Tensor) -> np.ndarray:
    """(1, head, query, key) -> (head, query, key)."""
    assert weights.shape[0] == 1
    return weights[0].double().numpy()


# Which keys a query may see, from the configuration alone


def window_of(config: Any, layer: int) -> tuple[int, int] | None:
    """How many keys to the left and to the right of its own position a query of the layer sees; None: all."""
    for part in ("encoder", "text_config"):
        config = getattr(config, part, config)
    if config.model_type == "openai_privacy_filter":
        return config.sliding_window, config.sliding_window
    if (getattr(config, "layer_types", None) or ["full_attention"] * (layer + 1))[layer] == "full_attention":
        return None
    match config.model_type:
        case "modernbert":
            radius = config.local_attention // 2
        case "neomme":
            radius = config.per_layer_config[layer].sliding_window
        case "gemma3_text":
            radius = config.sliding_window - 1
        case "t5gemma2_text":
            return (config.sliding_window + 1) // 2 - 1, config.sliding_window // 2
        case "ultrabert" | "embedding_gemma2_text" | "cohere_compass_text":
            radius = config.sliding_window
        case "t5_gemma_module":
            radius = config.sliding_window - (Version(transformers.__version__) < Version("5.3"))
        case other:
            raise NotImplementedError(f"the window of {other}")
    return radius, radius


def is_decoder(config: Any) -> bool:
    """Whether a language model reads from left to right, as it does unless its configuration says otherwise."""
    both_ways = getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True)
    return config.model_type in DECODERS and not both_ways


def decoder_window(config: Any, layer: int) -> int | None:
    """How many keys a query of a decoder sees, itself among them; None: all before it."""
    if config.model_type == "gpt_neo":
        return config.window_size if config.attention_layers[layer] == "local" else None
    kinds = getattr(config, "layer_types", None)
    return None if kinds and kinds[layer] == "full_attention" else getattr(config, "sliding_window", None)


def keys_seen(length: int, left: int, right: int) -> list[list[int]]:
    """Per query, the keys at most so far to its left and to its right, clipped at the text's ends."""
    return [list(range(max(0, query - left), min(length, query + right + 1))) for query in range(length)]


def counts(keys: Sequence[Sequence[int]]) -> np.ndarray:
    """(query,) how many different keys each query's list holds."""
    return np.array([len(set(of_query)) for of_query in keys])


def reach_of(model: Any, inputs: Mapping[str, Tensor], layer: int) -> np.ndarray:
    """(query,) of a layer whose queries and keys are the text's tokens."""
    length, kind = length_of(inputs), model.config.model_type
    if kind in CAUSAL and ("attention_mask" in inputs or kind not in MASK_MAKES_CAUSAL):
        return counts(keys_seen(length, length, 0))
    if is_decoder(model.config):
        return counts(keys_seen(length, (decoder_window(model.config, layer) or length) - 1, 0))
    left, right = window_of(model.config, layer) or (length, length)
    return counts(keys_seen(length, left, right))


# Layouts


def square(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """(1, head, T, T) in every layer."""
    length = length_of(inputs)
    layers = []
    for number, weights in enumerate(field(forward(model, inputs), "attentions")):
        assert weights.shape[2:] == (length, length), f"layer {number} is not square over the text: {weights.shape}"
        layers.append(Layer(matrix(weights), reach_of(model, inputs, number)))
    return layers


def scores(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """(1, head, T, T) masked scores before their softmax: SqueezeBERT, ProphetNet."""
    return [
        Layer(matrix(torch.softmax(of_layer, dim=-1)), reach_of(model, inputs, number))
        for number, of_layer in enumerate(field(forward(model, inputs), "attentions"))
    ]


def full(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """BigBird without its blocks."""
    if model.attention_type != "original_full":
        model.set_attention_type("original_full")
    return square(model, inputs)


def with_extra_token(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """(1, head, T + 1, T + 1): VideoPrism appends a token, which the text's tokens, being causal, do not see."""
    length = length_of(inputs)
    return [
        Layer(matrix(weights)[:, :length, :length], reach_of(model, inputs, number))
        for number, weights in enumerate(field(forward(model, inputs), "attentions"))
    ]


def with_image(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """LXMERT runs with an image only: one box of zeros."""
    image = {
        "visual_feats": torch.zeros(1, 1, model.config.visual_feat_dim),
        "visual_pos": torch.zeros(1, 1, model.config.visual_pos_dim),
    }
    return square(model, {**image, **inputs})


def bands(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """Longformer, LED: (1, head, T, globals + window + 1), the middle of the window being the query itself.

    A global key has no weight within the window. The rows of global tokens are zeros there; the true ones are the
    columns of global_attentions, (1, head, T or more, globals).
    """
    length, output = length_of(inputs), forward(model, inputs)
    everywhere = inputs.get("global_attention_mask", torch.zeros(1, length))[0].nonzero().flatten().tolist()
    layers = []
    for number, raw in enumerate(field(output, "attentions")):
        band, half = matrix(raw), model.config.attention_window[number] // 2
        keys = keys_seen(length, half, half)
        weights = np.zeros((len(band), length, length))
        for query in range(length):
            for key in keys[query]:
                weights[:, query, key] = band[:, query, len(everywhere) + half + key - query]
            for column, key in enumerate(everywhere):
                weights[:, query, key] += band[:, query, column]
        for column, query in enumerate(everywhere):
            weights[:, query] = matrix(field(output, "global_attentions")[number])[:, :length, column]
            keys[query] = list(range(length))
        layers.append(Layer(weights, counts([[*of_query, *everywhere] for of_query in keys])))
    return layers


def neighbouring_blocks(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """LongT5: (1, block, head, L, 3 L + side tokens), a block's keys being the block before it, itself and the next."""
    length, radius = length_of(inputs), model.config.local_radius
    size = radius + 1
    keys = keys_seen(length, radius, radius)
    layers = []
    for raw in field(forward(model, inputs), "attentions"):
        blocks = raw[0].double().numpy()
        weights = np.zeros((blocks.shape[1], length, length))
        for query in range(length):
            block, row = divmod(query, size)
            for key in keys[query]:
                weights[:, query, key] = blocks[block, :, row, key - (block - 1) * size]
        layers.append(Layer(weights, counts(keys)))
    return layers


def staggered_blocks(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """Pegasus-X: (1, head, block, L, side tokens + L) under "local"; every other layer's blocks begin L / 2 earlier."""
    length, size, sides = length_of(inputs), model.config.block_size, model.config.num_global_tokens
    layers = []
    for number, raw in enumerate(field(forward(model, inputs), "attentions")):
        local = matrix(raw["local"])
        shift = size // 2 if model.config.stagger_local_blocks and number % 2 == 1 else 0
        place = [divmod(position + shift, size) for position in range(length)]
        keys = [[key for key in range(length) if place[key][0] == block] for block, _ in place]
        weights = np.zeros((len(local), length, length))
        for query, (block, row) in enumerate(place):
            for key in keys[query]:
                weights[:, query, key] = local[:, block, row, sides + place[key][1]]
        layers.append(Layer(weights, counts(keys)))
    return layers


def shrinking(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """Funnel: (1, head, query, key) with ever fewer positions, in FunnelModel at last T x T again."""
    length = length_of(inputs)
    layers = []
    for raw in forward(model, inputs).attentions:
        queries, keys = raw.shape[2:]
        layers.append(Layer(matrix(raw), np.full(queries, keys), pooled=(queries, keys) != (length, length)))
    return layers


def characters(model: Any, inputs: Mapping[str, Tensor]) -> list[Layer]:
    """CANINE: characters in chunks, then molecules of 4 characters, then characters again.

    Of the first layer the model returns the first chunk only; here its self-attention's outputs are recorded, which
    are the chunks' in order.
    """
    length, chunks = length_of(inputs), []
    local = model.base_model.initial_char_encoder.layer[0].attention.self
    hook = local.register_forward_hook(lambda module, arguments, output: chunks.append(matrix(output[1])))
    try:
        _, *molecules, last = forward(model, inputs).attentions
    finally:
        hook.remove()
    weights, reach, start = np.zeros((chunks[0].shape[0], length, length)), np.zeros(length, dtype=int), 0
    for chunk in chunks:
        stop = start + chunk.shape[1]
        weights[:, start:stop, start:stop] = chunk
        reach[start:stop] = stop - start
        start = stop
    middle = [Layer(matrix(raw), np.full(raw.shape[2], raw.shape[3]), pooled=True) for raw in molecules]
    return [Layer(weights, reach), *middle, Layer(matrix(last), np.full(length, length))]


LAYOUTS: Mapping[str, Callable[[Any, Mapping[str, Tensor]], list[Layer]]] = {
    "big_bird": full,
    "bigbird_pegasus": full,
    "canine": characters,
    "funnel": shrinking,
    "led": bands,
    "longformer": bands,
    "longt5": neighbouring_blocks,
    "lxmert": with_image,
    "pegasus_x": staggered_blocks,
    "prophetnet": scores,
    "squeezebert": scores,
    "videoprism_text_model": with_extra_token,
}
