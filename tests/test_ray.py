"""The engines that measure elsewhere, Ray above all: the same bytes, and clear words when a worker is lost.

One local Ray with two processors serves all tests here; one test lets the command start a Ray of its own. A process
that imports torch takes seconds, so true workers are asked only what concerns the measuring.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnprobe.corpus.engines
from attnprobe import AttnprobeError, Encoder, Record
from attnprobe.corpus.engines import results
from attnprobe.corpus.on_ray import on_ray
from attnprobe.corpus.prober import Prober, Result
from attnprobe.corpus.settings import Settings
from attnprobe.corpus.workers import Recipe, Worker
from attnprobe.errors import InputError, ModelError, UsageError
from attnprobe.values.options import Engine, Reading
from attnprobe.values.records import Skipped
from tests.cli.commandline import exit_code
from tests.ray_toy import LOADING, MEASURING, ToyRecipe, ToyWorker
from tests.toy import LargestWeights

TEXTS = [f"Sentence {number}: {'the animal was tired, ' * (number % 7)}and slept." for number in range(60)]


@pytest.fixture(scope="module")
def model(folder_of: Callable[[str], Path]) -> Path:
    return folder_of("bert")


@pytest.fixture(scope="module")
def prober(encoder_of: Callable[[str], Encoder]) -> Prober:
    encoder = encoder_of("bert")
    return Prober(encoder, Settings.choose(encoder, profile=True), threads=1)


@pytest.fixture(scope="module")
def recipe(model: Path, prober: Prober) -> Recipe:
    return Recipe({"model": str(model)}, prober.settings)


ROOT = Path(__file__).parent.parent
START_RAY = """
import ray, sys
node = ray._private.node.Node
node.start_log_monitor = node.start_monitor = node.start_api_server = lambda *args, **options: None  # not asked here
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a running Ray of two processors, which RAY_ADDRESS names.

    It belongs to another process: Ray leaves what it starts a cluster with to the garbage collector, which would warn.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one to the home folder
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.delenv("RAY_ADDRESS", raising=False)
        environment.setenv("PYTHONPATH", str(ROOT))  # the actors find the toys there
        command = [sys.executable, "-c", START_RAY]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            address = process.stdout.readline().strip()
            environment.setenv("RAY_ADDRESS", address)
            yield address
            process.communicate("")


@pytest.fixture
def connected(cluster: str) -> Iterator[Any]:
    """Ray, to which this process is connected."""
    import ray  # looks at the environment when it is imported

    ray.init(cluster, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture
def toy(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are toys, which need neither torch nor a model."""
    monkeypatch.setattr(attnprobe.corpus.on_ray, "Worker", ToyWorker)


def chunks(size: int = 8) -> list[list[Any]]:
    records = [
        Record(str(number), text, None, "texts", number, labels={"class": "odd" if number % 2 else "even"})
        for number, text in enumerate(TEXTS, start=1)
    ]
    records[20:20] = [Skipped("texts", 0, "empty", "none")]  # type: ignore[list-item]
    return [records[start : start + size] for start in range(0, len(records), size)]


def assert_same(found: Sequence[Result], expected: Sequence[Result]) -> None:
    """Equal to the last bit, one by one and added up."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.skipped == other.skipped
        for block, like in zip(one.rows, other.rows, strict=True):
            assert (block.axes, block.names) == (like.axes, like.names)
            assert block.values.tobytes() == like.values.tobytes()
    one, other = (reduce(add, (result.summary for result in some)) for some in (found, expected))
    assert one.signature == other.signature
    for name, array in one.arrays().items():
        assert np.array_equal(array, other.arrays()[name]), name


def test_same_as_one_process(cluster: str, model: Path, prober: Prober) -> None:
    """What is measured is of another package; processes on this machine are tested in cli/test_corpus.py."""
    heard: list[tuple[int, int]] = []
    settings = Settings.choose(prober.encoder, LargestWeights.choose(prober.encoder, Reading()))
    here = Prober(prober.encoder, settings, 1, on_batch=lambda texts, tokens: heard.append((texts, tokens)))
    found = list(results(chunks(), here, Recipe({"model": str(model)}, settings), Engine("ray", 1)))
    assert heard == [(result.n_texts, result.n_tokens) for result in found]
    assert sum(texts for texts, _ in heard) == len(TEXTS)
    assert_same(found, list(here.results(chunks())))
    assert {*found[0].summary.arrays()} == {"even", "odd"}  # by the labels of records


def test_a_worker_started_anew_loads_the_model_itself(prober: Prober, recipe: Recipe) -> None:
    assert_same([Worker(recipe).measure(chunks()[0])], list(prober.results(chunks()[:1])))


@dataclass
class Bomb:
    """Ends the process that unpickles it, unless the file is there; then it is a number."""

    flag: str
    number: int = 0

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        explode = f"(open({self.flag!r}, 'x'), __import__('os')._exit(1))"
        return eval, (f"{self.number} if __import__('os').path.exists({self.flag!r}) else {explode}",)


@pytest.mark.usefixtures("toy")
def test_chunks_of_a_lost_actor_are_measured_again_in_order_up_to_an_error(connected: Any, tmp_path: Path) -> None:
    numbers = [[number] for number in range(8)]
    mined = [*numbers[:4], [Bomb(str(tmp_path / "exploded"), 4)], *numbers[5:], [], [8]]
    found = on_ray(mined, ToyRecipe(), workers=2)  # type: ignore[arg-type]
    processes, measured = zip(*(next(found) for _ in numbers), strict=True)
    assert (tmp_path / "exploded").exists()
    assert list(measured) == numbers
    lost, other, anew = processes[0], processes[1], processes[4]
    assert len({lost, other, anew}) == 3
    assert processes[5:] == (other, anew, other)
    with pytest.raises(InputError) as caught:
        next(found)
    assert (str(caught.value), caught.value.hint) == (str(MEASURING), MEASURING.hint)
    assert connected.cluster_resources()["CPU"] == 2


@pytest.mark.usefixtures("toy")
def test_a_model_that_cannot_be_loaded_there() -> None:
    with pytest.raises(ModelError) as caught:
        next(on_ray([[1]], ToyRecipe(fails=True), workers=1))  # type: ignore[arg-type]
    assert (str(caught.value), caught.value.hint) == (str(LOADING), LOADING.hint)


@pytest.mark.usefixtures("toy")
def test_a_lost_worker_is_reported_in_a_line_and_the_cluster_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(attnprobe.corpus.on_ray, "RESTARTS", 0)
    with pytest.raises(AttnprobeError, match=r"^a Ray worker ended unexpectedly") as caught:
        list(on_ray([[Bomb(str(tmp_path / "flag"))]], ToyRecipe(), workers=1))  # type: ignore[list-item,arg-type]
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    assert capfd.readouterr() == ("", "")
    assert request.getfixturevalue("connected").cluster_resources()["CPU"] == 2


@pytest.mark.usefixtures("connected")
def test_no_room(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attnprobe.corpus.on_ray, "START_SECONDS", 1)
    with pytest.raises(AttnprobeError, match="runs 0 of 2 workers"):
        list(on_ray(chunks(), recipe, workers=2, num_gpus=1))
    with pytest.raises(UsageError, match=r"1\.5"):
        list(on_ray(chunks(), recipe, workers=2, num_gpus=1.5))


def test_a_worker_that_measures_otherwise_is_refused(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Prober(prober.encoder, Settings.choose(prober.encoder, long_range=5), threads=1)
    monkeypatch.setattr(attnprobe.corpus.engines, "on_ray", lambda chunks, *options: prober.results(chunks))
    with pytest.raises(AttnprobeError, match=r"here: .*long_range:5.*there: .*long_range:10"):
        next(results(chunks(), other, Recipe({}, other.settings), Engine("ray")))


def test_no_cluster_at_the_address() -> None:
    import ray

    with pytest.raises(AttnprobeError, match=r"cannot connect to .* RAY_ADDRESS=127\.0\.0\.1:9: "):
        attnprobe.corpus.on_ray._connect(ray, "127.0.0.1:9", 1, 0)


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python, with time enough for a busy machine; a variable that is given as "" is taken away."""
    command = [sys.executable, *command]
    environment = {name: value for name, value in {**os.environ, **environment}.items() if value}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_command_on_a_ray_of_its_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It gives what the command gives in this process."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    command = ["corpus", "texts.txt", "-m", os.path.relpath(model, tmp_path), "-f", "csv", "-q"]
    own = {"RAY_ADDRESS": "", "RAY_AUTH_MODE": "", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    files = [["--summary", f"{name}.csv", "--profile", f"{name}-profile.csv"] for name in ("one", "two")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["attnprobe", *command, *files[0]])
    assert exit_code() == 0
    two = run(["-m", "attnprobe", *command, *files[1], "--engine", "ray", "--workers", "1"], tmp_path, **own)
    assert (two.returncode, two.stderr) == (0, "")
    assert two.stdout.encode() == capsysbinary.readouterr().out
    assert len(two.stdout.splitlines()) == 1 + len(TEXTS) * 3 * 4
    for name in ("", "-profile"):
        assert (tmp_path / f"two{name}.csv").read_bytes() == (tmp_path / f"one{name}.csv").read_bytes()
