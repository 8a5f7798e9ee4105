"""An encoder that several threads use, or that was changed after loading, gives right numbers or none."""

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers.utils import logging as reports

from attnprobe import Encoder, corpus_stats, head_stats, load_encoder, trace
from attnprobe.attention.rounding import rounding
from attnprobe.corpus import prober
from attnprobe.corpus import settings as corpus_settings
from attnprobe.errors import AttnprobeError, ModelError, TextError
from attnprobe.measure.weights import keep_weights
from attnprobe.models import loading

TEXT, OTHER = "The old lighthouse keeper counted twelve boats.", "Nobody had told her that the ferry wouldn't come."
NOISE = rounding(torch.float32, 1000)  # an unmeant run would move numbers by far more
WAIT = 0.3  # seconds for what may not come while a model runs

# Several threads


@contextmanager
def in_the_middle(encoder: Encoder, work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Starts a thread when the model comes to its second layer; afterwards, what the thread gave."""
    gave: list[Any] = []
    thread = threading.Thread(target=lambda: gave.append(work()))

    def start(*_: Any) -> None:
        if thread.ident is None:
            thread.start()
            thread.join(WAIT)

    handle = encoder.model.encoder.layer[1].register_forward_pre_hook(start)
    try:
        yield gave
    finally:
        handle.remove()
        thread.join()


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=NOISE, atol=NOISE)


@pytest.mark.parametrize("family", ["convbert", "deberta", "bert"])
def test_two_threads_measure_with_one_encoder(encoder_of: Callable[[str], Encoder], family: str) -> None:
    encoder = encoder_of(family)
    expected, others = head_stats(TEXT, encoder), head_stats(OTHER, encoder)
    with in_the_middle(encoder, lambda: head_stats(OTHER, encoder)) as gave:
        found = head_stats(TEXT, encoder)
    same(found, expected)
    same(gave[0], others)


def test_replica_made_while_a_text_is_measured_has_no_hooks(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("convbert")
    with in_the_middle(encoder, encoder.replica) as gave:
        head_stats(TEXT, encoder)
    hooks = [[len(module._forward_hooks) for module in each.model.modules()] for each in (gave[0], encoder)]
    assert hooks[0] == hooks[1]


def test_the_model_itself_runs_beside_a_measurement(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("convbert")
    inputs = encoder.tokenizer(OTHER, return_tensors="pt")
    expected, attentions = head_stats(TEXT, encoder), encoder.model(**inputs, output_attentions=True).attentions
    with in_the_middle(encoder, lambda: encoder.model(**inputs, output_attentions=True).attentions) as gave:
        found = head_stats(TEXT, encoder)
    same(found, expected)
    for layer, its in zip(gave[0], attentions, strict=True):
        torch.testing.assert_close(layer, its, rtol=NOISE, atol=NOISE)


def test_two_threads_trace_with_one_encoder(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("bert")
    expected = trace(TEXT, encoder, layer=2, head=1, query=3)
    with in_the_middle(encoder, lambda: trace(OTHER, encoder, layer=2, head=1, query=3)) as gave:
        found = trace(TEXT, encoder, layer=2, head=1, query=3)
    np.testing.assert_allclose(found.weight, expected.weight, rtol=NOISE, atol=NOISE)
    np.testing.assert_allclose(found.x, expected.x, rtol=NOISE, atol=NOISE)
    same(gave[0].to_frame(), trace(OTHER, encoder, layer=2, head=1, query=3).to_frame())


@pytest.mark.parametrize("family", ["convbert", "bert"])
def test_numbers_are_in_the_models_own_precision(encoder_of: Callable[[str], Encoder], family: str) -> None:
    expected = head_stats(TEXT, encoder_of(family))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(head_stats(TEXT, encoder_of(family)), expected)


# Models that were changed


def train_all(model: Any) -> None:
    model.train()


def train_one(model: Any) -> None:
    model.encoder.layer[1].attention.train()


def set_sdpa(model: Any) -> None:
    model.config._attn_implementation = "sdpa"


def set_sdpa_in_one_layer(model: Any) -> None:
    its = next(module for module in model.encoder.layer[1].attention.modules() if hasattr(module, "config"))
    its.config = copy.deepcopy(its.config)
    its.config._attn_implementation = "sdpa"


def drop_layer(model: Any) -> None:
    del model.encoder.layer[1]


def repeat_layer(model: Any) -> None:
    model.encoder.layer.append(model.encoder.layer[0])


MEASURE: list[Callable[[Encoder], object]] = [
    lambda encoder: head_stats(TEXT, encoder),
    lambda encoder: corpus_stats([TEXT], encoder, on_error="skip").to_frame(),
    lambda encoder: keep_weights(TEXT, encoder),
]


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("bert", train_all, "training mode"),
        ("bert", train_one, "training mode"),
        ("convbert", train_one, "training mode"),
        ("bert", set_sdpa, "'sdpa'"),
        ("convbert", set_sdpa, "'sdpa'"),
        ("bert", set_sdpa_in_one_layer, "attention came from 2 layers, the model has 3"),
        ("bert", drop_layer, "attention came from 2 layers, the model has 3"),
        ("bert", repeat_layer, "attention came from 4 layers, the model has 3"),
        ("convbert", drop_layer, "attention modules are gone"),
        ("convbert", repeat_layer, "attention came from more layers than the model's 3"),
    ],
)
def test_changed_models_are_refused(
    encoder_of: Callable[[str], Encoder], family: str, change: Callable[[Any], None], message: str
) -> None:
    encoder = replace(encoder_of(family), model=copy.deepcopy(encoder_of(family).model))
    change(encoder.model)
    for measure in MEASURE:
        with pytest.raises(ModelError, match=message) as caught:
            measure(encoder)
        assert not isinstance(caught.value, TextError)


# Texts for which the model gives NaN


@pytest.fixture
def poisoned(encoder_of: Callable[[str], Encoder], request: pytest.FixtureRequest) -> Encoder:
    """An encoder that gives NaN for texts with "gulls"."""
    encoder = encoder_of(request.param)
    encoder = replace(encoder, model=copy.deepcopy(encoder.model))
    tokens = encoder.tokenizer("gulls", add_special_tokens=False)["input_ids"]
    encoder.model.embeddings.word_embeddings.weight.data[tokens[0]] = torch.nan
    return encoder


@pytest.mark.parametrize("poisoned", ["bert", "convbert"], indirect=True)
def test_text_of_nan_is_skipped_and_no_other(poisoned: Encoder) -> None:
    texts = ["seven boats", "seven gulls", "twelve cats", "gulls", TEXT]
    stats = corpus_stats(texts, poisoned, on_error="skip", profile=True)
    found = stats.to_frame()
    assert [(skipped.line, skipped.id) for skipped in stats.skipped] == [(2, "2"), (4, "4")]
    assert all("NaN" in skipped.reason for skipped in stats.skipped)
    others = corpus_stats([texts[n] for n in (0, 2, 4)], poisoned, ids=[1, 3, 5], profile=True)
    same(found, others.to_frame())
    same(stats.summary.profile().to_frame(), others.summary.profile().to_frame())


@pytest.mark.parametrize("poisoned", ["bert"], indirect=True)
@pytest.mark.parametrize(
    "measure",
    [
        lambda text, encoder: head_stats(text, encoder),
        lambda text, encoder: head_stats(text, encoder, metrics=["distance"], queries="content", level="word"),
        lambda text, encoder: keep_weights(text, encoder),
        lambda text, encoder: keep_weights(text, encoder, level="word"),
        lambda text, encoder: trace(text, encoder, layer=0, head=0, query=1),
    ],
)
def test_text_of_nan_is_explained(poisoned: Encoder, measure: Callable[[str, Encoder], object]) -> None:
    with pytest.raises(TextError, match=r"layer 0: attention rows do not sum to 1 \(they hold NaN\)"):
        measure("seven gulls", poisoned)


def test_model_of_nan_skips_every_text_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = replace(encoder_of("bert"), model=copy.deepcopy(encoder_of("bert").model))
    encoder.model.embeddings.LayerNorm.weight.data.fill_(torch.nan)
    stats = corpus_stats(["one", "two three"], encoder, on_error="skip")
    assert stats.to_frame().empty
    assert [skipped.id for skipped in stats.skipped] == ["1", "2"]
    with pytest.raises(AttnprobeError, match="text:1: layer 0: attention rows do not sum to 1"):
        corpus_stats(["one", "two three"], encoder).to_frame()


# What is the whole process's


def thread_counts() -> tuple[int, int]:
    """How many threads torch uses here, and in a thread that begins."""
    other: list[int] = []
    thread = threading.Thread(target=lambda: other.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return torch.get_num_threads(), other[0]


@pytest.fixture
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_three_threads")
def test_iterations_leave_the_number_of_threads(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that take turns, of which one is given up; and one that fails."""
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 1)
    encoder = encoder_of("bert")
    first, second = (iter(corpus_stats([TEXT, OTHER, TEXT], encoder, threads=2)) for _ in range(2))
    for step in (first, second, first, second, first):
        next(step)
        assert thread_counts() == (3, 3)
    assert next(first, None) is None
    assert thread_counts() == (3, 3)
    del second
    assert thread_counts() == (3, 3)
    with pytest.raises(AttnprobeError):
        list(corpus_stats([TEXT, ""], encoder))
    assert thread_counts() == (3, 3)


@pytest.mark.usefixtures("_three_threads")
def test_batches_are_computed_by_one_thread_each(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    measure = prober.measure

    def count(*arguments: Any, **options: Any) -> Any:
        counts.append(torch.get_num_threads())
        return measure(*arguments, **options)

    monkeypatch.setattr(prober, "measure", count)
    list(corpus_stats([TEXT, OTHER], encoder_of("bert"), threads=2, batch_tokens=1))
    assert counts == [1, 1]


def test_two_threads_load_and_leave_no_silence(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first loads, and ends after it."""
    filters = list(warnings.filters)
    verbosity, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    begun, first_is_done = threading.Event(), threading.Event()
    second = threading.Thread(target=lambda: load_encoder(folder_of("bert")))
    load = loading.load_tokenizer

    def load_slowly(*arguments: Any) -> Any:
        if threading.current_thread() is second:
            begun.set()
            first_is_done.wait()
        else:
            second.start()
            begun.wait(WAIT)
        return load(*arguments)

    monkeypatch.setattr(loading, "load_tokenizer", load_slowly)
    load_encoder(folder_of("bert"))
    first_is_done.set()
    second.join()
    assert warnings.filters == filters
    assert (reports.get_verbosity(), reports.is_progress_bar_enabled()) == (verbosity, bars)
