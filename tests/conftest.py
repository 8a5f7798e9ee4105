"""What every test may rely on: no network, a neutral terminal, and the embedded model loaded once."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "ATTNPROBE_MODEL"):
    os.environ.pop(name, None)

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from attnprobe import Encoder, load_encoder  # noqa: E402

settings.register_profile("same", derandomize=True)  # the same examples in every run, so that a failure is the change's
settings.load_profile("same")


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return load_encoder()


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's files need not outlast a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
