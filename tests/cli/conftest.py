"""A neutral environment, the command line as a function, and a small model folder to use and to break."""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from attnprobe import Encoder
from attnprobe.models import loading
from attnprobe.models.locate import DEFAULT_MODEL
from tests.cli.commandline import TOKENIZER_FILES, Result, Run, Stream, as_usual, exit_code


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "ATTNPROBE_MODEL", "_ATTNPROBE_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Many short texts: threads would mostly wait for each other. See also :func:`process`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_encoder(tiny: Path) -> Encoder:
    return loading.load_encoder(tiny)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tiny: Path) -> Run:
    """``attnprobe ARGUMENTS`` in this process; the default model and ``tiny`` are loaded once, any other each time."""
    load_encoder = loading.load_encoder

    def load(model: str = DEFAULT_MODEL, **options: Any) -> Encoder:
        once = {DEFAULT_MODEL: "minilm", str(tiny): "tiny_encoder"}.get(model)
        if once and as_usual(**options):
            return request.getfixturevalue(once)  # type: ignore[no-any-return]
        return load_encoder(model, **options)

    monkeypatch.setattr(loading, "load_encoder", load)

    def run(
        *arguments: object,
        stdin: bytes | None = None,  # None: nothing is piped, standard input is a terminal
        terminal: bool = False,
        columns: int = 80,
        encoding: str = "utf-8",
        stdout: io.BytesIO | None = None,
    ) -> Result:
        out = Stream(stdout or io.BytesIO(), terminal, encoding)
        err = Stream(io.BytesIO(), terminal, encoding, "backslashreplace")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["attnprobe", *map(str, arguments)])
            patch.setattr(sys, "stdin", Stream(io.BytesIO(stdin or b""), terminal=stdin is None))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
            patch.setenv("COLUMNS", str(columns))
            code = exit_code()
        return Result(code, out.buffer.getvalue(), err.buffer.getvalue().decode())

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, minilm: Encoder) -> Path:
    """A folder with two random layers of two heads, and MiniLM's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    config = BertConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    config.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(BertModel(config).state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES:
        shutil.copy(minilm.location.folder / name, folder)
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))
