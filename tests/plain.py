"""A family as transformers alone loads and runs it, which attnprobe's numbers are held to."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from tests.eager import Layer, eager_layers
from tests.families import FAMILIES, OTHER_HALVES, no_progress_bars

# Family -> the class that loads it and the part that reads the text, where that is not AutoModel and all of it.
ENCODER_DECODERS = [
    "bart",
    "mbart",
    "pegasus",
    "pegasus_x",
    "bigbird_pegasus",
    "marian",
    "m2m_100",
    "blenderbot",
    "blenderbot-small",
    "plbart",
    "mvp",
    "led",
    "prophetnet",
    "nllb-moe",
    "longt5_local",
    "longt5_tglobal",
    "switch",
    "t5gemma",
    "t5gemma2",
    "dia",
]
LOADED_BY = {
    **dict.fromkeys(["t5", "byt5", "mt5", "umt5"], ("AutoModelForTextEncoding", "")),
    **dict.fromkeys(ENCODER_DECODERS, ("AutoModel", "encoder")),
    **dict.fromkeys(["seamless_m4t", "seamless_m4t_v2", "vits"], ("AutoModel", "text_encoder")),
    "bert2bert": ("EncoderDecoderModel", "encoder"),
    "speecht5": ("SpeechT5ForTextToSpeech", "speecht5.encoder"),
    "bridgetower": ("AutoModel", "text_model"),
    **dict.fromkeys(["clip", *OTHER_HALVES], ("AutoModel", "text_model")),
    "siglip": ("SiglipTextModel", ""),
    "siglip2": ("Siglip2TextModel", ""),
    "gpt2": ("AutoModel", ""),
}


class Spoken(torch.nn.Module):
    """SpeechT5's encoder, which takes token ids under another name."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **options: Any) -> Any:
        return self.encoder(input_values=input_ids, attention_mask=attention_mask, **options)


@dataclass(frozen=True)
class Plain:
    """A family as transformers alone loads it: the eager encoder, moved to float64, and its tokenizer."""

    family: str
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> Plain:
        name, part = LOADED_BY.get(folder.name, (FAMILIES[folder.name].model_class or "AutoModel", ""))
        with no_progress_bars():
            model = getattr(transformers, name).from_pretrained(
                folder, attn_implementation="eager", experts_implementation="eager", local_files_only=True
            )
        model = attrgetter(part)(model.eval()) if part else model.eval()
        if hasattr(model, "set_attention_type"):  # BigBird, which is measured without its blocks
            model.set_attention_type("original_full")
        if folder.name == "speecht5":
            model = Spoken(model)
        return cls(
            folder.name, model.double(), transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        )

    def encode(self, texts: Sequence[str]) -> Any:
        if self.family == "tapas":
            return self.tokenizer(table=pd.DataFrame(), queries=texts[0], return_tensors="pt")
        return self.tokenizer(
            *texts, return_special_tokens_mask=True, return_offsets_mapping=self.tokenizer.is_fast, return_tensors="pt"
        )

    def inputs(self, encoding: Any) -> dict[str, torch.Tensor]:
        """What the model is called with: what the tokenizer gives, and what it needs beside it."""
        ids = encoding["input_ids"]
        taken = inspect.signature(self.model.forward).parameters
        inputs = {name: encoding[name] for name in encoding if name in taken}
        if self.family == "bros":
            inputs["bbox"] = torch.zeros(*ids.shape, 4, dtype=torch.long)
        if self.family == "vits":
            inputs["padding_mask"] = torch.ones(*ids.shape, 1)
        if self.family == "lxmert":
            inputs["visual_feats"], inputs["visual_pos"] = torch.zeros(1, 1, 8), torch.zeros(1, 1, 4)
        return inputs

    def layers(self, encoding: Any) -> list[Layer]:
        return eager_layers(self.model, self.inputs(encoding))
