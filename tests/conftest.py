"""What every test may rely on: no network, a neutral terminal, and the embedded model loaded once."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "ATTNPROBE_MODEL"):
    os.environ.pop(name, None)

import pytest  # noqa: E402

from attnprobe import Encoder, load_encoder  # noqa: E402


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return load_encoder()
