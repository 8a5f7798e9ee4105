"""What every test may rely on: no network, a neutral terminal, and models that are made and loaded once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"
for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "ATTNPROBE_MODEL"):
    os.environ.pop(name, None)

gc.disable()  # until all is imported, of which nothing is garbage
re._MAXCACHE = 1 << 14  # of the patterns that transformers compiles for each model, most are the same

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job inherits ignored

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

if TYPE_CHECKING:  # what runs no test itself, as xdist's first process, need not load torch
    from attnprobe import Encoder
    from tests.plain import Plain

settings.register_profile("same", derandomize=True)  # the same examples in every run, so that a failure is the change's
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """Garbage is from now on looked for among what tests make, not among modules."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    from attnprobe import load_encoder

    return load_encoder()


@pytest.fixture
def loaded_once(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever loads the default model as usual gets the one that is loaded already."""
    from attnprobe.models import loading
    from attnprobe.models.locate import DEFAULT_MODEL
    from tests.cli.commandline import as_usual

    load_encoder = loading.load_encoder

    @wraps(load_encoder)
    def load(model: str = DEFAULT_MODEL, **options: Any) -> Encoder:
        return minilm if as_usual(model=model, **options) else load_encoder(model, **options)

    monkeypatch.setattr(loading, "load_encoder", load)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model, made once for all processes of a test run: copy it before you change it."""
    from tests.families import build_once

    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "families"
    root.mkdir(exist_ok=True)
    return cache(lambda family: build_once(family, root))


@pytest.fixture(scope="session")
def encoder_of(folder_of: Callable[[str], Path]) -> Callable[[str], Encoder]:
    """A family's encoder, loaded once in a process: copy it before you change it."""
    import torch

    from attnprobe import load_encoder

    def load(family: str) -> Encoder:
        assert torch.get_default_dtype().itemsize == 4, "load what tests share outside of float64()"
        return load_encoder(folder_of(family))

    return cache(load)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier whose head that carries the signal is known: copy it before you change it."""
    from tests.classifier import build_classifier

    return build_classifier(tmp_path_factory.mktemp("classifier") / "model")


@pytest.fixture(scope="session")
def exact_of(encoder_of: Callable[[str], Encoder]) -> Callable[[str], Encoder]:
    """A family's encoder with weights in float64, to run within ``float64()``."""
    from tests.exact import doubled

    return cache(lambda family: doubled(encoder_of(family)))


@pytest.fixture(scope="session")
def plain_of(folder_of: Callable[[str], Path]) -> Callable[[str], Plain]:
    """A family's model as transformers alone loads it, in float64."""
    from tests.plain import Plain

    return cache(lambda family: Plain.load(folder_of(family)))


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes start from one that has imported all; as they start in truth, in cli/test_nightly.py."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["attnprobe.corpus.workers", "transformers.models.bert.modeling_bert"])
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's files need not outlast a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
