"""A model with its task head gives transformers' own logits, and a head is never random."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from attnprobe import Encoder, load_encoder
from attnprobe.errors import ModelError
from attnprobe.models.edits import Edit
from attnprobe.models.tasks import Task
from attnprobe.values.tokens import Tokens
from tests.classifier import HEAD, REVIEWS
from tests.exact import EXACT, doubled, float64
from tests.families import FAMILIES, no_progress_bars

TEXTS = ["She wasn't told, was she?", "Nobody had told her.", "The old lighthouse keeper counted seven gulls."]
# Each kind of head, in blocks and hooked; XLNet's reads the last position, which must not be padding.
HEADED = {
    "ModernBertForTokenClassification": "modernbert",
    "RobertaForMaskedLM": "roberta",
    "DistilBertForSequenceClassification": "distilbert",
    "AlbertForTokenClassification": "albert",
    "XLNetForSequenceClassification": "xlnet",
    "MPNetForMaskedLM": "mpnet",
}


def nobody(layer: int, group: int) -> None:
    """Observes nothing."""


def by_length(encoder: Encoder, texts: list[str]) -> list[Tokens]:
    return sorted((encoder.tokenize(text)[0] for text in texts), key=len)


def headed(name: str, folder_of: Callable[[str], Path], **config: Any) -> tuple[Any, Any]:
    """A model with a random head, and its tokenizer."""
    family = HEADED.get(name, name.split("For", 1)[0].removesuffix("Model").lower())
    torch.manual_seed(0)
    with no_progress_bars():
        model = getattr(transformers, name).from_pretrained(folder_of(family), num_labels=3, **config)
    tokenizer = FAMILIES[family].tokenizer()
    tokenizer.model_max_length = 128
    return model.eval(), tokenizer


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def own_logits(model: Any, text: Tokens) -> torch.Tensor:
    """What transformers alone gives for one text."""
    inputs = {name: torch.tensor([row]) for name, row in text.inputs.items()}
    with torch.no_grad():
        logits: torch.Tensor = model(**inputs).logits[0]
    return logits


def close(found: torch.Tensor | None, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT * float(expected.abs().max()))


@pytest.mark.numeric
@pytest.mark.parametrize("name", HEADED)
def test_logits_and_states_are_those_of_the_model(name: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """From a folder, from memory and of a replica, of texts of three lengths in one run."""
    model, tokenizer = headed(name, folder_of)
    loaded = load_encoder(saved(model, tokenizer, tmp_path / "saved"), task=True)
    given = load_encoder(model, tokenizer=tokenizer, task=True)
    with float64():
        model = copy.deepcopy(model).double()
        exact = doubled(loaded)
        for encoder in (exact, doubled(replace(given, origin=None)), replace(exact.replica(), compiled=False)):
            assert any(module is encoder.model for module in encoder.task.modules())
            texts = by_length(encoder, TEXTS)
            made = encoder.run(texts, nobody, encoder.groups(texts))
            states = encoder.observe(texts, nobody, encoder.groups(texts))
            for text, output, hidden in zip(texts, made, states, strict=True):
                close(output.logits, own_logits(model, text))
                close(output.hidden, hidden)


def test_gradients_reach_the_logits_through_an_edit(classifier: Path) -> None:
    """The logit's derivative by a factor of the head that carries the signal is a finite difference's."""
    loaded = load_encoder(classifier, task=True)
    with float64():
        encoder = doubled(loaded)
        texts = encoder.tokenize(REVIEWS[0][0])

        def logit(factor: torch.Tensor) -> torch.Tensor:
            def scaled(layer: int, some: slice, context: torch.Tensor) -> torch.Tensor:
                factors = torch.ones(4).index_put((torch.tensor(HEAD[1]),), factor)
                return context * factors[:, None] if layer == HEAD[0] else context

            [output] = encoder.run(texts, nobody, edit=Edit(context=scaled), gradients=True)
            assert output.logits is not None
            return output.logits[1]

        factor = torch.ones((), requires_grad=True)
        [found] = torch.autograd.grad(logit(factor), [factor])
        step = 1e-5
        expected = (logit(torch.tensor(1 + step)) - logit(torch.tensor(1 - step))) / (2 * step)
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)
        assert found > 1


def test_what_logits_mean(classifier: Path, folder_of: Callable[[str], Path]) -> None:
    labels = Task.of(load_encoder(classifier, task=True).task)
    assert labels == Task("sequence", ["negative", "positive"], "single")
    for answer, stated in (("multiple", "multi_label_classification"), ("number", "regression")):
        model, tokenizer = headed("BertForSequenceClassification", folder_of, problem_type=stated)
        assert Task.of(load_encoder(model, tokenizer=tokenizer, task=True).task).answer == answer
    model, tokenizer = headed("RobertaForMaskedLM", folder_of)
    assert Task.of(load_encoder(model, tokenizer=tokenizer, task=True).task) == Task("word", (), "single")


def change(folder: Path, to: Path, weights: Callable[[dict[str, torch.Tensor]], Any], **config: Any) -> Path:
    """A copy with other weights and another configuration."""
    shutil.copytree(folder, to)
    tensors = load_file(to / "model.safetensors")
    weights(tensors)
    save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})
    content = json.loads((to / "config.json").read_text(encoding="utf-8")) | config
    (to / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return to


REFUSED: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], dict[str, Any], str]] = {
    "head missing": (lambda w: w.pop("classifier.weight"), {}, "lacks 1 of the task head's weights.*classifier.weight"),
    "pooler missing": (lambda w: w.pop("bert.pooler.dense.bias"), {}, "lacks 1 of the .* weights"),
    "head unread": (lambda w: w.update({"classifier.scale": torch.ones(2)}), {}, "no place for: classifier.scale"),
    "other labels": (
        lambda w: None,
        {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}},
        "another shape: classifier",
    ),
    "no head named": (lambda w: None, {"architectures": ["BertModel"]}, "no task head: its architecture is BertModel"),
    "another task": (lambda w: None, {"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_head_that_is_not_whole_is_refused(case: str, classifier: Path, tmp_path: Path) -> None:
    weights, config, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        load_encoder(change(classifier, tmp_path / "changed", weights, **config), task=True)


def test_other_heads_in_the_checkpoint_are_left(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """As BERT's own checkpoints have one for the next sentence beside that for masked words."""
    folder = saved(*headed("BertForMaskedLM", folder_of), tmp_path / "whole")
    beside = {"cls.seq_relationship.weight": torch.zeros(2, 32), "bert.pooler.dense.weight": torch.zeros(32, 32)}
    assert load_encoder(change(folder, tmp_path / "more", lambda w: w.update(beside)), task=True).task is not None


def test_what_reads_more_than_an_encoder_is_refused(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("T5ForSequenceClassification", "LongformerForSequenceClassification"):
        folder = saved(*headed(name, folder_of), tmp_path / name)
        with pytest.raises(ModelError, match=f"{name} (reads more|runs its encoder otherwise)"):
            load_encoder(folder, task=True)
    model, tokenizer = headed("BertModel", folder_of)
    with pytest.raises(ModelError, match="no task head: its architecture is BertModel"):
        load_encoder(model, tokenizer=tokenizer, task=True)


def test_classifier_is_loaded_where_there_is_one(
    classifier: Path, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    assert load_encoder(classifier, task=None).task is not None
    assert load_encoder(classifier).task is None
    for folder in (
        folder_of("bert"),
        saved(*headed("BertForMaskedLM", folder_of), tmp_path / "words"),
        saved(*headed("T5ForSequenceClassification", folder_of), tmp_path / "t5"),
    ):
        assert load_encoder(folder, task=None).task is None


def test_head_in_memory_is_followed_and_signed(folder_of: Callable[[str], Path]) -> None:
    """Its numbers follow the caller's training, and the signature the head's weights."""
    model, tokenizer = headed("BertForSequenceClassification", folder_of)
    encoder = load_encoder(model, tokenizer=tokenizer, task=True)
    texts, before = encoder.tokenize(TEXTS[0]), encoder.fingerprint
    with torch.no_grad():
        model.classifier.bias += 1
    torch.testing.assert_close(encoder.run(texts, nobody)[0].logits, own_logits(model, texts[0]), rtol=1e-4, atol=1e-5)
    assert encoder.fingerprint != before
