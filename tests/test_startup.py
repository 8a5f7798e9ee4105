"""What needs no model must not import torch: help, version, completion, the list of metrics, and early errors."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import attnprobe
from attnprobe import Encoder
from attnprobe.errors import UsageError
from attnprobe.models.foresight import check_heads, check_named, check_tokenizer_files
from attnprobe.models.locate import locate
from tests.atlases import fabricated
from tests.cli.commandline import Stream, exit_code

HEAVY = ("torch", "transformers", "pandas", "numba", "matplotlib", "pyarrow", "datasets", "sklearn", "peft", "ray")
MARK = "imported:"
# Runs some code and then says, on a line of standard error of its own, which heavy libraries it brought in.
CHECK = f"""
import sys
try:
    exec(sys.argv.pop(1))
finally:
    print("\\n{MARK}", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
MAIN = "from attnprobe.cli import main; main()"
COMPLETE = {"_ATTNPROBE_COMPLETE": "complete_bash", "COMP_CWORD": "2"}


def check(code: str, *arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs code in a process of its own; returns the process and the heavy libraries that it imported."""
    process = subprocess.run(
        [sys.executable, "-c", CHECK, code, *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    marks = [line for line in process.stderr.splitlines() if line.startswith(MARK)]
    assert len(marks) == 1, process.stderr
    return process, marks[0].removeprefix(MARK).split()


LIGHT = [
    (["--help"], "heads"),
    (["heads", "--help"], "--metric"),
    (["info", "-h"], "--device"),
    (["--version"], "attnprobe "),
    (["metrics"], "entropy"),
]
EARLY = [
    (["heads", "text", "-k", "entrpy"], "entropy"),
    (["heads", "text", "-m", "./nothere"], "./nothere"),
    (["heads", "text", "-m", "nobody/nothing"], "nobody/nothing"),
    (["heads", "text", "-o", "out.unknown"], "out.unknown"),
    (["weights", "text", "--direction", "a-b"], "--pair"),
    (["heatmap", "text", "-o", "out.csv"], "out.csv"),
    (["info", "./nothere"], "./nothere"),
    (["trace", "text", "-l", "x", "--head", "0"], "'x'"),
    (["heads", "text", "-l", "6"], "no layer 6: the model has 6, numbered 0 to 5"),
    (["view", "text", "--head", "-13", "-o", "page.html"], "no head -13: the model has 12"),
    (["trace", "text", "-l", "0", "--head", "12"], "no head 12"),
    (["weights", "the cat sat", "--query", "dog"], "no token or word 'dog' in the text\n  the, cat"),
    (["atlas", "--against", "./nothere"], "./nothere"),
    (["weights", "a", "--pair", "cat", "--query", "dog"], "no token or word 'dog'"),
    (["trace", "the cat", "-l", "0", "--head", "0", "--query", "the dog"], "no token or word 'the dog'"),
]
# Runs commands one after another; what one has brought in would be counted with the next, too.
SEVERAL = f"""
import io, json, sys
from attnprobe.cli import main

done = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["attnprobe", *arguments]
    sys.stdout, sys.stderr = streams = [io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2)]
    try:
        main()
    except SystemExit as exit:
        said = [stream.buffer.getvalue().decode() for stream in streams]
        done.append([exit.code or 0, *said, [name for name in {HEAVY!r} if name in sys.modules]])
print(json.dumps(done), file=sys.__stdout__)
"""
Done = dict[str, tuple[int, str, str, list[str]]]


@pytest.fixture(scope="module")
def done() -> Done:
    """The exit code, output and messages of the commands of LIGHT and EARLY, and the heavy libraries after each."""
    commands = [arguments for arguments, _ in LIGHT + EARLY]
    process = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return dict(zip(map(str, commands), json.loads(process.stdout), strict=True))


@pytest.mark.parametrize(("arguments", "word"), LIGHT, ids=str)
def test_command_without_a_model_is_light(arguments: list[str], word: str, done: Done) -> None:
    code, out, _, heavy = done[str(arguments)]
    assert (code, heavy) == (0, [])
    assert word in out


@pytest.mark.parametrize(("words", "flag"), [("heads --met", "--metric"), ("weights --di", "--direction")])
def test_completion_is_light(words: str, flag: str) -> None:
    process, heavy = check(MAIN, **COMPLETE, COMP_WORDS=f"attnprobe {words}")
    assert heavy == []
    assert process.returncode == 0
    assert process.stdout.split() == [flag]


@pytest.mark.parametrize(("arguments", "word"), EARLY, ids=str)
def test_early_error_is_light(arguments: list[str], word: str, done: Done) -> None:
    code, _, err, heavy = done[str(arguments)]
    assert heavy == []
    assert code in {1, 2}
    assert word in err


def test_a_folder_without_a_tokenizer_is_refused_early(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer_config.json", "special_tokens_map.json"):
        if (folder_of("bert") / name).exists():
            shutil.copy(folder_of("bert") / name, tmp_path)
    process, heavy = check(MAIN, "heads", "text", "-m", str(tmp_path))
    assert heavy == []
    assert process.returncode == 1
    assert "holds no tokenizer: there is no tokenizer.json, vocab.txt" in process.stderr
    elsewhere, heavy = check(MAIN, "heads", "text", "-m", str(tmp_path), "--tokenizer", "./nothere")
    assert "./nothere" in elsewhere.stderr


@pytest.mark.parametrize("query", ["CÁT", "##at", "[MASK]", "<s>", "9", "▁", "ca t", "ﬁne"])
def test_what_may_yet_be_found_is_left_to_the_model(query: str) -> None:
    check_named(locate(), ["The cat is fine."], [query])


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "convbert", "t5", "bart", "funnel", "canine"])
def test_early_numbers_are_the_model_s(
    family: str, folder_of: Callable[[str], Path], encoder_of: Callable[[str], Encoder]
) -> None:
    location = locate(str(folder_of(family)))
    check_tokenizer_files(location)
    for number, what in ((encoder_of(family).layers, "layers"), (encoder_of(family).heads, "heads")):
        check_heads(location, **{"layers": None, "heads": None, what: number - 1})
        if family in ("bert", "distilbert", "modernbert"):
            with pytest.raises(UsageError, match=f"the model has {number},"):
                check_heads(location, **{"layers": None, "heads": None, what: number})


ERASED = "loading sentence-transformers/all-MiniLM-L6-v2 …"[:38] + "…\r\x1b[K"
LOADS = "import sys; sys.modules['torch'] = None; import attnprobe.cli as cli; cli.main()"


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    """A terminal: what is written to the second end is read from the first."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def read(screen: tuple[int, int]) -> str:
    """All that was written to the terminal, which may come in several pieces, some a moment later."""
    os.write(screen[1], b"\0")
    written = b""
    while not written.endswith(b"\0"):
        written += os.read(screen[0], 10_000)
    return written[:-1].decode()


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
@pytest.mark.parametrize("quiet", [["-q"], []], ids=["quiet", "before torch"])
def test_a_terminal_shows_what_is_loaded(quiet: list[str], screen: tuple[int, int]) -> None:
    command = [sys.executable, "-c", LOADS, "heads", "text", *quiet]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=screen[1], stdin=subprocess.DEVNULL, env=environment, check=False
    )
    written = read(screen)
    assert "torch" in written.removeprefix(ERASED)
    assert ("loading sentence" in written) != bool(quiet), written
    assert written.startswith(ERASED) != bool(quiet), written
    assert done.returncode != 0


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
def test_a_terminal_shows_what_is_loaded_until_it_is_there(
    screen: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    with os.fdopen(os.dup(screen[1]), "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["attnprobe", "heads", "text"])
        patch.setattr(sys, "stdout", Stream(io.BytesIO()))
        patch.setattr(sys, "stderr", terminal)
        assert exit_code() == 0
    assert read(screen) == ERASED


def test_an_atlas_in_place_of_texts_needs_no_torch(tmp_path: Path) -> None:
    """It is known by its content, whatever the name of its file."""
    paths = [tmp_path / name for name in ("new.txt", "old.json", "page.html")]
    for seed, path in enumerate(paths[:2]):
        path.write_text(json.dumps(fabricated(2, 3, seed=seed), indent=2), encoding="utf-8")
    process, heavy = check(MAIN, "atlas", str(paths[0]), "--against", str(paths[1]), "-o", str(paths[2]))
    assert (process.returncode, heavy) == (0, []), process.stderr
    assert paths[2].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_installed_command_runs() -> None:
    command = [Path(sys.executable).parent / "attnprobe", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("attnprobe ")


def test_library_import_is_light() -> None:
    _, heavy = check("import attnprobe; attnprobe.METRICS; attnprobe.Tokens; dir(attnprobe)")
    assert heavy == []


def test_analysis_is_loaded_for_its_own_command_only() -> None:
    code = f"{MAIN.replace('main()', '')}\ntry: main()\nfinally: assert 'attnprobe.analyses.trace' not in sys.modules"
    for arguments in (["--help"], ["weights", "--help"]):
        process, _ = check(code, *arguments)
        assert (process.returncode, "trace  " in process.stdout) == (0, arguments == ["--help"])


def test_type_checkers_know_the_public_names() -> None:
    source = Path(attnprobe.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imported = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert imported == attnprobe._HOMES
    assert sorted(attnprobe.__all__) == sorted(["__version__", *imported])
    assert all(getattr(attnprobe, name) for name in attnprobe.__all__)


def test_check_can_fail() -> None:
    _, heavy = check("import pandas")
    assert "pandas" in heavy
